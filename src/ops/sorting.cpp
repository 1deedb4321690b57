#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

// Attributes: the axis, then how. Outputs: the values, and where they stood.
std::int64_t axis_of(const Node& node) { return node.get<std::int64_t>(0); }

std::vector<Tensor> batch_axis(const Node& node, std::span<const Tensor> inputs, const std::vector<bool>&,
                               std::int64_t) {
  Attributes attributes = *node.attributes;
  ++std::get<std::int64_t>(attributes[0]);
  return make_outputs(*node.op, inputs, std::move(attributes));
}

// Near any point without ties the order is fixed: the values are elements of x, chosen by the indices.
void chosen_vjp(const Node& node, std::span<const Tensor> outputs, std::span<const Tensor> outputs_bar,
                const std::vector<bool>&, std::span<Tensor> inputs_bar) {
  if (!outputs_bar[0].defined()) return;
  inputs_bar[0] =
      scatter_add(zeros_like(node.inputs[0]), outputs[1], outputs_bar[0], static_cast<int>(axis_of(node)));
}
std::vector<Tensor> chosen_jvp(const Node& node, std::span<const Tensor> outputs,
                               std::span<const Tensor> tangents) {
  return {gather(tangents[0], outputs[1], static_cast<int>(axis_of(node))), Tensor()};
}

Tensor shuffled() {
  return Tensor::from(
      std::vector<double>{0.5, -1.25, 2.0, 0.75, -0.5, 1.5, -2.0, 3.0, 0.25, 1.0, -0.75, 1.75}, {3, 4});
}

Sample sort_workload(std::int64_t elements) {
  return {{large_rows(elements)}, {std::int64_t{1}, false}, "rows"};
}
Sample topk_workload(std::int64_t elements) {
  return {{large_rows(elements)}, {std::int64_t{1}, std::int64_t{5}, true}, "five of each row"};
}

}  // namespace

namespace ops {

const OpDef sort = {
    .name = "sort",
    .arguments = {"x"},
    .attributes = {"axis", "descending"},
    .text = {.formula = "sort({x})",
             .latex = "\\operatorname{sort}({x})",
             .summary = "The elements along an axis in order, and where they stood; equal ones keep theirs, "
                        "NaN is the largest number.",
             .domain = "ℝⁿ → ℝⁿ, kinks at ties"},
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          outputs.push_back(spec_of(node.inputs[0]));
          outputs.push_back({node.inputs[0].shape(), DType::int64});
        },
    .vjp = chosen_vjp,
    .jvp = chosen_jvp,
    .batch = batch_axis,
    .bound = {BoundKind::exact, 0},
    .workload = sort_workload,
    .samples = []() -> std::vector<Sample> {
      return {{{shuffled()}, {std::int64_t{1}, false}, "rows"},
              {{shuffled()}, {std::int64_t{0}, true}, "columns, descending"},
              {{chainrule::transpose(shuffled())}, {std::int64_t{1}, false}, "transposed"}};
    },
};

const OpDef argsort = {
    .name = "argsort",
    .arguments = {"x"},
    .attributes = {"axis", "descending"},
    .text = {.formula = "argsort({x})",
             .latex = "\\operatorname{argsort}({x})",
             .summary = "Where the elements along an axis stand in order; equal ones keep theirs, NaN is the "
                        "largest number.",
             .domain = "ℝⁿ → indices, jumps at ties"},
    .not_differentiable = "its result is an index, which jumps",
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          outputs.push_back({node.inputs[0].shape(), DType::int64});
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {make_outputs(sort, node.inputs, *node.attributes)[1]};
    },
    .bound = {BoundKind::exact, 0},
    .samples = []() -> std::vector<Sample> {
      return {{{shuffled()}, {std::int64_t{1}, false}, "rows"},
              {{shuffled()}, {std::int64_t{0}, true}, "columns, descending"}};
    },
};

const OpDef topk = {
    .name = "topk",
    .arguments = {"x"},
    .attributes = {"axis", "k", "largest"},
    .text = {.formula = "topk({x})",
             .latex = "\\operatorname{topk}({x})",
             .summary = "The k largest or smallest elements along an axis in order, and where they stood; "
                        "NaN is the largest number.",
             .domain = "ℝⁿ → ℝᵏ, kinks at ties"},
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          Shape shape = node.inputs[0].shape();
          shape[static_cast<int>(axis_of(node))] = node.get<std::int64_t>(1);
          outputs.push_back({shape, node.inputs[0].dtype()});
          outputs.push_back({shape, DType::int64});
        },
    .vjp = chosen_vjp,
    .jvp = chosen_jvp,
    .batch = batch_axis,
    .bound = {BoundKind::exact, 0},
    .workload = topk_workload,
    .samples = []() -> std::vector<Sample> {
      return {{{shuffled()}, {std::int64_t{1}, std::int64_t{2}, true}, "rows"},
              {{shuffled()}, {std::int64_t{0}, std::int64_t{3}, false}, "columns, smallest"},
              {{chainrule::transpose(shuffled())}, {std::int64_t{1}, std::int64_t{1}, true}, "transposed"}};
    },
};

}  // namespace ops

Tensor sort(const Tensor& x, int axis, bool descending) {
  if (x.rank() == 0) return x;
  return make_node(ops::sort, {x}, {std::int64_t{normalize_axis(axis, x.rank(), "sort")}, descending});
}
Tensor argsort(const Tensor& x, int axis, bool descending) {
  if (x.rank() == 0) return zeros({}, DType::int64);
  return make_node(ops::argsort, {x}, {std::int64_t{normalize_axis(axis, x.rank(), "argsort")}, descending});
}

ValuesIndices topk(const Tensor& x, std::int64_t k, int axis, bool largest) {
  const std::int64_t a = normalize_axis(axis, x.rank(), "topk");
  const std::int64_t length = x.shape()[static_cast<int>(a)];
  if (k < 0 || k > length) {
    throw ArgumentError({.function = "topk",
                         .argument = "k",
                         .problem = "there are not that many elements",
                         .got = std::to_string(k),
                         .wanted = "0 to " + std::to_string(length)});
  }
  const std::vector<Tensor> outputs = make_outputs(ops::topk, {x}, {a, k, largest});
  return {outputs[0], outputs[1]};
}

}  // namespace chainrule
