#include "autodiff/driver.hpp"

#include <algorithm>
#include <iterator>

#include <chainrule/error.hpp>

#include "graph/lower.hpp"

namespace chainrule {

VariableScope::VariableScope(const std::vector<Tensor*>& places) {
  for (Tensor* place : places) {
    *place = make_variable(*place, scope_.serial());
    variables_.push_back(*place);
  }
}

bool VariableScope::depends(const Node& node) const {
  if (node.trace == nullptr) return false;
  const auto& transforms = node.trace->transforms;
  return std::binary_search(transforms.begin(), transforms.end(), scope_.serial());
}

TensorList defined_only(const TensorList& tensors) {
  TensorList result;
  std::copy_if(tensors.begin(), tensors.end(), std::back_inserter(result),
               [](const Tensor& tensor) { return tensor.defined(); });
  return result;
}

TensorList expand_undifferentiable(const TensorList& outputs, const std::function<bool(const Node&)>& depends,
                                   const std::function<bool(const OpDef&)>& has_rule) {
  TensorList current = defined_only(outputs);
  const auto is_expanded = [&](const Node& node) {
    return node.op->definition != nullptr && !has_rule(*node.op) && depends(node);
  };
  const ReplaceFn replace = [&](const Node& node, std::span<const Tensor> inputs) -> TensorList {
    if (!is_expanded(node)) return {};
    const TensorList clone = clone_node(node, inputs);
    return node.op->definition(*clone.front().node());
  };
  const auto is_done = [&] {
    return std::ranges::none_of(collect_nodes(current, depends),
                                [&](const Node* node) { return is_expanded(*node); });
  };
  while (!is_done()) current = rewrite_until(current, depends, replace);
  TensorList result;
  auto next = current.begin();
  for (const Tensor& output : outputs) result.push_back(output.defined() ? *next++ : Tensor());
  return result;
}

void throw_no_rule(const Node& node, const char* kind) {
  throw StateError({.function = std::string(node.op->name),
                    .problem = std::string("this op has no ") + kind + " rule",
                    .region = node.region == nullptr ? "" : *node.region});
}

}  // namespace chainrule
