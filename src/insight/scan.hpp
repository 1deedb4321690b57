#pragma once

#include <optional>
#include <vector>

#include <chainrule/explain.hpp>

#include "graph/op.hpp"

/// What a scan over the whole line finds about an elementwise op of one argument.
namespace chainrule::insight {

/// Where |y'| falls below 1 % of its maximum and stays there; nothing where it never does, or has no maximum.
std::optional<Saturation> find_saturation(const OpDef& op);

/// Where float32 overflows, underflows or loses the derivative although float64 has it.
std::vector<Float32Limit> find_float32_limits(const OpDef& op);

}  // namespace chainrule::insight
