#pragma once

#include <span>

#include "graph/device.hpp"

namespace chainrule {

/// The CPU's kernels of an op, in order of preference; empty for ops that run as their definition, as a view
/// or in the elementwise engine.
std::span<const Kernel> cpu_kernels(const OpDef& op);

}  // namespace chainrule
