// From a configuration to a run's folder.

#include <cmath>
#include <filesystem>

#include <nlohmann/json.hpp>

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

/// The thread count of a configuration, for the time of the run.
class ThreadScope {
 public:
  explicit ThreadScope(std::int64_t threads) : before_(thread_count()) {
    if (threads > 0) set_thread_count(static_cast<int>(threads));
  }
  ~ThreadScope() { set_thread_count(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

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

Options options_of(const Config& config, const PreparedData& prepared, const RunOptions& options,
                   const std::string& folder) {
  const TrainingConfig& c = config.training;
  Options result;
  result.loss = build_loss(config, prepared.training.task);
  result.optimizer = build_optimizer(config.optimizer);
  result.epochs = c.epochs;
  result.batch_size = c.batch_size;
  result.validation = prepared.validation;
  for (const std::string& name : c.metrics) result.metrics.push_back(metric(name));
  result.monitor = c.monitor;
  result.keep_best = c.keep_best;
  result.early_stopping = {c.patience, c.min_delta};
  const std::int64_t batch_size = effective_batch_size(result, prepared.training);
  result.schedule = build_schedule(config, (prepared.training.size() + batch_size - 1) / batch_size);
  result.plateau = build_plateau(config);
  result.clip_norm = c.clip_norm;
  result.clip_value = c.clip_value;
  result.l1 = c.l1;
  result.l2 = c.l2;
  result.seed = config.seed;
  result.probe_every = c.probe_every;
  result.callbacks = options.callbacks;
  result.stop = options.stop;
  result.run = folder;
  result.command = options.command;
  result.checkpoint_every = c.checkpoint_every;
  result.resume = options.resume;
  return result;
}

double standard_error_of(const Evaluation& evaluation, std::int64_t examples) {
  const auto found = evaluation.metrics.find("accuracy");
  if (found == evaluation.metrics.end()) return unknown;
  return accuracy_error(found->second, examples);
}

}  // namespace

RunResult run(const Config& config, const RunOptions& options) {
  const ThreadScope threads(config.threads);
  const std::string folder = options.folder.empty() ? "runs/" + config.name : options.folder;
  const PreparedData prepared = load_data(config);
  nn::Module model = build_model(config, prepared.training);
  Options fit_options = options_of(config, prepared, options, folder);
  create_folder(folder);
  const ConfigFile file(folder, to_toml(config));

  RunResult result;
  result.preflight = preflight(model, prepared.training, fit_options.loss);
  io::write_json(folder + "/preflight.json", preflight_json(result.preflight));
  io::write_json(folder + "/model.json", model_json(model, prepared.training));
  if (options.preflight) options.preflight(prepared, model, result.preflight);
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
  result.standard_error = standard_error_of(result.test, prepared.test.size());
  io::write_json(folder + "/evaluation.json", evaluation_json(model, prepared.test, result));
  return result;
}

}  // namespace chainrule::train
