#pragma once

#include <string>
#include <string_view>

#include <chainrule/explain.hpp>

/// Parts of the explanations of things that are no ops.
namespace chainrule::insight {

/// Derivatives, numbers, checks and limits of the cross entropy at logits.
void explain_cross_entropy(NamedExplanation& e, const NamedOptions& options);

/// The update of an optimizer: one step runs on symbols, and what it builds is printed.
void explain_optimizer(NamedExplanation& e, TextStyle style);

/// What goes with an op, a loss or an optimizer in practice; empty where there is nothing to say.
std::string use_of(std::string_view name);
/// Everything that `use_of` has a sentence for.
std::vector<std::string> used_names();

}  // namespace chainrule::insight
