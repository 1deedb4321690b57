#include "graph/op.hpp"

namespace chainrule {

void infer_elementwise(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  const std::string name(node.op->name);
  Shape shape = node.inputs[0].shape();
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    const Shape& other = node.inputs[i].shape();
    if (!(other == shape)) shape = broadcast_shapes(shape, other, name.c_str());
  }
  const bool predicate = node.op->element_rule == ElementRule::predicate || node.op->element_rule == ElementRule::logical;
  outputs.push_back({shape, predicate ? DType::boolean : node.inputs[node.inputs.size() - 1].dtype()});
}

}  // namespace chainrule
