// Configurations as TOML. One list of keys reads and writes.

#include <chainrule/train/config.hpp>

#include <algorithm>
#include <cmath>

#include <chainrule/error.hpp>
#include <chainrule/text.hpp>

#include "io/file.hpp"
#include "io/toml.hpp"

namespace chainrule::train {
namespace {

using Names = std::vector<std::string>;

/// Gives each key's value from a file to its field, or refuses it.
class Reader {
 public:
  explicit Reader(io::TomlReader& toml) : toml_(toml) {}
  template <io::TomlType T>
  void value(const std::string& key, T& field) {
    field = toml_.get<T>(key, field);
  }
  void real(const std::string& key, double& field, double low, double high) {
    value(key, field);
    if (!(field >= low && field <= high))
      toml_.refuse(key, "this number is out of its range", range(low, high));
  }
  void count(const std::string& key, std::int64_t& field, std::int64_t least) {
    value(key, field);
    if (field < least)
      toml_.refuse(key, "this number is out of its range", std::to_string(least) + " or more");
  }
  void seed(const std::string& key, std::uint64_t& field) {
    auto number = static_cast<std::int64_t>(field);
    count(key, number, 0);
    field = static_cast<std::uint64_t>(number);
  }
  void choice(const std::string& key, std::string& field, const Names& names) {
    value(key, field);
    if (std::find(names.begin(), names.end(), field) == names.end())
      toml_.refuse(key, "there is no " + quote(field), list(names), suggest(field, names));
  }
  void choices(const std::string& key, Names& fields, const Names& names) {
    value(key, fields);
    for (const std::string& field : fields) {
      if (std::find(names.begin(), names.end(), field) == names.end())
        toml_.refuse(key, "there is no " + quote(field), list(names), suggest(field, names));
    }
  }
  std::size_t tables(const std::string& key, std::size_t) { return toml_.table_count(key); }

 private:
  static std::string range(double low, double high) {
    if (!std::isfinite(high)) return short_number(low) + " or more";
    return "a number from " + short_number(low) + " to " + short_number(high);
  }
  static std::string list(const Names& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
  }
  io::TomlReader& toml_;
};

class Writer {
 public:
  template <io::TomlType T>
  void value(const std::string& key, T& field) {
    toml_.set(key, field);
  }
  void real(const std::string& key, double& field, double, double) { toml_.set(key, field); }
  void count(const std::string& key, std::int64_t& field, std::int64_t) { toml_.set(key, field); }
  void seed(const std::string& key, std::uint64_t& field) {
    toml_.set(key, static_cast<std::int64_t>(field));
  }
  void choice(const std::string& key, std::string& field, const Names&) { toml_.set(key, field); }
  void choices(const std::string& key, Names& fields, const Names&) { toml_.set(key, fields); }
  std::size_t tables(const std::string&, std::size_t count) { return count; }
  std::string text() const { return toml_.text(); }

 private:
  io::TomlWriter toml_;
};

constexpr double unlimited = HUGE_VAL;

const Names& layer_types() {
  static const Names names = [] {
    Names result = {"Linear", "Dropout", "Flatten", "BatchNorm", "LayerNorm"};
    for (const char* plain : {"ReLU", "LeakyReLU", "ELU", "SELU", "GELU", "SiLU", "Mish", "Tanh", "Sigmoid",
                              "Softplus", "Hardswish", "Identity"})
      result.emplace_back(plain);
    return result;
  }();
  return names;
}

template <typename Io>
void bind(Io& io, DataConfig& c) {
  io.value("data.source", c.source);
  io.value("data.directory", c.directory);
  io.value("data.target", c.target);
  io.value("data.drop", c.drop);
  io.choice("data.missing", c.missing, {"error", "mean"});
  io.choice("data.categorical", c.categorical, {"one_hot", "index"});
  io.count("data.examples", c.examples, 1);
  io.real("data.noise", c.noise, 0, unlimited);
  io.choice("data.scaling", c.scaling, {"auto", "none", "unit", "standardize"});
  io.real("data.validation_split", c.validation_split, 0, 0.9);
  io.real("data.test_split", c.test_split, 0, 0.9);
}

template <typename Io>
void bind(Io& io, std::vector<LayerConfig>& layers) {
  layers.resize(io.tables("layer", layers.size()));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string prefix = "layer[" + std::to_string(i) + "].";
    io.choice(prefix + "type", layers[i].type, layer_types());
    if (layers[i].type == "Linear") {
      io.count(prefix + "units", layers[i].units, 0);
      io.value(prefix + "bias", layers[i].bias);
    }
    if (layers[i].type == "Dropout") io.real(prefix + "p", layers[i].p, 0, 1);
  }
}

template <typename Io>
void bind(Io& io, OptimizerConfig& c) {
  io.choice("optimizer.name", c.name, {"GradientDescent", "SGD", "RMSProp", "Adam", "AdamW"});
  io.real("optimizer.lr", c.lr, 0, unlimited);
  io.real("optimizer.weight_decay", c.weight_decay, 0, unlimited);
  io.real("optimizer.momentum", c.momentum, 0, unlimited);
  io.value("optimizer.nesterov", c.nesterov);
  io.real("optimizer.beta1", c.beta1, 0, 1);
  io.real("optimizer.beta2", c.beta2, 0, 1);
}

template <typename Io>
void bind(Io& io, ScheduleConfig& c) {
  io.choice("schedule.name", c.name,
            {"constant", "cosine", "linear", "one_cycle", "step", "exponential", "reduce_on_plateau"});
  io.real("schedule.warmup_epochs", c.warmup_epochs, 0, unlimited);
  io.real("schedule.warmup_share", c.warmup_share, 0, 1);
  io.real("schedule.gamma", c.gamma, 0, unlimited);
  io.count("schedule.step_epochs", c.step_epochs, 1);
  io.count("schedule.patience", c.patience, 0);
}

template <typename Io>
void bind(Io& io, TrainingConfig& c) {
  io.count("training.epochs", c.epochs, 1);
  io.count("training.batch_size", c.batch_size, 0);
  io.real("training.label_smoothing", c.label_smoothing, 0, 1);
  io.real("training.clip_norm", c.clip_norm, 0, unlimited);
  io.real("training.clip_value", c.clip_value, 0, unlimited);
  io.real("training.l1", c.l1, 0, unlimited);
  io.real("training.l2", c.l2, 0, unlimited);
  io.choices("training.metrics", c.metrics, metric_names());
  io.value("training.monitor", c.monitor);
  io.value("training.keep_best", c.keep_best);
  io.count("training.patience", c.patience, 0);
  io.real("training.min_delta", c.min_delta, 0, unlimited);
  io.count("training.probe_every", c.probe_every, 0);
  io.count("training.checkpoint_every", c.checkpoint_every, 0);
}

template <typename Io>
void bind(Io& io, Config& c) {
  io.value("name", c.name);
  io.seed("seed", c.seed);
  io.count("threads", c.threads, 0);
  io.choice("loss", c.loss, {"auto", "cross_entropy", "mse", "mae", "huber"});
  bind(io, c.data);
  bind(io, c.layers);
  bind(io, c.optimizer);
  bind(io, c.schedule);
  bind(io, c.training);
}

Config read(io::TomlReader toml) {
  Config config;
  Reader reader(toml);
  bind(reader, config);
  toml.finish();
  if (config.layers.empty()) config.layers = default_config(config.data.source).layers;
  return config;
}

}  // namespace

Config load_config(const std::string& path) { return read(io::TomlReader(path)); }
Config parse_config(const std::string& name, const std::string& text) {
  return read(io::TomlReader(name, text));
}

std::string to_toml(const Config& config) {
  Config copy = config;
  Writer writer;
  bind(writer, copy);
  return writer.text();
}

Config default_config(const std::string& source) {
  Config config;
  config.data.source = source;
  const bool images = source == "fashion-mnist";
  config.name = images ? "demo" : source.substr(source.find_last_of('/') + 1);
  const std::int64_t wide = images ? 256 : 64;
  if (images) config.layers.push_back({.type = "Flatten"});
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
