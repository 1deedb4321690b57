#include "graph/lower.hpp"

#include <unordered_map>

#include <chainrule/error.hpp>

#include "graph/log.hpp"

namespace chainrule {
namespace {

// Nodes are immutable, so two with the same op, attributes and inputs are the same value.
struct NodeKey {
  const OpDef* op;
  std::shared_ptr<const Attributes> attributes;
  SmallVector<std::pair<const Node*, int>, 3> inputs;
  DType dtype;

  bool operator==(const NodeKey& other) const {
    if (op != other.op || dtype != other.dtype || inputs.size() != other.inputs.size()) return false;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] != other.inputs[i]) return false;
    }
    if (attributes == other.attributes) return true;
    return attributes && other.attributes && *attributes == *other.attributes;
  }
};

struct NodeKeyHash {
  std::size_t operator()(const NodeKey& key) const {
    std::uint64_t hash =
        hash_combine(reinterpret_cast<std::uintptr_t>(key.op), static_cast<std::uint64_t>(key.dtype));
    if (key.attributes) hash = hash_combine(hash, hash_attributes(*key.attributes));
    for (const auto& [node, output] : key.inputs) {
      hash = hash_combine(hash, reinterpret_cast<std::uintptr_t>(node));
      hash = hash_combine(hash, static_cast<std::uint64_t>(output));
    }
    return hash;
  }
};

bool same_inputs(const Node& node, std::span<const Tensor> inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].node() != node.inputs[i].node() ||
        inputs[i].output_index() != node.inputs[i].output_index())
      return false;
  }
  return true;
}

}  // namespace

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

LoweredGraph run_passes(const LoweredGraph& graph, const Device& device) {
  const LoweredGraph expanded = expand_definitions(graph, device);
  const LoweredGraph shared = eliminate_common_subexpressions(expanded);
  LoweredGraph result = transpose_products(shared);
  log(LogTopic::plan, [&] { return "graph\n" + to_text(graph) + "after all passes\n" + to_text(result); });
  return result;
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
    std::vector<Tensor> result = replace(*node, inputs);
    if (result.empty() && changed) result = clone_node(*node, inputs);
    if (result.empty()) result = outputs_of(*node);
    replaced.emplace(node, std::move(result));
  }
  std::vector<Tensor> results;
  for (const Tensor& output : outputs) results.push_back(lookup(output));
  return results;
}

LoweredGraph eliminate_common_subexpressions(const LoweredGraph& graph) {
  std::unordered_map<NodeKey, std::vector<Tensor>, NodeKeyHash> known;
  const ReplaceFn replace = [&](const Node& node, std::span<const Tensor> inputs) -> std::vector<Tensor> {
    if (node.op->kind == OpKind::leaf && node.op != &ops::constant) return {};
    NodeKey key{node.op, node.attributes, {}, node.outputs[0].dtype};
    for (const Tensor& input : inputs) key.inputs.push_back({input.node(), input.output_index()});
    const auto [entry, is_new] = known.try_emplace(std::move(key));
    if (is_new) entry->second = same_inputs(node, inputs) ? outputs_of(node) : clone_node(node, inputs);
    return entry->second;
  };
  return with_outputs(graph, rewrite(all_outputs(graph), replace));
}

std::string to_text(const LoweredGraph& graph) {
  const std::vector<Tensor> all = all_outputs(graph);
  std::unordered_map<const Node*, std::size_t> names;
  std::string text;
  const auto name = [&](const Tensor& x) {
    std::string result = "%" + std::to_string(names.at(x.node()));
    return x.node()->outputs.size() > 1 ? result + "." + std::to_string(x.output_index()) : result;
  };
  for (const Node* node : collect_nodes(all, [](const Node&) { return true; })) {
    names.emplace(node, names.size());
    text += "%" + std::to_string(names.at(node)) + " = " + std::string(node->op->name) + "(";
    for (std::size_t i = 0; i < node->inputs.size(); ++i) text += (i > 0 ? ", " : "") + name(node->inputs[i]);
    text += ")";
    for (std::size_t i = 0; node->attributes && i < node->attributes->size(); ++i) {
      text += (i == 0 ? " {" : ", ");
      if (i < node->op->attributes.size()) text += std::string(node->op->attributes[i]) + "=";
      text += to_string((*node->attributes)[i]);
      if (i + 1 == node->attributes->size()) text += "}";
    }
    for (const TensorSpec& spec : node->outputs)
      text += " " + std::string(dtype_name(spec.dtype)) + to_string(spec.shape);
    if (node->region != nullptr) text += "  # " + *node->region;
    text += "\n";
  }
  text += "return";
  for (const Tensor& output : graph.outputs) text += " " + name(output);
  return text + "\n";
}

}  // namespace chainrule
