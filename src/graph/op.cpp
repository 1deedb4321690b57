#include "graph/op.hpp"

#include <algorithm>

namespace chainrule {

void infer_elementwise(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  const std::string name(node.op->name);
  Shape shape = node.inputs[0].shape();
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    const Shape& other = node.inputs[i].shape();
    if (!(other == shape)) shape = broadcast_shapes(shape, other, name.c_str());
  }
  const bool predicate =
      node.op->element_rule == ElementRule::predicate || node.op->element_rule == ElementRule::logical;
  outputs.push_back({shape, predicate ? DType::boolean : node.inputs[node.inputs.size() - 1].dtype()});
}

double elements_of(const Node& node) {
  std::int64_t elements = 0;
  for (const TensorSpec& spec : node.outputs) elements = std::max(elements, element_count(spec.shape));
  for (const Tensor& input : node.inputs) elements = std::max(elements, input.size());
  return static_cast<double>(elements);
}

double flops_of(const Node& node) {
  if (node.op->flops != nullptr) return node.op->flops(node);
  if (node.op->kind == OpKind::leaf || node.op->kind == OpKind::view) return 0;
  return node.op->flops_per_element * elements_of(node);
}

}  // namespace chainrule
