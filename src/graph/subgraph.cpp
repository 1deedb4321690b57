#include "graph/subgraph.hpp"

#include <map>
#include <mutex>
#include <unordered_map>

#include "graph/context_state.hpp"
#include "graph/lower.hpp"

namespace chainrule {
namespace {

// Equal bodies share one object, so that a loop which builds the same scan again finds its plan.
std::shared_ptr<const SubGraph> interned(SubGraph graph) {
  static std::mutex mutex;
  static auto* known = new std::map<std::string, std::weak_ptr<const SubGraph>>;
  // The text lists the inputs, read or not, with their specs.
  const std::string text = to_text(graph);
  const std::lock_guard lock(mutex);
  std::weak_ptr<const SubGraph>& entry = (*known)[text];
  if (auto existing = entry.lock()) return existing;
  auto result = std::make_shared<const SubGraph>(std::move(graph));
  entry = result;
  return result;
}

}  // namespace

std::shared_ptr<const SubGraph> trace_subgraph(
    const std::vector<TensorSpec>& inputs,
    const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& body,
    std::vector<Tensor>& captured) {
  SubGraph graph;
  const std::uint64_t start = next_serial();
  for (const TensorSpec& spec : inputs) graph.inputs.push_back(make_placeholder(spec));
  const std::vector<Tensor> outputs = body(graph.inputs);
  const auto is_outer = [&](const Node& node) {
    if (node.op == &ops::constant) return false;
    return node.serial < start || node.op == &ops::value || node.evaluated.load();
  };
  std::unordered_map<const Node*, std::vector<Tensor>> stand_ins;
  std::vector<Tensor> placeholders;
  for (Node* node : collect_nodes(outputs, [&](const Node& n) { return !is_outer(n); })) {
    if (!is_outer(*node)) continue;
    for (const Tensor& output : outputs_of(*node)) {
      captured.push_back(output);
      placeholders.push_back(make_placeholder(spec_of(output)));
      stand_ins[node].push_back(placeholders.back());
    }
  }
  const ReplaceFn replace = [&](const Node& node, std::span<const Tensor>) {
    const auto found = stand_ins.find(&node);
    return found == stand_ins.end() ? std::vector<Tensor>() : found->second;
  };
  graph.outputs = rewrite_until(
      outputs, [&](const Node& n) { return !is_outer(n); }, replace);
  graph.inputs.insert(graph.inputs.begin(), placeholders.begin(), placeholders.end());
  return interned(std::move(graph));
}

std::vector<Tensor> substitute(const SubGraph& graph, std::span<const Tensor> inputs) {
  std::unordered_map<const Node*, Tensor> values;
  for (std::size_t i = 0; i < inputs.size(); ++i) values[graph.inputs[i].node()] = inputs[i];
  const ReplaceFn replace = [&](const Node& node, std::span<const Tensor>) {
    const auto found = values.find(&node);
    return found == values.end() ? std::vector<Tensor>() : std::vector<Tensor>{found->second};
  };
  return rewrite(graph.outputs, replace);
}

}  // namespace chainrule
