#include <chainrule/train/preflight.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

#include "train/options.hpp"
#include "train/steps.hpp"

namespace chainrule::train {
namespace {

constexpr std::int64_t most_sampled = 2000;

/// Up to 2,000 examples, evenly spaced, scaled as the loader does.
data::Dataset sample_of(const data::Dataset& dataset) {
  const std::int64_t count = std::min(dataset.size(), most_sampled);
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < count; ++i) rows.push_back(i * dataset.size() / count);
  return dataset.subset(rows);
}

struct Range {
  double low = 0, high = 0, mean = 0, deviation = 0;
  std::int64_t missing = 0;  // NaN
  std::int64_t infinite = 0;
  std::int64_t not_finite() const { return missing + infinite; }
};

Range range_of(const std::vector<double>& values) {
  Range r{HUGE_VAL, -HUGE_VAL, 0, 0, 0, 0};
  double count = 0;
  double squares = 0;
  for (const double x : values) {
    if (!std::isfinite(x)) {
      ++(std::isnan(x) ? r.missing : r.infinite);
      continue;
    }
    r.low = std::min(r.low, x);
    r.high = std::max(r.high, x);
    count += 1;
    const double step = x - r.mean;
    r.mean += step / count;
    squares += step * (x - r.mean);
  }
  r.deviation = count > 0 ? std::sqrt(squares / count) : 0;
  return r;
}

/// A mean that is 0 but for rounding, as after standardizing, is said to be 0.
std::string range_text(const Range& r) {
  const double mean = std::abs(r.mean) < 1e-6 * r.deviation ? 0 : r.mean;
  return fmt::format("{:.4g} to {:.4g}, mean {:.3g}, deviation {:.3g}", r.low, r.high, mean, r.deviation);
}

Finding check_inputs(const data::Dataset& sample) {
  const std::vector<double> values = sample.features.to_vector<double>();
  const Range raw = range_of(values);
  const Range used =
      range_of((sample.scaling ? (*sample.scaling)(sample.features) : sample.features).to_vector<double>());
  Finding f{"inputs", range_text(used), "finite, of size about 1", CheckStatus::ok, {}};
  f.sentence = sample.scaling ? fmt::format("Raw values from {:.4g} to {:.4g}, mean {:.3g}, are scaled.",
                                            raw.low, raw.high, raw.mean)
                              : "The values are used as they are.";
  if (raw.infinite > 0 || used.not_finite() > 0) {
    f.status = CheckStatus::fail;
    f.sentence = fmt::format(
        "{} of {} values are infinite and {} are missing (NaN): {}.", raw.infinite, values.size(),
        raw.missing,
        sample.scaling ? "they have no mean to scale with" : "the first step would make every weight NaN");
  } else if (used.deviation == 0 || std::max(std::abs(used.low), std::abs(used.high)) > 100) {
    f.status = CheckStatus::warn;
    f.sentence = used.deviation == 0
                     ? "All inputs are equal: there is nothing to learn from."
                     : "Inputs this large make gradients of the first layer large: standardize them.";
  } else if (raw.missing > 0) {
    f.status = CheckStatus::warn;
    f.sentence = fmt::format("{} of {} values are missing (NaN): each becomes its column's mean.",
                             raw.missing, values.size());
  }
  return f;
}

Finding check_targets(const data::Dataset& dataset) {
  if (dataset.task == data::Task::regression) {
    const Range r = range_of(dataset.targets.to_vector<double>());
    Finding f{"targets", range_text(r), "finite, of size about 1", CheckStatus::ok, "The values to predict."};
    if (r.not_finite() > 0)
      f.status = CheckStatus::fail,
      f.sentence = fmt::format("{} targets are NaN or infinite.", r.not_finite());
    else if (std::abs(r.mean) > 100 || r.deviation > 100)
      f.status = CheckStatus::warn,
      f.sentence =
          "Targets this large take many steps to reach: predict them standardized "
          "(data.target_scaling = \"standardize\").";
    return f;
  }
  std::vector<std::int64_t> counts(static_cast<std::size_t>(dataset.classes()));
  for (const std::int64_t label : dataset.targets.to_vector<std::int64_t>())
    ++counts[static_cast<std::size_t>(label)];
  const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
  const std::string each = *least == *most ? grouped(*least) : grouped(*least) + " to " + grouped(*most);
  Finding f{"class balance", fmt::format("{} classes, {} examples each", counts.size(), each),
            "each class about as often", CheckStatus::ok, "The classes are balanced."};
  const auto name = [&](auto it) {
    return dataset.class_names[static_cast<std::size_t>(it - counts.begin())];
  };
  if (*least == 0) {
    f.status = CheckStatus::warn;
    f.sentence = fmt::format("Class {} has no example: the model can't learn it.", name(least));
  } else if (*most > 3 * *least) {
    f.status = CheckStatus::warn;
    f.sentence = fmt::format("{} is {:.1f} times as frequent as {}: look at F1 beside accuracy.", name(most),
                             static_cast<double>(*most) / static_cast<double>(*least), name(least));
  }
  return f;
}

/// FNV-1a over a column's bits.
std::uint64_t column_hash(const std::vector<double>& values, std::size_t column, std::size_t width) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (std::size_t i = column; i < values.size(); i += width) {
    hash = (hash ^ std::bit_cast<std::uint64_t>(values[i])) * 0x100000001b3U;
  }
  return hash;
}

Finding check_columns(const data::Dataset& sample) {
  const std::vector<double> values = sample.features.to_vector<double>();
  const auto width = static_cast<std::size_t>(element_count(sample.example_shape()));
  std::int64_t constant = 0;
  std::int64_t duplicate = 0;
  std::set<std::uint64_t> seen;
  std::string example;
  for (std::size_t j = 0; j < width; ++j) {
    bool is_constant = true;
    for (std::size_t i = j; i < values.size() && is_constant; i += width)
      is_constant = values[i] == values[j];
    const bool is_duplicate = !is_constant && !seen.insert(column_hash(values, j, width)).second;
    constant += is_constant ? 1 : 0;
    duplicate += is_duplicate ? 1 : 0;
    if ((is_constant || is_duplicate) && example.empty() && j < sample.feature_names.size())
      example = sample.feature_names[j];
  }
  const bool table = !sample.feature_names.empty();
  Finding f{"columns",
            fmt::format("{} of {} constant, {} duplicate", grouped(constant),
                        grouped(static_cast<std::int64_t>(width)), grouped(duplicate)),
            table ? "none" : "few", CheckStatus::ok, "Every column says something of its own."};
  const bool many = constant + duplicate > static_cast<std::int64_t>(width) / 2;
  if (constant + duplicate > 0)
    f.sentence = "They cost time and teach nothing" +
                 (example.empty() ? std::string(".") : ", such as " + example + ".");
  if ((table && constant + duplicate > 0) || many) f.status = CheckStatus::warn;
  return f;
}

Finding check_size(nn::Module& model, const data::Dataset& dataset) {
  const std::int64_t parameters = parameter_count(model);
  const double ratio = static_cast<double>(parameters) / static_cast<double>(dataset.size());
  Finding f{"parameters", fmt::format("{} for {} examples", grouped(parameters), grouped(dataset.size())),
            ratio > 1 ? "fewer than examples, or a validation set" : "fewer than examples", CheckStatus::ok,
            fmt::format("{:.2g} parameters for each example.", ratio)};
  if (ratio > 1) f.sentence += " The model can learn the examples by heart: trust the validation loss.";
  if (parameters == 0) f.status = CheckStatus::fail, f.sentence = "The model has no parameter to train.";
  return f;
}

/// The loss of a model that answers 0 to everything; unknown where the loss has no such value.
double loss_of_zeros(const Evaluation& evaluation, const Loss& loss) {
  try {
    const Tensor answers = zeros(evaluation.predictions.shape(), evaluation.predictions.dtype());
    return aligned_loss(loss, answers, evaluation.targets).item<double>();
  } catch (const Error&) {
    return unknown;
  }
}

bool near(double a, double b) { return std::abs(a - b) <= 1e-4 * std::abs(b); }

/// The expected loss in words that say where it comes from.
std::string expectation_of(double expected, const data::Dataset& sample) {
  if (sample.task == data::Task::classification) {
    const std::int64_t classes = sample.classes();
    if (near(expected, std::log(static_cast<double>(classes))))
      return fmt::format("ln {} = {:.4g}", classes, expected);
    return fmt::format("{:.4g}, the loss of answering 0", expected);
  }
  double squares = 0;
  double sizes = 0;
  const std::vector<double> targets = sample.targets.to_vector<double>();
  for (const double t : targets) {
    squares += t * t / static_cast<double>(targets.size());
    sizes += std::abs(t) / static_cast<double>(targets.size());
  }
  if (near(expected, squares)) return fmt::format("mean square of the targets = {:.4g}", expected);
  if (near(expected, sizes)) return fmt::format("mean size of the targets = {:.4g}", expected);
  return fmt::format("{:.4g}, the loss of answering 0", expected);
}

Finding check_first_loss(nn::Module& model, const data::Dataset& sample, const Loss& loss) {
  Evaluation evaluation;
  try {
    evaluation = detail::evaluate(model, sample, {.loss = loss});
  } catch (const NumericError&) {  // what it found is said below
  }
  const double value = evaluation.loss;
  const double expected = std::isfinite(value) ? loss_of_zeros(evaluation, loss) : unknown;
  const bool classes = sample.task == data::Task::classification;
  Finding f{"loss at step 0", fmt::format("{:.4g}", value), {}, CheckStatus::ok, {}};
  if (!std::isfinite(value)) {
    f.expectation = "a finite number";
    f.status = CheckStatus::fail;
    f.sentence = "The loss is not finite before the first step.";
    return f;
  }
  // Of log-probabilities, for one, 0 everywhere is no answer that a model can give.
  if (!(expected > 0)) return f;
  f.expectation = expectation_of(expected, sample);
  f.sentence = classes ? "An untrained model knows nothing: each class is as likely as any other."
                       : "An untrained model predicts values near 0.";
  if (value > 1.5 * expected + 0.1 || (classes && value < 0.5 * expected)) {
    f.status = CheckStatus::warn;
    f.sentence = value > expected
                     ? "The first predictions are sure and wrong: inputs or initial weights are too large."
                     : "The untrained model is too good: a feature may hold the answer.";
  }
  return f;
}

}  // namespace

namespace detail {

std::vector<Finding> preflight(nn::Module& model, const data::Dataset& dataset, const Loss& loss) {
  const data::Dataset sample = sample_of(dataset);
  return {check_inputs(sample), check_targets(dataset), check_columns(sample), check_size(model, dataset),
          check_first_loss(model, sample, default_loss(loss, dataset.task))};
}

Finding overfit_one_batch(nn::Module& model, const data::Dataset& dataset, const Options& options) {
  const Context scope({.dtypes = options.dtypes});
  std::vector<std::int64_t> rows = data::permutation(dataset.size(), options.seed);
  rows.resize(static_cast<std::size_t>(
      std::min<std::int64_t>({32, effective_batch_size(options, dataset), dataset.size()})));
  const data::Dataset batch = dataset.subset(rows);
  Options quick = {.loss = options.loss,
                   .optimizer = options.optimizer,
                   .epochs = 1000,
                   .batch_size = static_cast<std::int64_t>(rows.size()),
                   .seed = options.seed,
                   .callbacks = options.callbacks,
                   .stop = options.stop};
  quick.divergence_factor = options.divergence_factor;
  const double before = evaluate(model, batch, {.loss = options.loss}).loss;
  const Run run = fit(model, batch, quick);
  const double after =
      run.outcome == Outcome::diverged ? unknown : evaluate(model, batch, {.loss = options.loss}).loss;
  Finding f{"overfit one batch",
            fmt::format("loss {:.3g} → {:.3g} in {} steps", before, after, run.step_count),
            "below a tenth of the first loss", CheckStatus::ok,
            fmt::format("The model can learn {} examples by heart.", rows.size())};
  if (run.outcome == Outcome::stopped) {
    f.status = CheckStatus::warn;
    f.sentence = "Stopped before it could be told.";
  } else if (!(after < 0.1 * before)) {
    f.status = CheckStatus::fail;
    f.sentence = run.outcome == Outcome::diverged
                     ? run.verdict
                     : "The model can't learn a few examples by heart: look for a wrong loss, a frozen layer "
                       "or a learning rate that is too small.";
  }
  return f;
}

}  // namespace detail
}  // namespace chainrule::train
