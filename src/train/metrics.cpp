#include <chainrule/train/metrics.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include <chainrule/error.hpp>
#include <chainrule/nn/losses.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

namespace chainrule::train {
namespace {

/// As std::max_element, without a branch that predictions would mislead.
template <typename T>
std::size_t first_of_largest(const T* row, std::size_t classes) {
  std::size_t best = 0;
  T largest = row[0];
  for (std::size_t i = 1; i < classes; ++i) {
    const bool is_larger = largest < row[i];
    largest = is_larger ? row[i] : largest;
    best = is_larger ? i : best;
  }
  return best;
}

/// Logits and labels of a classification on the host.
struct Labelled {
  std::vector<double> logits;
  std::vector<std::int64_t> labels;
  std::size_t classes = 0;
  std::size_t size() const { return labels.size(); }
  const double* row(std::size_t i) const { return logits.data() + i * classes; }
  std::size_t predicted(std::size_t i) const { return first_of_largest(row(i), classes); }
};

[[noreturn]] void fail_shapes(const char* function, const Tensor& prediction, const Tensor& target,
                              const char* wanted) {
  throw ShapeError(
      {.function = function,
       .argument = "target",
       .problem = "predictions and targets do not fit",
       .got = "prediction " + to_string(prediction.shape()) + ", target " + to_string(target.shape()),
       .wanted = wanted});
}

void check_label(const char* function, std::int64_t label, std::size_t classes) {
  if (label == nn::ignored_class || (label >= 0 && static_cast<std::size_t>(label) < classes)) return;
  throw ArgumentError({.function = function,
                       .argument = "target",
                       .problem = "a class index without a logit",
                       .got = std::to_string(label),
                       .wanted = "0 to " + std::to_string(classes - 1) + ", or " +
                                 std::to_string(nn::ignored_class) + " for none"});
}

/// Calls f(logits, classes, label) for each row that has a label, and returns how many classes there are.
/// float32 is read where it lies: an epoch's predictions are many.
template <typename F>
std::size_t for_each_labelled(const char* function, const Tensor& prediction, const Tensor& target, F f) {
  const bool one_column = prediction.rank() == 1 || (prediction.rank() == 2 && prediction.size(1) == 1);
  Shape shape = prediction.shape();
  if (shape.size() > 1) shape.erase(1);
  if (prediction.rank() < 1 || target.shape() != shape) {
    fail_shapes(function, prediction, target, "logits [n, classes, d..] and class indices [n, d..]");
  }
  const std::size_t classes = one_column ? 2 : static_cast<std::size_t>(prediction.size(1));
  const auto visit = [&]<typename T>(const T* row) {
    for (const std::int64_t label : target.to_vector<std::int64_t>()) {
      check_label(function, label, classes);
      // One output is the logit of class 1; class 0 then has the logit 0.
      const T both[] = {T{0}, one_column ? *row : T{0}};
      if (label != nn::ignored_class) f(one_column ? both : row, classes, label);
      row += one_column ? 1 : classes;
    }
  };
  const Tensor rows = prediction.rank() > 2 ? moveaxis(prediction, 1, -1) : prediction;
  if (rows.dtype() == DType::float32) {
    const HostArray host = rows.to_host();
    visit(host.data<float>());
  } else {
    visit(rows.to_vector<double>().data());
  }
  return classes;
}

Labelled labelled(const char* function, const Tensor& prediction, const Tensor& target) {
  Labelled result;
  result.classes = for_each_labelled(function, prediction, target,
                                     [&](const auto* row, std::size_t classes, std::int64_t label) {
                                       result.labels.push_back(label);
                                       result.logits.insert(result.logits.end(), row, row + classes);
                                     });
  return result;
}

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

struct Values {
  std::vector<double> predictions;
  std::vector<double> targets;
  std::size_t outputs = 1;
};

Values values_of(const char* function, const Tensor& prediction, const Tensor& target) {
  const bool fits = prediction.rank() >= 1 && target.rank() >= 1 && prediction.size() == target.size() &&
                    prediction.size(0) == target.size(0);
  if (!fits) fail_shapes(function, prediction, target, "as many predictions as targets");
  const std::int64_t rows = prediction.size(0);
  return {prediction.to_vector<double>(), target.to_vector<double>(),
          rows > 0 ? static_cast<std::size_t>(prediction.size() / rows) : 1};
}

double r2_of_output(const Values& v, std::size_t output) {
  double mean = 0;
  double count = 0;
  for (std::size_t i = output; i < v.targets.size(); i += v.outputs) {
    count += 1;
    mean += (v.targets[i] - mean) / count;
  }
  double residual = 0;
  double total = 0;
  for (std::size_t i = output; i < v.targets.size(); i += v.outputs) {
    residual += (v.targets[i] - v.predictions[i]) * (v.targets[i] - v.predictions[i]);
    total += (v.targets[i] - mean) * (v.targets[i] - mean);
  }
  if (total == 0) return residual == 0 ? 1 : 0;
  return 1 - residual / total;
}

}  // namespace

double accuracy(const Tensor& prediction, const Tensor& target) {
  double right = 0;
  double all = 0;
  for_each_labelled("train::accuracy", prediction, target,
                    [&](const auto* row, std::size_t classes, std::int64_t label) {
                      right += first_of_largest(row, classes) == static_cast<std::size_t>(label) ? 1 : 0;
                      all += 1;
                    });
  return ratio(right, all);
}

std::int64_t counted_examples(const Tensor& target) {
  if (is_floating(target.dtype())) return target.size();
  return sum(not_equal(target, nn::ignored_class)).item<std::int64_t>();
}

double accuracy_error(double accuracy, std::int64_t n) {
  if (n < 1) return std::numeric_limits<double>::quiet_NaN();
  const auto count = static_cast<double>(n);
  return std::sqrt(accuracy * (1 - accuracy) / count + 1 / (4 * count * count)) / (1 + 1 / count);
}

double top_k_accuracy(const Tensor& prediction, const Tensor& target, std::int64_t k) {
  if (k < 1) {
    throw ArgumentError({.function = "train::top_k_accuracy",
                         .argument = "k",
                         .problem = "there is nothing to look among",
                         .got = std::to_string(k),
                         .wanted = "1 or more"});
  }
  const Labelled data = labelled("train::top_k_accuracy", prediction, target);
  double right = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const double* row = data.row(i);
    const auto label = static_cast<std::size_t>(data.labels[i]);
    std::int64_t ahead = 0;
    for (std::size_t c = 0; c < data.classes; ++c) {
      ahead += row[c] > row[label] || (row[c] == row[label] && c < label) ? 1 : 0;
    }
    right += ahead < k ? 1 : 0;
  }
  return ratio(right, static_cast<double>(data.size()));
}

Tensor confusion_matrix(const Tensor& prediction, const Tensor& target) {
  const Labelled data = labelled("train::confusion_matrix", prediction, target);
  std::vector<std::int64_t> counts(data.classes * data.classes);
  for (std::size_t i = 0; i < data.size(); ++i) {
    ++counts[static_cast<std::size_t>(data.labels[i]) * data.classes + data.predicted(i)];
  }
  const auto classes = static_cast<std::int64_t>(data.classes);
  return Tensor::from(counts, {classes, classes});
}

std::vector<ClassScores> class_scores(const Tensor& prediction, const Tensor& target) {
  const Tensor matrix = confusion_matrix(prediction, target);
  const auto classes = static_cast<std::size_t>(matrix.size(0));
  const std::vector<std::int64_t> counts = matrix.to_vector<std::int64_t>();
  std::vector<ClassScores> scores(classes);
  for (std::size_t c = 0; c < classes; ++c) {
    for (std::size_t j = 0; j < classes; ++j) {
      scores[c].support += counts[c * classes + j];
      scores[c].predicted += counts[j * classes + c];
    }
    const auto right = static_cast<double>(counts[c * classes + c]);
    scores[c].precision = ratio(right, static_cast<double>(scores[c].predicted));
    scores[c].recall = ratio(right, static_cast<double>(scores[c].support));
    scores[c].f1 = ratio(2 * right, static_cast<double>(scores[c].predicted + scores[c].support));
  }
  return scores;
}

ClassScores macro_scores(const Tensor& prediction, const Tensor& target) {
  std::vector<ClassScores> scores = class_scores(prediction, target);
  std::erase_if(scores, [](const ClassScores& s) { return s.support + s.predicted == 0; });
  const auto classes = static_cast<double>(scores.size());
  ClassScores mean;
  for (const ClassScores& s : scores) {
    mean.precision += s.precision / classes;
    mean.recall += s.recall / classes;
    mean.f1 += s.f1 / classes;
    mean.support += s.support;
    mean.predicted += s.predicted;
  }
  return mean;
}

double r2(const Tensor& prediction, const Tensor& target) {
  const Values values = values_of("train::r2", prediction, target);
  double sum = 0;
  for (std::size_t output = 0; output < values.outputs; ++output) sum += r2_of_output(values, output);
  return sum / static_cast<double>(values.outputs);
}

double mean_absolute_error(const Tensor& prediction, const Tensor& target) {
  const Values v = values_of("train::mean_absolute_error", prediction, target);
  double sum = 0;
  for (std::size_t i = 0; i < v.targets.size(); ++i) sum += std::abs(v.predictions[i] - v.targets[i]);
  return ratio(sum, static_cast<double>(v.targets.size()));
}

double mean_squared_error(const Tensor& prediction, const Tensor& target) {
  const Values v = values_of("train::mean_squared_error", prediction, target);
  double sum = 0;
  for (std::size_t i = 0; i < v.targets.size(); ++i) {
    sum += (v.predictions[i] - v.targets[i]) * (v.predictions[i] - v.targets[i]);
  }
  return ratio(sum, static_cast<double>(v.targets.size()));
}

namespace {

struct NamedMetric {
  const char* name;
  double (*compute)(const Tensor&, const Tensor&);
  bool higher_is_better;
};
// A name with a number behind it: top_5, recall_0.
struct NumberedMetric {
  const char* name;
  double (*compute)(const Tensor&, const Tensor&, std::int64_t number);
  std::int64_t least;
};

ClassScores scores_of(const Tensor& prediction, const Tensor& target, std::int64_t number) {
  const std::vector<ClassScores> scores = class_scores(prediction, target);
  if (static_cast<std::size_t>(number) < scores.size()) return scores[static_cast<std::size_t>(number)];
  throw ArgumentError({.function = "train::metric",
                       .argument = "name",
                       .problem = "the metric is of a class that the predictions have not",
                       .got = "class " + std::to_string(number),
                       .wanted = "0 to " + std::to_string(scores.size() - 1)});
}

constexpr NumberedMetric numbered_metrics[] = {
    {"top_", top_k_accuracy, 1},
    {"precision_",
     [](const Tensor& p, const Tensor& t, std::int64_t c) { return scores_of(p, t, c).precision; }, 0},
    {"recall_", [](const Tensor& p, const Tensor& t, std::int64_t c) { return scores_of(p, t, c).recall; },
     0},
    {"f1_", [](const Tensor& p, const Tensor& t, std::int64_t c) { return scores_of(p, t, c).f1; }, 0},
};

std::optional<Metric> numbered_metric(const std::string& name) {
  for (const NumberedMetric& m : numbered_metrics) {
    if (!name.starts_with(m.name)) continue;
    const char* end = name.data() + name.size();
    std::int64_t number = -1;
    const auto [stop, error] = std::from_chars(name.data() + std::string_view(m.name).size(), end, number);
    if (error != std::errc() || stop != end || number < m.least) continue;
    const auto compute = m.compute;
    return Metric{name, [compute, number](const Tensor& p, const Tensor& t) { return compute(p, t, number); },
                  true};
  }
  return std::nullopt;
}

constexpr NamedMetric named_metrics[] = {
    {"accuracy", accuracy, true},
    {"precision", [](const Tensor& p, const Tensor& t) { return macro_scores(p, t).precision; }, true},
    {"recall", [](const Tensor& p, const Tensor& t) { return macro_scores(p, t).recall; }, true},
    {"f1", [](const Tensor& p, const Tensor& t) { return macro_scores(p, t).f1; }, true},
    {"r2", r2, true},
    {"mae", mean_absolute_error, false},
    {"mse", mean_squared_error, false},
};

}  // namespace

const std::vector<std::string>& metric_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for (const NamedMetric& m : named_metrics) result.emplace_back(m.name);
    result.insert(result.begin() + 1, {"top_3", "top_5"});
    return result;
  }();
  return names;
}

Metric metric(const std::string& name) {
  for (const NamedMetric& m : named_metrics) {
    if (name == m.name) return {name, m.compute, m.higher_is_better};
  }
  if (std::optional<Metric> numbered = numbered_metric(name)) return *std::move(numbered);
  throw ArgumentError({.function = "train::metric",
                       .argument = "name",
                       .problem = "there is no such metric",
                       .got = quote(name),
                       .hint = suggest(name, metric_names())});
}

}  // namespace chainrule::train
