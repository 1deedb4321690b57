// NPY: "\x93NUMPY", version, length of the header, the header, the data. The header is a Python literal:
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }

#include "io/npy.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include <chainrule/io.hpp>
#include <chainrule/text.hpp>

#include "io/atomic_file.hpp"
#include "io/elements.hpp"
#include "io/npy_header.hpp"

namespace chainrule {
namespace io {
namespace {

constexpr char magic[] = "\x93NUMPY";
constexpr std::size_t magic_size = 6;
// Headers of plain arrays have about 120 bytes. NumPy itself refuses more than 10,000.
constexpr std::uint32_t largest_header = 10'000;
constexpr std::size_t header_alignment = 64;
// NumPy leaves room for the first length to grow to this many digits.
constexpr std::size_t growth_digits = 21;

NpyHeader read_header(ByteReader& reader) {
  std::array<unsigned char, magic_size + 2> head{};
  reader.read_exactly(head.data(), head.size(), "the NPY magic number");
  if (std::memcmp(head.data(), magic, magic_size) != 0) {
    const std::string came(reinterpret_cast<const char*>(head.data()), magic_size);
    reader.context().fail(0, "not in NPY format", quote(came), "the bytes 93 'NUMPY'");
  }
  const int version = head[6];
  if (version < 1 || version > 3) {
    reader.context().fail(6, "a version of NPY that can't be read", std::to_string(version), "1, 2 or 3");
  }
  std::uint32_t length = 0;  // 2 bytes in version 1, 4 since
  reader.read_exactly(&length, version == 1 ? 2 : 4, "the length of the NPY header");
  if (length > largest_header) {
    reader.context().fail(8, "the NPY header is too long", std::to_string(length) + " bytes",
                          "at most " + std::to_string(largest_header) + " bytes");
  }
  std::string text(length, '\0');
  const std::uint64_t begin = reader.place();
  reader.read_exactly(text.data(), text.size(), "the NPY header");
  return parse_npy_header(reader.context(), text, begin);
}

// `from` holds the elements of `shape` with the first index running fastest.
HostArray to_row_major(const HostArray& from, const Shape& shape) {
  const HostArray to = HostArray::uninitialized(from.dtype, shape);
  const std::size_t size = dtype_size(from.dtype);
  const auto* source = static_cast<const char*>(from.buffer.data());
  auto* target = static_cast<char*>(to.buffer.data());
  Strides strides = Dims::filled(shape.size(), 1);
  for (int i = 1; i < shape.size(); ++i) strides[i] = strides[i - 1] * shape[i - 1];
  Dims index = Dims::filled(shape.size(), 0);
  std::int64_t offset = 0;
  const std::int64_t count = to.size();
  for (std::int64_t i = 0; i < count; ++i) {
    std::memcpy(target + static_cast<std::size_t>(i) * size, source + static_cast<std::size_t>(offset) * size,
                size);
    for (int axis = shape.size() - 1; axis >= 0; --axis) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return to;
}

const char* type_code(const HostArray& array, const char* function, const std::string& argument) {
  switch (array.dtype) {
    case DType::boolean:
      return "|b1";
    case DType::uint8:
      return "|u1";
    case DType::int32:
      return "<i4";
    case DType::int64:
      return "<i8";
    case DType::float32:
      return "<f4";
    case DType::float64:
      return "<f8";
    case DType::bfloat16:
      break;
  }
  throw DTypeError({.function = function,
                    .argument = argument,
                    .problem = "NumPy has no bfloat16",
                    .got = "bfloat16 " + to_string(array.shape),
                    .wanted = "another dtype",
                    .hint = "convert to float32, which holds every bfloat16, or use save_safetensors"});
}

}  // namespace

HostArray read_npy(ByteReader& reader, const char* what) {
  const NpyHeader header = read_header(reader);
  HostArray array = read_array(reader, header.format, header.shape, what);
  reader.expect_end(what);
  if (header.fortran_order && header.shape.size() > 1) return to_row_major(array, header.shape);
  return array;
}

std::string npy_header(const HostArray& array, const char* function, const std::string& argument) {
  std::string text = "{'descr': '" + std::string(type_code(array, function, argument)) +
                     "', 'fortran_order': False, 'shape': (";
  for (int i = 0; i < array.shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(array.shape[i]);
  }
  text += array.shape.size() == 1 ? ",), }" : "), }";
  if (!array.shape.empty()) text.append(growth_digits - std::to_string(array.shape[0]).size(), ' ');
  const std::size_t before = magic_size + 4;  // what stands before the text
  text.append(header_alignment - (before + text.size() + 1) % header_alignment, ' ');
  text += '\n';
  std::string header(magic, magic_size);
  header += {'\x01', '\x00', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace io

HostArray load_npy(const std::string& path) {
  const io::InputFile file({"load_npy", path});
  const auto reader = io::file_range_reader(file, 0, file.size());
  return io::read_npy(*reader, "the array");
}

void save_npy(const std::string& path, const HostArray& array) {
  io::check_writable(array, "save_npy", "array");
  const std::string header = io::npy_header(array, "save_npy", "array");
  io::AtomicFile file(path, "save_npy");
  file.write(header);
  file.write(array.buffer.data(), array.bytes());
  file.commit();
}

}  // namespace chainrule
