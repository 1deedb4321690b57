#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <chainrule/data.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/train/fit.hpp>
#include <chainrule/train/preflight.hpp>

/// Trainings as files: everything that decides a run's numbers, in TOML.
namespace chainrule::train {

struct DataConfig {
  std::string source = "fashion-mnist";  ///< or a toy set's name, or a file: .csv, .npz
  std::string directory = "/usr/share/datasets/fashion-mnist";  ///< of fashion-mnist
  std::string target;                                           ///< csv: the target's column; empty: the last
  std::vector<std::string> drop;                                ///< csv: columns to leave out
  std::string missing = "error";        ///< csv: error, or mean: the training part's mean in its place
  std::string categorical = "one_hot";  ///< csv: one_hot or index
  std::int64_t examples = 1000;         ///< toy sets
  double noise = 0.1;                   ///< toy sets
  std::string scaling = "auto";   ///< auto (bytes to [0, 1], tables standardized), none, unit, standardize
  double validation_split = 0.1;  ///< the part of the training set that is held out; 0: none
  double test_split = 0.2;        ///< where the data has no test part of its own
};

/// One layer: type and what the type asks for. Input sizes follow from the layers before.
struct LayerConfig {
  std::string type = "Linear";
  std::int64_t units = 0;  ///< Linear; 0: as many as the data has classes or values
  bool bias = true;        ///< Linear
  double p = 0.5;          ///< Dropout
};

struct OptimizerConfig {
  std::string name = "AdamW";  ///< GradientDescent (all examples a step), SGD, RMSProp, Adam, AdamW
  double lr = 1e-3;
  double weight_decay = 0;
  double momentum = 0;    ///< SGD, RMSProp
  bool nesterov = false;  ///< SGD
  double beta1 = 0.9;     ///< Adam, AdamW
  double beta2 = 0.999;   ///< Adam, AdamW
};

struct ScheduleConfig {
  /// constant, cosine, linear, one_cycle, step, exponential, reduce_on_plateau
  std::string name = "constant";
  double warmup_epochs = 0;   ///< a linear rise before the schedule; one_cycle has its own
  double warmup_share = 0.3;  ///< one_cycle
  double gamma = 0.1;  ///< step: factor every `step_epochs`; exponential: per epoch; plateau: per reduction
  std::int64_t step_epochs = 1;
  std::int64_t patience = 10;  ///< reduce_on_plateau: epochs without an improvement that are tolerated
};

struct TrainingConfig {
  std::int64_t epochs = 10;
  std::int64_t batch_size = 128;  ///< 0: all examples
  double label_smoothing = 0;
  double clip_norm = 0;
  double clip_value = 0;
  double l1 = 0;
  double l2 = 0;
  std::vector<std::string> metrics;  ///< empty: accuracy or r2
  std::string monitor = "loss";
  bool keep_best = true;
  std::int64_t patience = 0;  ///< of early stopping; 0: never
  double min_delta = 0;
  std::int64_t probe_every = 50;
  std::int64_t checkpoint_every = 1;
};

struct Config {
  std::string name = "run";
  std::uint64_t seed = 0;
  std::int64_t threads = 0;   ///< 0: as many as the process may use
  std::string loss = "auto";  ///< auto, cross_entropy, mse, mae, huber
  DataConfig data;
  std::vector<LayerConfig> layers;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  TrainingConfig training;
};

/// The configuration of a file. Throws IoError with the line for every mistake: unknown keys (with the
/// nearest one that is known), wrong types, values outside their range.
CHAINRULE_API Config load_config(const std::string& path);
/// The same from text; `name` stands for the file in errors.
CHAINRULE_API Config parse_config(const std::string& name, const std::string& text);
/// The complete configuration as TOML. `parse_config` reads the same configuration from it.
CHAINRULE_API std::string to_toml(const Config& config);
/// A configuration that is a good start for a data source: an MLP with AdamW.
CHAINRULE_API Config default_config(const std::string& source);

/// The data of a configuration: split, scaled by the training part.
struct PreparedData {
  data::Dataset training;
  std::optional<data::Dataset> validation;
  data::Dataset test;
};
CHAINRULE_API PreparedData load_data(const Config& config);
/// The model of a configuration for these data, its weights drawn from the seed. Throws ArgumentError for
/// layers that do not fit.
CHAINRULE_API nn::Module build_model(const Config& config, const data::Dataset& dataset);

struct RunOptions {
  std::string folder;   ///< empty: runs/<name>
  std::string command;  ///< how the run was started, for its record
  Callbacks callbacks;
  /// Called before the first step, with what was loaded, built and found.
  std::function<void(const PreparedData& data, nn::Module& model, const std::vector<Finding>& findings)>
      preflight;
  std::stop_token stop;
  bool resume = false;
};

struct RunResult {
  Run run;
  std::vector<Finding> preflight;
  Evaluation test;                  ///< read once, at the end; empty after a divergence or a stop
  double standard_error = unknown;  ///< of the accuracy, where there is one: accuracy_error
};

/// Trains what a configuration describes: loads the data, looks at it, trains, evaluates once on the test
/// part, and writes the run's folder: config.toml, run.json, preflight.json, model.json (the table of its
/// layers), metrics.jsonl, model.safetensors, checkpoint/, evaluation.json, and planes.json (what the model
/// made of the plane at up to 12 moments) where the inputs are points of the plane.
CHAINRULE_API RunResult run(const Config& config, const RunOptions& options = {});

}  // namespace chainrule::train
