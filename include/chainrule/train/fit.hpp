#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <chainrule/context.hpp>
#include <chainrule/data.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/train/metrics.hpp>

/// Training: one call from a model and a data set to a trained model and the record of how it went.
namespace chainrule::train {

/// A number that is not known.
inline constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

/// The mean loss of a batch, a scalar: nn::cross_entropy, nn::mse_loss, or a function of one's own.
using Loss = std::function<Tensor(const Tensor& prediction, const Tensor& target)>;
/// What the optimizer's learning rate is multiplied by in step 0, 1, ….
using Schedule = optim::Schedule;

/// One epoch. `loss` is the mean over the examples as they were trained on, dropout and all: of the batches'
/// losses, each by its number of examples.
struct EpochRecord {
  std::int64_t epoch = 0;  ///< counted from 1
  double loss = unknown;
  double validation_loss = unknown;
  std::map<std::string, double> metrics;  ///< over the same predictions as `loss`
  std::map<std::string, double> validation_metrics;
  double learning_rate = unknown;  ///< of the last step
  double seconds = 0;
  double examples_per_second = 0;
};

/// What one parameter did in one step.
struct ProbeRecord {
  std::int64_t step = 0;
  std::string parameter;      ///< its path: `0.weight`
  double gradient_norm = 0;   ///< ‖∂L/∂w‖₂
  double update_norm = 0;     ///< ‖Δw‖₂
  double parameter_norm = 0;  ///< ‖w‖₂ before the step
};

/// How much gradient the units of an elementwise layer, such as an activation, passed on in one step.
struct ActivationRecord {
  std::int64_t step = 0;
  std::string layer;  ///< its path: `1`
  /// The share of units that passed on less than 1 % of the gradient that reached them, over the batch: dead
  /// units of relu, saturated ones of sigmoid and tanh. Units that no gradient reached do not count.
  double inactive_share = 0;
};

struct StepRecord {
  std::int64_t step = 0;  ///< counted from 1
  double loss = unknown;
};

/// Passed to `Callbacks::step` after each step.
struct StepEvent {
  std::int64_t step = 0, steps = 0;     ///< of the whole run, `step` counted from 1
  std::int64_t epoch = 0, epochs = 0;   ///< `epoch` counted from 1
  std::int64_t batch = 0, batches = 0;  ///< of this epoch, `batch` counted from 1
  double loss = unknown;                ///< of this batch
  double mean_loss = unknown;           ///< of the epoch so far
  double learning_rate = unknown;
  double examples_per_second = 0;  ///< of the epoch so far
};

/// Called on the thread that trains. None is needed, and nothing is printed without one.
struct Callbacks {
  std::function<void(const StepEvent& event)> step;
  std::function<void(const EpochRecord& record, const nn::Module& model)> epoch;
};

struct EarlyStopping {
  std::int64_t patience = 5;  ///< epochs without an improvement before the run ends; 0: never
  double min_delta = 0;       ///< what counts as an improvement
};

/// Penalties of their own for the parameters whose path matches `pattern` (* stands for any characters):
/// they take the place of `Options::l1` and `Options::l2`. The first group that matches counts.
struct PenaltyGroup {
  std::string pattern;
  double l1 = 0;
  double l2 = 0;
};

struct Options {
  Loss loss;  ///< absent: cross entropy for classes, mean squared error for values
  optim::Optimizer optimizer = optim::Adam();
  std::int64_t epochs = 10;
  /// The last batch of an epoch may be smaller. 0: all examples, as optim::GradientDescent always takes them.
  std::int64_t batch_size = 128;
  std::optional<data::Dataset> validation;  ///< never trained on; decides which epoch was the best
  std::vector<Metric> metrics;              ///< absent: accuracy for classes, R² for values
  std::string monitor = "loss";             ///< what the best epoch is the best in: "loss" or a metric's name
  bool keep_best = true;                    ///< ends with the best epoch's weights, where there is validation
  EarlyStopping early_stopping = {.patience = 0};
  Schedule schedule;
  /// Multiplies the rate too. Observes the monitored value after each epoch: of the validation set where
  /// there is one, else of the training.
  std::optional<optim::ReduceOnPlateau> plateau;
  double clip_norm = 0;   ///< the gradient's greatest norm over all parameters; 0: unlimited
  double clip_value = 0;  ///< the greatest size of a gradient's element, cut before the norm; 0: unlimited
  double l1 = 0;          ///< adds l1 · Σ|w| over the weights (parameters of rank 2 and more)
  double l2 = 0;          ///< adds l2 / 2 · Σw² over the same (nn::l2_penalty: Σw², biases included)
  std::vector<PenaltyGroup> penalties;
  std::uint64_t seed = 0;  ///< of the order of examples and of dropout
  bool drop_last = false;
  /// In which dtypes the layers compute; absent: as the context says. Parameters have theirs by now, and
  /// losses and predictions are in its `reductions`.
  std::optional<DTypePolicy> dtypes;
  /// Steps between two looks at each parameter's gradient and each activation's units, which come closer in
  /// the beginning (steps 1, 2, 4, 8, …); 0: never.
  std::int64_t probe_every = 0;
  /// Diverged: the mean loss of 5 steps is above the lowest one by more than this many times the largest of:
  /// the first loss, the lowest one, the loss of predicting zero, 1 (all in size).
  double divergence_factor = 50;
  Callbacks callbacks;
  std::stop_token stop;               ///< ends the run after the current step, with everything saved
  std::string run;                    ///< a folder to write the run to; empty: nothing is written
  std::string command;                ///< how the run was started, for its record
  std::int64_t checkpoint_every = 1;  ///< epochs
  std::int64_t checkpoint_steps = 0;  ///< steps; 0: only with epochs
  /// Continues from the folder's checkpoint, where there is one. Its options must be these: only `epochs`,
  /// `early_stopping.patience`, and what is recorded or called may differ.
  bool resume = false;
};

enum class Outcome : std::uint8_t {
  finished,       ///< all epochs
  stopped_early,  ///< no improvement for `patience` epochs
  stopped,        ///< through the stop token
  diverged        ///< a number that is not finite, or a loss out of bounds
};
/// "finished", "stopped early", "stopped", "diverged".
CHAINRULE_API std::string to_string(Outcome outcome);

/// How a training went.
struct Run {
  Outcome outcome = Outcome::finished;
  std::vector<EpochRecord> epochs;
  std::optional<std::size_t> best_epoch;  ///< index into `epochs`
  std::vector<StepRecord> steps;          ///< about a thousand, evenly spaced
  std::vector<ProbeRecord> probes;
  std::vector<ActivationRecord> activations;  ///< of the same steps as `probes`
  std::int64_t step_count = 0;
  double seconds = 0;   ///< of training, validation included
  std::string verdict;  ///< after a divergence: what happened, which inequality, what to try
  std::string folder;
};

/// What a run left in its folder (run.json, metrics.jsonl). `seconds` of a run that was killed covers what
/// its last checkpoint knew. Throws IoError where run.json is missing or a file is damaged.
CHAINRULE_API Run load_run(const std::string& folder);

/// What a model makes of a data set.
struct Evaluation {
  double loss = unknown;  ///< of the batches' losses the mean, each by its number of examples
  std::map<std::string, double> metrics;
  Tensor predictions;  ///< [n, outputs]
  Tensor targets;      ///< as in the data set
};

struct EvaluateOptions {
  Loss loss;                    ///< absent: cross_entropy or mse_loss, as the data's task says
  std::vector<Metric> metrics;  ///< empty: accuracy or r2
  std::int64_t batch_size = 512;
  std::optional<DTypePolicy> dtypes;  ///< as in Options
  std::stop_token stop;  ///< ends the look; what comes back is then empty: no metrics, a loss of NaN
};

namespace detail {

/// A model of the caller's, by reference; a copy has a model of its own.
template <nn::Callable M>
class Borrowed {
 public:
  explicit Borrowed(M& model) : model_(&model) {}
  Borrowed(const Borrowed& other) : owned_(std::make_unique<M>(*other.model_)), model_(owned_.get()) {}
  Borrowed(Borrowed&&) noexcept = default;
  Borrowed& operator=(const Borrowed&) = delete;
  ~Borrowed() = default;
  Tensor operator()(const Tensor& x) const { return (*model_)(x); }
  void visit(Visitor& v) { v.visit_part(*model_); }

 private:
  std::unique_ptr<M> owned_;
  M* model_;
};

CHAINRULE_API Run fit(nn::Module& model, const data::Dataset& dataset, const Options& options);
CHAINRULE_API Evaluation evaluate(nn::Module& model, const data::Dataset& dataset,
                                  const EvaluateOptions& options);

}  // namespace detail

/// Trains `model` on a data set.
///
///     auto run = train::fit(model, data, {.loss = nn::cross_entropy, .optimizer = optim::Adam({.lr = 1e-3}),
///                                         .epochs = 5, .batch_size = 128});
///
/// The same model, data, options, Context, binary and instruction set give the same bits, on any number of
/// threads, also when the run was killed and resumed in between. A run that diverges returns
/// `Outcome::diverged` with a verdict; the model is then as it was before the step that failed. Throws
/// ShapeError, DTypeError and ArgumentError for parts that do not fit, IoError where the folder can't be
/// written or its checkpoint is damaged or of another model, StateError where the checkpoint belongs to a run
/// with other data or options.
template <nn::Callable M>
Run fit(M& model, const data::Dataset& dataset, const Options& options = {}) {
  nn::Module handle{detail::Borrowed<M>(model)};
  return detail::fit(handle, dataset, options);
}

/// Loss, metrics and predictions, with dropout off.
template <nn::Callable M>
Evaluation evaluate(M& model, const data::Dataset& dataset, const EvaluateOptions& options = {}) {
  nn::Module handle{detail::Borrowed<M>(model)};
  return detail::evaluate(handle, dataset, options);
}

}  // namespace chainrule::train
