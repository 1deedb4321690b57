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
      throw ShapeError({.function = "concatenate",
                        .argument = "tensors",
                        .problem = "all lengths but those along the axis have to agree",
                        .got = to_string(node.inputs[0].shape()) + " and " + to_string(other) +
                               " along axis " + std::to_string(axis)});
    }
    shape[axis] += other[axis];
  }
  outputs.push_back({shape, node.inputs[0].dtype()});
}

void infer_stack(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  Shape shape = node.inputs[0].shape();
  for (const Tensor& x : node.inputs) {
    if (x.shape() == shape) continue;
    throw ShapeError({.function = "stack",
                      .argument = "tensors",
                      .problem = "the tensors differ in shape",
                      .got = to_string(shape) + " and " + to_string(x.shape()),
                      .wanted = "one shape",
                      .hint = "concatenate joins along an axis that is there already"});
  }
  shape.insert(axis_of(node), static_cast<std::int64_t>(node.inputs.size()));
  outputs.push_back({shape, node.inputs[0].dtype()});
}

std::vector<Sample> stack_samples() {
  const Tensor a = Tensor::from(std::vector<double>{1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor b = Tensor::from(std::vector<double>{-1, 0, 1, 2, -3, 4}, {2, 3});
  return {{{a, b}, {std::int64_t{0}}, "in front"},
          {{a, b, a}, {std::int64_t{1}}, "between"},
          {{a}, {std::int64_t{2}}, "one"}};
}

std::vector<Sample> concatenate_samples() {
  const Tensor a = Tensor::from(std::vector<double>{1, 2, 3, 4}, {2, 2});
  const Tensor b = Tensor::from(std::vector<double>{5, 6}, {2, 1});
  return {{{a, b}, {std::int64_t{1}}, "columns"}, {{a, transpose(b), a}, {std::int64_t{0}}, "rows"}};
}

Sample concatenate_workload(std::int64_t elements) {
  return {{large_rows(elements / 2, 1), large_rows(elements / 2, 2)}, {std::int64_t{1}}, "columns"};
}

}  // namespace

namespace ops {

const OpDef concatenate = {
    .name = "concatenate",
    .arguments = {"x..."},
    .attributes = {"axis"},
    .text = {.formula = "concatenate({x})",
             .latex = "[{x}]",
             .summary = "Tensors one after the other along an axis.",
             .domain = "linear"},
    .linear = Linearity::all,
    .infer = infer_concatenate,
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>& needed, std::span<Tensor> inputs_bar) {
          std::int64_t at = 0;
          for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            const std::int64_t length = node.inputs[i].shape()[axis_of(node)];
            if (needed[i]) inputs_bar[i] = chainrule::slice(outputs_bar[0], axis_of(node), at, at + length);
            at += length;
          }
        },
    .batch =
        [](const Node& node, std::span<const Tensor> inputs, const std::vector<bool>& batched,
           std::int64_t size) {
          std::vector<Tensor> aligned;
          for (std::size_t i = 0; i < inputs.size(); ++i)
            aligned.push_back(batched_input(inputs[i], batched[i], size));
          return make_outputs(*node.op, aligned, {static_cast<std::int64_t>(axis_of(node) + 1)});
        },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .workload = concatenate_workload,
    .samples = concatenate_samples,
};

const OpDef stack = {
    .name = "stack",
    .arguments = {"x..."},
    .attributes = {"axis"},
    .text = {.formula = "stack({x})",
             .latex = "\\operatorname{stack}({x})",
             .summary = "Tensors of one shape side by side along a new axis.",
             .domain = "linear"},
    .infer = infer_stack,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      std::vector<Tensor> rows;
      for (const Tensor& x : node.inputs) rows.push_back(chainrule::unsqueeze(x, axis_of(node)));
      return {chainrule::concatenate(rows, axis_of(node))};
    },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = stack_samples,
};

}  // namespace ops

namespace {

// Of one dtype; at least one.
std::vector<Tensor> converted_parts(const char* function, const std::vector<Tensor>& tensors) {
  if (tensors.empty())
    throw ArgumentError({.function = function,
                         .argument = "tensors",
                         .problem = "nothing to join",
                         .wanted = "at least one tensor"});
  const DType dtype = promoted_dtype(tensors);
  std::vector<Tensor> converted;
  for (const Tensor& x : tensors) converted.push_back(astype(x, dtype));
  return converted;
}

}  // namespace

Tensor concatenate(const std::vector<Tensor>& tensors, int axis) {
  const std::vector<Tensor> converted = converted_parts("concatenate", tensors);
  const std::int64_t a = normalize_axis(axis, tensors[0].rank(), "concatenate");
  return tensors.size() == 1 ? converted[0] : make_node(ops::concatenate, converted, {a});
}

Tensor stack(const std::vector<Tensor>& tensors, int axis) {
  const std::vector<Tensor> converted = converted_parts("stack", tensors);
  const std::int64_t a = normalize_axis(axis, converted[0].rank() + 1, "stack");
  return make_node(ops::stack, converted, {a});
}

}  // namespace chainrule
