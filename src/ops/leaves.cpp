// The ops that a graph starts from, and tensors made from numbers.

#include <algorithm>
#include <cmath>
#include <cstring>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

#include "graph/op.hpp"
#include "graph/scalar.hpp"

namespace chainrule {
namespace {

// Leaves are made with their spec; only constants pass through make_node, with the dtype as third attribute.
void infer_constant(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  outputs.push_back({{}, node.get<DType>(2)});
}

constexpr const char* is_leaf = "it has no inputs";

}  // namespace

namespace ops {

const OpDef value = {.name = "value",
                     .text = {.formula = "value", .summary = "A tensor with memory."},
                     .kind = OpKind::leaf,
                     .not_differentiable = is_leaf};
const OpDef constant = {.name = "constant",
                        .attributes = {"value", "weak", "dtype"},
                        .text = {.formula = "constant", .summary = "A scalar."},
                        .kind = OpKind::leaf,
                        .not_differentiable = is_leaf,
                        .infer = infer_constant};
const OpDef placeholder = {.name = "placeholder",
                           .text = {.formula = "placeholder", .summary = "A value that a run supplies."},
                           .kind = OpKind::leaf,
                           .not_differentiable = is_leaf};
const OpDef variable = {.name = "variable",
                        .text = {.formula = "variable", .summary = "The input of a running transform."},
                        .kind = OpKind::leaf,
                        .not_differentiable = is_leaf};

}  // namespace ops

Tensor Tensor::scalar(double value, DType dtype) {
  return make_node(ops::constant, {}, {value, true, dtype});
}
Tensor Tensor::scalar(std::int64_t value, DType dtype) {
  return make_node(ops::constant, {}, {value, true, dtype});
}

Tensor::Tensor(HostArray array) : Tensor(make_leaf(std::move(array))) {}

Tensor Tensor::copy_bytes(const void* data, std::size_t count, DType dtype, const Shape& shape) {
  if (static_cast<std::int64_t>(count) != element_count(shape)) {
    throw ShapeError({.function = "Tensor::from",
                      .argument = "values",
                      .problem = "the number of values does not fit the shape",
                      .got = std::to_string(count) + " values for " + to_string(shape)});
  }
  HostArray array = HostArray::uninitialized(dtype, shape);
  if (array.bytes() > 0) std::memcpy(array.buffer.data(), data, array.bytes());
  return make_leaf(std::move(array));
}

Tensor Tensor::borrow_bytes(const void* data, DType dtype, const Shape& shape,
                            std::function<void()> release) {
  const std::size_t bytes = static_cast<std::size_t>(element_count(shape)) * dtype_size(dtype);
  return make_leaf(HostArray{dtype, shape, Buffer::borrow(data, bytes, std::move(release))});
}

namespace {

Tensor from_doubles(const std::vector<double>& values, const Shape& shape, DType dtype) {
  HostArray array = HostArray::uninitialized(dtype, shape);
  auto* bytes = static_cast<std::byte*>(array.buffer.data());
  for (std::size_t i = 0; i < values.size(); ++i)
    write_scalar(bytes + i * dtype_size(dtype), values[i], dtype);
  return make_leaf(std::move(array));
}

}  // namespace

Tensor tensor(std::initializer_list<double> values, DType dtype) {
  return from_doubles(values, {static_cast<std::int64_t>(values.size())}, dtype);
}

Tensor tensor(std::initializer_list<std::initializer_list<double>> rows, DType dtype) {
  std::vector<double> values;
  for (const auto& row : rows) {
    if (row.size() != rows.begin()->size()) {
      throw ShapeError({.function = "tensor",
                        .argument = "rows",
                        .problem = "rows of different lengths",
                        .got = std::to_string(rows.begin()->size()) + " and " + std::to_string(row.size())});
    }
    values.insert(values.end(), row.begin(), row.end());
  }
  const auto columns = rows.size() == 0 ? std::size_t{0} : rows.begin()->size();
  return from_doubles(values, {static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(columns)},
                      dtype);
}

Tensor full(const Shape& shape, double value, DType dtype) {
  element_count(shape);
  return broadcast_to(make_node(ops::constant, {}, {value, false, dtype}), shape);
}
Tensor zeros(const Shape& shape, DType dtype) { return full(shape, 0, dtype); }
Tensor ones(const Shape& shape, DType dtype) { return full(shape, 1, dtype); }
Tensor zeros_like(const Tensor& x) { return zeros(x.shape(), x.dtype()); }
Tensor ones_like(const Tensor& x) { return ones(x.shape(), x.dtype()); }

Tensor arange(double start, double stop, double step, DType dtype) {
  const double count = step == 0 ? -1 : std::ceil((stop - start) / step);
  if (step == 0 || !(count < 9e15)) {
    throw ArgumentError(
        {.function = "arange",
         .argument = "step",
         .problem = "no end is reached",
         .got = std::to_string(start) + " to " + std::to_string(stop) + " by " + std::to_string(step)});
  }
  std::vector<double> values(static_cast<std::size_t>(std::max(count, 0.0)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = start + static_cast<double>(i) * step;
  return from_doubles(values, {static_cast<std::int64_t>(values.size())}, dtype);
}

Tensor linspace(double start, double stop, std::int64_t count, DType dtype) {
  if (count < 0)
    throw ArgumentError({.function = "linspace",
                         .argument = "count",
                         .problem = "a count is not negative",
                         .got = std::to_string(count)});
  std::vector<double> values(static_cast<std::size_t>(count), start);
  for (std::size_t i = 1; i < values.size(); ++i)
    values[i] = i + 1 == values.size()
                    ? stop
                    : start + (stop - start) * static_cast<double>(i) / static_cast<double>(count - 1);
  return from_doubles(values, {count}, dtype);
}

Tensor eye(std::int64_t n, DType dtype) {
  std::vector<double> values(static_cast<std::size_t>(element_count({n, n})), 0);
  for (std::int64_t i = 0; i < n; ++i) values[static_cast<std::size_t>(i * (n + 1))] = 1;
  return from_doubles(values, {n, n}, dtype);
}

}  // namespace chainrule
