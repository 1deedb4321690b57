// Why neighbours were not fused, for `CHAINRULE_LOG=plan` and for profiles.

#include "graph/fusion_text.hpp"

#include <unordered_map>

namespace chainrule {
namespace {

using enum FusionObstacle;

class FusionReader {
 public:
  FusionReader(std::span<Node* const> nodes, std::span<const int> group, std::span<const Keep> keep,
               const Device& device)
      : nodes_(nodes), group_(group), keep_(keep), device_(device), readers_(nodes.size()) {
    std::unordered_map<const Node*, std::size_t> index;
    for (std::size_t i = 0; i < nodes.size(); ++i) index.emplace(nodes[i], i);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      for (const Tensor& input : nodes[i]->inputs) {
        const auto found = index.find(input.node());
        if (found == index.end()) continue;
        std::vector<std::size_t>& readers = readers_[found->second];
        if (readers.empty() || readers.back() != i) readers.push_back(i);
      }
    }
  }

  std::vector<FusionBarrier> read() const {
    std::vector<FusionBarrier> barriers;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (!computes(i)) continue;
      for (const std::size_t reader : readers_[i]) add(barriers, i, reader);
    }
    return barriers;
  }

 private:
  OpKind kind(std::size_t i) const { return nodes_[i]->op->kind; }
  bool is_elementwise(std::size_t i) const { return kind(i) == OpKind::elementwise; }
  bool computes(std::size_t i) const { return is_elementwise(i) || kind(i) == OpKind::general; }
  std::string name(std::size_t i) const { return fusion_name(*nodes_[i]); }

  // A view is nobody's neighbour: who reads it is, and the view stands between.
  void add(std::vector<FusionBarrier>& barriers, std::size_t i, std::size_t reader) const {
    if (kind(reader) == OpKind::view) {
      if (!is_elementwise(i)) return;
      for (const std::size_t next : readers_[reader]) {
        if (is_elementwise(next))
          barriers.push_back({i, next, view, name(reader) + ", a view, stands between them"});
      }
      return;
    }
    if (!computes(reader) || (!is_elementwise(i) && !is_elementwise(reader))) return;
    if (group_[i] == group_[reader]) return;
    FusionBarrier barrier{.producer = i, .reader = reader};
    explain(barrier);
    barriers.push_back(std::move(barrier));
  }

  void explain(FusionBarrier& b) const {
    const auto because = [&](FusionObstacle obstacle, std::string reason) {
      b.obstacle = obstacle;
      b.reason = std::move(reason);
    };
    for (const std::size_t at : {b.producer, b.reader}) {
      if (!is_elementwise(at))
        return because(own_kernel, name(at) + " has a kernel of its own, and only elementwise ops share one");
    }
    for (const std::size_t at : {b.producer, b.reader}) {
      if (const char* why = device_.refuse_element(*nodes_[at]))
        return because(kernel, name(at) + ": " + why);
    }
    if (!(nodes_[b.producer]->outputs[0].shape == nodes_[b.reader]->outputs[0].shape))
      return because(shapes, "they run over other shapes");
    if (keep_[b.producer] == Keep::first)
      return because(commit, "its value is needed before the step commits");
    for (const std::size_t other : readers_[b.producer]) {
      if (!is_elementwise(other)) return because(other_reader, name(other) + " reads its value too");
      if (group_[other] != group_[b.reader])
        return because(other_pass, "another pass reads its value too, with " + name(other));
    }
    because(limit, "the pass would have too many steps or inputs");
  }

  std::span<Node* const> nodes_;
  std::span<const int> group_;
  std::span<const Keep> keep_;
  const Device& device_;
  std::vector<std::vector<std::size_t>> readers_;
};

}  // namespace

std::string fusion_name(const Node& node) {
  const std::string text = std::string(node.op->name) + " " + to_string(node.outputs[0].shape);
  return node.region == nullptr ? text : text + " of " + *node.region;
}

std::vector<FusionBarrier> fusion_barriers(std::span<Node* const> nodes, std::span<const int> group,
                                           std::span<const Keep> keep, const Device& device) {
  return FusionReader(nodes, group, keep, device).read();
}

std::string fusion_text(std::span<Node* const> nodes, std::span<const int> group, std::span<const Keep> keep,
                        const Device& device) {
  std::string text;
  for (const FusionBarrier& b : fusion_barriers(nodes, group, keep, device)) {
    text += "not fused: " + fusion_name(*nodes[b.producer]) + " into " + fusion_name(*nodes[b.reader]) +
            ": " + b.reason + "\n";
  }
  return text;
}

}  // namespace chainrule
