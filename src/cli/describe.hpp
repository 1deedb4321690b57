#pragma once

#include <optional>
#include <string>
#include <vector>

#include <chainrule/description.hpp>

/// What `explain` says of things that are no ops: losses, optimizers, schedules, initializers describe
/// themselves.
namespace chainrule::cli {

std::optional<Description> find_description(const std::string& name);
/// Formula, sentence and source; for cross entropy with the numbers of one example: the logits `at`, class 0.
std::string description_text(const Description& description, std::vector<double> at);
/// Every name that `find_description` knows.
std::vector<std::string> described_names();

}  // namespace chainrule::cli
