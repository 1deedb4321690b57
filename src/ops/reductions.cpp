#include <algorithm>

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

const Dims& axes_of(const Node& node) { return node.get<Dims>(0); }
bool keeps(const Node& node) { return node.get<bool>(1); }

DType accumulated_dtype(DType dtype) { return is_floating(dtype) ? dtype : DType::int64; }

void infer_reduction(const Node& node, SmallVector<TensorSpec, 1>& outputs, DType dtype) {
  outputs.push_back({reduced_shape(node.inputs[0].shape(), axes_of(node), keeps(node)), dtype});
}
void infer_sum(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  infer_reduction(node, outputs, accumulated_dtype(node.inputs[0].dtype()));
}
void infer_extremum(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  const Shape& shape = node.inputs[0].shape();
  for (const std::int64_t axis : axes_of(node)) {
    if (shape[static_cast<int>(axis)] == 0) {
      throw ShapeError({.function = std::string(node.op->name),
                        .argument = "x",
                        .problem = "the largest or smallest of no elements does not exist",
                        .got = to_string(shape),
                        .wanted = "at least one element along the reduced axes"});
    }
  }
  infer_reduction(node, outputs, node.inputs[0].dtype());
}
void infer_bool(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  infer_reduction(node, outputs, DType::boolean);
}
void infer_index(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  infer_extremum(node, outputs);
  outputs[0].dtype = DType::int64;
}
void infer_extremum_with_indices(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  infer_extremum(node, outputs);
  outputs.push_back({outputs[0].shape, DType::int64});
}

// The reduction of a whole batch: every axis moves one to the right.
std::vector<Tensor> batch_reduction(const Node& node, std::span<const Tensor> inputs,
                                    const std::vector<bool>&, std::int64_t) {
  Dims axes = axes_of(node);
  for (std::int64_t& axis : axes) ++axis;
  return make_outputs(*node.op, inputs, {axes, keeps(node)});
}

// Ties share the gradient evenly.
void extremum_vjp(const Node& node, std::span<const Tensor> outputs, std::span<const Tensor> outputs_bar,
                  const std::vector<bool>&, std::span<Tensor> inputs_bar) {
  const Tensor& x = node.inputs[0];
  const Tensor y = restore_axes(outputs[0], x.shape(), axes_of(node), keeps(node));
  const Tensor y_bar = restore_axes(outputs_bar[0], x.shape(), axes_of(node), keeps(node));
  const Tensor hit = astype(equal(x, y), x.dtype());
  inputs_bar[0] = hit * (y_bar / sum(hit, axes_of(node), true));
}
std::vector<Tensor> extremum_jvp(const Node& node, std::span<const Tensor> outputs,
                                 std::span<const Tensor> tangents) {
  const Tensor& x = node.inputs[0];
  const Tensor hit =
      astype(equal(x, restore_axes(outputs[0], x.shape(), axes_of(node), keeps(node))), x.dtype());
  return {sum(hit * tangents[0], axes_of(node), keeps(node)) / sum(hit, axes_of(node), keeps(node))};
}

// The element at the index carries the whole gradient.
Tensor hit_by_index(const Node& node, const Tensor& indices) {
  const Tensor& x = node.inputs[0];
  const auto axis = static_cast<int>(axes_of(node)[0]);
  Shape positions_shape = Dims::filled(x.rank(), 1);
  positions_shape[axis] = x.shape()[axis];
  const Tensor positions =
      reshape(arange(0, static_cast<double>(x.shape()[axis]), 1, DType::int64), positions_shape);
  return astype(equal(positions, restore_axes(indices, x.shape(), axes_of(node), keeps(node))), x.dtype());
}
void indexed_vjp(const Node& node, std::span<const Tensor> outputs, std::span<const Tensor> outputs_bar,
                 const std::vector<bool>&, std::span<Tensor> inputs_bar) {
  if (!outputs_bar[0].defined()) return;
  inputs_bar[0] = hit_by_index(node, outputs[1]) *
                  restore_axes(outputs_bar[0], node.inputs[0].shape(), axes_of(node), keeps(node));
}
std::vector<Tensor> indexed_jvp(const Node& node, std::span<const Tensor> outputs,
                                std::span<const Tensor> tangents) {
  return {sum(hit_by_index(node, outputs[1]) * tangents[0], axes_of(node), keeps(node)), Tensor()};
}

// Π of the others, by the output where no factor is zero and by leaving one out where one is.
void prod_vjp(const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
              const std::vector<bool>&, std::span<Tensor> inputs_bar) {
  const Tensor& x = node.inputs[0];
  const Tensor zero = scalar_of(0, x.dtype());
  const Tensor one = scalar_of(1, x.dtype());
  const Tensor is_zero = equal(x, zero);
  const Tensor zeros_in_group = sum(astype(is_zero, x.dtype()), axes_of(node), true);
  const Tensor others = prod(where(is_zero, one, x), axes_of(node), true);
  // No zero: product / x. One zero: only that element has a gradient. More: none has (to first order).
  const Tensor partial = where(equal(zeros_in_group, zero), others / where(is_zero, one, x),
                               where(logical_and(is_zero, equal(zeros_in_group, one)), others, zero));
  inputs_bar[0] = restore_axes(outputs_bar[0], x.shape(), axes_of(node), keeps(node)) * partial;
}
std::vector<Tensor> prod_jvp(const Node& node, std::span<const Tensor> outputs,
                             std::span<const Tensor> tangents) {
  Tensor partial[1];
  const Tensor one = full(outputs[0].shape(), 1, outputs[0].dtype());
  prod_vjp(node, outputs, std::span<const Tensor>(&one, 1), {true}, partial);
  return {sum(partial[0] * tangents[0], axes_of(node), keeps(node))};
}

std::vector<Sample> reduction_samples() {
  const std::vector<double> values = {0.5, -1.25, 2.0, 0.75, -0.5, 1.5, -2.0, 3.0, 0.25, 1.0, -0.75, 1.75};
  const Tensor x = Tensor::from(values, {3, 4});
  const Tensor cube = Tensor::from(values, {2, 3, 2});
  return {
      {{x}, {Dims{0}, false}, "columns"},
      {{x}, {Dims{1}, true}, "rows, kept"},
      {{x}, {Dims{0, 1}, false}, "all"},
      {{cube}, {Dims{0, 2}, false}, "outer and inner"},
      {{transpose(x)}, {Dims{1}, false}, "transposed"},
      {{broadcast_to(Tensor::from(std::vector<double>{1.5}, {1, 1}), {2, 3})}, {Dims{1}, false}, "broadcast"},
      {{Tensor::from(std::vector<double>{2.5}, {})}, {Dims{}, false}, "scalar"}};
}
// Without ties, at which extrema have no derivative.
std::vector<Sample> distinct_samples() {
  std::vector<Sample> samples = reduction_samples();
  std::erase_if(samples, [](const Sample& sample) { return sample.what == "broadcast"; });
  return samples;
}
std::vector<Sample> index_samples() {
  const Tensor x = Tensor::from(std::vector<double>{0.5, -1.25, 2.0, 0.75, -0.5, 1.5}, {2, 3});
  return {{{x}, {Dims{0}, false}, "columns"},
          {{x}, {Dims{1}, true}, "rows, kept"},
          {{transpose(x)}, {Dims{1}, false}, "transposed"}};
}

Sample reduction_workload(std::int64_t elements) {
  return {{large_rows(elements)}, {Dims{1}, false}, "rows"};
}

OpDef extremum(std::string_view name, const char* formula, const char* latex, const char* summary) {
  return {.name = name,
          .arguments = {"x"},
          .attributes = {"axes", "keepdims"},
          .text = {.formula = formula,
                   .latex = latex,
                   .summary = summary,
                   .domain = "ℝⁿ → ℝ, n ≥ 1, kinks at ties"},
          .infer = infer_extremum,
          .vjp = extremum_vjp,
          .jvp = extremum_jvp,
          .batch = batch_reduction,
          .bound = {BoundKind::exact, 0},
          .workload = reduction_workload,
          .samples = distinct_samples};
}
OpDef truth(std::string_view name, const char* formula, const char* summary) {
  return {.name = name,
          .arguments = {"x"},
          .attributes = {"axes", "keepdims"},
          .text = {.formula = formula,
                   .latex = formula,
                   .summary = summary,
                   .domain = "bools; of numbers whether they are not 0"},
          .not_differentiable = "its result is a bool, which has no neighbourhood",
          .infer = infer_bool,
          .batch = batch_reduction,
          .bound = {BoundKind::exact, 0},
          .workload = reduction_workload,
          .samples = reduction_samples};
}
OpDef position(std::string_view name, const char* formula, const char* latex, const char* summary) {
  return {
      .name = name,
      .arguments = {"x"},
      .attributes = {"axes", "keepdims"},
      .text = {.formula = formula, .latex = latex, .summary = summary, .domain = "ℝⁿ → {0, …, n - 1}, n ≥ 1"},
      .not_differentiable = "its result is an index, which jumps",
      .infer = infer_index,
      .batch = batch_reduction,
      .bound = {BoundKind::exact, 0},
      .samples = index_samples};
}
OpDef extremum_with_indices(std::string_view name, const char* formula, const char* summary) {
  return {.name = name,
          .arguments = {"x"},
          .attributes = {"axes", "keepdims"},
          .text = {.formula = formula,
                   .latex = formula,
                   .summary = summary,
                   .domain = "ℝⁿ → ℝ × {0, …, n - 1}, n ≥ 1, kinks at ties"},
          .infer = infer_extremum_with_indices,
          .vjp = indexed_vjp,
          .jvp = indexed_jvp,
          .batch = batch_reduction,
          .bound = {BoundKind::exact, 0},
          .workload = reduction_workload,
          .samples = index_samples};
}

}  // namespace

namespace ops {

const OpDef sum = {
    .name = "sum",
    .arguments = {"x"},
    .attributes = {"axes", "keepdims"},
    .text = {.formula = "sum({x})",
             .latex = "\\sum {x}",
             .summary = "Sum over axes; integers and bools add up in int64.",
             .domain = "linear"},
    .linear = Linearity::all,
    .infer = infer_sum,
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          const Shape& shape = node.inputs[0].shape();
          inputs_bar[0] =
              chainrule::broadcast_to(restore_axes(outputs_bar[0], shape, axes_of(node), keeps(node)), shape);
        },
    .batch = batch_reduction,
    .bound = {BoundKind::sum, 1},
    .workload = reduction_workload,
    .samples = reduction_samples,
};

const OpDef prod = {
    .name = "prod",
    .arguments = {"x"},
    .attributes = {"axes", "keepdims"},
    .text = {.formula = "prod({x})",
             .latex = "\\prod {x}",
             .summary = "Product over axes; integers and bools multiply in int64.",
             .domain = "ℝⁿ → ℝ, smooth"},
    .infer = infer_sum,
    .vjp = prod_vjp,
    .jvp = prod_jvp,
    .batch = batch_reduction,
    .bound = {BoundKind::sum, 1},
    .workload = reduction_workload,
    .samples = reduction_samples,
};

const OpDef max = extremum("max", "max({x})", "\\max {x}",
                           "The largest element over axes; NaN if any is. Ties share the gradient.");
const OpDef min = extremum("min", "min({x})", "\\min {x}",
                           "The smallest element over axes; NaN if any is. Ties share the gradient.");
const OpDef any = truth("any", "any({x})", "True where at least one element over the axes is not zero.");
const OpDef all = truth("all", "all({x})", "True where every element over the axes is not zero.");
const OpDef argmax = position("argmax", "argmax({x})", "\\arg\\max {x}",
                              "Where the largest element first occurs along an axis.");
const OpDef argmin = position("argmin", "argmin({x})", "\\arg\\min {x}",
                              "Where the smallest element first occurs along an axis.");
const OpDef max_with_indices = extremum_with_indices(
    "max_with_indices", "max_with_indices({x})",
    "The largest element along an axis and where it first occurs, which takes the whole gradient.");
const OpDef min_with_indices = extremum_with_indices(
    "min_with_indices", "min_with_indices({x})",
    "The smallest element along an axis and where it first occurs, which takes the whole gradient.");

}  // namespace ops

namespace {

Tensor reduce(const OpDef& op, const Tensor& x, const Dims& axes, bool keepdims) {
  const Dims normalized = normalize_axes(axes, x.rank(), std::string(op.name).c_str());
  return make_node(op, {x}, {normalized, keepdims});
}
Tensor reduce_axis(const OpDef& op, const Tensor& x, int axis, bool keepdims) {
  return reduce(op, x, Dims{normalize_axis(axis, x.rank(), std::string(op.name).c_str())}, keepdims);
}
ValuesIndices with_indices(const OpDef& op, const Tensor& x, int axis, bool keepdims) {
  const Tensor values = reduce_axis(op, x, axis, keepdims);
  return {values, Tensor(values.node(), 1)};
}

// Several axes as one: they go last, in ascending order, and are flattened.
struct JoinedAxes {
  JoinedAxes(const char* function, const Tensor& x, const Dims& axes) {
    const Dims joined_axes = normalize_axes(axes, x.rank(), function);
    Dims order;
    Shape shape;
    std::int64_t length = 1;
    for (int i = 0; i < x.rank(); ++i) {
      const bool joined = std::find(joined_axes.begin(), joined_axes.end(), i) != joined_axes.end();
      kept_shape.push_back(joined ? 1 : x.shape()[i]);
      if (joined) {
        length *= x.shape()[i];
      } else {
        order.push_back(i);
        shape.push_back(x.shape()[i]);
      }
    }
    for (const std::int64_t axis : joined_axes) order.push_back(axis);
    shape.push_back(length);
    tensor = reshape(permute(x, order), shape);
  }
  Tensor result(const Tensor& y, bool keepdims) const { return keepdims ? reshape(y, kept_shape) : y; }

  Tensor tensor;
  Shape kept_shape;
};

Tensor position_in(const OpDef& op, const Tensor& x, const Dims& axes, bool keepdims) {
  const JoinedAxes joined(std::string(op.name).c_str(), x, axes);
  return joined.result(reduce_axis(op, joined.tensor, -1, false), keepdims);
}
ValuesIndices with_indices_in(const OpDef& op, const Tensor& x, const Dims& axes, bool keepdims) {
  const JoinedAxes joined(std::string(op.name).c_str(), x, axes);
  const ValuesIndices found = with_indices(op, joined.tensor, -1, false);
  return {joined.result(found.values, keepdims), joined.result(found.indices, keepdims)};
}

}  // namespace

Tensor sum(const Tensor& x, const Dims& axes, bool keepdims) { return reduce(ops::sum, x, axes, keepdims); }
Tensor prod(const Tensor& x, const Dims& axes, bool keepdims) { return reduce(ops::prod, x, axes, keepdims); }
Tensor max(const Tensor& x, const Dims& axes, bool keepdims) { return reduce(ops::max, x, axes, keepdims); }
Tensor min(const Tensor& x, const Dims& axes, bool keepdims) { return reduce(ops::min, x, axes, keepdims); }
Tensor any(const Tensor& x, const Dims& axes, bool keepdims) { return reduce(ops::any, x, axes, keepdims); }
Tensor all(const Tensor& x, const Dims& axes, bool keepdims) { return reduce(ops::all, x, axes, keepdims); }
Tensor argmax(const Tensor& x, int axis, bool keepdims) {
  return reduce_axis(ops::argmax, x, axis, keepdims);
}
Tensor argmin(const Tensor& x, int axis, bool keepdims) {
  return reduce_axis(ops::argmin, x, axis, keepdims);
}
Tensor argmax(const Tensor& x, const Dims& axes, bool keepdims) {
  return position_in(ops::argmax, x, axes, keepdims);
}
Tensor argmin(const Tensor& x, const Dims& axes, bool keepdims) {
  return position_in(ops::argmin, x, axes, keepdims);
}
ValuesIndices max_with_indices(const Tensor& x, int axis, bool keepdims) {
  return with_indices(ops::max_with_indices, x, axis, keepdims);
}
ValuesIndices min_with_indices(const Tensor& x, int axis, bool keepdims) {
  return with_indices(ops::min_with_indices, x, axis, keepdims);
}
ValuesIndices max_with_indices(const Tensor& x, const Dims& axes, bool keepdims) {
  return with_indices_in(ops::max_with_indices, x, axes, keepdims);
}
ValuesIndices min_with_indices(const Tensor& x, const Dims& axes, bool keepdims) {
  return with_indices_in(ops::min_with_indices, x, axes, keepdims);
}

}  // namespace chainrule
