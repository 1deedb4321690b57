#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <chainrule/data.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/train/fit.hpp>
#include <chainrule/train/preflight.hpp>

/// Trainings as files: everything that decides a run's numbers, in TOML.
namespace chainrule::train {

struct DataConfig {
  /// fashion-mnist, a toy set's name, or a file: .csv, .tsv, .npz, .npy, or IDX (plain or gzip)
  std::string source = "fashion-mnist";
  std::string targets;                                          ///< npy and IDX: the file of the targets
  std::string directory = "/usr/share/datasets/fashion-mnist";  ///< of fashion-mnist
  std::string features_array = "x";                             ///< npz: the array of the features
  std::string targets_array = "y";                              ///< npz: the array of the targets
  std::string target;                   ///< tables: the target's column; empty: the last
  std::vector<std::string> drop;        ///< tables: columns to leave out
  std::string missing = "error";        ///< tables: error, or mean: the training part's mean in its place
  std::string categorical = "one_hot";  ///< tables: one_hot or index
  std::string delimiter = "auto";       ///< tables: auto (of , ; | and tab the first line's most frequent)
  std::string header = "yes";           ///< tables: whether the first row holds names: yes, no, auto
  std::string task = "auto";            ///< auto, classification, regression
  std::int64_t examples = 1000;         ///< toy sets
  double noise = 0.1;                   ///< toy sets
  std::string scaling = "auto";  ///< auto (bytes to [0, 1], tables standardized), none, unit, standardize
  std::string target_scaling = "none";  ///< of values to predict: none, standardize
  double validation_split = 0.1;        ///< the part of the training set that is held out; 0: none
  double test_split = 0.2;              ///< where the data has no test part of its own
};

/// One layer. Input sizes follow from the layers before.
struct LayerConfig {
  std::string type = "Linear";   ///< a type of nn::Registry::standard(), but for Embedding and Sequential
  std::int64_t units = 0;        ///< Linear; 0: as many as the data has classes or values
  std::string init = "default";  ///< Linear: an initializer of nn::init for the weight; the bias is then 0
  std::int64_t layers = 1;       ///< Residual: x + f(x), where f is so many of the layers that follow
  /// The type's other options by the names of its record, `has_bias` as `bias`. Those left out have the
  /// defaults of the library.
  std::map<std::string, nn::Record::Option> options = {};
};

/// All options of the library's optimizers, with its defaults. Those that the chosen one lacks are not read.
struct OptimizerConfig {
  std::string name = "AdamW";     ///< a name of optim::table(); GradientDescent takes all examples a step
  std::optional<double> lr = {};  ///< absent: the default of the chosen optimizer
  std::optional<double> weight_decay = {};  ///< absent: the default of the chosen optimizer, 0.01 of AdamW
  double momentum = 0;
  double dampening = 0;
  bool nesterov = false;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double alpha = 0.99;
  double eps = 1e-8;
  bool centered = false;
  bool amsgrad = false;
  bool maximize = false;
  std::vector<optim::ParameterGroup> groups = {};
};

struct ScheduleConfig {
  /// constant, cosine, linear, one_cycle, step, exponential, reduce_on_plateau
  std::string name = "constant";
  double warmup_epochs = 0;   ///< a linear rise before the schedule; one_cycle has its own
  double warmup_share = 0.3;  ///< one_cycle
  /// step: factor every `step_epochs`; reduce_on_plateau: per reduction; both 0.1 where absent. exponential:
  /// per epoch, and required.
  std::optional<double> gamma = {};
  std::int64_t step_epochs = 1;
  std::int64_t patience = 10;  ///< reduce_on_plateau: epochs without an improvement that are tolerated
};

struct TrainingConfig {
  std::int64_t epochs = 10;
  std::int64_t batch_size = 128;  ///< 0: all examples
  bool drop_last = false;
  /// float32; bfloat16: the layers' products alone, parameters and all else in float32; float64: everything
  std::string precision = "float32";
  double label_smoothing = 0;         ///< cross_entropy
  std::vector<double> class_weights;  ///< cross_entropy, nll: one for each class; empty: 1
  /// A class that counts neither in the loss (cross_entropy, nll) nor in metrics and reports.
  std::int64_t ignore_index = nn::ignored_class;
  double delta = 1;  ///< huber
  double beta = 1;   ///< smooth_l1
  double clip_norm = 0;
  double clip_value = 0;
  double l1 = 0;
  double l2 = 0;
  std::vector<PenaltyGroup> penalties;  ///< [[training.penalty]]: l1 and l2 of parameters by path
  std::vector<std::string> metrics;     ///< empty: accuracy or r2
  std::string monitor = "loss";
  bool keep_best = true;
  std::int64_t patience = 0;  ///< of early stopping; 0: never
  double min_delta = 0;
  std::int64_t probe_every = 50;
  std::int64_t checkpoint_every = 1;
  std::int64_t checkpoint_steps = 0;
};

struct Config {
  std::string name = "run";
  std::uint64_t seed = 0;
  std::int64_t threads = 0;  ///< 0: as many as the process may use
  /// auto (cross_entropy or mse), cross_entropy, nll; for two classes with one output bce_with_logits, hinge,
  /// soft_margin; for values mse, mae, huber, smooth_l1, kl, bce_with_logits
  std::string loss = "auto";
  DataConfig data;
  std::vector<LayerConfig> layers;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  TrainingConfig training;
};

/// The configuration of a file. Throws IoError with the line for every mistake: unknown keys (with the
/// nearest one that is known), wrong types, values outside their range or that contradict each other. A data
/// file that is not where the path says is looked for beside the configuration.
CHAINRULE_API Config load_config(const std::string& path);
/// The same from text; `name` stands for the file in errors.
CHAINRULE_API Config parse_config(const std::string& name, const std::string& text);
/// "FILE:LINE" of a key, such as `training.metrics` or `layer[2]`, for mistakes that only show together with
/// the data; empty where the file does not have it, or can't be read.
CHAINRULE_API std::string place_in_config(const std::string& path, const std::string& key);
/// Throws ArgumentError, with the key, for the values that `load_config` would refuse.
CHAINRULE_API void check_config(const Config& config);
/// The complete configuration as TOML. `parse_config` reads the same configuration from it. Throws
/// ArgumentError as `check_config`.
CHAINRULE_API std::string to_toml(const Config& config);
/// A configuration that is a good start for a data source: an MLP with AdamW.
CHAINRULE_API Config default_config(const std::string& source);

/// What a model's inputs and outputs mean: all that it takes to use the model on data as they were given.
struct DataFormat {
  data::Task task = data::Task::classification;
  Shape example_shape;  ///< of the features
  DType dtype = DType::float32;
  std::string precision = "float32";  ///< that of the training
  std::vector<std::string> feature_names;
  std::vector<std::string> class_names;
  std::string features_array = "x";             ///< npz
  std::optional<data::TableFormat> table;       ///< of a table's columns
  std::optional<data::Scaling> scaling;         ///< of the features
  std::optional<data::Scaling> target_scaling;  ///< of the values to predict
};

/// The data of a configuration: split, scaled by the training part.
struct PreparedData {
  data::Dataset training;
  std::optional<data::Dataset> validation;
  data::Dataset test;
  DataFormat format;
};
/// Throws IoError and ArgumentError for files and options that do not fit, and for targets of a single class.
CHAINRULE_API PreparedData load_data(const Config& config);
/// The model of a configuration for these data, its weights drawn from the seed. Throws ArgumentError for
/// layers that do not fit.
CHAINRULE_API nn::Module build_model(const Config& config, const data::Dataset& dataset);
/// The targets with nn::ignored_class in place of the configuration's ignore_index, where the loss heeds it:
/// what counts in metrics and reports.
CHAINRULE_API Tensor counted_targets(const Config& config, const Tensor& targets);

/// What `fit` gets for this configuration: loss, optimizer, schedule, metrics. Throws ArgumentError for a
/// loss or a metric that does not fit the data.
CHAINRULE_API Options build_options(const Config& config, const PreparedData& data);

struct RunOptions {
  std::string folder;   ///< empty: runs/<name>
  std::string command;  ///< how the run was started, for its record
  Callbacks callbacks;
  /// Called before the first step, with what was loaded, built and found.
  std::function<void(const PreparedData& data, nn::Module& model, const std::vector<Finding>& findings)>
      preflight;
  std::stop_token stop;
  bool resume = false;                ///< go on from the folder's checkpoint; without one, a StateError
  bool ignore_failed_checks = false;  ///< train although a finding of the preflight says that it can't work
};

struct RunResult {
  Run run;
  std::vector<Finding> preflight;
  /// Read once, at the end; empty after a divergence or a stop. Targets as counted_targets has them.
  Evaluation test;
  double standard_error = unknown;  ///< of the accuracy, where there is one: accuracy_error
};

/// Trains what a configuration describes: loads the data, looks at it, trains, evaluates once on the test
/// part, and writes the run's folder: config.toml, data.json, run.json, preflight.json, model.json (the table
/// of its layers), metrics.jsonl, model.safetensors, checkpoint/, evaluation.json, and planes.json (what the
/// model made of the plane at up to 12 moments) where the inputs are points of the plane. What an earlier run
/// left in the folder is removed before the first step, unless this one resumes it. Throws StateError for a
/// finding that says that training can't work.
CHAINRULE_API RunResult run(const Config& config, const RunOptions& options = {});

}  // namespace chainrule::train
