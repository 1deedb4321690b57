// From a configuration to a model. Options and defaults come from the registry's records.

#include <algorithm>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

#include "train/build.hpp"

namespace chainrule::train {
namespace {

/// Options that follow from the layers before.
constexpr std::string_view derived[] = {"in_features", "out_features", "num_features", "normalized_shape"};

std::string key_of(const std::string& option) { return option == "has_bias" ? "bias" : option; }

struct Initializer {
  const char* name;
  Tensor (*draw)(const Shape& shape);
};

constexpr Initializer initializers[] = {
    {"kaiming_normal", [](const Shape& s) { return nn::init::kaiming_normal(s); }},
    {"kaiming_uniform", [](const Shape& s) { return nn::init::kaiming_uniform(s); }},
    {"lecun_normal", [](const Shape& s) { return nn::init::lecun_normal(s); }},
    {"lecun_uniform", [](const Shape& s) { return nn::init::lecun_uniform(s); }},
    {"orthogonal", [](const Shape& s) { return nn::init::orthogonal(s); }},
    {"truncated_normal", [](const Shape& s) { return nn::init::truncated_normal(s, {.std = 0.02}); }},
    {"xavier_normal", [](const Shape& s) { return nn::init::xavier_normal(s); }},
    {"xavier_uniform", [](const Shape& s) { return nn::init::xavier_uniform(s); }},
};

[[noreturn]] void refuse_layer(std::size_t index, const std::string& type, std::string problem,
                               std::string wanted) {
  throw ArgumentError({.function = "train::build_model",
                       .argument = "layer[" + std::to_string(index) + "]",
                       .problem = std::move(problem),
                       .got = type,
                       .wanted = std::move(wanted)});
}

/// Builds layers one after the other and knows the shape of the examples between them.
class Builder {
 public:
  Builder(const std::vector<LayerConfig>& layers, Shape shape, std::int64_t outputs)
      : layers_(layers), shape_(std::move(shape)), outputs_(outputs) {}

  nn::Sequential build(std::size_t count) {
    nn::Sequential model;
    for (std::size_t i = 0; i < count && next_ < layers_.size(); ++i) model.add(build_layer());
    return model;
  }
  const Shape& shape() const { return shape_; }

 private:
  nn::Module build_layer() {
    const std::size_t index = next_++;
    const LayerConfig& layer = layers_[index];
    if (layer.type == "Residual") return build_residual(index);
    nn::Record record = nn::Registry::standard().defaults(layer.type);
    for (auto& [option, value] : record.options) {
      if (const auto given = layer.options.find(key_of(option)); given != layer.options.end())
        value = given->second;
    }
    const auto set = [&](const char* option, auto value) {
      if (record.has(option)) record.options[option] = value;
    };
    if (record.has("in_features") || record.has("num_features") || record.has("normalized_shape")) {
      const std::int64_t in = one_axis(index);
      set("in_features", in);
      set("num_features", in);
      set("normalized_shape", Dims{in});
    }
    if (record.has("out_features")) {
      shape_ = {layer.units > 0 ? layer.units : outputs_};
      set("out_features", shape_[0]);
    }
    if (layer.type == "Flatten") flatten(index, record.integer("start_dim"));
    nn::Module module = build_module(index, record);
    initialize(module, layer);
    return module;
  }

  nn::Module build_residual(std::size_t index) {
    const auto inside = static_cast<std::size_t>(layers_[index].layers);
    if (inside > layers_.size() - next_)
      refuse_layer(index, "Residual", "there are not that many layers after it",
                   "layers = " + std::to_string(layers_.size() - next_) + " or fewer");
    const Shape before = shape_;
    nn::Sequential block = build(inside);
    if (shape_ != before)
      refuse_layer(index, "Residual", "its layers turn " + to_string(before) + " into " + to_string(shape_),
                   "a block that keeps the shape");
    return nn::Residual(std::move(block));
  }

  nn::Module build_module(std::size_t index, const nn::Record& record) const {
    try {
      return nn::Registry::standard().build(record);
    } catch (const ArgumentError& error) {
      ErrorParts parts = error.parts();
      parts.function = "train::build_model";
      parts.argument = "layer[" + std::to_string(index) + "]." + parts.argument;
      throw ArgumentError(parts);
    }
  }

  std::int64_t one_axis(std::size_t index) const {
    if (shape_.size() != 1)
      refuse_layer(index, layers_[index].type,
                   "this layer takes examples of one axis, not " + to_string(shape_), "a Flatten before it");
    return shape_[0];
  }

  /// `start` counts the axis of rows.
  void flatten(std::size_t index, std::int64_t start) {
    if (start < 1 || start > std::max(1, shape_.size()))
      refuse_layer(index, "Flatten", "examples " + to_string(shape_) + " have no such axis",
                   "start_dim = 1, or up to the number of axes");
    Shape flat;
    std::int64_t rest = 1;
    for (int axis = 0; axis < shape_.size(); ++axis) {
      if (axis + 1 < start) flat.push_back(shape_[axis]);
      if (axis + 1 >= start) rest *= shape_[axis];
    }
    flat.push_back(rest);
    shape_ = flat;
  }

  static void initialize(nn::Module& module, const LayerConfig& layer) {
    auto* linear = module.get_if<nn::Linear>();
    if (linear == nullptr) return;
    for (const Initializer& initializer : initializers) {
      if (layer.init != initializer.name) continue;
      linear->weight = initializer.draw(linear->weight.shape());
      if (linear->has_bias) linear->bias = zeros(linear->bias.shape(), linear->bias.dtype());
    }
  }

  const std::vector<LayerConfig>& layers_;
  Shape shape_;
  std::int64_t outputs_;
  std::size_t next_ = 0;
};

}  // namespace

const Names& layer_types() {
  static const Names names = [] {
    Names result;
    for (const std::string& type : nn::Registry::standard().types()) {
      // A configuration is one list of layers already; batches are floating, and no indices.
      if (type != "Sequential" && type != "Embedding") result.push_back(type);
    }
    return result;
  }();
  return names;
}

std::map<std::string, nn::Record::Option> layer_options(const std::string& type) {
  std::map<std::string, nn::Record::Option> result;
  const Names& types = layer_types();
  if (std::find(types.begin(), types.end(), type) == types.end()) return result;
  for (const auto& [option, value] : nn::Registry::standard().defaults(type).options) {
    if (std::find(std::begin(derived), std::end(derived), option) == std::end(derived))
      result[key_of(option)] = value;
  }
  return result;
}

const Names& initializer_names() {
  static const Names names = [] {
    Names result{"default"};
    for (const Initializer& initializer : initializers) result.emplace_back(initializer.name);
    return result;
  }();
  return names;
}

nn::Module build_model(const Config& config, const data::Dataset& dataset) {
  const Context scope({.seed = config.seed, .dtypes = dtypes_of(config.training.precision)});
  const bool classes = dataset.task == data::Task::classification;
  std::int64_t outputs = dataset.targets.rank() > 1 ? dataset.targets.size(1) : 1;
  if (classes) outputs = is_binary(config.loss) ? 1 : dataset.classes();
  Builder builder(config.layers, dataset.example_shape(), outputs);
  nn::Sequential model = builder.build(config.layers.size());
  if (builder.shape() != Shape{outputs}) {
    throw ArgumentError({.function = "train::build_model",
                         .argument = "layer",
                         .problem = "the last layer's outputs do not fit the targets",
                         .got = to_string(builder.shape()),
                         .wanted = to_string(Shape{outputs}),
                         .hint = "leave out the last Linear's units"});
  }
  return model;
}

}  // namespace chainrule::train
