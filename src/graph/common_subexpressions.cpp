// Pass: equal nodes over equal inputs become one.

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "graph/lower.hpp"

namespace chainrule {
namespace {

// Equal to the bit: 0.0 and -0.0 are two constants, and NaN is one.
bool same_attribute(const Attribute& a, const Attribute& b) {
  const auto* x = std::get_if<double>(&a);
  const auto* y = std::get_if<double>(&b);
  if (x != nullptr && y != nullptr)
    return std::bit_cast<std::uint64_t>(*x) == std::bit_cast<std::uint64_t>(*y);
  return a == b;
}

bool same_attributes(const Attributes* a, const Attributes* b) {
  if (a == nullptr || b == nullptr || a == b) return a == b;
  return std::equal(a->begin(), a->end(), b->begin(), b->end(), same_attribute);
}

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
    return same_attributes(attributes.get(), other.attributes.get());
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

}  // namespace chainrule
