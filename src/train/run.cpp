// From a configuration to a run's folder.

#include <cmath>
#include <filesystem>

#include <nlohmann/json.hpp>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>

#include "io/atomic_file.hpp"
#include "io/file.hpp"
#include "kernels/parallel.hpp"
#include "train/build.hpp"
#include "train/evaluation.hpp"
#include "train/options.hpp"
#include "train/plane.hpp"
#include "train/state.hpp"

namespace chainrule::train {
namespace {

/// config.toml of a run's folder, with what stood there before.
class ConfigFile {
 public:
  ConfigFile(const std::string& folder, const std::string& text) : path_(folder + "/config.toml") {
    if (std::filesystem::exists(path_)) before_ = io::read_text({"train::run", path_}, most_bytes);
    io::write_file(path_, text, "train::run");
  }
  void restore() const {
    if (!before_.empty()) io::write_file(path_, before_, "train::run");
  }

 private:
  static constexpr std::uint64_t most_bytes = std::uint64_t{1} << 20;
  std::string path_;
  std::string before_;
};

/// What an earlier run left behind must not be taken for this one's.
void remove_earlier_run(const std::string& folder) {
  std::error_code ignored;
  for (const char* name :
       {"config.toml", "data.json", "run.json", "preflight.json", "model.json", "metrics.jsonl",
        "model.safetensors", "checkpoint", "evaluation.json", "planes.json", "report.html"}) {
    std::filesystem::remove_all(std::filesystem::path(folder) / name, ignored);
  }
}

void check_resumable(const std::string& folder) {
  if (has_checkpoint(folder)) return;
  throw StateError({.function = "train::run",
                    .argument = "resume",
                    .problem = "there is no checkpoint to go on from",
                    .got = folder,
                    .wanted = "the folder of a run that was stopped",
                    .hint = "without --resume a new run begins"});
}

/// A finding that says that training can't work ends the run before its first step.
void refuse_failed(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    if (finding.status != CheckStatus::fail) continue;
    throw StateError({.function = "train::run",
                      .argument = finding.name,
                      .problem = finding.sentence,
                      .got = finding.value,
                      .wanted = finding.expectation,
                      .hint = "ignore_failed_checks (--ignore-checks) trains all the same"});
  }
}

/// The configuration as it is written: complete, and with paths that hold from every folder.
Config with_absolute_paths(Config config) {
  const auto make_absolute = [](std::string& path) {
    if (!path.empty()) path = std::filesystem::absolute(path).lexically_normal().string();
  };
  if (is_file_source(config.data.source)) make_absolute(config.data.source);
  make_absolute(config.data.targets);
  make_absolute(config.data.directory);
  return config;
}

double standard_error_of(const Evaluation& evaluation) {
  const auto found = evaluation.metrics.find("accuracy");
  if (found == evaluation.metrics.end()) return unknown;
  return accuracy_error(found->second, counted_examples(evaluation.targets));
}

}  // namespace

RunResult run(const Config& config, const RunOptions& options) {
  check_config(config);
  const ThreadScope threads(config.threads);
  const std::string folder = options.folder.empty() ? "runs/" + config.name : options.folder;
  if (options.resume) check_resumable(folder);
  const PreparedData prepared = load_data(config);
  nn::Module model = build_model(config, prepared.training);
  Options fit_options = build_options(config, prepared);
  const Context precision({.dtypes = fit_options.dtypes});
  fit_options.callbacks = options.callbacks;
  fit_options.stop = options.stop;
  fit_options.run = folder;
  fit_options.command = options.command;
  fit_options.resume = options.resume;

  RunResult result;
  result.preflight = preflight(model, prepared.training, fit_options.loss);
  if (options.preflight) options.preflight(prepared, model, result.preflight);
  if (!options.ignore_failed_checks) refuse_failed(result.preflight);
  create_folder(folder);
  if (!options.resume) remove_earlier_run(folder);
  const ConfigFile file(folder, to_toml(with_absolute_paths(config)));
  if (!options.resume) {  // a resumed run has the data of the first
    save_format(folder, prepared.format);
    io::write_json(folder + "/preflight.json", preflight_json(result.preflight));
    io::write_json(folder + "/model.json", model_json(model, prepared.training));
  }
  PlaneRecorder planes(prepared.test, config.training.epochs, folder, options.resume);
  planes.record(0, model);
  fit_options.callbacks.epoch = [&](const EpochRecord& record, const nn::Module& trained) {
    planes.record(record.epoch, trained);
    if (options.callbacks.epoch) options.callbacks.epoch(record, trained);
  };
  try {
    result.run = fit(model, prepared.training, fit_options);
  } catch (const StateError&) {
    file.restore();  // the checkpoint belongs to the configuration that stood here
    throw;
  }
  const bool completed =
      result.run.outcome == Outcome::finished || result.run.outcome == Outcome::stopped_early;
  if (!completed) return result;
  result.test =
      evaluate(model, prepared.test,
               {.loss = fit_options.loss, .metrics = fit_options.metrics, .stop = fit_options.stop});
  if (!result.test.predictions.defined()) {  // resumed, the run has only this left to do
    result.run.outcome = Outcome::stopped;
    return result;
  }
  result.test.predictions = unscaled(result.test.predictions, prepared.format.target_scaling);
  result.test.targets = unscaled(result.test.targets, prepared.format.target_scaling);
  result.test.targets = counted_targets(config, result.test.targets);
  result.standard_error = standard_error_of(result.test);
  io::write_json(folder + "/evaluation.json", evaluation_json(model, prepared.test, result));
  return result;
}

}  // namespace chainrule::train
