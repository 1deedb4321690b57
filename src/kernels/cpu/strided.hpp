#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/array.hpp"

/// Helpers to walk strided views. Everything here is header-only and allocates nothing.
namespace chainrule::kernels {

/// Walks the positions of a shape in row-major order and keeps, for each of K operands, the offset in
/// elements of the current position. Steps are O(1) amortized; `seek` costs one division a dimension.
template <int K>
class StridedWalk {
 public:
  StridedWalk(const Shape& shape, const std::array<Strides, K>& strides)
      : shape_(shape), strides_(strides), index_(Dims::filled(shape.size(), 0)) {}

  /// Moves to the position with this row-major number; the shape must not be empty of elements.
  void seek(std::int64_t flat) {
    offset_.fill(0);
    for (int d = shape_.size() - 1; d >= 0; --d) {
      index_[d] = flat % shape_[d];
      flat /= shape_[d];
      for (std::size_t k = 0; k < K; ++k) offset_[k] += index_[d] * strides_[k][d];
    }
  }
  /// Moves to the next position; after the last one it is at the first again.
  void next() {
    for (int d = shape_.size() - 1; d >= 0; --d) {
      for (std::size_t k = 0; k < K; ++k) offset_[k] += strides_[k][d];
      if (++index_[d] < shape_[d]) return;
      for (std::size_t k = 0; k < K; ++k) offset_[k] -= index_[d] * strides_[k][d];
      index_[d] = 0;
    }
  }
  std::int64_t offset(std::size_t k = 0) const { return offset_[k]; }
  std::int64_t index(int d) const { return index_[d]; }

 private:
  Shape shape_;
  std::array<Strides, K> strides_;
  Dims index_;
  std::array<std::int64_t, K> offset_{};
};

/// Drops dimensions of length 1 and merges neighbours that K operands step through as one dimension.
/// The row-major order of the positions stays as it was.
template <std::size_t K>
void collapse_dimensions(Shape& shape, std::array<Strides, K>& strides) {
  int kept = 0;
  for (int d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    bool mergeable = kept > 0;
    for (std::size_t k = 0; k < K && mergeable; ++k) {
      mergeable = strides[k][kept - 1] == strides[k][d] * shape[d];
    }
    if (mergeable) {
      shape[kept - 1] *= shape[d];
    } else {
      shape[kept++] = shape[d];
    }
    for (std::size_t k = 0; k < K; ++k) strides[k][kept - 1] = strides[k][d];
  }
  shape.resize(kept);
  for (std::size_t k = 0; k < K; ++k) strides[k].resize(kept);
}

/// The same elements in the same order with as few dimensions as possible.
inline Array collapsed(const Array& view) {
  Shape shape = view.shape;
  std::array<Strides, 1> strides{view.strides};
  collapse_dimensions(shape, strides);
  return {view.data, view.dtype, shape, strides[0]};
}

/// Whether the elements lie one after the other, in row-major order.
inline bool is_dense(const Array& array) {
  const Array view = collapsed(array);
  return view.shape.empty() || (view.shape.size() == 1 && view.strides[0] == 1);
}

/// The address of an element, given its offset in elements.
inline std::byte* element_address(const Array& view, std::int64_t offset) {
  return static_cast<std::byte*>(view.data) + offset * static_cast<std::int64_t>(dtype_size(view.dtype));
}

/// The view without dimension `axis`, at position 0 of it.
inline Array without_axis(Array view, int axis) {
  view.shape.erase(axis);
  view.strides.erase(axis);
  return view;
}

}  // namespace chainrule::kernels
