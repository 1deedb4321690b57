#pragma once

#include <span>
#include <string>
#include <vector>

#include "graph/plan.hpp"

namespace chainrule {

/// What keeps two neighbours from being one pass over memory.
enum class FusionObstacle : std::uint8_t {
  kernel,        ///< one of them has no lanes for its dtype
  own_kernel,    ///< one of them is no elementwise op
  view,          ///< a view stands between them
  shapes,        ///< they run over other shapes
  commit,        ///< the value is needed before the step commits
  other_reader,  ///< somebody else, no elementwise op, reads the value too
  other_pass,    ///< an elementwise op of another pass reads the value too
  limit          ///< the pass would be too large
};

/// Neighbours that are computed in different groups: positions in the list of nodes, and why.
struct FusionBarrier {
  std::size_t producer = 0;
  std::size_t reader = 0;
  FusionObstacle obstacle = FusionObstacle::limit;
  std::string reason;
};

/// All such pairs of which at least one is elementwise; `group` and `keep` as fuse_elementwise takes them.
std::vector<FusionBarrier> fusion_barriers(std::span<Node* const> nodes, std::span<const int> group,
                                           std::span<const Keep> keep, const Device& device);

/// "exp [4, 4] of Sequential[1].Linear"
std::string fusion_name(const Node& node);

}  // namespace chainrule
