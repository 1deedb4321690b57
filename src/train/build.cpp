// From a configuration to loss, optimizer, schedule and all else that a training needs.

#include "train/build.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

#include "train/options.hpp"

namespace chainrule::train {
namespace {

// ---- losses ----

/// What a loss compares predictions with.
enum class Fits : std::uint8_t { classes, two_classes, values, two_classes_or_values };

struct LossEntry {
  const char* name;
  Fits fits;
  Loss (*build)(const TrainingConfig& config);
};

Tensor weights_of(const TrainingConfig& c) {
  if (c.class_weights.empty()) return {};
  return Tensor::from(c.class_weights, {static_cast<std::int64_t>(c.class_weights.size())})
      .astype(DType::float32)
      .eval();
}

Loss build_cross_entropy(const TrainingConfig& c) {
  const nn::CrossEntropyOptions options{
      .label_smoothing = c.label_smoothing, .weight = weights_of(c), .ignore_index = c.ignore_index};
  return [options](const Tensor& z, const Tensor& t) { return nn::cross_entropy(z, t, options); };
}
Loss build_nll(const TrainingConfig& c) {
  const nn::NllOptions options{.weight = weights_of(c), .ignore_index = c.ignore_index};
  return [options](const Tensor& l, const Tensor& t) { return nn::nll_loss(l, t, options); };
}

/// Class indices 0 and 1 as the numbers `low` and 1, in the shape of one output; values as they are.
Tensor binary_target(const Tensor& prediction, const Tensor& target, double low) {
  if (is_floating(target.dtype())) return target;
  const Tensor ones = target.astype(prediction.dtype());
  return reshape(low == 0 ? ones : ones * (1 - low) + low, prediction.shape());
}

constexpr LossEntry losses[] = {
    {"cross_entropy", Fits::classes, build_cross_entropy},
    {"nll", Fits::classes, build_nll},
    {"bce_with_logits", Fits::two_classes_or_values,
     [](const TrainingConfig&) -> Loss {
       return [](const Tensor& z, const Tensor& t) {
         return nn::binary_cross_entropy_with_logits(z, binary_target(z, t, 0));
       };
     }},
    {"hinge", Fits::two_classes,
     [](const TrainingConfig&) -> Loss {
       return [](const Tensor& y, const Tensor& t) { return nn::hinge_loss(y, binary_target(y, t, -1)); };
     }},
    {"soft_margin", Fits::two_classes,
     [](const TrainingConfig&) -> Loss {
       return
           [](const Tensor& y, const Tensor& t) { return nn::soft_margin_loss(y, binary_target(y, t, -1)); };
     }},
    {"mse", Fits::values, [](const TrainingConfig&) -> Loss { return nn::mse_loss; }},
    {"mae", Fits::values, [](const TrainingConfig&) -> Loss { return nn::l1_loss; }},
    {"huber", Fits::values,
     [](const TrainingConfig& c) -> Loss {
       return [delta = c.delta](const Tensor& y, const Tensor& t) {
         return nn::huber_loss(y, t, {.delta = delta});
       };
     }},
    {"smooth_l1", Fits::values,
     [](const TrainingConfig& c) -> Loss {
       return [beta = c.beta](const Tensor& y, const Tensor& t) {
         return nn::smooth_l1_loss(y, t, {.beta = beta});
       };
     }},
    {"kl", Fits::values, [](const TrainingConfig&) -> Loss { return nn::kl_div; }},
};

bool fits(const LossEntry& entry, const data::Dataset& dataset) {
  const bool classes = dataset.task == data::Task::classification;
  const bool two = classes && dataset.classes() == 2;
  switch (entry.fits) {
    case Fits::classes:
      return classes;
    case Fits::two_classes:
      return two;
    case Fits::values:
      return !classes;
    case Fits::two_classes_or_values:
      return two || !classes;
  }
  return false;
}

void check_classes(const Config& config, const data::Dataset& dataset) {
  const TrainingConfig& c = config.training;
  if (c.class_weights.empty() || c.class_weights.size() == dataset.class_names.size()) return;
  throw ArgumentError({.function = "train::build_options",
                       .argument = "training.class_weights",
                       .problem = "each class needs a weight",
                       .got = std::to_string(c.class_weights.size()) + " weights",
                       .wanted = std::to_string(dataset.classes())});
}

std::string full_name(const std::string& loss, const TrainingConfig& c) {
  return fmt::format(
      "{}, label_smoothing = {}, class_weights = [{}], ignore_index = {}, delta = {}, beta = {}", loss,
      c.label_smoothing, fmt::join(c.class_weights, ", "), c.ignore_index, c.delta, c.beta);
}

// ---- optimizers ----

/// What is absent keeps the optimizer's own default.
template <typename Options>
void set_common(Options& o, const OptimizerConfig& c) {
  o.lr = c.lr.value_or(o.lr);
  o.weight_decay = c.weight_decay.value_or(o.weight_decay);
  o.maximize = c.maximize;
  o.groups = c.groups;
}

template <typename Options>
void set_adam(Options& o, const OptimizerConfig& c) {
  set_common(o, c);
  o.beta1 = c.beta1;
  o.beta2 = c.beta2;
  o.eps = c.eps;
  o.amsgrad = c.amsgrad;
}

struct OptimizerEntry {
  const char* name;
  optim::Optimizer (*build)(const OptimizerConfig& c);
};

constexpr OptimizerEntry optimizers[] = {
    {"AdamW",
     [](const OptimizerConfig& c) -> optim::Optimizer {
       optim::AdamWOptions options;
       set_adam(options, c);
       return optim::AdamW(options);
     }},
    {"Adam",
     [](const OptimizerConfig& c) -> optim::Optimizer {
       optim::AdamOptions options;
       set_adam(options, c);
       return optim::Adam(options);
     }},
    {"SGD",
     [](const OptimizerConfig& c) -> optim::Optimizer {
       optim::SGDOptions options{.momentum = c.momentum, .dampening = c.dampening, .nesterov = c.nesterov};
       set_common(options, c);
       return optim::SGD(options);
     }},
    {"RMSProp",
     [](const OptimizerConfig& c) -> optim::Optimizer {
       optim::RMSPropOptions options{
           .alpha = c.alpha, .eps = c.eps, .momentum = c.momentum, .centered = c.centered};
       set_common(options, c);
       return optim::RMSProp(options);
     }},
    {"GradientDescent",
     [](const OptimizerConfig& c) -> optim::Optimizer {
       optim::GradientDescentOptions options;
       options.lr = c.lr.value_or(options.lr);
       return optim::GradientDescent(options);
     }},
};

// ---- metrics ----

/// Whether the loss leaves out a class that the data have.
bool leaves_a_class_out(const Config& config) {
  const bool can = config.loss == "auto" || config.loss == "cross_entropy" || config.loss == "nll";
  return can && config.training.ignore_index != nn::ignored_class;
}

bool is_of_values(const std::string& metric) { return metric == "r2" || metric == "mae" || metric == "mse"; }

/// The metrics asked for, computed in the targets' own units.
std::vector<Metric> build_metrics(const Config& config, const PreparedData& data) {
  const bool classes = data.training.task == data::Task::classification;
  Names names = config.training.metrics;
  if (names.empty()) names = {classes ? "accuracy" : "r2"};
  std::vector<Metric> metrics;
  for (const std::string& name : names) {
    if (is_of_values(name) == classes) {
      throw ArgumentError({.function = "train::build_options",
                           .argument = "training.metrics",
                           .problem = classes ? "this metric is one of values, and the data have classes"
                                              : "this metric is one of classes, and the data have values",
                           .got = quote(name),
                           .wanted = classes ? "accuracy, f1, …" : "r2, mae, mse"});
    }
    Metric one = metric(name);
    if (classes && leaves_a_class_out(config)) {
      one.compute = [compute = one.compute, config](const Tensor& prediction, const Tensor& target) {
        return compute(prediction, counted_targets(config, target));
      };
    }
    if (data.format.target_scaling) {
      one.compute = [compute = one.compute, scaling = data.format.target_scaling](const Tensor& prediction,
                                                                                  const Tensor& target) {
        return compute(unscaled(prediction, scaling), unscaled(target, scaling));
      };
    }
    metrics.push_back(std::move(one));
  }
  const std::string& monitor = config.training.monitor;
  if (monitor != "loss" && std::find(names.begin(), names.end(), monitor) == names.end()) {
    names.insert(names.begin(), "loss");
    throw ArgumentError({.function = "train::build_options",
                         .argument = "training.monitor",
                         .problem = "this metric is not computed",
                         .got = quote(monitor),
                         .wanted = "loss, or one of training.metrics",
                         .hint = suggest(monitor, names)});
  }
  return metrics;
}

}  // namespace

const Names& precision_names() {
  static const Names names{"float32", "bfloat16", "float64"};
  return names;
}

DTypePolicy dtypes_of(const std::string& precision) {
  if (precision == "float32") return {};
  if (precision == "bfloat16") return {.compute = DType::bfloat16};
  if (precision == "float64") return {.parameters = DType::float64, .reductions = DType::float64};
  throw ArgumentError({.function = "train::dtypes_of",
                       .argument = "precision",
                       .problem = "there is no such precision",
                       .got = quote(precision),
                       .hint = suggest(precision, precision_names())});
}

const Names& loss_names() {
  static const Names names = [] {
    Names result{"auto"};
    for (const LossEntry& entry : losses) result.emplace_back(entry.name);
    return result;
  }();
  return names;
}

bool is_binary(const std::string& loss) {
  return std::any_of(std::begin(losses), std::end(losses), [&](const LossEntry& entry) {
    return loss == entry.name &&
           (entry.fits == Fits::two_classes || entry.fits == Fits::two_classes_or_values);
  });
}

Loss build_loss(const Config& config, const data::Dataset& dataset) {
  const bool classes = dataset.task == data::Task::classification;
  const std::string name = config.loss == "auto" ? (classes ? "cross_entropy" : "mse") : config.loss;
  check_classes(config, dataset);
  std::string wanted;
  for (const LossEntry& entry : losses) {
    if (!fits(entry, dataset)) continue;
    if (name == entry.name) return NamedLoss{full_name(name, config.training), entry.build(config.training)};
    wanted += (wanted.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw ArgumentError({.function = "train::build_options",
                       .argument = "loss",
                       .problem = "this loss does not fit the targets",
                       .got = name + (classes ? ", " + std::to_string(dataset.classes()) + " classes"
                                              : std::string(", values")),
                       .wanted = wanted});
}

const Names& optimizer_names() {
  static const Names names = [] {
    Names result;
    for (const OptimizerEntry& entry : optimizers) result.emplace_back(entry.name);
    return result;
  }();
  return names;
}

Names optimizer_options(const std::string& name) {
  Names names;
  for (const OptimizerEntry& entry : optimizers) {
    if (name != entry.name) continue;
    const optim::Optimizer optimizer = entry.build({});
    for (const auto& [option, value] : nn::describe(optimizer).options) names.push_back(option);
  }
  return names;
}

optim::Optimizer build_optimizer(const OptimizerConfig& c) {
  for (const OptimizerEntry& entry : optimizers) {
    if (c.name == entry.name) return entry.build(c);
  }
  throw ArgumentError({.function = "train::build_options",
                       .argument = "optimizer.name",
                       .problem = "there is no such optimizer",
                       .got = quote(c.name),
                       .hint = suggest(c.name, optimizer_names())});
}

Schedule build_schedule(const Config& config, std::int64_t steps_per_epoch) {
  const ScheduleConfig& c = config.schedule;
  const std::int64_t steps = config.training.epochs * steps_per_epoch;
  if (c.name == "one_cycle") {
    if (steps < 2) {
      throw ArgumentError({.function = "train::build_options",
                           .argument = "schedule.name",
                           .problem = "a cycle needs two steps, up and down",
                           .got = "one_cycle over 1 step",
                           .wanted = "more epochs, or a smaller batch_size"});
    }
    return optim::OneCycle({.steps = steps, .warmup_share = c.warmup_share});
  }
  const double warmup_steps = std::round(c.warmup_epochs * static_cast<double>(steps_per_epoch));
  const auto warmup = static_cast<std::int64_t>(std::min(warmup_steps, static_cast<double>(steps)));
  const std::int64_t rest = std::max<std::int64_t>(1, steps - warmup);
  Schedule schedule = optim::Constant{};
  if (c.name == "cosine") schedule = optim::Cosine({.steps = rest});
  if (c.name == "linear") schedule = optim::LinearRamp({.steps = rest});
  if (c.name == "step")
    schedule = optim::StepDecay({.size = c.step_epochs * steps_per_epoch,
                                 .gamma = c.gamma.value_or(optim::StepDecayOptions{}.gamma)});
  if (c.name == "exponential")
    schedule =
        optim::Exponential({.gamma = std::pow(c.gamma.value(), 1.0 / static_cast<double>(steps_per_epoch))});
  if (warmup > 0) schedule = optim::Warmup({.steps = warmup, .then = std::move(schedule)});
  return schedule;
}

Tensor counted_targets(const Config& config, const Tensor& targets) {
  if (!leaves_a_class_out(config) || is_floating(targets.dtype())) return targets;
  return where(equal(targets, config.training.ignore_index), nn::ignored_class, targets);
}

std::optional<optim::ReduceOnPlateau> build_plateau(const Config& config) {
  const ScheduleConfig& c = config.schedule;
  if (c.name != "reduce_on_plateau") return std::nullopt;
  const std::string& monitor = config.training.monitor;
  return optim::ReduceOnPlateau({.factor = c.gamma.value_or(optim::ReduceOnPlateauOptions{}.factor),
                                 .patience = c.patience,
                                 .maximize = monitor != "loss" && metric(monitor).higher_is_better});
}

Options build_options(const Config& config, const PreparedData& data) {
  check_config(config);
  const TrainingConfig& c = config.training;
  Options result;
  result.loss = build_loss(config, data.training);
  result.optimizer = build_optimizer(config.optimizer);
  result.epochs = c.epochs;
  result.batch_size = c.batch_size;
  result.validation = data.validation;
  result.metrics = build_metrics(config, data);
  result.monitor = c.monitor;
  result.keep_best = c.keep_best;
  result.early_stopping = {c.patience, c.min_delta};
  const std::int64_t batch_size = effective_batch_size(result, data.training);
  const std::int64_t n = data.training.size();
  result.schedule = build_schedule(
      config, c.drop_last ? std::max<std::int64_t>(1, n / batch_size) : (n - 1) / batch_size + 1);
  result.plateau = build_plateau(config);
  result.clip_norm = c.clip_norm;
  result.clip_value = c.clip_value;
  result.l1 = c.l1;
  result.l2 = c.l2;
  result.penalties = c.penalties;
  result.seed = config.seed;
  result.drop_last = c.drop_last;
  result.dtypes = dtypes_of(c.precision);
  result.probe_every = c.probe_every;
  result.checkpoint_every = c.checkpoint_every;
  result.checkpoint_steps = c.checkpoint_steps;
  return result;
}

}  // namespace chainrule::train
