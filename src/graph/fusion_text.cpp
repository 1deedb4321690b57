// Why neighbours were not fused, for `CHAINRULE_LOG=plan`.

#include <unordered_map>

#include "graph/plan.hpp"

namespace chainrule {
namespace {

class FusionWriter {
 public:
  FusionWriter(std::span<Node* const> nodes, std::span<const int> group, std::span<const Keep> keep,
               const Device& device)
      : nodes_(nodes), group_(group), keep_(keep), device_(device), readers_(nodes.size()) {
    std::unordered_map<const Node*, std::size_t> index;
    for (std::size_t i = 0; i < nodes.size(); ++i) index.emplace(nodes[i], i);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      for (const Tensor& input : nodes[i]->inputs) {
        std::vector<std::size_t>& readers = readers_[index.at(input.node())];
        if (readers.empty() || readers.back() != i) readers.push_back(i);
      }
    }
  }

  std::string write() const {
    std::string text;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      for (const std::size_t reader : readers_[i]) {
        if (!is_elementwise(i) || !is_elementwise(reader) || group_[i] == group_[reader]) continue;
        text += "not fused: " + name(i) + " into " + name(reader) + ": " + reason(i, reader) + "\n";
      }
    }
    return text;
  }

 private:
  bool is_elementwise(std::size_t i) const { return nodes_[i]->op->kind == OpKind::elementwise; }

  std::string name(std::size_t i) const {
    const Node& node = *nodes_[i];
    const std::string text = std::string(node.op->name) + " " + to_string(node.outputs[0].shape);
    return node.region == nullptr ? text : text + " of " + *node.region;
  }

  std::string reason(std::size_t i, std::size_t reader) const {
    for (const std::size_t at : {i, reader}) {
      if (const char* why = device_.refuse_element(*nodes_[at])) return name(at) + ": " + why;
    }
    if (!(nodes_[i]->outputs[0].shape == nodes_[reader]->outputs[0].shape))
      return "they run over other shapes";
    if (keep_[i] == Keep::first) return "its value is needed before the step commits";
    for (const std::size_t other : readers_[i]) {
      if (!is_elementwise(other)) return name(other) + " reads its value too";
      if (group_[other] != group_[reader]) return "another pass reads its value too, with " + name(other);
    }
    return "the pass would have too many steps or inputs";
  }

  std::span<Node* const> nodes_;
  std::span<const int> group_;
  std::span<const Keep> keep_;
  const Device& device_;
  std::vector<std::vector<std::size_t>> readers_;
};

}  // namespace

std::string fusion_text(std::span<Node* const> nodes, std::span<const int> group, std::span<const Keep> keep,
                        const Device& device) {
  return FusionWriter(nodes, group, keep, device).write();
}

}  // namespace chainrule
