// The report of a run's folder.

#include <chainrule/report.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chainrule/error.hpp>

#include "insight/diagnose.hpp"
#include "insight/report.hpp"
#include "insight/report_text.hpp"
#include "io/atomic_file.hpp"
#include "io/file.hpp"
#include "io/json.hpp"

namespace chainrule {
namespace {

namespace fs = std::filesystem;
using io::Json;

double number(const Json& json) { return json.is_number() ? json.get<double>() : unknown_value; }

std::string text(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

double number_at(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() ? number(*found) : unknown_value;
}

insight::Divergence divergence_from(const Json& json) {
  insight::Divergence d{.step = json.at("step").get<std::int64_t>(),
                        .first_loss = number_at(json, "first_loss"),
                        .last_loss = number_at(json, "last_loss"),
                        .learning_rate = number_at(json, "learning_rate"),
                        .largest_curvature = number_at(json, "largest_curvature"),
                        .first_not_finite = text(json, "numeric_error")};
  if (json.contains("limit")) d.limit = number(json.at("limit"));
  if (json.contains("method")) d.method = text(json, "method");
  if (json.contains("growth")) {
    const Json& growth = json.at("growth");
    d.grown = text(growth, "parameter");
    d.growth = number_at(growth, "factor");
    d.growth_steps = growth.at("steps").get<std::int64_t>();
  }
  return d;
}

/// AVX-512 goes by several names in Highway; people know it by this one.
std::string instruction_set_of(const std::string& target) {
  return target.starts_with("AVX3") ? "AVX-512 (" + target + ")" : target;
}

void read_run(const Json& run, ReportData& data) {
  data.created = text(run, "created");
  data.reproduction.command = text(run, "command");
  data.reproduction.version = run.at("version").get<std::string>();
  data.reproduction.compiler = text(run, "compiler");
  data.reproduction.cpu = text(run, "cpu");
  data.reproduction.instruction_set = instruction_set_of(run.at("instruction_set").get<std::string>());
  data.reproduction.threads = run.at("threads").get<int>();
  data.reproduction.seed = run.at("seed").get<std::uint64_t>();
  data.reproduction.data_hash = run.at("data_hash").get<std::string>();
  // Epochs are counted from 1.
  const Json& best = run.at("best_epoch");
  if (!best.is_null() && best.get<std::int64_t>() > 0) data.best_epoch = best.get<std::size_t>() - 1;
}

/// What the numbers say, once all of them have been read.
ReportVerdict verdict_of(const Json& run, const ReportData& data) {
  std::optional<insight::Divergence> divergence;
  if (run.contains("divergence")) divergence = divergence_from(run.at("divergence"));
  ReportVerdict verdict = insight::diagnose(data, divergence);
  const std::string outcome = text(run, "outcome");
  verdict.interrupted = outcome == "stopped";
  if (outcome == "diverged" && !divergence)
    verdict.findings.insert(verdict.findings.begin(), {.inequality = run.at("verdict").get<std::string>()});
  return verdict;
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

/// One layer's parameters at one step, as squares: norms of parts add up as squares.
struct LayerLook {
  double gradient = 0, update = 0, weight = 0;
  double inactive = unknown_value;
};

/// The looks at each layer, layers in the order of the forward pass, steps in their order.
class Layers {
 public:
  explicit Layers(const std::map<std::string, std::string>& types) : types_(types) {}

  void add(const Json& line) {
    const std::string parameter = line.at("parameter").get<std::string>();
    LayerLook& look = look_at(parameter.substr(0, std::min(parameter.rfind('.'), parameter.size())), line);
    const auto square = [&](const char* key) { return std::pow(number(line.at(key)), 2); };
    look.gradient += square("gradient_norm");
    look.update += square("update_norm");
    look.weight += square("parameter_norm");
  }
  void add_activation(const Json& line) {
    look_at(line.at("layer").get<std::string>(), line).inactive = number(line.at("inactive_share"));
  }

  std::vector<ReportLayerHistory> histories() const {
    std::vector<ReportLayerHistory> result;
    for (const std::string& name : order_) {
      const auto type = types_.find(name);
      ReportLayerHistory history{.layer = type == types_.end() ? name : name + " " + type->second};
      for (const auto& [step, look] : looks_.at(name)) {
        history.steps.push_back(step);
        history.gradient_norm.push_back(look.weight > 0 ? std::sqrt(look.gradient) : unknown_value);
        history.update_ratio.push_back(look.weight > 0 ? std::sqrt(look.update / look.weight)
                                                       : unknown_value);
        history.inactive_share.push_back(look.inactive);
      }
      result.push_back(std::move(history));
    }
    return result;
  }

 private:
  LayerLook& look_at(const std::string& layer, const Json& line) {
    if (!looks_.contains(layer)) order_.push_back(layer);
    return looks_[layer][line.at("step").get<std::int64_t>()];
  }

  const std::map<std::string, std::string>& types_;
  std::vector<std::string> order_;
  std::map<std::string, std::map<std::int64_t, LayerLook>> looks_;
};

void read_lines(const std::vector<Json>& lines, const std::map<std::string, std::string>& types,
                ReportData& data) {
  std::vector<Json> epochs;
  Layers layers(types);
  for (const Json& line : lines) {
    const std::string kind = line.at("kind").get<std::string>();
    if (kind == "epoch") epochs.push_back(line);
    if (kind == "step") data.steps.push_back({line.at("step").get<std::int64_t>(), number(line.at("loss"))});
    if (kind == "probe") layers.add(line);
    if (kind == "activation") layers.add_activation(line);
  }
  for (const Json& e : epochs) {
    data.epochs.push_back({.train_loss = number(e.at("loss")),
                           .validation_loss = number(e.at("validation_loss")),
                           .learning_rate = number(e.at("learning_rate")),
                           .seconds = number(e.at("seconds")),
                           .examples_per_second = number(e.at("examples_per_second"))});
  }
  read_metrics(epochs, data);
  data.layers = layers.histories();
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

std::vector<float> probabilities_from(const Json& json) {
  std::vector<float> result;
  for (const Json& p : json) result.push_back(static_cast<float>(number(p)));
  return result;
}

/// The plane with its frames; none where it can't be drawn, or its parts do not fit each other.
std::optional<ReportBoundary> plane_from(const Json& json, const Json& frames) {
  ReportBoundary plane{.x_min = number(json.at("x_min")),
                       .x_max = number(json.at("x_max")),
                       .y_min = number(json.at("y_min")),
                       .y_max = number(json.at("y_max"))};
  plane.rows = plane.columns = json.at("side").get<std::size_t>();
  if (!(plane.x_min < plane.x_max && plane.y_min < plane.y_max) || plane.rows == 0 || plane.rows > 1000)
    return std::nullopt;
  for (const Json& frame : frames) {
    const auto epoch = frame.at("epoch").get<std::int64_t>();
    plane.frames.push_back({epoch == 0 ? "before the first step" : fmt::format("epoch {}", epoch),
                            probabilities_from(frame.at("probabilities"))});
  }
  plane.frames.push_back({"the trained model", probabilities_from(json.at("probabilities"))});
  const std::size_t points = plane.rows * plane.columns;
  plane.classes = plane.frames.back().probabilities.size() / points;
  std::erase_if(plane.frames, [&](const ReportBoundaryFrame& frame) {
    return frame.probabilities.size() != points * plane.classes;
  });
  if (plane.classes < 2 || plane.frames.empty()) return std::nullopt;
  const Json& coordinates = json.at("points");
  const Json& labels = json.at("labels");
  for (std::size_t i = 0; i < labels.size() && 2 * i + 1 < coordinates.size(); ++i) {
    const auto label = labels[i].get<std::size_t>();
    if (label < plane.classes)
      plane.points.push_back({number(coordinates[2 * i]), number(coordinates[2 * i + 1]), label});
  }
  return plane;
}

void read_classes(const Json& evaluation, const Json& frames, ReportData& data) {
  data.class_names = evaluation.at("class_names").get<std::vector<std::string>>();
  if (evaluation.contains("confusion")) {
    data.confusion = ReportConfusion{evaluation.at("confusion").get<std::vector<std::int64_t>>()};
    // A model may tell more classes apart than the data has names for: one logit tells two.
    while (data.class_names.size() * data.class_names.size() < data.confusion->counts.size())
      data.class_names.push_back(fmt::format("class {}", data.class_names.size()));
  }
  data.mistakes = examples_from(evaluation.at("mistakes"));
  data.correct = examples_from(evaluation.at("correct"));
  for (const Json& bin : evaluation.at("reliability")) {
    data.reliability.push_back(
        {number(bin.at("confidence")), number(bin.at("accuracy")), bin.at("count").get<std::int64_t>()});
  }
  if (evaluation.contains("plane")) data.boundary = plane_from(evaluation.at("plane"), frames);
}

void read_evaluation(const Json& evaluation, const Json& frames, ReportData& data) {
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
  if (classes) return read_classes(evaluation, frames, data);
  for (const Json& pair : evaluation.at("pairs"))
    data.pairs.push_back({number(pair.at(0)), number(pair.at(1))});
}

/// The layers' table; gives the type of each path.
std::map<std::string, std::string> read_model(const Json& rows, ReportData& data) {
  std::map<std::string, std::string> types;
  for (const Json& row : rows) {
    const std::string path = row.at("path").get<std::string>();
    const std::string type = row.at("type").get<std::string>();
    types[path] = type;
    data.model.push_back({.layer = path.empty() ? type : path + " " + type,
                          .output_shape = row.at("output_shape").get<std::string>(),
                          .parameters = row.at("parameters").get<std::int64_t>(),
                          .flops = report::whole(number(row.at("flops"))),
                          .bytes = row.at("bytes").get<std::int64_t>()});
  }
  return types;
}

ReportData read_folder(const fs::path& folder) {
  ReportData data;
  data.run_name = folder.filename().string();
  const auto has = [&](const char* name) { return fs::exists(folder / name); };
  const auto read = [&](const char* name) { return io::read_json((folder / name).string()); };
  const Json run = read("run.json");
  read_run(run, data);
  std::map<std::string, std::string> types;
  if (has("model.json")) types = read_model(read("model.json"), data);
  if (has("metrics.jsonl")) read_lines(io::read_json_lines((folder / "metrics.jsonl").string()), types, data);
  if (has("preflight.json")) read_preflight(read("preflight.json"), data);
  // A run that did not come to its end leaves the evaluation of an earlier one where it was.
  const std::string outcome = run.at("outcome").get<std::string>();
  if (has("evaluation.json") && outcome != "stopped" && outcome != "diverged")
    read_evaluation(read("evaluation.json"), has("planes.json") ? read("planes.json") : Json::array(), data);
  if (has("config.toml"))
    data.reproduction.config = io::read_text({"write_report", (folder / "config.toml").string()}, 1 << 20);
  if (data.best_epoch && *data.best_epoch >= data.epochs.size()) data.best_epoch.reset();
  data.verdict = verdict_of(run, data);
  if (outcome == "diverged") {
    const Json divergence = run.value("divergence", Json::object());
    data.divergence = {divergence.value("step", run.at("steps").get<std::int64_t>()),
                       number_at(divergence, "first_loss"), number_at(divergence, "last_loss")};
  }
  return data;
}

}  // namespace

void write_report(const std::string& folder, const std::string& command) {
  const auto damaged = [&](const std::string& how) {
    return IoError({.function = "write_report",
                    .argument = "folder",
                    .problem = "a file of the run is damaged: " + how,
                    .got = folder,
                    .wanted = "a run's folder as training writes it"});
  };
  std::string page;
  try {
    ReportData data = read_folder(fs::path(folder).lexically_normal());
    if (!command.empty()) data.reproduction.command = command;
    if (data.reproduction.command.empty())
      data.reproduction.command = "chainrule train " + folder + "/config.toml";
    page = render_report(data);
  } catch (const nlohmann::json::exception& error) {
    throw damaged(error.what());
  } catch (const std::out_of_range&) {
    throw damaged("it has a status that there is none of");
  } catch (const ArgumentError& error) {
    // Lists that contradict each other: the page's data comes from files alone.
    throw damaged(error.parts().argument + ": " + error.parts().problem);
  }
  io::write_file(folder + "/report.html", page, "write_report");
}

}  // namespace chainrule
