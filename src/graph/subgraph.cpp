#include "graph/subgraph.hpp"

#include <map>
#include <mutex>
#include <unordered_map>

#include "graph/context_state.hpp"
#include "graph/lower.hpp"

namespace chainrule {
namespace {

// The sub-graphs that somebody holds, by their text.
struct KnownGraphs {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<const SubGraph>> by_text;
  static KnownGraphs& instance() {
    static auto* known = new KnownGraphs;
    return *known;
  }
};

// The last holder of a sub-graph removes its entry, unless an equal one has taken the place meanwhile.
void forget(const SubGraph* graph, const std::string& text) {
  delete graph;
  KnownGraphs& known = KnownGraphs::instance();
  const std::lock_guard lock(known.mutex);
  const auto entry = known.by_text.find(text);
  if (entry != known.by_text.end() && entry->second.expired()) known.by_text.erase(entry);
}

// Equal bodies share one object, so that a loop which builds the same scan again finds its plan.
std::shared_ptr<const SubGraph> interned(SubGraph graph) {
  // The text lists the inputs, read or not, with their specs.
  std::string text = to_text(graph);
  const std::shared_ptr<const SubGraph> result(new SubGraph(std::move(graph)),
                                               [text](const SubGraph* g) { forget(g, text); });
  KnownGraphs& known = KnownGraphs::instance();
  const std::lock_guard lock(known.mutex);
  std::weak_ptr<const SubGraph>& entry = known.by_text[text];
  if (auto existing = entry.lock()) return existing;
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

std::size_t known_subgraph_count() {
  KnownGraphs& known = KnownGraphs::instance();
  const std::lock_guard lock(known.mutex);
  return known.by_text.size();
}

}  // namespace chainrule
