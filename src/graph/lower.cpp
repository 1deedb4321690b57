// What passes are written with: rebuilding an expression, copying a node.

#include "graph/lower.hpp"

#include <unordered_map>

#include "graph/origin.hpp"
#include "tensor/region.hpp"

namespace chainrule {

LoweredGraph with_outputs(const LoweredGraph& graph, const std::vector<Tensor>& rewritten) {
  LoweredGraph result;
  result.inputs = graph.inputs;
  const auto middle = rewritten.begin() + static_cast<std::ptrdiff_t>(graph.outputs.size());
  result.outputs.assign(rewritten.begin(), middle);
  result.guards.assign(middle, rewritten.end());
  return result;
}

std::vector<Tensor> all_outputs(const LoweredGraph& graph) {
  std::vector<Tensor> all = graph.outputs;
  all.insert(all.end(), graph.guards.begin(), graph.guards.end());
  return all;
}

std::vector<Tensor> clone_node_as(const Node& node, std::initializer_list<Tensor> inputs,
                                  const TensorSpec& spec) {
  std::vector<Tensor> outputs = clone_node(node, std::span<const Tensor>(inputs.begin(), inputs.size()));
  outputs.front().node()->outputs[0] = spec;
  return outputs;
}

std::vector<Tensor> clone_node(const Node& node, std::span<const Tensor> inputs) {
  auto* copy = new Node;
  std::vector<Tensor> outputs;
  outputs.reserve(node.outputs.size());
  copy->op = node.op;
  copy->serial = next_serial_number();
  copy->attributes = node.attributes;
  copy->inputs = SmallVector<Tensor, 3>(inputs.begin(), inputs.end());
  copy->outputs = node.outputs;
  copy->region = node.region;
  inherit_trace(*copy);
  for (std::size_t i = 0; i < node.outputs.size(); ++i) outputs.emplace_back(copy, static_cast<int>(i));
  return outputs;
}

std::vector<Tensor> rewrite(std::span<const Tensor> outputs, const ReplaceFn& replace) {
  return rewrite_until(
      outputs, [](const Node&) { return true; }, replace);
}

std::vector<Tensor> rewrite_until(std::span<const Tensor> outputs, const EnterFn& enter,
                                  const ReplaceFn& replace) {
  const std::vector<Node*> nodes = collect_nodes(outputs, enter);
  std::unordered_map<const Node*, std::vector<Tensor>> replaced;
  replaced.reserve(nodes.size());
  const auto lookup = [&](const Tensor& x) {
    return replaced.at(x.node())[static_cast<std::size_t>(x.output_index())];
  };
  for (Node* node : nodes) {
    SmallVector<Tensor, 3> inputs;
    bool changed = false;
    for (const Tensor& input : node->inputs) {
      if (!enter(*node)) break;
      inputs.push_back(lookup(input));
      changed = changed || inputs.back().node() != input.node() ||
                inputs.back().output_index() != input.output_index();
    }
    std::vector<Tensor> result;
    {
      const RegionOverride region(node->region,
                                  is_derivative(*node));  // what takes a node's place belongs to its layer
      result = replace(*node, inputs);
    }
    if (result.empty() && changed) result = clone_node(*node, inputs);
    if (result.empty()) result = outputs_of(*node);
    replaced.emplace(node, std::move(result));
  }
  std::vector<Tensor> results;
  for (const Tensor& output : outputs) results.push_back(lookup(output));
  return results;
}

}  // namespace chainrule
