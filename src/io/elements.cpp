#include "io/elements.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace chainrule::io {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the formats are read and written as little endian");

// Divisible by the size of each element.
constexpr std::size_t chunk = std::size_t{1} << 16;

template <std::size_t size>
void reverse_bytes(std::byte* data, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += size) std::reverse(data + i, data + i + size);
}

void reverse_each(std::byte* data, std::size_t bytes, std::size_t size) {
  if (size == 2) reverse_bytes<2>(data, bytes);
  if (size == 4) reverse_bytes<4>(data, bytes);
  if (size == 8) reverse_bytes<8>(data, bytes);
}

// IEEE binary16 is a subset of binary32, so that every value, NaN payloads included, has its place there.
float from_float16(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half} >> 15 << 31;
  const std::uint32_t exponent = half >> 10 & 31U;
  const std::uint32_t fraction = half & 1023U;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000U | fraction << 13);
  if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

struct Float16 {
  std::uint16_t bits;
  explicit operator float() const { return from_float16(bits); }
};

template <typename From, typename To>
void widen(const std::byte* from, std::size_t bytes, To* to) {
  for (std::size_t i = 0; i < bytes / sizeof(From); ++i) {
    From value;
    std::memcpy(&value, from + i * sizeof(From), sizeof(From));
    to[i] = static_cast<To>(value);
  }
}

// One chunk of little-endian elements to `to`, element `first` of it.
void widen_chunk(WireType type, const std::byte* from, std::size_t bytes, const HostArray& to,
                 std::size_t first) {
  switch (type) {
    case WireType::int8:
      return widen<std::int8_t>(from, bytes, to.data<std::int32_t>() + first);
    case WireType::uint16:
      return widen<std::uint16_t>(from, bytes, to.data<std::int32_t>() + first);
    case WireType::int16:
      return widen<std::int16_t>(from, bytes, to.data<std::int32_t>() + first);
    case WireType::uint32:
      return widen<std::uint32_t>(from, bytes, to.data<std::int64_t>() + first);
    case WireType::float16:
      return widen<Float16>(from, bytes, to.data<float>() + first);
    default:
      std::memcpy(to.data<std::uint8_t>() + first * wire_size(type), from, bytes);
  }
}

// A C++ bool may hold nothing but 0 and 1.
void check_booleans(const ByteReader& reader, const HostArray& array, const char* what) {
  const auto* bytes = static_cast<const unsigned char*>(array.buffer.data());
  const auto count = array.bytes();
  const auto* wrong = std::find_if(bytes, bytes + count, [](unsigned char value) { return value > 1; });
  if (wrong == bytes + count) return;
  reader.context().fail(reader.place() - static_cast<std::uint64_t>(bytes + count - wrong),
                        std::string("a bool of ") + what + " is neither 0 nor 1", std::to_string(*wrong),
                        "0 or 1");
}

}  // namespace

std::size_t wire_size(WireType type) {
  switch (type) {
    case WireType::boolean:
    case WireType::uint8:
    case WireType::int8:
      return 1;
    case WireType::uint16:
    case WireType::int16:
    case WireType::bfloat16:
    case WireType::float16:
      return 2;
    case WireType::uint32:
    case WireType::int32:
    case WireType::float32:
      return 4;
    case WireType::int64:
    case WireType::float64:
      return 8;
  }
  return 0;
}

DType widened_dtype(WireType type) {
  switch (type) {
    case WireType::boolean:
      return DType::boolean;
    case WireType::uint8:
      return DType::uint8;
    case WireType::int8:
    case WireType::uint16:
    case WireType::int16:
    case WireType::int32:
      return DType::int32;
    case WireType::uint32:
    case WireType::int64:
      return DType::int64;
    case WireType::bfloat16:
      return DType::bfloat16;
    case WireType::float16:
    case WireType::float32:
      return DType::float32;
    case WireType::float64:
      return DType::float64;
  }
  return DType::float64;
}

void read_elements(ByteReader& reader, ElementFormat format, const HostArray& to, const char* what) {
  const std::size_t size = wire_size(format.type);
  if (size == dtype_size(to.dtype)) {  // nothing to widen: straight into place
    reader.read_exactly(to.buffer.data(), to.bytes(), what);
    if (format.big_endian) reverse_each(static_cast<std::byte*>(to.buffer.data()), to.bytes(), size);
    if (to.dtype == DType::boolean) check_booleans(reader, to, what);
    return;
  }
  alignas(8) std::array<std::byte, chunk> buffer;
  const auto count = static_cast<std::size_t>(to.size());
  for (std::size_t first = 0; first < count; first += chunk / size) {
    const std::size_t bytes = std::min(count - first, chunk / size) * size;
    reader.read_exactly(buffer.data(), bytes, what);
    if (format.big_endian) reverse_each(buffer.data(), bytes, size);
    widen_chunk(format.type, buffer.data(), bytes, to, first);
  }
}

HostArray read_array(ByteReader& reader, ElementFormat format, const Shape& shape, const char* what) {
  std::uint64_t count = 0;
  try {
    count = static_cast<std::uint64_t>(element_count(shape));
  } catch (const ShapeError& error) {
    reader.context().fail(reader.place(), std::string("the shape of ") + what + " is impossible",
                          to_string(shape), "lengths of at least 0 whose product is at most 2^62");
  }
  // At most 2^62 elements of at most 8 bytes: the product may not fit, the comparison must.
  const std::uint64_t size = wire_size(format.type);
  constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max() / 8;
  if (count > most) {
    reader.context().fail(reader.place(), std::string("too many elements in ") + what, to_string(shape),
                          "at most 2^60");
  }
  reader.require(count * size, what);
  const HostArray array = HostArray::uninitialized(widened_dtype(format.type), shape);
  read_elements(reader, format, array, what);
  return array;
}

void check_writable(const HostArray& array, const char* function, const std::string& argument) {
  const std::size_t bytes = array.bytes();
  if (array.buffer.bytes() >= bytes) return;
  throw ArgumentError({.function = function,
                       .argument = argument,
                       .problem = "the array's buffer is smaller than its shape",
                       .got = std::to_string(array.buffer.bytes()) + " bytes for " +
                              std::string(dtype_name(array.dtype)) + " " + to_string(array.shape),
                       .wanted = std::to_string(bytes) + " bytes"});
}

}  // namespace chainrule::io
