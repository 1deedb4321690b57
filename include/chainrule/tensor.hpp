#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <chainrule/buffer.hpp>
#include <chainrule/dtype.hpp>
#include <chainrule/export.hpp>
#include <chainrule/shape.hpp>

namespace chainrule {

struct Node;
class TensorPart;

/// start:stop:step along an axis, as Python slices; what is left out is the end in that direction.
struct Slice {
  std::optional<std::int64_t> start = std::nullopt;
  std::optional<std::int64_t> stop = std::nullopt;
  std::int64_t step = 1;
};

/// What `Tensor::at` takes for an axis: a position (negative ones count from the end) or a range.
struct AxisIndex {
  template <std::integral T>
  AxisIndex(T position)  // NOLINT: implicit on purpose, so that `x.at(1, Slice{})` reads well
      : range{.start = static_cast<std::int64_t>(position)}, is_position(true) {}
  AxisIndex(const Slice& part) : range(part) {}  // NOLINT: as above
  Slice range;
  bool is_position = false;
};

/// A number as C++ writes it. In an expression with tensors it never widens their dtype.
template <typename T>
concept Scalar = std::is_arithmetic_v<T>;

/// A multi-dimensional array: an immutable value and, until it is needed, the expression that computes
/// it. Copying a Tensor copies a handle. Operations check shapes and dtypes at once and compute
/// nothing; the value is computed by `eval`, or when it is read or printed.
class CHAINRULE_API Tensor {
 public:
  /// An undefined tensor: no shape, no value. Stands for "absent", such as a gradient that is zero.
  Tensor() noexcept = default;
  /// A scalar (rank 0): float32 from a floating number, int64 from an integer, bool from a bool. In
  /// an operation with another tensor it adopts that tensor's dtype within its category.
  template <Scalar T>
  Tensor(T value);  // NOLINT: implicit on purpose, so that `maximum(x, 0)` reads well
  /// The elements of `array`, shared, not copied.
  explicit Tensor(HostArray array);

  /// A copy of `values`, row-major. Throws ShapeError when the count does not fit the shape.
  template <Element T>
  static Tensor from(std::span<const T> values, const Shape& shape);
  template <Element T>
  static Tensor from(const std::vector<T>& values, const Shape& shape) {
    return from(std::span<const T>(values), shape);
  }
  /// Memory of the caller's, used in place and never written. It must stay unchanged and alive until
  /// `release` is called (when the last tensor that looks at it is gone).
  template <Element T>
  static Tensor borrow(const T* data, const Shape& shape, std::function<void()> release = {}) {
    return borrow_bytes(data, dtype_of<T>(), shape, std::move(release));
  }

  Tensor(const Tensor& other) noexcept;
  Tensor(Tensor&& other) noexcept : node_(other.node_), output_(other.output_) { other.node_ = nullptr; }
  Tensor& operator=(const Tensor& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;
  ~Tensor();

  bool defined() const noexcept { return node_ != nullptr; }
  const Shape& shape() const;
  /// The length of one dimension; negative axes count from the end.
  std::int64_t size(int axis) const;
  /// The number of elements.
  std::int64_t size() const;
  int rank() const { return shape().size(); }
  DType dtype() const;

  /// Computes the value, if that has not happened yet. Throws StateError while `compile` or `vmap`
  /// traces through this tensor.
  const Tensor& eval() const;
  /// The single element, converted to T. Throws ShapeError for more than one element and DTypeError
  /// when the value does not fit T (300 as uint8, 0.5 as int).
  template <typename T>
  requires Element<T> || Scalar<T> T item()
  const;
  /// The elements in row-major order, converted to T as `item` does.
  template <Element T>
  std::vector<T> to_vector() const;
  /// The value as a dense row-major array; shares memory where the value already is one.
  HostArray to_host() const;

  // Shapes. All of these are views where the memory allows it.
  Tensor reshape(const Shape& shape) const;
  Tensor permute(const Dims& axes) const;
  /// The last two axes swapped.
  Tensor transpose() const;
  Tensor astype(DType dtype) const;
  /// The i-th slice along the first axis.
  Tensor operator[](std::int64_t index) const;
  /// A part of this tensor, named axis by axis from the first one; axes that are not named are whole. A
  /// position removes its axis, a Slice keeps it:
  ///
  ///     Tensor y = x.at(1, Slice{.step = 2}).set(0);   // x with zeros at every second place of row 1
  ///
  /// x itself never changes. Throws ArgumentError for too many axes, a position outside of its axis and a
  /// step of 0.
  template <std::convertible_to<AxisIndex>... Index>
  TensorPart at(const Index&... index) const;

  /// Internal: the expression behind this handle (src/graph/node.hpp).
  Node* node() const noexcept { return node_; }
  int output_index() const noexcept { return output_; }
  Tensor(Node* node, int output) noexcept;

 private:
  static Tensor scalar(double value, DType dtype);
  static Tensor scalar(std::int64_t value, DType dtype);
  static Tensor copy_bytes(const void* data, std::size_t count, DType dtype, const Shape& shape);
  static Tensor borrow_bytes(const void* data, DType dtype, const Shape& shape,
                             std::function<void()> release);
  double item_as_double(const char* type_name, double low, double high, bool whole) const;
  std::int64_t item_as_integer(const char* type_name, std::int64_t low, std::int64_t high) const;

  Node* node_ = nullptr;
  int output_ = 0;
};

/// The part of a tensor that `Tensor::at` names. Gradients flow to the tensor and to the value.
class CHAINRULE_API TensorPart {
 public:
  TensorPart(const Tensor& x, std::span<const AxisIndex> index);

  /// The part itself, a view.
  Tensor get() const;
  /// A new tensor: x with `value` in this place, broadcast to the part's shape and converted to x's dtype.
  /// Throws ShapeError when it does not broadcast, DTypeError when its category is above x's (a float into
  /// integers).
  Tensor set(const Tensor& value) const;
  /// A new tensor: x with `value` added in this place; errors as `set`.
  Tensor add(const Tensor& value) const;

 private:
  Tensor spread(const char* function, const Tensor& value) const;

  Tensor x_;
  Dims starts_, lengths_, steps_;  // of every axis
  Shape shape_;                    // of the part, without the axes at one position
};

/// Small tensors written out: `tensor({{1, 2}, {3, 4}})` is a 2 × 2 float32 matrix. Throws ShapeError
/// for rows of different lengths.
CHAINRULE_API Tensor tensor(std::initializer_list<double> values, DType dtype = DType::float32);
CHAINRULE_API Tensor tensor(std::initializer_list<std::initializer_list<double>> rows,
                            DType dtype = DType::float32);

CHAINRULE_API Tensor zeros(const Shape& shape, DType dtype = DType::float32);
CHAINRULE_API Tensor ones(const Shape& shape, DType dtype = DType::float32);
CHAINRULE_API Tensor full(const Shape& shape, double value, DType dtype = DType::float32);
CHAINRULE_API Tensor zeros_like(const Tensor& x);
CHAINRULE_API Tensor ones_like(const Tensor& x);
/// start, start + step, … below stop.
CHAINRULE_API Tensor arange(double start, double stop, double step = 1, DType dtype = DType::float32);
/// `count` evenly spaced numbers from `start` to `stop`, both included.
CHAINRULE_API Tensor linspace(double start, double stop, std::int64_t count, DType dtype = DType::float32);
/// The identity matrix.
CHAINRULE_API Tensor eye(std::int64_t n, DType dtype = DType::float32);

/// Computes several tensors together, so that what they share is computed once.
CHAINRULE_API void eval(std::span<const Tensor> tensors);
CHAINRULE_API void eval(std::initializer_list<Tensor> tensors);

/// As NumPy prints it: nested brackets, aligned columns, long axes shortened.
CHAINRULE_API std::string to_string(const Tensor& x);
CHAINRULE_API std::ostream& operator<<(std::ostream& out, const Tensor& x);

// ---------------------------------------------------------------------------------------------

template <std::convertible_to<AxisIndex>... Index>
TensorPart Tensor::at(const Index&... index) const {
  const std::array<AxisIndex, sizeof...(Index)> parts{AxisIndex(index)...};
  return TensorPart(*this, parts);
}

template <Scalar T>
Tensor::Tensor(T value)
    : Tensor([value] {
        if constexpr (std::same_as<T, bool>) {
          return scalar(static_cast<std::int64_t>(value), DType::boolean);
        } else if constexpr (std::integral<T>) {
          return scalar(static_cast<std::int64_t>(value), DType::int64);
        } else {
          return scalar(static_cast<double>(value), DType::float32);
        }
      }()) {}

template <Element T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape) {
  return copy_bytes(values.data(), values.size(), dtype_of<T>(), shape);
}

}  // namespace chainrule
