#include "insight/diagnose.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "insight/report_text.hpp"

namespace chainrule::insight {
namespace {

using report::number;
using report::percent;
using report::trimmed;

constexpr double least_update = 1e-6;
constexpr double largest_update = 1e-1;
constexpr double most_inactive = 0.9;
constexpr double overfit_factor = 1.1;
constexpr std::size_t least_looks = 5;
constexpr std::size_t least_epochs_after_best = 3;

bool finite(double x) { return std::isfinite(x); }

class Diagnosis {
 public:
  explicit Diagnosis(const ReportData& data) : data_(data) {}

  ReportVerdict run() {
    check_first_loss();
    check_losses();
    check_progress();
    check_against_chance();
    check_updates();
    check_inactive();
    check_overfitting();
    return std::move(verdict_);
  }

 private:
  void passed(std::string name, std::string value, std::string expectation) {
    verdict_.checks.push_back(
        {std::move(name), std::move(value), std::move(expectation), CheckStatus::ok, {}});
  }
  void failed(std::string name, CheckStatus status, const std::string& value, const std::string& expectation,
              ReportFinding finding) {
    verdict_.checks.push_back({std::move(name), value, expectation, status, {}});
    finding.status = status;
    verdict_.findings.push_back(std::move(finding));
  }

  void check_first_loss() {
    const auto found = std::find_if(data_.preflight.begin(), data_.preflight.end(),
                                    [](const ReportCheck& c) { return c.name == "loss at step 0"; });
    if (found == data_.preflight.end()) return;
    if (found->status == CheckStatus::ok) return passed("loss at step 0", found->value, found->expectation);
    failed("loss at step 0", found->status, found->value, found->expectation,
           {.inequality = fmt::format("loss at step 0 = {}, expected {}", found->value, found->expectation),
            .why = found->sentence,
            .change = "Scale the inputs, and look at how the weights are initialized."});
  }

  void check_losses() {
    if (data_.epochs.empty()) return;
    const bool validated = std::any_of(data_.epochs.begin(), data_.epochs.end(),
                                       [](const ReportEpoch& e) { return finite(e.validation_loss); });
    for (std::size_t i = 0; i < data_.epochs.size(); ++i) {
      const ReportEpoch& e = data_.epochs[i];
      const bool training = finite(e.train_loss);
      if (training && (!validated || finite(e.validation_loss))) continue;
      const std::string value =
          fmt::format("the {} loss of epoch {} is not finite", training ? "validation" : "training", i + 1);
      return failed("losses", CheckStatus::fail, value, "finite",
                    {.inequality = value,
                     .why = "From there on the numbers mean nothing.",
                     .change = "Lower the learning rate, clip the gradient's norm, and look for extreme "
                               "values in the data."});
    }
    passed("losses", fmt::format("finite in {} epochs", data_.epochs.size()), "finite");
  }

  void check_progress() {
    if (data_.epochs.size() < 2) return;
    const double first = data_.epochs.front().train_loss;
    const double last = data_.epochs.back().train_loss;
    if (!finite(first) || !finite(last)) return;
    const std::string value = fmt::format("{} → {}", number(first), number(last));
    // A loss that is 0 already can't fall.
    if (last < first || last <= 0) return passed("training loss", value, "falls");
    failed("training loss", CheckStatus::warn, value, "falls",
           {.inequality = fmt::format("last training loss {} ≥ first {}", number(last), number(first)),
            .numbers = fmt::format("over {} epochs", data_.epochs.size()),
            .why = "The model fits its own training examples no better than after one epoch.",
            .change = "Try another learning rate, and --overfit-one-batch: a model that can't learn one "
                      "batch by heart has a mistake in it."});
  }

  void check_against_chance() {
    if (data_.task == TaskKind::regression) return check_against_mean();
    if (!data_.confusion) return;
    const auto& counts = data_.confusion->counts;
    const auto classes =
        static_cast<std::size_t>(std::llround(std::sqrt(static_cast<double>(counts.size()))));
    if (classes < 2 || classes * classes != counts.size()) return;
    double right = 0, total = 0, most = 0;
    std::size_t commonest = 0, present = 0;
    for (std::size_t t = 0; t < classes; ++t) {
      double row = 0;
      for (std::size_t p = 0; p < classes; ++p) row += static_cast<double>(counts[t * classes + p]);
      right += static_cast<double>(counts[t * classes + t]);
      total += row;
      present += row > 0 ? 1 : 0;
      if (row > most) most = row, commonest = t;
    }
    if (total <= 0 || present < 2) return;
    const std::string value = percent(right / total);
    const std::string wanted =
        fmt::format("above {}, the share of the commonest class", percent(most / total));
    if (right > most) return passed("test accuracy", value, wanted);
    const std::string name =
        commonest < data_.class_names.size() ? data_.class_names[commonest] : fmt::format("{}", commonest);
    failed("test accuracy", CheckStatus::fail, value, wanted,
           {.inequality = fmt::format("accuracy {} ≤ {}", value, percent(most / total)),
            .why = fmt::format("Answering “{}” always would be as good.", name),
            .change = "Do the inputs say anything about the class? If they do: train longer, with another "
                      "learning rate or a larger model."});
  }

  void check_against_mean() {
    double mean = 0, spread = 0, squares = 0, n = 0;
    for (const ReportPair& p : data_.pairs) {
      if (!finite(p.truth) || !finite(p.predicted)) continue;
      n += 1;
      mean += (p.truth - mean) / n;
    }
    for (const ReportPair& p : data_.pairs) {
      if (!finite(p.truth) || !finite(p.predicted)) continue;
      spread += (p.truth - mean) * (p.truth - mean);
      squares += (p.truth - p.predicted) * (p.truth - p.predicted);
    }
    if (n < 2 || !(spread > 0) || !finite(squares)) return;
    const double r2 = 1 - squares / spread;
    const std::string value = fmt::format("R² {}", number(r2, 3));
    if (r2 > 0) return passed("test error", value, "R² above 0, that of the mean");
    failed(
        "test error", CheckStatus::fail, value, "R² above 0, that of the mean",
        {.inequality = fmt::format("R² = {} ≤ 0", number(r2, 3)),
         .numbers = fmt::format("mean squared error {}, variance of the targets {}", number(squares / n),
                                number(spread / n)),
         .why = "Predicting the mean of the targets always would be as good.",
         .change = "Do the inputs say anything about the target? If they do: standardize the targets, train "
                   "longer, or with another learning rate."});
  }

  static double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
  }

  /// The median of the later half: first steps, and the last ones of a schedule, are out of the ordinary.
  void check_updates() {
    double least = HUGE_VAL, most = 0;
    for (const ReportLayerHistory& layer : data_.layers) {
      std::vector<double> later(
          layer.update_ratio.begin() + static_cast<std::ptrdiff_t>(layer.update_ratio.size() / 2),
          layer.update_ratio.end());
      std::erase_if(later, [](double r) { return !finite(r); });
      if (later.size() < least_looks) continue;
      const double largest = *std::max_element(later.begin(), later.end());
      const double usual = median(std::move(later));
      least = std::min(least, usual);
      most = std::max(most, usual);
      const bool small = largest < least_update;
      if (!small && usual <= largest_update) continue;
      const std::string value = number(usual, 2);
      return failed("update / weight", CheckStatus::warn, value, "1e-6 to 1e-1",
                    {.inequality = small ? fmt::format("update / weight = {} < 1e-6", number(largest, 2))
                                         : fmt::format("update / weight = {} > 1e-1", value),
                     .layer = layer.layer,
                     .numbers = "‖Δw‖ / ‖w‖ of one step, over the later half of the run",
                     .why = small ? "At this pace the layer does not move."
                                  : "Each step rewrites a tenth of the layer or more: what it had learned is "
                                    "lost again.",
                     .change = small ? "Raise the learning rate." : "Lower the learning rate."});
    }
    if (most > 0)
      passed("update / weight", fmt::format("{} to {}", number(least, 2), number(most, 2)), "1e-6 to 1e-1");
  }

  void check_inactive() {
    double most = -1;
    for (const ReportLayerHistory& layer : data_.layers) {
      std::vector<double> shares = layer.inactive_share;
      std::erase_if(shares, [](double s) { return !finite(s); });
      if (shares.size() < least_looks) continue;
      const double usual = median(std::move(shares));
      most = std::max(most, usual);
      if (usual <= most_inactive) continue;
      return failed(
          "inactive units", CheckStatus::warn, percent(usual, 0), "at most 90 % of a layer",
          {.inequality = fmt::format("inactive share = {} > 90 %", percent(usual, 0)),
           .layer = layer.layer,
           .why = "Dead or saturated units pass no gradient on: what lies before them hardly learns.",
           .change = "Lower the learning rate, standardize the inputs, or use LeakyReLU or GELU."});
    }
    if (most >= 0)
      passed("inactive units", "at most " + percent(most, 0) + " of a layer", "at most 90 % of a layer");
  }

  void check_overfitting() {
    if (!data_.best_epoch || *data_.best_epoch >= data_.epochs.size()) return;
    const ReportEpoch& best = data_.epochs[*data_.best_epoch];
    const ReportEpoch& last = data_.epochs.back();
    const bool known = finite(best.validation_loss) && finite(last.validation_loss) &&
                       finite(best.train_loss) && finite(last.train_loss);
    if (!known) return;
    const std::string value = fmt::format("{} at its best, {} in the end", number(best.validation_loss, 3),
                                          number(last.validation_loss, 3));
    const bool late = data_.epochs.size() - 1 - *data_.best_epoch >= least_epochs_after_best;
    const bool worse = last.validation_loss > overfit_factor * best.validation_loss;
    if (!late || !worse || last.train_loss >= best.train_loss)
      return passed("validation loss", value, "not 10 % above its best while the training loss falls");
    failed(
        "validation loss", CheckStatus::warn, value, "not 10 % above its best while the training loss falls",
        {.inequality = fmt::format("validation loss {} > 1.1 × {}", number(last.validation_loss, 3),
                                   number(best.validation_loss, 3)),
         .numbers = fmt::format("since epoch {} the training loss went from {} to {}", *data_.best_epoch + 1,
                                number(best.train_loss, 3), number(last.train_loss, 3)),
         .why = "From there on the model learns its examples by heart: it overfits.",
         .change = fmt::format("Stop at epoch {} (patience), or add weight decay, dropout or data. Where "
                               "keep_best is on, the model is that of the best epoch.",
                               *data_.best_epoch + 1)});
  }

  const ReportData& data_;
  ReportVerdict verdict_;
};

}  // namespace

ReportFinding finding_of(const Divergence& d) {
  ReportFinding f;
  const double product = d.learning_rate * d.largest_curvature;
  const bool unstable = product > d.limit;
  const std::string losses = fmt::format("loss {} → {}", number(d.first_loss, 3), number(d.last_loss, 3));
  f.numbers = fmt::format("diverged at step {}", d.step);
  if (finite(d.first_loss) && finite(d.last_loss)) f.numbers += ": " + losses;
  if (!d.grown.empty())
    f.numbers += fmt::format("; first to grow: {}, ‖g‖ {} in {} steps", d.grown,
                             finite(d.growth) ? "× " + number(d.growth, 3) : "overflowed", d.growth_steps);
  f.layer = d.grown;
  if (unstable) {
    f.inequality = fmt::format("lr·λmax = {} × {} = {} > {}", trimmed(d.learning_rate),
                               trimmed(d.largest_curvature), trimmed(product), trimmed(d.limit));
    f.why = fmt::format(
        "{} is the stability limit of {} on a quadratic: beyond it each step overshoots the "
        "minimum by more than it was away.",
        trimmed(d.limit), d.method);
    f.change = fmt::format("Try lr ≤ {}.", trimmed(d.limit / d.largest_curvature, 2));
    if (!d.first_not_finite.empty()) f.numbers += ". " + d.first_not_finite;
    return f;
  }
  f.inequality = d.first_not_finite.empty() ? losses : d.first_not_finite;
  f.why = d.first_not_finite.empty() ? "The loss has left the range in which the run began."
                                     : "No step can be made from a gradient that is not finite.";
  f.change = fmt::format("Try a lower learning rate than {}, a warm-up, or clip_norm = 1.",
                         trimmed(d.learning_rate));
  return f;
}

ReportVerdict diagnose(const ReportData& data, const std::optional<Divergence>& divergence) {
  ReportVerdict verdict = Diagnosis(data).run();
  if (divergence) verdict.findings.insert(verdict.findings.begin(), finding_of(*divergence));
  std::stable_sort(verdict.findings.begin() + (divergence ? 1 : 0), verdict.findings.end(),
                   [](const ReportFinding& a, const ReportFinding& b) { return a.status > b.status; });
  return verdict;
}

}  // namespace chainrule::insight
