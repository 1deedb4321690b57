#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

int axis_of(const Node& node) { return static_cast<int>(node.get<std::int64_t>(0)); }

void infer_concatenate(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  const int axis = axis_of(node);
  Shape shape = node.inputs[0].shape();
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    Shape expected = shape;
    const Shape& other = node.inputs[i].shape();
    if (other.size() == shape.size()) expected[axis] = other[axis];
    if (!(other == expected)) {
      throw ShapeError({.function = "concatenate", .argument = "tensors", .problem = "all lengths but those along the axis have to agree",
                        .got = to_string(node.inputs[0].shape()) + " and " + to_string(other) + " along axis " + std::to_string(axis)});
    }
    shape[axis] += other[axis];
  }
  outputs.push_back({shape, node.inputs[0].dtype()});
}

std::vector<Sample> concatenate_samples() {
  const Tensor a = Tensor::from(std::vector<double>{1, 2, 3, 4}, {2, 2});
  const Tensor b = Tensor::from(std::vector<double>{5, 6}, {2, 1});
  return {{{a, b}, {std::int64_t{1}}, "columns"}, {{a, transpose(b), a}, {std::int64_t{0}}, "rows"}};
}

}  // namespace

namespace ops {

const OpDef concatenate = {
    .name = "concatenate",
    .arguments = {"x..."},
    .attributes = {"axis"},
    .text = {.formula = "concatenate({x})", .latex = "[{x}]", .summary = "Tensors one after the other along an axis."},
    .linear = Linearity::all,
    .infer = infer_concatenate,
    .vjp = [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar, const std::vector<bool>& needed,
              std::span<Tensor> inputs_bar) {
      std::int64_t at = 0;
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        const std::int64_t length = node.inputs[i].shape()[axis_of(node)];
        if (needed[i]) inputs_bar[i] = chainrule::slice(outputs_bar[0], axis_of(node), at, at + length);
        at += length;
      }
    },
    .batch = [](const Node& node, std::span<const Tensor> inputs, const std::vector<bool>& batched, std::int64_t size) {
      std::vector<Tensor> aligned;
      for (std::size_t i = 0; i < inputs.size(); ++i) aligned.push_back(batched_input(inputs[i], batched[i], size));
      return make_outputs(*node.op, aligned, {static_cast<std::int64_t>(axis_of(node) + 1)});
    },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = concatenate_samples,
};

}  // namespace ops

Tensor concatenate(const std::vector<Tensor>& tensors, int axis) {
  if (tensors.empty()) throw ArgumentError({.function = "concatenate", .argument = "tensors", .problem = "nothing to join", .wanted = "at least one tensor"});
  const DType dtype = promoted_dtype(tensors);
  std::vector<Tensor> converted;
  for (const Tensor& x : tensors) converted.push_back(astype(x, dtype));
  const std::int64_t a = normalize_axis(axis, tensors[0].rank(), "concatenate");
  return tensors.size() == 1 ? converted[0] : make_node(ops::concatenate, converted, {a});
}

Tensor stack(const std::vector<Tensor>& tensors, int axis) {
  std::vector<Tensor> rows;
  for (const Tensor& x : tensors) rows.push_back(unsqueeze(x, axis));
  return concatenate(rows, axis);
}

}  // namespace chainrule
