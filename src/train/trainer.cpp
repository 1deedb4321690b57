// The training loop.

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <filesystem>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>
#include <chainrule/transforms.hpp>

#include "train/options.hpp"
#include "train/state.hpp"
#include "train/verdict.hpp"

namespace chainrule::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kept_steps = 1000;
constexpr std::size_t divergence_window = 5;
/// Of the gradient that reaches a unit: one that passes on less is inactive. A unit of sigmoid passes on at
/// most 1/4, and 1/100 where |x| is 4.6.
constexpr double least_transmission = 0.01;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Each step has a random stream of its own, so that a resumed run needs to know no more than the step's
/// number.
std::uint64_t stream_of(std::uint64_t seed, std::int64_t step) {
  return seed * 0x9e3779b97f4a7c15U + static_cast<std::uint64_t>(step) + 1;
}

class Trainer {
 public:
  Trainer(nn::Module& model, const data::Dataset& dataset, const Options& options);
  Run run();

 private:
  void begin();
  void train_epoch();
  void step(const data::Batch& batch);
  StepResult compute(const data::Batch& batch);
  void record_step(double loss);
  void record_zero_loss(const data::Batch& batch, const Tensor& prediction);
  void record_probes(const Tensor& numbers);
  void record_activations(const std::vector<Reading>& readings);
  void finish_epoch();
  void judge_epoch(const EpochRecord& record);
  double monitored(const EpochRecord& record) const;
  bool waited_enough() const;
  bool is_probing(std::int64_t step) const;
  void notice_divergence();
  void diverge(const std::string& what);
  void call_back(double loss);
  void pause_clock();
  void save();
  void finish();
  bool is_running() const {
    return state_.run.outcome == Outcome::finished && state_.position.epoch < options_.epochs;
  }
  std::int64_t batches() const { return loader_.batches(); }
  void snapshot();

  nn::Module& model_;
  const Options& options_;
  const std::int64_t batch_size_;
  optim::Optimizer optimizer_;
  Loss loss_;
  std::vector<Metric> metrics_;
  data::Loader loader_;
  std::optional<data::Loader> validation_;
  CompiledTrainStep step_;
  CompiledTrainStep probing_step_;
  CompiledLookStep look_;
  double base_rate_;
  std::vector<std::string> trainable_;
  std::map<std::string, std::string> layers_;  // paths by region
  std::vector<Tensor> snapshot_;               // the model at the epoch's start, for a verdict
  bool higher_is_better_ = false;
  Identity identity_;
  State state_;
  Clock::time_point epoch_start_ = Clock::now();
};

Trainer::Trainer(nn::Module& model, const data::Dataset& dataset, const Options& options)
    : model_(model),
      options_((check_options(options), options)),
      batch_size_(effective_batch_size(options, dataset)),
      optimizer_(options.optimizer),
      loss_(default_loss(options.loss, dataset.task)),
      metrics_(default_metrics(options.metrics, dataset.task)),
      loader_(dataset, {.batch_size = batch_size_,
                        .shuffle = true,
                        .seed = options.seed,
                        .drop_last = options.drop_last,
                        .dtype = model_dtype(model)}),
      step_(TrainStep(model_, optimizer_, loss_, regularization_of(options), false), model_, optimizer_),
      probing_step_(TrainStep(model_, optimizer_, loss_, regularization_of(options), true), model_,
                    optimizer_),
      look_(LookStep(model_, loss_), model_),
      base_rate_(optimizer_.learning_rate()) {
  identity_.seed = options.seed;
  identity_.batch_size = batch_size_;
  state_.plateau = options.plateau;
  if (options.validation) {
    validation_.emplace(*options.validation,
                        data::LoaderOptions{.batch_size = std::max<std::int64_t>(batch_size_, 512),
                                            .dtype = model_dtype(model)});
  }
  if (!options.run.empty()) {
    identity_.data_hash = dataset.hash();
    if (options.validation) identity_.validation_hash = options.validation->hash();
    identity_.options = options_json(options, loss_, model_);
    identity_.schedule = options.schedule;
  }
  for (const Leaf& leaf : leaves(model_)) {
    if (leaf.kind == LeafKind::parameter) trainable_.push_back(leaf.path);
  }
  layers_ = layer_paths(model_);
  if (options.monitor != "loss") {
    const auto found = std::find_if(metrics_.begin(), metrics_.end(),
                                    [&](const Metric& m) { return m.name == options.monitor; });
    if (found == metrics_.end()) {
      std::vector<std::string> names = {"loss"};
      for (const Metric& m : metrics_) names.push_back(m.name);
      throw ArgumentError({.function = "train::fit",
                           .argument = "monitor",
                           .problem = "this metric is not computed",
                           .got = quote(options.monitor),
                           .hint = suggest(options.monitor, names)});
    }
    higher_is_better_ = found->higher_is_better;
  }
  if (options.plateau && options.plateau->options().maximize != higher_is_better_) {
    throw ArgumentError({.function = "train::fit",
                         .argument = "plateau",
                         .problem = "the plateau looks the wrong way: " + options.monitor + " is to " +
                                    (higher_is_better_ ? "grow" : "fall"),
                         .got = higher_is_better_ ? "maximize = false" : "maximize = true",
                         .wanted = higher_is_better_ ? "maximize = true" : "maximize = false"});
  }
}

void Trainer::begin() {
  optimizer_.init(model_);
  if (options_.run.empty()) return;
  create_folder(options_.run);
  remove_unfinished_files(options_.run);
  if (options_.resume && has_checkpoint(options_.run))
    load_checkpoint(options_.run, identity_, model_, optimizer_, state_);
  // A run that had stopped early is over, unless it may now wait longer.
  if (waited_enough()) state_.run.outcome = Outcome::stopped_early;
  state_.run.folder = options_.run;
  state_.command = options_.command;
}

Run Trainer::run() {
  begin();
  while (is_running()) {
    train_epoch();
    if (state_.run.outcome == Outcome::finished) finish_epoch();
  }
  finish();
  return std::move(state_.run);
}

void Trainer::train_epoch() {
  epoch_start_ = Clock::now();
  snapshot();
  loader_.start(state_.position.epoch, state_.position.batch);
  while (auto batch = loader_.next()) {
    try {
      step(*batch);
    } catch (const NumericError& error) {
      diverge(first_non_finite_text(error));
    }
    if (state_.run.outcome != Outcome::finished) return;
    if (options_.checkpoint_steps > 0 && state_.position.step % options_.checkpoint_steps == 0) save();
    if (options_.stop.stop_requested()) {
      state_.run.outcome = Outcome::stopped;
      return;
    }
  }
}

StepResult Trainer::compute(const data::Batch& batch) {
  const std::int64_t step = state_.position.step;
  if (options_.schedule || state_.plateau) {
    const double planned = options_.schedule ? options_.schedule(step) : 1;
    optimizer_.set_learning_rate(base_rate_ * planned * (state_.plateau ? state_.plateau->multiplier() : 1));
  }
  const Context scope({.train = true, .seed = stream_of(options_.seed, step)});
  if (!is_probing(step + 1)) return step_(batch.features, batch.targets);
  static const std::vector<Probe> probes = {{"*", ProbeOf::transmission}};
  auto [result, readings] = probing_step_.probe(probes, batch.features, batch.targets);
  record_probes(result.probes);
  record_activations(readings);
  return result;
}

/// Most runs that diverge do so at once: the first steps are looked at closely.
bool Trainer::is_probing(std::int64_t step) const {
  if (options_.probe_every == 0) return false;
  const bool early = step < options_.probe_every && std::has_single_bit(static_cast<std::uint64_t>(step));
  return early || (step - 1) % options_.probe_every == 0;
}

void Trainer::step(const data::Batch& batch) {
  const StepResult result = compute(batch);
  if (state_.position.step == 0) record_zero_loss(batch, result.prediction);
  state_.collected.add(result.loss, result.prediction, batch.targets);
  ++state_.position.batch;
  state_.run.step_count = ++state_.position.step;
  const double loss = result.loss.item<double>();
  record_step(loss);
  call_back(loss);
  notice_divergence();
}

void Trainer::record_step(double loss) {
  if (std::isnan(state_.first_loss)) state_.first_loss = state_.lowest_loss = loss;
  state_.recent_losses.push_back(loss);
  if (state_.recent_losses.size() > divergence_window) state_.recent_losses.pop_front();
  const std::int64_t steps = options_.epochs * batches();
  const std::int64_t every = std::max<std::int64_t>(1, steps / static_cast<std::int64_t>(kept_steps));
  if (state_.position.step % every == 0 || state_.position.step == 1)
    state_.run.steps.push_back({state_.position.step, loss});
}

/// A scale for losses that does not depend on how good the model already is.
void Trainer::record_zero_loss(const data::Batch& batch, const Tensor& prediction) {
  const Context scope({.train = false, .seed = 0});
  state_.zero_loss = 0;
  try {
    const double loss = aligned_loss(loss_, zeros_like(prediction), batch.targets).item<double>();
    if (std::isfinite(loss)) state_.zero_loss = std::abs(loss);
  } catch (const Error&) {
    // A loss that does not take zeros: the other scales have to do.
  }
}

void Trainer::record_probes(const Tensor& numbers) {
  const std::vector<double> squares = numbers.to_vector<double>();
  for (std::size_t i = 0; i < trainable_.size() && 3 * i + 2 < squares.size(); ++i) {
    state_.run.probes.push_back({state_.position.step + 1, trainable_[i], std::sqrt(squares[3 * i]),
                                 std::sqrt(squares[3 * i + 1]), std::sqrt(squares[3 * i + 2])});
  }
}

void Trainer::record_activations(const std::vector<Reading>& readings) {
  for (const Reading& reading : readings) {
    const auto layer = layers_.find(reading.region);
    if (layer == layers_.end()) continue;
    double units = 0;
    double inactive = 0;
    for (const double transmission : reading.value.to_vector<double>()) {
      if (std::isnan(transmission)) continue;
      ++units;
      if (transmission < least_transmission) ++inactive;
    }
    if (units > 0)
      state_.run.activations.push_back({state_.position.step + 1, layer->second, inactive / units});
  }
}

void Trainer::call_back(double loss) {
  if (!options_.callbacks.step) return;
  const double seconds = seconds_since(epoch_start_);
  const Position& at = state_.position;
  options_.callbacks.step(
      {.step = at.step,
       .steps = options_.epochs * batches(),
       .epoch = at.epoch + 1,
       .epochs = options_.epochs,
       .batch = at.batch,
       .batches = batches(),
       .loss = loss,
       .mean_loss = state_.collected.mean_loss(),
       .learning_rate = optimizer_.learning_rate(),
       .examples_per_second = seconds > 0 ? static_cast<double>(state_.collected.examples()) / seconds : 0});
}

void Trainer::finish_epoch() {
  EpochRecord record;
  record.epoch = state_.position.epoch + 1;
  record.loss = state_.collected.mean_loss();
  record.metrics = state_.collected.compute(metrics_);
  record.learning_rate = optimizer_.learning_rate();
  const double training_seconds = state_.epoch_seconds + seconds_since(epoch_start_);
  record.examples_per_second = static_cast<double>(state_.collected.examples()) / training_seconds;
  if (validation_) {
    const std::optional<Collector> collected = look_at(look_, *validation_, options_.stop);
    if (!collected) {  // the epoch is not over: a resumed run goes on here
      state_.run.outcome = Outcome::stopped;
      return;
    }
    record.validation_loss = collected->mean_loss();
    record.validation_metrics = collected->compute(metrics_);
  }
  record.seconds = state_.epoch_seconds + seconds_since(epoch_start_);
  state_.run.seconds += record.seconds;
  state_.epoch_seconds = 0;
  state_.collected.clear();
  state_.position = {state_.position.epoch + 1, 0, state_.position.step};
  state_.run.epochs.push_back(record);
  judge_epoch(record);
  if (state_.plateau) state_.plateau->observe(monitored(record));
  if (options_.callbacks.epoch) options_.callbacks.epoch(record, model_);
  epoch_start_ = Clock::now();
  if (options_.checkpoint_every > 0 && state_.position.epoch % options_.checkpoint_every == 0) save();
}

double Trainer::monitored(const EpochRecord& record) const {
  if (options_.monitor == "loss") return validation_ ? record.validation_loss : record.loss;
  return (validation_ ? record.validation_metrics : record.metrics).at(options_.monitor);
}

bool Trainer::waited_enough() const {
  const std::int64_t patience = options_.early_stopping.patience;
  return patience > 0 && state_.epochs_without_improvement >= patience;
}

void Trainer::judge_epoch(const EpochRecord& record) {
  if (!validation_) return;
  const double value = monitored(record);
  const double gain = higher_is_better_ ? value - state_.best_value : state_.best_value - value;
  if (std::isnan(state_.best_value) || gain > options_.early_stopping.min_delta) {
    state_.best_value = value;
    state_.run.best_epoch = state_.run.epochs.size() - 1;
    state_.epochs_without_improvement = 0;
    if (options_.keep_best) state_.best = values_of_leaves(model_);
    return;
  }
  ++state_.epochs_without_improvement;
  if (waited_enough()) state_.run.outcome = Outcome::stopped_early;
}

void Trainer::snapshot() {
  if (stability_limit(options_)) snapshot_ = values_of_leaves(model_);
}

void Trainer::notice_divergence() {
  if (state_.recent_losses.size() < divergence_window) return;
  double mean = 0;
  for (const double loss : state_.recent_losses) mean += loss / static_cast<double>(divergence_window);
  const double scale =
      std::max({std::abs(state_.first_loss), std::abs(state_.lowest_loss), state_.zero_loss, 1.0});
  if (mean - state_.lowest_loss > options_.divergence_factor * scale) return diverge({});
  state_.lowest_loss = std::min(state_.lowest_loss, mean);
}

void Trainer::diverge(const std::string& what) {
  state_.run.outcome = Outcome::diverged;
  VerdictFacts facts;
  // A step that failed has not been counted.
  facts.step = state_.position.step + (what.empty() ? 0 : 1);
  facts.first_loss = state_.first_loss;
  facts.last_loss = state_.recent_losses.empty() ? unknown : state_.recent_losses.back();
  facts.numeric_error = what;
  facts.learning_rate = optimizer_.learning_rate();
  facts.limit = stability_limit(options_);
  facts.probes = state_.run.probes;
  facts.names = parameter_names(model_);
  if (!snapshot_.empty()) {
    const std::vector<Tensor> now = values_of_leaves(model_);
    chainrule::detail::assign_tensors(model_, snapshot_);
    const auto objective = [&](const nn::Module& model, const data::Batch& batch) {
      const Tensor loss = aligned_loss(loss_, model(batch.features), batch.targets);
      const Tensor extra = penalty(model, regularization_of(options_));
      return extra.defined() ? loss + extra : loss;
    };
    facts.largest_curvature = largest_curvature(model_, objective, loader_.dataset(), batch_size_);
    chainrule::detail::assign_tensors(model_, now);
  }
  state_.run.verdict = verdict_text(facts);
  state_.divergence = std::move(facts);
}

/// What has passed since the last look at the clock belongs to the epoch, where one has begun.
void Trainer::pause_clock() {
  state_.epoch_seconds += state_.position.batch > 0 ? seconds_since(epoch_start_) : 0;
  epoch_start_ = Clock::now();
}

void Trainer::save() {
  if (options_.run.empty()) return;
  pause_clock();
  save_checkpoint(options_.run, identity_, model_, optimizer_, state_);
  write_metrics(options_.run, state_.run);
}

void Trainer::finish() {
  Run& run = state_.run;
  pause_clock();
  if (run.outcome == Outcome::stopped) save();
  // After the checkpoint, which counts the seconds of an unfinished epoch on their own.
  if (run.outcome == Outcome::stopped || run.outcome == Outcome::diverged)
    run.seconds += state_.epoch_seconds;
  const bool completed = run.outcome == Outcome::finished || run.outcome == Outcome::stopped_early;
  if (completed && options_.keep_best && !state_.best.empty())
    chainrule::detail::assign_tensors(model_, state_.best);
  if (options_.run.empty()) return;
  write_metrics(options_.run, run);
  model_.save(options_.run + "/model.safetensors");
  write_run_record(options_.run, identity_, state_);
}

}  // namespace

std::string to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::finished:
      return "finished";
    case Outcome::stopped_early:
      return "stopped early";
    case Outcome::stopped:
      return "stopped";
    case Outcome::diverged:
      return "diverged";
  }
  return "unknown";
}

namespace detail {

Run fit(nn::Module& model, const data::Dataset& dataset, const Options& options) {
  const Context scope({.dtypes = options.dtypes});
  return Trainer(model, dataset, options).run();
}

}  // namespace detail
}  // namespace chainrule::train
