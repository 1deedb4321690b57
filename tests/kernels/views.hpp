#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/array.hpp"

/// Random strided views for the tests of kernels, and element access without any cleverness.
namespace chainrule::kernels::testing {

/// A view together with the memory behind it.
struct OwnedView {
  std::vector<std::byte> memory;
  Array view;
};

inline double read_element(const Array& a, std::int64_t offset) {
  switch (a.dtype) {
    case DType::boolean:
      return a.as<bool>()[offset] ? 1 : 0;
    case DType::uint8:
      return a.as<std::uint8_t>()[offset];
    case DType::int32:
      return a.as<std::int32_t>()[offset];
    case DType::int64:
      return static_cast<double>(a.as<std::int64_t>()[offset]);
    case DType::bfloat16:
      return static_cast<float>(a.as<bfloat16>()[offset]);
    case DType::float32:
      return a.as<float>()[offset];
    case DType::float64:
      return a.as<double>()[offset];
  }
  return 0;
}

inline void write_element(const Array& a, std::int64_t offset, double value) {
  switch (a.dtype) {
    case DType::boolean:
      a.as<bool>()[offset] = value != 0;
      break;
    case DType::uint8:
      a.as<std::uint8_t>()[offset] = static_cast<std::uint8_t>(value);
      break;
    case DType::int32:
      a.as<std::int32_t>()[offset] = static_cast<std::int32_t>(value);
      break;
    case DType::int64:
      a.as<std::int64_t>()[offset] = static_cast<std::int64_t>(value);
      break;
    case DType::bfloat16:
      a.as<bfloat16>()[offset] = bfloat16(static_cast<float>(value));
      break;
    case DType::float32:
      a.as<float>()[offset] = static_cast<float>(value);
      break;
    case DType::float64:
      a.as<double>()[offset] = value;
      break;
  }
}

/// The coordinates of the element with a row-major number.
inline Dims coordinates(const Shape& shape, std::int64_t flat) {
  Dims index = Dims::filled(shape.size(), 0);
  for (int d = shape.size() - 1; d >= 0; --d) {
    index[d] = flat % shape[d];
    flat /= shape[d];
  }
  return index;
}

inline std::int64_t offset_of(const Array& a, const Dims& index) {
  std::int64_t offset = 0;
  for (int d = 0; d < index.size(); ++d) offset += index[d] * a.strides[d];
  return offset;
}

inline double at(const Array& a, const Dims& index) { return read_element(a, offset_of(a, index)); }
inline double at_flat(const Array& a, std::int64_t flat) { return at(a, coordinates(a.shape, flat)); }

inline std::vector<double> values_of(const Array& a) {
  std::vector<double> values(static_cast<std::size_t>(a.size()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = at_flat(a, static_cast<std::int64_t>(i));
  return values;
}

/// Dense row-major memory with room for `shape`; zeros.
inline OwnedView dense(DType dtype, const Shape& shape) {
  OwnedView owned;
  owned.memory.resize(static_cast<std::size_t>(element_count(shape)) * dtype_size(dtype) + 1);
  owned.view = {owned.memory.data(), dtype, shape, contiguous_strides(shape)};
  return owned;
}

inline OwnedView dense(DType dtype, const Shape& shape, const std::vector<double>& values) {
  OwnedView owned = dense(dtype, shape);
  for (std::size_t i = 0; i < values.size(); ++i) {
    write_element(owned.view, static_cast<std::int64_t>(i), values[i]);
  }
  return owned;
}

/// A small integer value, so that sums and products are exact in every dtype.
inline double small_value(DType dtype, std::mt19937& random) {
  const int value = static_cast<int>(random() % 7);
  return dtype_category(dtype) == DTypeCategory::boolean ? value % 2
         : dtype == DType::uint8                         ? value
                                                         : value - 3;
}

/// A view of `shape` with permuted, padded, reversed and (when asked for) broadcast dimensions.
inline OwnedView random_view(DType dtype, const Shape& shape, std::mt19937& random, bool broadcast) {
  const int rank = shape.size();
  std::vector<int> order(static_cast<std::size_t>(rank));
  for (int d = 0; d < rank; ++d) order[static_cast<std::size_t>(d)] = d;
  if (random() % 2 == 0) std::shuffle(order.begin(), order.end(), random);
  OwnedView owned;
  owned.view.dtype = dtype;
  owned.view.shape = shape;
  owned.view.strides = Dims::filled(rank, 0);
  std::int64_t step = random() % 3 == 0 ? 2 : 1;
  std::int64_t start = 0;
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    if (broadcast && random() % 4 == 0) continue;
    const bool reversed = random() % 4 == 0;
    owned.view.strides[*it] = reversed ? -step : step;
    if (reversed) start += step * std::max<std::int64_t>(0, shape[*it] - 1);
    step *= std::max<std::int64_t>(1, shape[*it]) + (random() % 4 == 0 ? 1 : 0);
  }
  owned.memory.resize(static_cast<std::size_t>(step + 1) * dtype_size(dtype));
  owned.view.data = owned.memory.data();
  for (std::int64_t i = 0; i < step; ++i) write_element(owned.view, i, small_value(dtype, random));
  owned.view.data = owned.memory.data() + start * static_cast<std::int64_t>(dtype_size(dtype));
  return owned;
}

inline Shape random_shape(std::mt19937& random, int max_dims = 4, std::int64_t max_length = 9) {
  Shape shape;
  const int rank = static_cast<int>(random() % static_cast<unsigned>(max_dims + 1));
  for (int d = 0; d < rank; ++d) {
    shape.push_back(random() % 24 == 0 ? 0 : 1 + static_cast<std::int64_t>(random()) % max_length);
  }
  return shape;
}

inline constexpr DType all_dtypes[] = {DType::boolean,  DType::uint8,   DType::int32,  DType::int64,
                                       DType::bfloat16, DType::float32, DType::float64};

}  // namespace chainrule::kernels::testing
