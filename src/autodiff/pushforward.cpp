// Forward mode: tangents flow from the variables to the outputs, in the order in which the expression was
// built.

#include <chainrule/error.hpp>
#include <chainrule/transforms.hpp>

#include "autodiff/driver.hpp"
#include "ops/rules.hpp"
#include "tensor/region.hpp"

namespace chainrule {
namespace {

bool has_forward_rule(const OpDef& op) {
  return op.jvp != nullptr || op.partial != nullptr || op.linear != Linearity::none ||
         op.not_differentiable != nullptr || op.kind == OpKind::leaf;
}

Tensor elementwise_tangent(const Node& node, const Tensor& output, const TensorList& tangents) {
  Tensor total;
  for (std::size_t i = 0; i < tangents.size(); ++i) {
    if (!tangents[i].defined()) continue;
    const Tensor term = scale_cotangent(tangents[i], node.op->partial(node, output, static_cast<int>(i)));
    if (term.defined()) total = add_cotangents(total, broadcast_to(term, output.shape()));
  }
  return total;
}

// A linear op is its own derivative: the same op on the tangents.
TensorList linear_tangents(const Node& node, const TensorList& tangents) {
  TensorList inputs(node.inputs.begin(), node.inputs.end());
  const std::size_t moving = node.op->linear == Linearity::first ? 1 : inputs.size();
  for (std::size_t i = 0; i < moving; ++i)
    inputs[i] = tangents[i].defined() ? tangents[i] : zeros_like(inputs[i]);
  return make_outputs(*node.op, inputs, node.attributes ? *node.attributes : Attributes{});
}

TensorList tangents_of_node(const Node& node, const TensorList& tangents) {
  const OpDef& op = *node.op;
  if (&op == &ops::variable) return {tangents[0]};
  if (op.not_differentiable != nullptr) return TensorList(node.outputs.size());
  const TensorList outputs = outputs_of(node);
  if (op.partial != nullptr) return {elementwise_tangent(node, outputs[0], tangents)};
  if (op.jvp != nullptr) return op.jvp(node, outputs, tangents);
  if (op.linear == Linearity::first && !tangents[0].defined()) return TensorList(node.outputs.size());
  if (op.linear != Linearity::none) return linear_tangents(node, tangents);
  throw_no_rule(node, "jvp");
}

void check_tangents(const TensorList& variables, const TensorList& tangents) {
  for (std::size_t i = 0; i < variables.size(); ++i) {
    const bool fits =
        i < tangents.size() && tangents[i].defined() && tangents[i].shape() == variables[i].shape();
    if (fits) continue;
    throw ShapeError(
        {.function = "jvp",
         .argument = "x_dot",
         .problem = "a tangent has the shape of its input",
         .got = i < tangents.size() && tangents[i].defined() ? to_string(tangents[i].shape()) : "no tensor",
         .wanted = to_string(variables[i].shape())});
  }
}

}  // namespace

TensorList prepared_for_pushforward(const VariableScope& scope, const TensorList& outputs) {
  const auto depends = [&](const Node& node) { return scope.depends(node); };
  return expand_undifferentiable(outputs, depends, has_forward_rule);
}

TensorList push_forward(const VariableScope& scope, const TensorList& outputs, const TensorList& tangents) {
  const auto depends = [&](const Node& node) { return scope.depends(node); };
  std::unordered_map<const Node*, TensorList> dots;
  for (std::size_t i = 0; i < tangents.size(); ++i) {
    const Tensor& variable = scope.variables()[i];
    dots[variable.node()] = {tangents[i].defined() ? astype(tangents[i], variable.dtype()) : Tensor()};
  }
  const auto dot_of = [&](const Tensor& x) {
    const auto found = dots.find(x.node());
    return found == dots.end() ? Tensor() : found->second[static_cast<std::size_t>(x.output_index())];
  };
  for (Node* node : collect_nodes(defined_only(outputs), depends)) {
    if (!depends(*node) || dots.contains(node)) continue;
    TensorList inputs_dot;
    bool any = false;
    for (const Tensor& input : node->inputs) {
      inputs_dot.push_back(is_floating(input.dtype()) ? dot_of(input) : Tensor());
      any = any || inputs_dot.back().defined();
    }
    if (!any) continue;
    const RegionOverride region(node->region, true);
    dots[node] = tangents_of_node(*node, inputs_dot);
  }
  TensorList result;
  for (const Tensor& output : outputs) {
    const Tensor dot = output.defined() ? dot_of(output) : Tensor();
    result.push_back(dot.defined() || !output.defined() ? dot : zeros_like(output));
  }
  return result;
}

namespace detail {

TensorList pushforward(const std::vector<Tensor*>& places, FunctionRef<TensorList()> body,
                       const TensorList& tangents, TensorList* outputs) {
  const VariableScope scope(places);
  check_tangents(scope.variables(), tangents);
  *outputs = body();
  return push_forward(scope, prepared_for_pushforward(scope, *outputs), tangents);
}

}  // namespace detail
}  // namespace chainrule
