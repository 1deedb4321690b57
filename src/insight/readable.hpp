#pragma once

#include <string>

#include <chainrule/expression.hpp>

/// Definitions as people write them: what keeps numbers in range and shapes in order is left out of the text,
/// never out of the computation.
namespace chainrule::insight {

/// The text of a definition over the last axis, without axes, shapes and stopped gradients, and with a letter
/// for a maximum that appears more than once: `exp(x - m) / sum(exp(x - m)),  m = max(x)`.
std::string readable_definition(std::string text);

/// A backward rule that calls an op made for it, followed by what that op is.
std::string readable_backward(const std::string& text, TextStyle style);

}  // namespace chainrule::insight
