#pragma once

#include <optional>
#include <string>

#include "insight/report.hpp"

/// What the numbers of a run say about its health.
namespace chainrule::insight {

/// What is known of a run that diverged; numbers that are not known are NaN.
struct Divergence {
  std::int64_t step = 0;
  double first_loss = unknown_value;
  double last_loss = unknown_value;
  double learning_rate = unknown_value;
  double largest_curvature = unknown_value;  ///< λmax of the objective's Hessian
  double limit = 2;                          ///< of lr·λmax, for the method
  std::string method = "gradient descent";
  std::string grown;              ///< the parameter whose gradient grew most
  double growth = unknown_value;  ///< by this factor
  std::int64_t growth_steps = 0;  ///< in so many steps
  std::string first_not_finite;   ///< what was, and where; empty where all was finite
};

/// A broken inequality in parts. lr·λmax above the limit is said where it is known and holds; else what was
/// seen.
ReportFinding finding_of(const Divergence& d);

/// Makes every check that the data has numbers for, each with few false alarms, and lists what failed:
/// - the loss before the first step against its expectation (from the preflight);
/// - losses that are not finite;
/// - the training loss of the last epoch below that of the first;
/// - the test accuracy above the share of the commonest class; R² above 0;
/// - the update of a layer's weights relative to their size between 1e-6 and 1e-1;
/// - no layer with more than 90 % of its units inactive in most looks at it;
/// - the validation loss not 10 % above its best while the training loss went on to fall.
/// A run that diverged has that as its first finding; one that was stopped is neither healthy nor sick.
ReportVerdict diagnose(const ReportData& data, const std::optional<Divergence>& divergence);

}  // namespace chainrule::insight
