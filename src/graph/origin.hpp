#pragma once

#include "graph/node.hpp"

/// What people are told of a node.
namespace chainrule {

/// "softmax(float32[4, 10]) of Sequential[2].Softmax"
std::string text_of_call(const Node& node);

/// Whether a backward pass built the node, as a derivative of what stands in its region. False outside of any
/// region, where nothing tells.
bool is_backward(const Node& node);

}  // namespace chainrule
