#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

// Attributes: axis, reverse.
int axis_of(const Node& node) { return static_cast<int>(node.get<std::int64_t>(0)); }
bool reversed(const Node& node) { return node.get<bool>(1); }

// As for sums: integers and bools accumulate in int64.
void infer_scan(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  const DType dtype = node.inputs[0].dtype();
  outputs.push_back({node.inputs[0].shape(), is_floating(dtype) ? dtype : DType::int64});
}

std::vector<Tensor> batch_scan(const Node& node, std::span<const Tensor> inputs, const std::vector<bool>&,
                               std::int64_t) {
  return make_outputs(*node.op, inputs, {static_cast<std::int64_t>(axis_of(node) + 1), reversed(node)});
}

std::vector<Sample> scan_samples() {
  const Tensor x = Tensor::from(
      std::vector<double>{0.5, -1.25, 2.0, 0.75, 0, 1.5, -2.0, 3.0, 0.25, 1.0, -0.75, 1.75}, {3, 4});
  return {{{x}, {std::int64_t{1}, false}, "rows"},
          {{x}, {std::int64_t{0}, true}, "columns, backwards"},
          {{transpose(x)}, {std::int64_t{1}, false}, "transposed"}};
}

// y[i] = x[i]·x[i − 1]·… by doubling (Hillis and Steele, Data parallel algorithms, 1986): log n products,
// none of which divides, so that all derivatives are right where factors are zero.
Tensor doubling_product(Tensor y, int axis) {
  const std::int64_t length = y.shape()[axis];
  for (std::int64_t distance = 1; distance < length; distance *= 2) {
    Shape front = y.shape();
    front[axis] = distance;
    y = y * concatenate({ones(front, y.dtype()), slice(y, axis, 0, length - distance)}, axis);
  }
  return y;
}

Sample scan_workload(std::int64_t elements) {
  return {{large_rows(elements)}, {std::int64_t{1}, false}, "rows"};
}

}  // namespace

namespace ops {

const OpDef cumsum = {
    .name = "cumsum",
    .arguments = {"x"},
    .attributes = {"axis", "reverse"},
    .text = {.formula = "cumsum({x})",
             .latex = "\\sum_{j \\le i} {x}_j",
             .summary = "The sum of the elements up to each one along an axis.",
             .domain = "linear"},
    .linear = Linearity::all,
    .infer = infer_scan,
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          inputs_bar[0] = make_node(cumsum, {outputs_bar[0]},
                                    {static_cast<std::int64_t>(axis_of(node)), !reversed(node)});
        },
    .batch = batch_scan,
    .bound = {BoundKind::sum, 1},
    .workload = scan_workload,
    .samples = scan_samples,
};

const OpDef cumprod = {
    .name = "cumprod",
    .arguments = {"x"},
    .attributes = {"axis", "reverse"},
    .text = {.formula = "cumprod({x})",
             .latex = "\\prod_{j \\le i} {x}_j",
             .summary = "The product of the elements up to each one along an axis.",
             .domain = "ℝⁿ → ℝⁿ, smooth"},
    .infer = infer_scan,
    .batch = batch_scan,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor x = chainrule::astype(node.inputs[0], node.outputs[0].dtype);
      if (!reversed(node)) return {doubling_product(x, axis_of(node))};
      const Dims axes{axis_of(node)};
      return {chainrule::flip(doubling_product(chainrule::flip(x, axes), axis_of(node)), axes)};
    },
    .bound = {BoundKind::sum, 1},
    .workload = scan_workload,
    .samples = scan_samples,
};

}  // namespace ops

namespace {

Tensor scan_along(const OpDef& op, const Tensor& x, int axis) {
  if (x.rank() == 0) return reshape(scan_along(op, reshape(x, {1}), 0), {});
  return make_node(
      op, {x},
      {static_cast<std::int64_t>(normalize_axis(axis, x.rank(), std::string(op.name).c_str())), false});
}

}  // namespace

Tensor cumsum(const Tensor& x, int axis) { return scan_along(ops::cumsum, x, axis); }
Tensor cumprod(const Tensor& x, int axis) { return scan_along(ops::cumprod, x, axis); }

}  // namespace chainrule
