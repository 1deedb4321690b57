#include "insight/run_report.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include <chainrule/ops.hpp>

namespace chainrule::insight {
namespace {

constexpr std::size_t most_pairs = 2000;
constexpr std::int64_t most_inspected = 2000;

void add_history(const train::Run& run, ReportData& report) {
  std::set<std::string> names;
  for (const train::EpochRecord& epoch : run.epochs) {
    report.epochs.push_back(
        {epoch.loss, epoch.validation_loss, epoch.learning_rate, epoch.seconds, epoch.examples_per_second});
    for (const auto& [name, value] : epoch.metrics) names.insert(name);
  }
  const auto value = [](const std::map<std::string, double>& metrics, const std::string& name) {
    const auto found = metrics.find(name);
    return found == metrics.end() ? unknown_value : found->second;
  };
  for (const std::string& name : names) {
    ReportMetric& metric = report.metrics.emplace_back();
    metric.name = name;
    for (const train::EpochRecord& epoch : run.epochs) {
      metric.train.push_back(value(epoch.metrics, name));
      metric.validation.push_back(value(epoch.validation_metrics, name));
    }
  }
  for (const train::StepRecord& step : run.steps) report.steps.push_back({step.step, step.loss});
  report.best_epoch = run.best_epoch;
}

void add_layers(const train::Run& run, ReportData& report) {
  for (const train::ProbeRecord& probe : run.probes) {
    auto layer =
        std::find_if(report.layers.begin(), report.layers.end(),
                     [&](const ReportLayerHistory& history) { return history.layer == probe.parameter; });
    if (layer == report.layers.end()) layer = report.layers.insert(layer, {.layer = probe.parameter});
    layer->steps.push_back(probe.step);
    layer->gradient_norm.push_back(probe.gradient_norm);
    layer->update_ratio.push_back(probe.parameter_norm > 0 ? probe.update_norm / probe.parameter_norm
                                                           : unknown_value);
  }
}

void add_classes(const train::Evaluation& test, const data::Dataset& set, ReportData& report) {
  report.task = TaskKind::classification;
  report.test_metric = "accuracy";
  report.test_value = train::accuracy(test.predictions, test.targets);
  report.test_error = standard_error(report.test_value, set.size());
  report.class_names = set.class_names;
  report.confusion = {train::confusion_matrix(test.predictions, test.targets).to_vector<std::int64_t>()};
}

void add_values(const train::Evaluation& test, const data::Dataset& set, ReportData& report) {
  report.task = TaskKind::regression;
  report.test_metric = "R²";
  report.test_value = train::r2(test.predictions, test.targets);
  const auto predicted = test.predictions.astype(DType::float64).to_vector<double>();
  const auto truth = test.targets.astype(DType::float64).to_vector<double>();
  const std::size_t count = std::min({predicted.size(), truth.size(), most_pairs});
  if (predicted.size() != static_cast<std::size_t>(set.size())) return;
  for (std::size_t i = 0; i < count; ++i) report.pairs.push_back({truth[i], predicted[i]});
}

ReportCheck range_check(const data::Dataset& training) {
  const data::Dataset some = training;
  const Tensor x = some.scaling ? (*some.scaling)(some.features) : some.features.astype(DType::float32);
  const double low = min(x).item<double>();
  const double high = max(x).item<double>();
  const bool fine = std::isfinite(low) && std::isfinite(high) && std::max(-low, high) <= 30;
  return {
      .name = "inputs",
      .value = fmt::format("{:.3g} .. {:.3g}, mean {:.3g}", low, high, mean(x).item<double>()),
      .expectation = "finite, of size 1",
      .status = fine ? CheckStatus::ok : CheckStatus::warn,
      .sentence = fine ? "" : "Large inputs saturate activations and make steps unstable: standardize them."};
}

ReportCheck balance_check(const data::Dataset& training) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(training.classes()), 0);
  for (const std::int64_t target : training.targets.to_vector<std::int64_t>())
    ++counts.at(static_cast<std::size_t>(target));
  const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
  const bool fine = *least > 0 && *most <= 10 * *least;
  return {.name = "classes",
          .value = fmt::format("{} classes of {} to {} examples", counts.size(), *least, *most),
          .expectation = "within a factor of 10",
          .status = fine ? CheckStatus::ok : CheckStatus::warn,
          .sentence =
              fine ? ""
                   : "A model can be right by always answering the most frequent class: weight the classes."};
}

ReportCheck loss_check(nn::Sequential& model, const data::Dataset& training) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(std::min(training.size(), most_inspected)));
  const std::vector<std::int64_t> order = data::permutation(training.size(), 0);
  std::copy_n(order.begin(), rows.size(), rows.begin());
  const double loss = train::evaluate(model, training.subset(rows)).loss;
  const double classes = static_cast<double>(training.classes());
  const bool fine = std::abs(loss - std::log(classes)) < 0.5;
  return {
      .name = "loss at step 0",
      .value = fmt::format("{:.3f}", loss),
      .expectation = fmt::format("ln {} = {:.3f}", classes, std::log(classes)),
      .status = fine ? CheckStatus::ok : CheckStatus::warn,
      .sentence = fine ? "" : "An untrained model should know nothing; this one is sure of wrong answers."};
}

}  // namespace

double standard_error(double share, std::int64_t n) {
  return std::sqrt(share * (1 - share) / static_cast<double>(n));
}

ReportData report_of(const train::Run& run, const train::Evaluation& test, const data::Dataset& test_set) {
  ReportData report;
  add_history(run, report);
  add_layers(run, report);
  const bool classes = test_set.task == data::Task::classification;
  classes ? add_classes(test, test_set, report) : add_values(test, test_set, report);
  report.test_examples = test_set.size();
  if (run.outcome != train::Outcome::diverged) {
    report.verdict = ReportVerdict{};
  } else {
    report.verdict = ReportVerdict{{{.inequality = run.verdict}}};
  }
  return report;
}

std::vector<ReportCheck> preflight(nn::Sequential& model, const data::Dataset& training) {
  std::vector<ReportCheck> checks{range_check(training)};
  if (training.task == data::Task::classification) {
    checks.push_back(balance_check(training));
    checks.push_back(loss_check(model, training));
  }
  return checks;
}

}  // namespace chainrule::insight
