// From a configuration to data, model, loss, optimizer and schedule.

#include "train/build.hpp"

#include <cmath>
#include <filesystem>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>

#include "train/options.hpp"

namespace chainrule::train {
namespace {

[[noreturn]] void refuse_layer(std::size_t index, const LayerConfig& layer, std::string problem,
                               std::string wanted) {
  throw ArgumentError({.function = "train::build_model",
                       .argument = "layer[" + std::to_string(index) + "]",
                       .problem = std::move(problem),
                       .got = layer.type,
                       .wanted = std::move(wanted)});
}

data::Dataset load_source(const Config& config, data::Part part) {
  const DataConfig& c = config.data;
  if (c.source == "fashion-mnist") return data::fashion_mnist({.directory = c.directory, .part = part});
  if (c.source.ends_with(".csv")) {
    return data::csv(c.source, {.target = c.target,
                                .drop = c.drop,
                                .categorical = c.categorical == "index" ? data::Categorical::index
                                                                        : data::Categorical::one_hot,
                                .missing = c.missing == "mean" ? data::Missing::keep : data::Missing::error});
  }
  if (c.source.ends_with(".npz")) return data::npz(c.source);
  return data::toy(c.source, {.examples = c.examples, .noise = c.noise, .seed = config.seed});
}

std::optional<data::Scaling> scaling_for(const std::string& kind, const data::Dataset& training) {
  if (kind == "none") return std::nullopt;
  if (kind == "unit") return data::Scaling::bytes_to_unit();
  if (kind == "standardize") return data::Scaling::standardize(training);
  return training.features.dtype() == DType::uint8 ? data::Scaling::bytes_to_unit()
                                                   : data::Scaling::standardize(training);
}

nn::Module build_layer(const LayerConfig& layer, std::size_t index, Shape& shape, std::int64_t outputs) {
  const auto one_axis = [&] {
    if (shape.size() != 1)
      refuse_layer(index, layer, "this layer takes examples of one axis, not " + to_string(shape),
                   "a Flatten before it");
    return shape[0];
  };
  if (layer.type == "Flatten") {
    shape = {element_count(shape)};
    return nn::Flatten();
  }
  if (layer.type == "Linear") {
    const std::int64_t in = one_axis();
    shape = {layer.units > 0 ? layer.units : outputs};
    return nn::Linear(in, shape[0], {.bias = layer.bias});
  }
  if (layer.type == "Dropout") return nn::Dropout(layer.p);
  if (layer.type == "BatchNorm") return nn::BatchNorm(one_axis());
  if (layer.type == "LayerNorm") return nn::LayerNorm(one_axis());
  return build_activation(layer.type);
}

}  // namespace

nn::Module build_activation(const std::string& type) {
  if (type == "LeakyReLU") return nn::LeakyReLU();
  if (type == "ELU") return nn::ELU();
  if (type == "GELU") return nn::GELU();
  if (type == "Softplus") return nn::Softplus();
  return nn::Registry::standard().build({.type = type});
}

PreparedData load_data(const Config& config) {
  const DataConfig& c = config.data;
  PreparedData result;
  data::Dataset all = load_source(config, data::Part::train);
  if (c.source == "fashion-mnist") {
    result.test = load_source(config, data::Part::test);
  } else {
    data::Split split = data::stratified_split(all, c.test_split, config.seed + 1);
    all = std::move(split.first);
    result.test = std::move(split.second);
  }
  if (c.validation_split > 0) {
    data::Split split = data::stratified_split(all, c.validation_split, config.seed + 2);
    all = std::move(split.first);
    result.validation = std::move(split.second);
  }
  result.training = std::move(all);
  result.training.scaling = scaling_for(c.scaling, result.training);
  result.test.scaling = result.training.scaling;
  if (result.validation) result.validation->scaling = result.training.scaling;
  return result;
}

nn::Module build_model(const Config& config, const data::Dataset& dataset) {
  const Context scope({.seed = config.seed});
  Shape shape = dataset.example_shape();
  const bool classes = dataset.task == data::Task::classification;
  const std::int64_t outputs = classes                      ? dataset.classes()
                               : dataset.targets.rank() > 1 ? dataset.targets.size(1)
                                                            : 1;
  nn::Sequential model;
  for (std::size_t i = 0; i < config.layers.size(); ++i)
    model.add(build_layer(config.layers[i], i, shape, outputs));
  if (shape != Shape{outputs}) {
    throw ArgumentError({.function = "train::build_model",
                         .argument = "layer",
                         .problem = "the last layer's outputs do not fit the targets",
                         .got = to_string(shape),
                         .wanted = to_string(Shape{outputs}),
                         .hint = "leave out the last Linear's units"});
  }
  return model;
}

Loss build_loss(const Config& config, data::Task task) {
  const bool classes = task == data::Task::classification;
  const std::string name = config.loss == "auto" ? (classes ? "cross_entropy" : "mse") : config.loss;
  if ((name == "cross_entropy") != classes) {
    throw ArgumentError({.function = "train::run",
                         .argument = "loss",
                         .problem = "this loss does not fit the targets",
                         .got = name,
                         .wanted = classes ? "cross_entropy, for classes" : "mse, mae or huber, for values"});
  }
  if (name == "mse") return nn::mse_loss;
  if (name == "mae") return nn::l1_loss;
  if (name == "huber") return nn::huber_loss;
  return SmoothedCrossEntropy{config.training.label_smoothing};
}

optim::Optimizer build_optimizer(const OptimizerConfig& c) {
  if (c.name == "SGD")
    return optim::SGD(
        {.lr = c.lr, .momentum = c.momentum, .weight_decay = c.weight_decay, .nesterov = c.nesterov});
  if (c.name == "GradientDescent") return optim::GradientDescent({.lr = c.lr});
  if (c.name == "RMSProp")
    return optim::RMSProp({.lr = c.lr, .weight_decay = c.weight_decay, .momentum = c.momentum});
  if (c.name == "Adam")
    return optim::Adam({.lr = c.lr, .beta1 = c.beta1, .beta2 = c.beta2, .weight_decay = c.weight_decay});
  return optim::AdamW({.lr = c.lr, .beta1 = c.beta1, .beta2 = c.beta2, .weight_decay = c.weight_decay});
}

Schedule build_schedule(const Config& config, std::int64_t steps_per_epoch) {
  const ScheduleConfig& c = config.schedule;
  const std::int64_t steps = config.training.epochs * steps_per_epoch;
  if (c.name == "one_cycle") return optim::OneCycle({.steps = steps, .warmup_share = c.warmup_share});
  const auto warmup =
      static_cast<std::int64_t>(std::llround(c.warmup_epochs * static_cast<double>(steps_per_epoch)));
  const std::int64_t rest = std::max<std::int64_t>(1, steps - warmup);
  Schedule schedule = optim::Constant{};
  if (c.name == "cosine") schedule = optim::Cosine({.steps = rest});
  if (c.name == "linear") schedule = optim::LinearRamp({.steps = rest});
  if (c.name == "step")
    schedule = optim::StepDecay({.size = c.step_epochs * steps_per_epoch, .gamma = c.gamma});
  if (c.name == "exponential")
    schedule = optim::Exponential({.gamma = std::pow(c.gamma, 1.0 / static_cast<double>(steps_per_epoch))});
  if (warmup > 0) schedule = optim::Warmup({.steps = warmup, .then = std::move(schedule)});
  return schedule;
}

std::optional<optim::ReduceOnPlateau> build_plateau(const Config& config) {
  const ScheduleConfig& c = config.schedule;
  if (c.name != "reduce_on_plateau") return std::nullopt;
  const std::string& monitor = config.training.monitor;
  return optim::ReduceOnPlateau({.factor = c.gamma,
                                 .patience = c.patience,
                                 .maximize = monitor != "loss" && metric(monitor).higher_is_better});
}

}  // namespace chainrule::train
