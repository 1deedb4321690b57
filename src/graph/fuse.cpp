#include <algorithm>
#include <unordered_map>

#include "graph/plan.hpp"

namespace chainrule {
namespace {

bool is_fusable(const Node& node, const Device& device) {
  return node.op->kind == OpKind::elementwise && device.refuse_element(node) == nullptr;
}

}  // namespace

// A node joins the group of its consumers when all of them are in one group that runs over the same shape:
// then no other instruction waits for its value, and no path can lead out of the group and back.
std::vector<int> fuse_elementwise(std::span<Node* const> nodes, const std::vector<Keep>& keep,
                                  const Device& device) {
  const auto count = static_cast<int>(nodes.size());
  std::unordered_map<const Node*, int> index;
  index.reserve(nodes.size());
  for (int i = 0; i < count; ++i) index.emplace(nodes[static_cast<std::size_t>(i)], i);

  constexpr int none = -1;
  constexpr int several = -2;
  std::vector<int> consumer_group(nodes.size(), none);  // the one group that all consumers seen so far are in
  std::vector<int> group(nodes.size());
  std::vector<int> steps(nodes.size(), 1);
  std::vector<int> inputs(nodes.size(), 0);
  for (int i = count - 1; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    const Node& node = *nodes[at];
    group[at] = i;
    const int target = consumer_group[at];
    if (target >= 0 && keep[at] != Keep::first && is_fusable(node, device)) {
      const auto t = static_cast<std::size_t>(target);
      const int more_inputs = static_cast<int>(node.inputs.size()) - 1;
      const bool fits =
          steps[t] < device.most_element_steps && inputs[t] + more_inputs <= device.most_element_inputs;
      if (fits && nodes[t]->outputs[0].shape == node.outputs[0].shape) {
        group[at] = target;
        ++steps[t];
        inputs[t] += more_inputs;
      }
    }
    if (group[at] == i) inputs[at] = static_cast<int>(node.inputs.size());
    const bool fusable_group = is_fusable(*nodes[static_cast<std::size_t>(group[at])], device);
    for (const Tensor& input : node.inputs) {
      const auto producer = static_cast<std::size_t>(index.at(input.node()));
      const int mine = fusable_group ? group[at] : several;
      consumer_group[producer] =
          consumer_group[producer] == none || consumer_group[producer] == mine ? mine : several;
    }
  }
  return group;
}

}  // namespace chainrule
