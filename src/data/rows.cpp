#include "data/rows.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include <chainrule/error.hpp>

#include "kernels/cpu/lanes.hpp"

namespace chainrule::data {
namespace {

std::size_t row_length(const HostArray& array) {
  return array.shape[0] == 0 ? 0 : static_cast<std::size_t>(array.size() / array.shape[0]);
}

template <typename T>
T missing_is_zero(T value) {
  return value == value ? value : T{0};
}

/// A number for each element of a row.
template <typename To>
std::vector<To> for_each_element(const std::vector<double>& numbers, std::size_t length) {
  if (numbers.size() == 1) return std::vector<To>(length, static_cast<To>(numbers[0]));
  return std::vector<To>(numbers.begin(), numbers.end());
}

/// (x - shift) * scale, each with a rounding of its own; missing values become the mean, zero.
template <typename From, typename To>
void scale_all(const HostArray& from, std::span<const std::int64_t> rows, const ScaleNumbers& numbers,
               To* to) {
  const std::size_t length = row_length(from);
  const auto count = static_cast<std::int64_t>(length);
  const std::vector<To> shift = for_each_element<To>(numbers.shift, length);
  const std::vector<To> scale = for_each_element<To>(numbers.scale, length);
  [[maybe_unused]] const auto convert = kernels::find_cast_kernel(from.dtype, dtype_of<To>());
  const auto subtract = kernels::find_lane_kernel("sub", dtype_of<To>());
  const auto multiply = kernels::find_lane_kernel("mul", dtype_of<To>());
  const auto both = kernels::find_pair_kernel(subtract, multiply, false);
  for (std::size_t i = 0; i < rows.size(); ++i, to += length) {
    const void* stored = from.data<From>() + static_cast<std::size_t>(rows[i]) * length;
    if constexpr (!std::is_same_v<From, To>) {
      convert(&stored, to, count);
      stored = to;
    }
    const void* const inputs[] = {stored, shift.data(), scale.data()};
    both(inputs, to, count);
    std::transform(to, to + length, to, missing_is_zero<To>);
  }
}

template <typename From, typename To>
void convert_all(const HostArray& from, std::span<const std::int64_t> rows, To* to) {
  const std::size_t length = row_length(from);
  const auto convert = kernels::find_cast_kernel(from.dtype, dtype_of<To>());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const void* const stored = from.data<From>() + static_cast<std::size_t>(rows[i]) * length;
    convert(&stored, to + i * length, static_cast<std::int64_t>(length));
  }
}

/// Calls f with a null pointer of the element type.
template <typename F>
void with_element(DType dtype, const F& f) {
  switch (dtype) {
    case DType::uint8:
      return f(static_cast<std::uint8_t*>(nullptr));
    case DType::int32:
      return f(static_cast<std::int32_t*>(nullptr));
    case DType::int64:
      return f(static_cast<std::int64_t*>(nullptr));
    case DType::float32:
      return f(static_cast<float*>(nullptr));
    case DType::float64:
      return f(static_cast<double*>(nullptr));
    default:
      break;
  }
  throw DTypeError({.function = "data",
                    .argument = "features",
                    .problem = "examples can't have this dtype",
                    .got = std::string(dtype_name(dtype)),
                    .wanted = "uint8, int32, int64, float32 or float64"});
}

}  // namespace

void copy_rows(const HostArray& from, std::span<const std::int64_t> rows, void* to) {
  const std::size_t bytes = row_length(from) * dtype_size(from.dtype);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto* row =
        static_cast<const char*>(from.buffer.data()) + static_cast<std::size_t>(rows[i]) * bytes;
    std::memcpy(static_cast<char*>(to) + i * bytes, row, bytes);
  }
}

void scale_rows(const HostArray& from, std::span<const std::int64_t> rows, const ScaleNumbers& numbers,
                DType to_dtype, void* to) {
  with_element(from.dtype, [&]<typename From>(From*) {
    if (to_dtype == DType::float64) return scale_all<From>(from, rows, numbers, static_cast<double*>(to));
    scale_all<From>(from, rows, numbers, static_cast<float*>(to));
  });
}

void convert_rows(const HostArray& from, std::span<const std::int64_t> rows, DType to_dtype, void* to) {
  if (from.dtype == to_dtype) return copy_rows(from, rows, to);
  with_element(from.dtype, [&]<typename From>(From*) {
    if (to_dtype == DType::float64) return convert_all<From>(from, rows, static_cast<double*>(to));
    convert_all<From>(from, rows, static_cast<float*>(to));
  });
}

}  // namespace chainrule::data
