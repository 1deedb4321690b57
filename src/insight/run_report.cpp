// The report of a run's folder.

#include <chainrule/report.hpp>

#include <filesystem>
#include <map>

#include <nlohmann/json.hpp>

#include <chainrule/error.hpp>

#include "insight/report.hpp"
#include "io/atomic_file.hpp"
#include "io/file.hpp"
#include "io/json.hpp"

namespace chainrule {
namespace {

namespace fs = std::filesystem;
using io::Json;

double number(const Json& json) { return json.is_number() ? json.get<double>() : unknown_value; }

void read_run(const Json& run, ReportData& data) {
  data.reproduction.version = run.at("version").get<std::string>();
  data.reproduction.instruction_set = run.at("instruction_set").get<std::string>();
  data.reproduction.threads = run.at("threads").get<int>();
  data.reproduction.seed = run.at("seed").get<std::uint64_t>();
  data.reproduction.data_hash = run.at("data_hash").get<std::string>();
  if (!run.at("best_epoch").is_null()) data.best_epoch = run.at("best_epoch").get<std::size_t>() - 1;
  const std::string verdict = run.at("verdict").get<std::string>();
  data.verdict.emplace();
  if (!verdict.empty()) data.verdict->findings.push_back({.inequality = verdict});
}

/// Metrics over the epochs; an epoch without one leaves a gap.
void read_metrics(const std::vector<Json>& epochs, ReportData& data) {
  std::map<std::string, ReportMetric> metrics;
  for (std::size_t i = 0; i < epochs.size(); ++i) {
    const auto collect = [&](const char* key, std::vector<double> ReportMetric::*values) {
      for (const auto& [name, value] : epochs[i].at(key).items()) {
        ReportMetric& metric = metrics[name];
        metric.name = name;
        (metric.*values).resize(i, unknown_value);
        (metric.*values).push_back(number(value));
      }
    };
    collect("metrics", &ReportMetric::train);
    collect("validation_metrics", &ReportMetric::validation);
  }
  for (auto& [name, metric] : metrics) {
    for (std::vector<double>* values : {&metric.train, &metric.validation}) {
      if (!values->empty()) values->resize(epochs.size(), unknown_value);
    }
    data.metrics.push_back(std::move(metric));
  }
}

void add_probe(const Json& line, std::map<std::string, ReportLayerHistory>& layers) {
  const std::string name = line.at("parameter").get<std::string>();
  ReportLayerHistory& layer = layers[name];
  layer.layer = name;
  layer.steps.push_back(line.at("step").get<std::int64_t>());
  layer.gradient_norm.push_back(number(line.at("gradient_norm")));
  layer.update_ratio.push_back(number(line.at("update_norm")) / number(line.at("parameter_norm")));
}

void read_lines(const std::vector<Json>& lines, ReportData& data) {
  std::vector<Json> epochs;
  std::map<std::string, ReportLayerHistory> layers;
  for (const Json& line : lines) {
    const std::string kind = line.at("kind").get<std::string>();
    if (kind == "epoch") epochs.push_back(line);
    if (kind == "step") data.steps.push_back({line.at("step").get<std::int64_t>(), number(line.at("loss"))});
    if (kind == "probe") add_probe(line, layers);
  }
  for (const Json& e : epochs) {
    data.epochs.push_back({.train_loss = number(e.at("loss")),
                           .validation_loss = number(e.at("validation_loss")),
                           .learning_rate = number(e.at("learning_rate")),
                           .seconds = number(e.at("seconds")),
                           .examples_per_second = number(e.at("examples_per_second"))});
  }
  read_metrics(epochs, data);
  for (auto& [name, layer] : layers) data.layers.push_back(std::move(layer));
}

void read_preflight(const Json& findings, ReportData& data) {
  static const std::map<std::string, CheckStatus> statuses = {
      {"ok", CheckStatus::ok}, {"warn", CheckStatus::warn}, {"fail", CheckStatus::fail}};
  for (const Json& f : findings) {
    data.preflight.push_back({f.at("name").get<std::string>(), f.at("value").get<std::string>(),
                              f.at("expectation").get<std::string>(),
                              statuses.at(f.at("status").get<std::string>()),
                              f.at("sentence").get<std::string>()});
  }
}

std::vector<ReportExample> examples_from(const Json& list) {
  std::vector<ReportExample> examples;
  for (const Json& e : list) {
    const Json& image = e.at("image");
    if (image.is_null()) continue;
    ReportExample& example = examples.emplace_back();
    example.image.width = image.at("width").get<std::size_t>();
    example.image.height = image.at("height").get<std::size_t>();
    example.image.pixels = image.at("pixels").get<std::vector<std::uint8_t>>();
    example.predicted = e.at("predicted").get<std::size_t>();
    example.truth = e.at("truth").get<std::size_t>();
    example.predicted_probability = number(e.at("predicted_probability"));
    example.true_probability = number(e.at("true_probability"));
  }
  return examples;
}

ReportBoundary plane_from(const Json& json, std::size_t classes) {
  ReportBoundary plane;
  plane.x_min = number(json.at("x_min"));
  plane.x_max = number(json.at("x_max"));
  plane.y_min = number(json.at("y_min"));
  plane.y_max = number(json.at("y_max"));
  plane.rows = plane.columns = json.at("side").get<std::size_t>();
  plane.classes = classes;
  plane.frames.push_back({"after training", json.at("probabilities").get<std::vector<float>>()});
  const auto points = json.at("points").get<std::vector<double>>();
  const auto labels = json.at("labels").get<std::vector<std::size_t>>();
  for (std::size_t i = 0; i < labels.size() && 2 * i + 1 < points.size(); ++i)
    plane.points.push_back({points[2 * i], points[2 * i + 1], labels[i]});
  return plane;
}

void read_classes(const Json& evaluation, ReportData& data) {
  data.class_names = evaluation.at("class_names").get<std::vector<std::string>>();
  if (evaluation.contains("confusion"))
    data.confusion = ReportConfusion{evaluation.at("confusion").get<std::vector<std::int64_t>>()};
  data.mistakes = examples_from(evaluation.at("mistakes"));
  data.correct = examples_from(evaluation.at("correct"));
  for (const Json& bin : evaluation.at("reliability")) {
    data.reliability.push_back(
        {number(bin.at("confidence")), number(bin.at("accuracy")), bin.at("count").get<std::int64_t>()});
  }
  if (evaluation.contains("plane"))
    data.boundary = plane_from(evaluation.at("plane"), data.class_names.size());
}

void read_evaluation(const Json& evaluation, ReportData& data) {
  const bool classes = evaluation.at("task") == "classification";
  data.task = classes ? TaskKind::classification : TaskKind::regression;
  data.test_examples = evaluation.at("examples").get<std::int64_t>();
  data.test_error = number(evaluation.at("standard_error"));
  const Json& metrics = evaluation.at("metrics");
  const std::string preferred = classes ? "accuracy" : "r2";
  if (!metrics.empty()) {
    data.test_metric = metrics.contains(preferred) ? preferred : metrics.items().begin().key();
    data.test_value = number(metrics.at(data.test_metric));
  }
  for (const Json& p : evaluation.at("parameters")) {
    data.model.push_back({.layer = p.at("path").get<std::string>(),
                          .output_shape = p.at("shape").get<std::string>(),
                          .parameters = p.at("elements").get<std::int64_t>()});
  }
  if (classes) return read_classes(evaluation, data);
  for (const Json& pair : evaluation.at("pairs"))
    data.pairs.push_back({number(pair.at(0)), number(pair.at(1))});
}

ReportData read_folder(const fs::path& folder) {
  ReportData data;
  data.run_name = folder.filename().string();
  read_run(io::read_json((folder / "run.json").string()), data);
  if (fs::exists(folder / "metrics.jsonl"))
    read_lines(io::read_json_lines((folder / "metrics.jsonl").string()), data);
  if (fs::exists(folder / "preflight.json"))
    read_preflight(io::read_json((folder / "preflight.json").string()), data);
  if (fs::exists(folder / "evaluation.json"))
    read_evaluation(io::read_json((folder / "evaluation.json").string()), data);
  if (fs::exists(folder / "config.toml"))
    data.reproduction.config = io::read_text({"write_report", (folder / "config.toml").string()}, 1 << 20);
  if (data.best_epoch && *data.best_epoch >= data.epochs.size()) data.best_epoch.reset();
  return data;
}

}  // namespace

void write_report(const std::string& folder, const std::string& command) {
  ReportData data;
  try {
    data = read_folder(fs::path(folder).lexically_normal());
  } catch (const nlohmann::json::exception& error) {
    throw IoError({.function = "write_report",
                   .argument = "folder",
                   .problem = std::string("a file of the run is damaged: ") + error.what(),
                   .got = folder});
  } catch (const std::out_of_range& error) {
    throw IoError({.function = "write_report",
                   .argument = "folder",
                   .problem = "a file of the run has an unknown status",
                   .got = folder});
  }
  data.reproduction.command = command.empty() ? "chainrule train " + folder + "/config.toml" : command;
  io::write_file(folder + "/report.html", render_report(data), "write_report");
}

}  // namespace chainrule
