#pragma once

#include "graph/node.hpp"

/// What people are told of a node.
namespace chainrule {

/// "softmax(float32[4, 10]) of Sequential[2].Softmax"
std::string text_of_call(const Node& node);

/// Whether a transform built the node, as a derivative of what stands in its region: a cotangent or a
/// tangent. False outside of any region, where nothing tells.
bool is_derivative(const Node& node);

}  // namespace chainrule
