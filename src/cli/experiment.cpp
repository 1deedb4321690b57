#include "cli/experiment.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>

#include <chainrule/context.hpp>

#include "io/toml.hpp"
#include "tensor/text.hpp"

namespace chainrule::cli {
namespace {

// One list of keys for reading and writing: the two cannot differ.
template <typename Fields>
void visit_keys(Fields&& field, auto& e) {
  field("seed", e.seed);
  field("data.name", e.data);
  field("data.directory", e.directory);
  field("data.target", e.target);
  field("data.examples", e.examples);
  field("data.noise", e.noise);
  field("data.validation", e.validation);
  field("data.test", e.test);
  field("model.hidden", e.hidden);
  field("model.activation", e.activation);
  field("model.dropout", e.dropout);
  field("optimizer.name", e.optimizer);
  field("optimizer.lr", e.lr);
  field("optimizer.weight_decay", e.weight_decay);
  field("optimizer.momentum", e.momentum);
  field("optimizer.schedule", e.schedule);
  field("training.epochs", e.epochs);
  field("training.batch_size", e.batch_size);
  field("training.clip_norm", e.clip_norm);
  field("training.patience", e.patience);
}

[[noreturn]] void unknown_name(const char* argument, const std::string& name,
                               const std::vector<std::string>& known) {
  throw ArgumentError({.function = "train",
                       .argument = argument,
                       .problem = "no such name",
                       .got = quote(name),
                       .wanted = "one of " + std::to_string(known.size()),
                       .hint = suggest(name, known)});
}

bool is_file(const std::string& name) { return std::filesystem::path(name).has_extension(); }

data::Dataset load_whole(const Experiment& e) {
  if (is_file(e.data)) {
    const std::string extension = std::filesystem::path(e.data).extension();
    if (extension == ".csv") return data::csv(e.data, {.target = e.target});
    if (extension == ".npz") return data::npz(e.data);
    unknown_name("data.name", e.data, {"fashion-mnist", "FILE.csv", "FILE.npz"});
  }
  std::vector<std::string> known = data::toy_names();
  if (std::find(known.begin(), known.end(), e.data) == known.end()) {
    known.emplace_back("fashion-mnist");
    unknown_name("data.name", e.data, known);
  }
  return data::toy(e.data,
                   {.examples = e.examples, .noise = e.noise, .seed = static_cast<std::uint64_t>(e.seed)});
}

data::FashionMnistOptions fashion_options(const Experiment& e, data::Part part) {
  data::FashionMnistOptions options;
  if (!e.directory.empty()) options.directory = e.directory;
  options.part = part;
  return options;
}

nn::Module activation(const std::string& name) {
  if (name == "relu") return nn::ReLU();
  if (name == "tanh") return nn::Tanh();
  if (name == "sigmoid") return nn::Sigmoid();
  if (name == "gelu") return nn::GELU();
  if (name == "silu") return nn::SiLU();
  unknown_name("model.activation", name, {"relu", "tanh", "sigmoid", "gelu", "silu"});
}

}  // namespace

Experiment default_experiment(const std::string& data) {
  Experiment e;
  e.data = data;
  if (data == "fashion-mnist") {
    e.dropout = 0.2;
    e.epochs = 15;
    e.schedule = "cosine";
    return e;
  }
  // Small sets: a small model, small batches, more epochs.
  e.hidden = {32, 32};
  e.batch_size = 32;
  e.epochs = 60;
  e.lr = 1e-2;
  e.schedule = "cosine";
  return e;
}

Experiment read_experiment(const std::string& path) {
  io::TomlReader config(path);
  Experiment e = default_experiment(config.get<std::string>("data.name"));
  visit_keys(
      [&](const char* key, auto& value) { value = config.get<std::decay_t<decltype(value)>>(key, value); },
      e);
  config.finish();
  return e;
}

std::string to_toml(const Experiment& e) {
  io::TomlWriter writer;
  visit_keys([&](const char* key, const auto& value) { writer.set(key, value); }, e);
  return writer.text();
}

Parts load_parts(const Experiment& e) {
  const auto seed = static_cast<std::uint64_t>(e.seed);
  Parts parts;
  data::Dataset rest;
  if (e.data == "fashion-mnist") {
    rest = data::fashion_mnist(fashion_options(e, data::Part::train));
    parts.test = data::fashion_mnist(fashion_options(e, data::Part::test));
  } else {
    data::Split split = data::stratified_split(load_whole(e), e.test, seed);
    rest = std::move(split.first);
    parts.test = std::move(split.second);
  }
  data::Split split = data::stratified_split(rest, e.validation, seed + 1);
  parts.train = std::move(split.first);
  parts.validation = std::move(split.second);
  if (!parts.train.scaling) {
    const data::Scaling scaling = data::Scaling::standardize(parts.train);
    for (data::Dataset* part : {&parts.train, &parts.validation, &parts.test}) part->scaling = scaling;
  }
  return parts;
}

nn::Sequential make_model(const Experiment& e, const data::Dataset& train) {
  const Context scope({.seed = static_cast<std::uint64_t>(e.seed)});
  std::int64_t features = element_count(train.example_shape());
  nn::Sequential model;
  if (train.features.rank() > 2) model.add(nn::Flatten());
  for (const std::int64_t width : e.hidden) {
    model.add(nn::Linear(features, width));
    model.add(activation(e.activation));
    if (e.dropout > 0) model.add(nn::Dropout(e.dropout));
    features = width;
  }
  const bool classes = train.task == data::Task::classification;
  const std::int64_t outputs = classes                    ? train.classes()
                               : train.targets.rank() > 1 ? train.targets.size(1)
                                                          : 1;
  model.add(nn::Linear(features, outputs));
  return model;
}

optim::Optimizer make_optimizer(const Experiment& e) {
  if (e.optimizer == "adam") return optim::Adam({.lr = e.lr, .weight_decay = e.weight_decay});
  if (e.optimizer == "adamw") return optim::AdamW({.lr = e.lr, .weight_decay = e.weight_decay});
  if (e.optimizer == "sgd")
    return optim::SGD({.lr = e.lr, .momentum = e.momentum, .weight_decay = e.weight_decay});
  if (e.optimizer == "rmsprop")
    return optim::RMSProp({.lr = e.lr, .weight_decay = e.weight_decay, .momentum = e.momentum});
  unknown_name("optimizer.name", e.optimizer, {"adam", "adamw", "sgd", "rmsprop"});
}

train::Schedule make_schedule(const Experiment& e, std::int64_t examples) {
  if (e.schedule == "constant") return {};
  if (e.schedule != "cosine") unknown_name("optimizer.schedule", e.schedule, {"constant", "cosine"});
  const std::int64_t batches = (examples + e.batch_size - 1) / std::max<std::int64_t>(e.batch_size, 1);
  const auto steps = static_cast<double>(std::max<std::int64_t>(batches * e.epochs, 1));
  return [steps](std::int64_t step) {
    return 0.5 * (1 + std::cos(std::numbers::pi * static_cast<double>(step) / steps));
  };
}

}  // namespace chainrule::cli
