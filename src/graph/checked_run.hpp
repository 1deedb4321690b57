#pragma once

#include <cstdint>

#include "graph/plan.hpp"

namespace chainrule {

/// Runs a step again, op by op, on the memory that `execution` is bound to, and throws NumericError for the
/// op that the first number that is not finite came from: its inputs were finite and its output was not. −∞
/// that a mask makes finite again is no alarm. The step is deterministic, so that it fails at the same place.
/// `run` counts the runs of the compiled step.
[[noreturn]] void throw_first_non_finite(const LoweredGraph& graph, const Execution& execution,
                                         std::int64_t run);

}  // namespace chainrule
