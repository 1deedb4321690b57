#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include <chainrule/export.hpp>

namespace chainrule {

/// The most dimensions a tensor can have.
inline constexpr int max_rank = 8;

/// A short list of 64-bit integers kept inline: a shape, strides, axes or indices. Never allocates.
class CHAINRULE_API Dims {
 public:
  Dims() = default;
  /// Throws ShapeError for more than `max_rank` entries.
  Dims(std::initializer_list<std::int64_t> values);
  explicit Dims(std::span<const std::int64_t> values);
  /// `count` copies of `value`.
  static Dims filled(int count, std::int64_t value);

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::int64_t operator[](int i) const { return values_[static_cast<std::size_t>(i)]; }
  std::int64_t& operator[](int i) { return values_[static_cast<std::size_t>(i)]; }
  std::int64_t back() const { return (*this)[size_ - 1]; }
  const std::int64_t* begin() const { return values_.data(); }
  const std::int64_t* end() const { return values_.data() + size_; }
  std::int64_t* begin() { return values_.data(); }
  std::int64_t* end() { return values_.data() + size_; }
  void push_back(std::int64_t value);
  void insert(int position, std::int64_t value);
  void erase(int position);
  void resize(int size, std::int64_t value = 0);

  bool operator==(const Dims& other) const;

 private:
  std::array<std::int64_t, max_rank> values_{};
  std::int32_t size_ = 0;
};

/// The lengths of a tensor's dimensions, outermost first (row-major).
using Shape = Dims;
/// Elements (not bytes) between neighbours along each dimension.
using Strides = Dims;

/// The product of the lengths; 1 for a scalar. Throws ShapeError for a negative length and where the
/// product passes 2^62.
CHAINRULE_API std::int64_t element_count(const Shape& shape);
/// "[128, 784]"; "[]" for a scalar.
CHAINRULE_API std::string to_string(const Dims& dims);
/// Strides of a densely packed row-major array.
CHAINRULE_API Strides contiguous_strides(const Shape& shape);
/// NumPy's rule: align at the last dimension; lengths must be equal or one of them 1. `function` is
/// named in the ShapeError thrown when the shapes do not fit.
CHAINRULE_API Shape broadcast_shapes(const Shape& a, const Shape& b, const char* function);
/// An axis counted from the end when negative, checked against the rank. Throws ArgumentError.
CHAINRULE_API int normalize_axis(std::int64_t axis, int rank, const char* function);
/// Axes as `normalize_axis`, sorted, without duplicates (an ArgumentError); no axes means all of them.
CHAINRULE_API Dims normalize_axes(const Dims& axes, int rank, const char* function);

}  // namespace chainrule
