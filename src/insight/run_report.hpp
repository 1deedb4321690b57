#pragma once

#include <chainrule/train.hpp>

#include "insight/report.hpp"

namespace chainrule::insight {

/// The report's data as far as a training and an evaluation know it; reproduction and preflight are the
/// caller's to add.
ReportData report_of(const train::Run& run, const train::Evaluation& test, const data::Dataset& test_set);

/// The standard error of a share of n: √(p (1 − p) / n).
double standard_error(double share, std::int64_t n);

/// What should hold before the first step, each with its numbers: the inputs' range, the balance of the
/// classes, the loss of the untrained model against what theory expects.
std::vector<ReportCheck> preflight(nn::Sequential& model, const data::Dataset& training);

}  // namespace chainrule::insight
