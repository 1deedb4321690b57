// Pass: what is computed from constants alone becomes a constant. Only single numbers are folded: a tensor of
// one number everywhere is kept as that number, broadcast, so that no plan grows by a folded tensor. The
// number is computed by the device's own kernel, which gives the bits that the run would have given.

#include <cstring>
#include <optional>

#include "graph/plan.hpp"
#include "graph/scalar.hpp"

namespace chainrule {
namespace {

// The constant that every element of x is. Inputs are folded before their readers: one broadcast at most.
std::optional<Tensor> number_everywhere(const Tensor& x) {
  if (is_constant(x)) return x;
  const Node& node = *x.node();
  if (node.op == &ops::broadcast_to && is_constant(node.inputs[0])) return node.inputs[0];
  return {};
}

// A user's rule may do anything, and a sub-graph may take long.
bool holds_more_than_values(const Node& node) {
  if (node.attributes == nullptr) return false;
  for (const Attribute& attribute : *node.attributes) {
    if (std::holds_alternative<std::shared_ptr<const SubGraph>>(attribute) ||
        std::holds_alternative<std::shared_ptr<const CustomRule>>(attribute))
      return true;
  }
  return false;
}

Tensor constant_of(const std::byte* memory, DType dtype) {
  if (dtype == DType::int64) {
    std::int64_t value = 0;
    std::memcpy(&value, memory, sizeof value);
    return make_node(ops::constant, {}, {value, false, dtype});
  }
  return make_node(ops::constant, {}, {read_scalar(memory, dtype), false, dtype});
}

Tensor computed(const Tensor& x, const Device& device) {
  LoweredGraph graph;
  graph.outputs = {x};
  Execution run(build_plan(graph, device, {.fuse = false}));
  const Plan& plan = run.plan();
  alignas(8) std::byte memory[8] = {};
  run.bind(plan.first_escaping_slot(), memory);
  run.run();
  return constant_of(memory + plan.outputs[0].location.offset, x.dtype());
}

Tensor broadcast(const Tensor& number, const Node& node) {
  if (node.outputs[0].shape.empty()) return number;
  Tensor result = make_node(ops::broadcast_to, {number}, {node.outputs[0].shape});
  result.node()->region = node.region;
  return result;
}

// The node's value where it is one number everywhere.
std::optional<Tensor> folded(const Node& node, std::span<const Tensor> inputs, const Device& device) {
  if (node.op->kind == OpKind::leaf || node.outputs.size() != 1 || inputs.empty()) return {};
  std::vector<Tensor> numbers;
  bool all_scalars = node.outputs[0].shape.empty();
  for (const Tensor& input : inputs) {
    std::optional<Tensor> number = number_everywhere(input);
    if (!number) return {};
    all_scalars = all_scalars && input.rank() == 0;
    numbers.push_back(std::move(*number));
  }
  if (node.op->kind == OpKind::view) return broadcast(numbers[0], node);
  if ((node.op->kind != OpKind::elementwise && !all_scalars) || holds_more_than_values(node)) return {};
  const Tensor value = make_node(*node.op, numbers, node.attributes ? *node.attributes : Attributes{});
  if (!(spec_of(value) == TensorSpec{{}, node.outputs[0].dtype})) return {};
  return broadcast(computed(value, device), node);
}

}  // namespace

LoweredGraph fold_constants(const LoweredGraph& graph, const Device& device) {
  const ReplaceFn replace = [&](const Node& node, std::span<const Tensor> inputs) -> std::vector<Tensor> {
    const bool is_folded = node.op == &ops::broadcast_to && is_constant(inputs[0]);
    if (is_folded) return {};
    std::optional<Tensor> number = folded(node, inputs, device);
    return number ? std::vector<Tensor>{std::move(*number)} : std::vector<Tensor>();
  };
  return with_outputs(graph, rewrite(all_outputs(graph), replace));
}

}  // namespace chainrule
