#include "train/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <nlohmann/json.hpp>

#include <chainrule/nn/losses.hpp>
#include <chainrule/ops.hpp>

#include "train/plane.hpp"
#include "train/steps.hpp"

namespace chainrule::train {
namespace {

constexpr std::size_t shown_examples = 12;
constexpr std::size_t shown_pairs = 1000;
constexpr std::size_t reliability_bins = 10;
constexpr std::int64_t most_confusion_classes = 300;  // the matrix has their square in numbers

io::Json number(double x) { return std::isfinite(x) ? io::Json(x) : io::Json(nullptr); }

struct Guess {
  std::size_t example = 0;
  std::size_t predicted = 0;
  std::size_t truth = 0;
  double predicted_probability = 0;
  double true_probability = 0;
};

std::vector<Guess> guesses_of(const Evaluation& evaluation) {
  const Tensor probabilities = class_probabilities(evaluation.predictions.astype(DType::float64));
  const std::vector<double> p = probabilities.to_vector<double>();
  const std::vector<std::int64_t> labels = evaluation.targets.to_vector<std::int64_t>();
  const auto classes = static_cast<std::size_t>(probabilities.size(1));
  std::vector<Guess> guesses;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == nn::ignored_class) continue;
    const double* row = p.data() + i * classes;
    const auto best = static_cast<std::size_t>(std::max_element(row, row + classes) - row);
    const auto truth = static_cast<std::size_t>(labels[i]);
    if (std::isfinite(row[best])) guesses.push_back({i, best, truth, row[best], row[truth]});
  }
  return guesses;
}

/// The picture of an example of bytes, [height, width]; null for everything else.
io::Json image_of(const data::Dataset& test, std::size_t example) {
  const Shape shape = test.example_shape();
  if (test.features.dtype() != DType::uint8 || shape.size() != 2) return nullptr;
  const std::vector<std::int64_t> row = {static_cast<std::int64_t>(example)};
  const std::vector<std::int64_t> pixels = test.subset(row).features.to_vector<std::int64_t>();
  return {{"height", shape[0]}, {"width", shape[1]}, {"pixels", pixels}};
}

io::Json example_json(const data::Dataset& test, const Guess& g) {
  return {{"example", g.example},
          {"predicted", g.predicted},
          {"truth", g.truth},
          {"predicted_probability", number(g.predicted_probability)},
          {"true_probability", number(g.true_probability)},
          {"image", image_of(test, g.example)}};
}

io::Json mistakes_json(const data::Dataset& test, std::vector<Guess> guesses) {
  std::erase_if(guesses, [](const Guess& g) { return g.predicted == g.truth; });
  std::stable_sort(guesses.begin(), guesses.end(), [](const Guess& a, const Guess& b) {
    return a.predicted_probability > b.predicted_probability;
  });
  guesses.resize(std::min(guesses.size(), shown_examples));
  io::Json json = io::Json::array();
  for (const Guess& g : guesses) json.push_back(example_json(test, g));
  return json;
}

io::Json correct_json(const data::Dataset& test, const std::vector<Guess>& guesses) {
  io::Json json = io::Json::array();
  for (const std::int64_t i : data::permutation(static_cast<std::int64_t>(guesses.size()), 1)) {
    const Guess& g = guesses[static_cast<std::size_t>(i)];
    if (g.predicted == g.truth && json.size() < shown_examples) json.push_back(example_json(test, g));
  }
  return json;
}

io::Json reliability_json(const std::vector<Guess>& guesses) {
  struct Bin {
    double confidence = 0, right = 0;
    std::int64_t count = 0;
  };
  std::vector<Bin> bins(reliability_bins);
  for (const Guess& g : guesses) {
    const auto index =
        std::min(reliability_bins - 1, static_cast<std::size_t>(g.predicted_probability * reliability_bins));
    bins[index].confidence += g.predicted_probability;
    bins[index].right += g.predicted == g.truth ? 1 : 0;
    ++bins[index].count;
  }
  io::Json json = io::Json::array();
  for (const Bin& bin : bins) {
    if (bin.count == 0) continue;
    const auto count = static_cast<double>(bin.count);
    json.push_back(
        {{"confidence", bin.confidence / count}, {"accuracy", bin.right / count}, {"count", bin.count}});
  }
  return json;
}

io::Json pairs_json(const Evaluation& evaluation) {
  const std::vector<double> predictions = evaluation.predictions.to_vector<double>();
  const std::vector<double> targets = evaluation.targets.to_vector<double>();
  io::Json json = io::Json::array();
  for (std::size_t i = 0; i < std::min({targets.size(), predictions.size(), shown_pairs}); ++i) {
    if (std::isfinite(targets[i]) && std::isfinite(predictions[i]))
      json.push_back({targets[i], predictions[i]});
  }
  return json;
}

}  // namespace

Tensor class_probabilities(const Tensor& logits) {
  if (logits.rank() != 2 || logits.size(1) != 1) return softmax(logits);
  const Tensor p = sigmoid(logits);
  return concatenate({1 - p, p}, 1);
}

io::Json evaluation_json(nn::Module& model, const data::Dataset& test, const RunResult& result) {
  const Evaluation& evaluation = result.test;
  const bool classes = test.task == data::Task::classification;
  io::Json json = {{"task", classes ? "classification" : "regression"},
                   {"examples", counted_examples(evaluation.targets)},
                   {"loss", number(evaluation.loss)},
                   {"standard_error", number(result.standard_error)}};
  json["metrics"] = io::Json::object();
  for (const auto& [name, value] : evaluation.metrics) json["metrics"][name] = number(value);
  if (!classes) {
    json["pairs"] = pairs_json(evaluation);
    return json;
  }
  json["class_names"] = test.class_names;
  const std::vector<Guess> guesses = guesses_of(evaluation);
  if (test.classes() <= most_confusion_classes) {
    json["confusion"] =
        confusion_matrix(evaluation.predictions, evaluation.targets).to_vector<std::int64_t>();
  }
  json["mistakes"] = mistakes_json(test, guesses);
  json["correct"] = correct_json(test, guesses);
  json["reliability"] = reliability_json(guesses);
  if (const auto plane = plane_of(test)) json["plane"] = plane_json(model, test, *plane);
  return json;
}

io::Json model_json(nn::Module& model, const data::Dataset& dataset) {
  Shape one = dataset.example_shape();
  one.insert(0, 1);
  io::Json rows = io::Json::array();
  for (const nn::SummaryRow& row : nn::summarize(model, one, model_dtype(model)).rows) {
    rows.push_back({{"path", row.path},
                    {"type", row.type},
                    {"output_shape", to_string(row.output_shape)},
                    {"parameters", row.parameters},
                    {"flops", row.flops},
                    {"bytes", row.weight_bytes + row.output_bytes}});
  }
  return rows;
}

io::Json preflight_json(const std::vector<Finding>& findings) {
  static constexpr const char* status[] = {"ok", "warn", "fail"};
  io::Json json = io::Json::array();
  for (const Finding& f : findings) {
    json.push_back({{"name", f.name},
                    {"value", f.value},
                    {"expectation", f.expectation},
                    {"status", status[static_cast<int>(f.status)]},
                    {"sentence", f.sentence}});
  }
  return json;
}

}  // namespace chainrule::train
