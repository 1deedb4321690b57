#include <chainrule/shape.hpp>

#include <algorithm>

#include <chainrule/error.hpp>

namespace chainrule {
namespace {

void check_rank(std::size_t rank) {
  if (rank > static_cast<std::size_t>(max_rank)) {
    throw ShapeError({.function = "Shape",
                      .problem = "too many dimensions",
                      .got = std::to_string(rank),
                      .wanted = "at most " + std::to_string(max_rank)});
  }
}

}  // namespace

Dims::Dims(std::initializer_list<std::int64_t> values)
    : Dims(std::span<const std::int64_t>(values.begin(), values.size())) {}

Dims::Dims(std::span<const std::int64_t> values) {
  check_rank(values.size());
  std::copy(values.begin(), values.end(), values_.begin());
  size_ = static_cast<std::int32_t>(values.size());
}

Dims Dims::filled(int count, std::int64_t value) {
  Dims dims;
  dims.resize(count, value);
  return dims;
}

void Dims::push_back(std::int64_t value) { insert(size_, value); }

void Dims::insert(int position, std::int64_t value) {
  check_rank(static_cast<std::size_t>(size_) + 1);
  std::copy_backward(begin() + position, end(), end() + 1);
  values_[static_cast<std::size_t>(position)] = value;
  ++size_;
}

void Dims::erase(int position) {
  std::copy(begin() + position + 1, end(), begin() + position);
  --size_;
}

void Dims::resize(int size, std::int64_t value) {
  check_rank(static_cast<std::size_t>(size));
  for (int i = size_; i < size; ++i) values_[static_cast<std::size_t>(i)] = value;
  size_ = size;
}

bool Dims::operator==(const Dims& other) const {
  return std::equal(begin(), end(), other.begin(), other.end());
}

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  bool too_large = false;
  bool has_zero = false;
  for (const std::int64_t length : shape) {
    if (length < 0) {
      throw ShapeError({.function = "Shape", .problem = "a dimension is negative", .got = to_string(shape)});
    }
    has_zero = has_zero || length == 0;
    if (length > 0 && count > (std::int64_t{1} << 62) / length) {
      too_large = true;
    } else if (length > 0) {
      count *= length;
    }
  }
  if (has_zero) return 0;
  if (too_large) {
    throw ShapeError({.function = "Shape", .problem = "more than 2^62 elements", .got = to_string(shape)});
  }
  return count;
}

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (int i = 0; i < dims.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(dims[i]);
  }
  return text + "]";
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides = Dims::filled(shape.size(), 1);
  for (int i = shape.size() - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * std::max<std::int64_t>(shape[i + 1], 1);
  return strides;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* function) {
  const int rank = std::max(a.size(), b.size());
  Shape result = Dims::filled(rank, 1);
  for (int i = 1; i <= rank; ++i) {
    const std::int64_t x = i <= a.size() ? a[a.size() - i] : 1;
    const std::int64_t y = i <= b.size() ? b[b.size() - i] : 1;
    if (x != y && x != 1 && y != 1) {
      throw ShapeError({.function = function,
                        .problem = "shapes do not broadcast: dimension " + std::to_string(-i) + " has " +
                                   std::to_string(x) + " and " + std::to_string(y),
                        .got = to_string(a) + " and " + to_string(b),
                        .wanted = "equal lengths, or 1, in each dimension counted from the last"});
    }
    result[rank - i] = x == 1 ? y : x;
  }
  return result;
}

int normalize_axis(std::int64_t axis, int rank, const char* function) {
  const std::int64_t index = axis < 0 ? axis + rank : axis;
  if (index < 0 || index >= rank) {
    throw ArgumentError({.function = function,
                         .argument = "axis",
                         .problem = "axis out of range",
                         .got = std::to_string(axis) + " for a tensor of rank " + std::to_string(rank),
                         .wanted = rank == 0
                                       ? "no axis: the tensor is a scalar"
                                       : "-" + std::to_string(rank) + " .. " + std::to_string(rank - 1)});
  }
  return static_cast<int>(index);
}

Dims normalize_axes(const Dims& axes, int rank, const char* function) {
  Dims result;
  if (axes.empty()) {
    for (int i = 0; i < rank; ++i) result.push_back(i);
    return result;
  }
  for (const std::int64_t axis : axes) result.push_back(normalize_axis(axis, rank, function));
  std::sort(result.begin(), result.end());
  if (std::adjacent_find(result.begin(), result.end()) != result.end()) {
    throw ArgumentError({.function = function,
                         .argument = "axes",
                         .problem = "an axis is named twice",
                         .got = to_string(axes) + " for rank " + std::to_string(rank)});
  }
  return result;
}

}  // namespace chainrule
