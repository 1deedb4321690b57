#pragma once

#include <cstdint>

#include "graph/plan.hpp"

namespace chainrule {

/// Runs a step again, op by op, on the memory that `execution` is bound to, and throws NumericError for the
/// first op whose inputs were finite and whose output was not. The step is deterministic, so that it fails at
/// the same place.
[[noreturn]] void throw_first_non_finite(const LoweredGraph& graph, const Execution& execution,
                                         std::int64_t step);

/// Throws for a step that returned an undefined tensor.
void check_results(std::span<const Tensor> outputs, std::size_t state_leaves);

}  // namespace chainrule
