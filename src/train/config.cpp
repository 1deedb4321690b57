// Configurations as TOML. One list of keys reads, checks and writes. What layers and optimizers have for
// options they say themselves.

#include <chainrule/train/config.hpp>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "train/build.hpp"
#include "train/config_io.hpp"

namespace chainrule::train {
namespace {

template <typename Io>
void bind(Io& io, DataConfig& c) {
  io.value("data.source", c.source);
  io.value("data.targets", c.targets);
  io.value("data.directory", c.directory);
  io.value("data.features_array", c.features_array);
  io.value("data.targets_array", c.targets_array);
  io.value("data.target", c.target);
  io.value("data.drop", c.drop);
  io.choice("data.missing", c.missing, {"error", "mean"});
  io.choice("data.categorical", c.categorical, {"one_hot", "index"});
  io.choice("data.delimiter", c.delimiter, {"auto", ",", ";", "|", "\t", "tab"});
  io.choice("data.header", c.header, {"yes", "no", "auto"});
  io.choice("data.task", c.task, {"auto", "classification", "regression"});
  io.count("data.examples", c.examples, 1, 100'000'000);
  io.real("data.noise", c.noise, 0, finite);
  io.choice("data.scaling", c.scaling, {"auto", "none", "unit", "standardize"});
  io.choice("data.target_scaling", c.target_scaling, {"none", "standardize"});
  io.real("data.validation_split", c.validation_split, 0, 0.9);
  io.real("data.test_split", c.test_split, 1e-6, 0.9);
}

/// A layer's own options: those of the type's record that do not follow from the layers before. Keys are as
/// in the file.
template <typename Io>
void bind_options(Io& io, const std::string& prefix, LayerConfig& layer) {
  std::map<std::string, nn::Record::Option> options;
  for (auto [key, option] : layer_options(layer.type)) {
    if (const auto given = layer.options.find(key); given != layer.options.end()) option = given->second;
    const std::string path = prefix + key;
    if (auto* flag = std::get_if<bool>(&option)) {
      io.value(path, *flag);
    } else if (auto* number = std::get_if<std::int64_t>(&option)) {
      io.count(path, *number, -most_counted);
    } else if (auto* real = std::get_if<double>(&option)) {
      io.real(path, *real, key == "p" || key == "momentum" ? 0 : -finite,
              key == "p" || key == "momentum" ? 1 : finite);
    }
    options[key] = option;
  }
  layer.options = std::move(options);
}

template <typename Io>
void bind(Io& io, std::vector<LayerConfig>& layers) {
  layers.resize(io.tables("layer", layers.size()));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string prefix = "layer[" + std::to_string(i) + "].";
    io.choice(prefix + "type", layers[i].type, layer_types());
    if (layers[i].type == "Linear") {
      io.count(prefix + "units", layers[i].units, 0);
      io.choice(prefix + "init", layers[i].init, initializer_names());
    }
    if (layers[i].type == "Residual") io.count(prefix + "layers", layers[i].layers, 1);
    bind_options(io, prefix, layers[i]);
  }
}

template <typename Io>
void bind(Io& io, OptimizerConfig& c) {
  io.choice("optimizer.name", c.name, optimizer_names());
  io.optional_real("optimizer.lr", c.lr, 0, finite);
  const Names options = optimizer_options(c.name);
  const auto has = [&](const char* name) {
    return std::find(options.begin(), options.end(), name) != options.end();
  };
  if (!has("maximize")) return;  // plain gradient descent, which has a learning rate alone
  io.optional_real("optimizer.weight_decay", c.weight_decay, 0, finite);
  if (has("momentum")) io.real("optimizer.momentum", c.momentum, 0, finite);
  if (has("dampening")) io.real("optimizer.dampening", c.dampening, 0, 1);
  if (has("nesterov")) io.value("optimizer.nesterov", c.nesterov);
  if (has("beta1")) io.share("optimizer.beta1", c.beta1);
  if (has("beta2")) io.share("optimizer.beta2", c.beta2);
  if (has("alpha")) io.share("optimizer.alpha", c.alpha);
  if (has("eps")) io.real("optimizer.eps", c.eps, 0, finite);
  if (has("centered")) io.value("optimizer.centered", c.centered);
  if (has("amsgrad")) io.value("optimizer.amsgrad", c.amsgrad);
  io.value("optimizer.maximize", c.maximize);
  c.groups.resize(io.tables("optimizer.group", c.groups.size()));
  for (std::size_t i = 0; i < c.groups.size(); ++i) {
    const std::string prefix = "optimizer.group[" + std::to_string(i) + "].";
    io.value(prefix + "pattern", c.groups[i].pattern);
    io.real(prefix + "lr_multiplier", c.groups[i].lr_multiplier, 0, finite);
    io.optional_real(prefix + "weight_decay", c.groups[i].weight_decay, 0, finite);
  }
}

template <typename Io>
void bind(Io& io, ScheduleConfig& c) {
  io.choice("schedule.name", c.name,
            {"constant", "cosine", "linear", "one_cycle", "step", "exponential", "reduce_on_plateau"});
  io.real("schedule.warmup_epochs", c.warmup_epochs, 0, 1e9);
  io.real("schedule.warmup_share", c.warmup_share, 0, 1);
  io.optional_real("schedule.gamma", c.gamma, 0, finite);
  io.count("schedule.step_epochs", c.step_epochs, 1);
  io.count("schedule.patience", c.patience, 0);
}

template <typename Io>
void bind(Io& io, TrainingConfig& c) {
  io.count("training.epochs", c.epochs, 1);
  io.count("training.batch_size", c.batch_size, 0);
  io.value("training.drop_last", c.drop_last);
  io.choice("training.precision", c.precision, precision_names());
  io.real("training.label_smoothing", c.label_smoothing, 0, 1);
  io.reals("training.class_weights", c.class_weights, 0, finite);
  io.count("training.ignore_index", c.ignore_index, -most_counted);
  io.real("training.delta", c.delta, 1e-30, finite);
  io.real("training.beta", c.beta, 0, finite);
  io.real("training.clip_norm", c.clip_norm, 0, finite);
  io.real("training.clip_value", c.clip_value, 0, finite);
  io.real("training.l1", c.l1, 0, finite);
  io.real("training.l2", c.l2, 0, finite);
  io.choices("training.metrics", c.metrics, metric_names());
  io.value("training.monitor", c.monitor);
  io.value("training.keep_best", c.keep_best);
  io.count("training.patience", c.patience, 0);
  io.real("training.min_delta", c.min_delta, 0, finite);
  io.count("training.probe_every", c.probe_every, 0);
  io.count("training.checkpoint_every", c.checkpoint_every, 0);
  io.count("training.checkpoint_steps", c.checkpoint_steps, 0);
  c.penalties.resize(io.tables("training.penalty", c.penalties.size()));
  for (std::size_t i = 0; i < c.penalties.size(); ++i) {
    const std::string prefix = "training.penalty[" + std::to_string(i) + "].";
    io.value(prefix + "pattern", c.penalties[i].pattern);
    io.real(prefix + "l1", c.penalties[i].l1, 0, finite);
    io.real(prefix + "l2", c.penalties[i].l2, 0, finite);
  }
}

template <typename Io>
void bind(Io& io, Config& c) {
  io.value("name", c.name);
  io.seed("seed", c.seed);
  io.count("threads", c.threads, 0, 256);
  io.choice("loss", c.loss, loss_names());
  bind(io, c.data);
  bind(io, c.layers);
  bind(io, c.optimizer);
  bind(io, c.schedule);
  bind(io, c.training);
}

/// Values that are each in their range and contradict each other.
void check_together(const ConfigReader& reader, const Config& c) {
  const OptimizerConfig& o = c.optimizer;
  const TrainingConfig& t = c.training;
  if (o.nesterov && (o.momentum == 0 || o.dampening != 0))
    reader.refuse("optimizer.nesterov", "Nesterov's form needs a momentum and no dampening",
                  "optimizer.momentum above 0", "momentum = 0.9");
  if (c.schedule.name == "exponential" && !c.schedule.gamma)
    reader.refuse("schedule.gamma", "the exponential schedule needs the factor of an epoch",
                  "a finite number, 0 or more", "gamma = 0.95");
  if (c.schedule.name == "reduce_on_plateau" && c.schedule.gamma &&
      !(*c.schedule.gamma > 0 && *c.schedule.gamma < 1))
    reader.refuse("schedule.gamma", "a reduction multiplies the rate by less than 1",
                  "a number between 0 and 1", "gamma = 0.1");
  if (t.patience > 0 && c.data.validation_split == 0)
    reader.refuse("training.patience", "early stopping needs examples that are not trained on",
                  "data.validation_split above 0", "validation_split = 0.1");
  Names monitors = t.metrics.empty() ? Names{"accuracy", "r2"} : t.metrics;
  monitors.insert(monitors.begin(), "loss");
  if (std::find(monitors.begin(), monitors.end(), t.monitor) == monitors.end()) {
    std::string wanted;
    for (const std::string& name : monitors) wanted += (wanted.empty() ? "" : ", ") + name;
    const Names known = metric_names();
    const bool is_metric = std::find(known.begin(), known.end(), t.monitor) != known.end();
    reader.refuse("training.monitor", quote(t.monitor) + " is not computed", wanted,
                  is_metric ? "add it to training.metrics" : suggest(t.monitor, monitors), t.monitor);
  }
  const auto check_pattern = [&](const std::string& table, std::size_t i, const std::string& pattern) {
    if (pattern.empty())
      reader.refuse(table + "[" + std::to_string(i) + "].pattern", "the group chooses no parameter",
                    "a path, in which * stands for any characters", "pattern = \"*.bias\"");
  };
  for (std::size_t i = 0; i < o.groups.size(); ++i) check_pattern("optimizer.group", i, o.groups[i].pattern);
  for (std::size_t i = 0; i < t.penalties.size(); ++i)
    check_pattern("training.penalty", i, t.penalties[i].pattern);
}

bool is_file(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

/// A path that leads nowhere from here, but does from the configuration's folder.
void look_beside(const std::string& config, std::string& path) {
  if (path.empty() || is_file(path)) return;
  const std::string beside = (std::filesystem::path(config).parent_path() / path).string();
  if (is_file(beside)) path = beside;
}

Config read(io::TomlReader toml) {
  Config config;
  ConfigReader reader(toml);
  bind(reader, config);
  toml.finish();
  check_together(reader, config);
  if (config.layers.empty()) config.layers = default_config(config.data.source).layers;
  return config;
}

}  // namespace

Config load_config(const std::string& path) {
  Config config = read(io::TomlReader(path));
  look_beside(path, config.data.source);
  look_beside(path, config.data.targets);
  return config;
}
Config parse_config(const std::string& name, const std::string& text) {
  return read(io::TomlReader(name, text));
}

std::string place_in_config(const std::string& path, const std::string& key) {
  try {
    const auto line = io::TomlReader(path).line_of(key);
    return line ? path + ":" + std::to_string(*line) : std::string();
  } catch (const IoError&) {
    return {};
  }
}

void check_config(const Config& config) {
  Config copy = config;
  ConfigReader reader;
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    const auto known = layer_options(config.layers[i].type);
    Names names;
    for (const auto& [key, option] : known) names.push_back(key);
    for (const auto& [key, option] : config.layers[i].options) {
      if (!known.contains(key))
        reader.refuse("layer[" + std::to_string(i) + "]." + key,
                      config.layers[i].type + " has no such option", "", suggest(key, names));
    }
  }
  bind(reader, copy);
  check_together(reader, copy);
}

std::string to_toml(const Config& config) {
  check_config(config);
  Config copy = config;
  // A file says what would be taken.
  const optim::Optimizer optimizer = build_optimizer(copy.optimizer);
  const nn::Record record = nn::describe(optimizer);
  copy.optimizer.lr = optimizer.learning_rate();
  if (record.has("weight_decay")) copy.optimizer.weight_decay = record.real("weight_decay");
  std::optional<double>& gamma = copy.schedule.gamma;
  if (copy.schedule.name == "step") gamma = gamma.value_or(optim::StepDecayOptions{}.gamma);
  if (copy.schedule.name == "reduce_on_plateau")
    gamma = gamma.value_or(optim::ReduceOnPlateauOptions{}.factor);
  ConfigWriter writer;
  bind(writer, copy);
  return writer.text();
}

Config default_config(const std::string& source) {
  Config config;
  config.data.source = source;
  const bool images = source == "fashion-mnist" || is_idx(source);
  const bool arrays = source.ends_with(".npy") || source.ends_with(".npz");  // of any rank
  config.name = source == "fashion-mnist" ? "demo" : std::filesystem::path(source).stem().string();
  const std::int64_t wide = images ? 256 : 64;
  if (images || arrays) config.layers.push_back({.type = "Flatten"});
  for (const std::int64_t units : {wide, wide / 2}) {
    config.layers.push_back({.type = "Linear", .units = units});
    config.layers.push_back({.type = "ReLU"});
  }
  config.layers.push_back({.type = "Linear"});
  config.optimizer.lr = images ? 1e-3 : 1e-2;
  config.training.epochs = images ? 10 : 50;
  config.training.batch_size = images ? 128 : 32;
  return config;
}

}  // namespace chainrule::train
