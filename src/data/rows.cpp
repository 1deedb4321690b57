#include "data/rows.hpp"

#include <algorithm>
#include <cstring>

#include <chainrule/error.hpp>

namespace chainrule::data {
namespace {

std::size_t row_length(const HostArray& array) {
  return array.shape[0] == 0 ? 0 : static_cast<std::size_t>(array.size() / array.shape[0]);
}

template <typename From, typename To>
void scale_row(const From* from, std::size_t length, const std::vector<To>& shift,
               const std::vector<To>& scale, To* to) {
  const auto missing_is_zero = [](To value) { return value == value ? value : To{0}; };
  if (shift.size() == 1) {
    const To a = shift[0];
    const To b = scale[0];
    for (std::size_t j = 0; j < length; ++j) to[j] = missing_is_zero((static_cast<To>(from[j]) - a) * b);
  } else {
    for (std::size_t j = 0; j < length; ++j)
      to[j] = missing_is_zero((static_cast<To>(from[j]) - shift[j]) * scale[j]);
  }
}

template <typename From, typename To>
void scale_all(const HostArray& from, std::span<const std::int64_t> rows, const ScaleNumbers& numbers,
               To* to) {
  const std::size_t length = row_length(from);
  const std::vector<To> shift(numbers.shift.begin(), numbers.shift.end());
  const std::vector<To> scale(numbers.scale.begin(), numbers.scale.end());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    scale_row(from.data<From>() + static_cast<std::size_t>(rows[i]) * length, length, shift, scale,
              to + i * length);
  }
}

template <typename From, typename To>
void convert_all(const HostArray& from, std::span<const std::int64_t> rows, To* to) {
  const std::size_t length = row_length(from);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const From* row = from.data<From>() + static_cast<std::size_t>(rows[i]) * length;
    for (std::size_t j = 0; j < length; ++j) to[i * length + j] = static_cast<To>(row[j]);
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
  with_element(from.dtype, [&]<typename From>(From*) {
    if (to_dtype == DType::float64) return convert_all<From>(from, rows, static_cast<double*>(to));
    convert_all<From>(from, rows, static_cast<float*>(to));
  });
}

}  // namespace chainrule::data
