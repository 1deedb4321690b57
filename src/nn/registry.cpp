// The one list of modules that can be built from a record.

#include <chainrule/error.hpp>
#include <chainrule/nn/activations.hpp>
#include <chainrule/nn/layers.hpp>
#include <chainrule/nn/record.hpp>
#include <chainrule/text.hpp>

namespace chainrule::nn {
namespace {

struct Entry {
  std::string_view type;
  Module (*make)(const Record& record, const Registry& registry);
};

template <typename T>
Module plain(const Record&, const Registry&) {
  return T();
}

Module sequential(const Record& record, const Registry& registry) {
  Sequential result;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(record.children.size()); ++i) {
    result.add(registry.build(record.child(std::to_string(i))));
  }
  return result;
}

Module linear(const Record& r, const Registry&) {
  return Linear(r.integer("in_features"), r.integer("out_features"), {.bias = r.flag("has_bias")});
}

Module layer_norm(const Record& r, const Registry&) {
  return LayerNorm(
      r.dims("normalized_shape"),
      {.eps = r.real("eps"), .elementwise_affine = r.flag("elementwise_affine"), .bias = r.flag("has_bias")});
}

Module rms_norm(const Record& r, const Registry&) {
  RMSNormOptions options{.eps = std::nullopt, .elementwise_affine = r.flag("elementwise_affine")};
  if (r.has("eps")) options.eps = r.real("eps");
  return RMSNorm(r.dims("normalized_shape"), options);
}

Module batch_norm(const Record& r, const Registry&) {
  return BatchNorm(r.integer("num_features"), {.eps = r.real("eps"),
                                               .momentum = r.real("momentum"),
                                               .affine = r.flag("affine"),
                                               .track_running_stats = r.flag("track_running_stats")});
}

using R = const Record&;
using G = const Registry&;

constexpr Entry entries[] = {
    {BatchNorm::type_name, batch_norm},
    {Dropout::type_name, [](R r, G) -> Module { return Dropout(r.real("p")); }},
    {ELU::type_name, [](R r, G) -> Module { return ELU(r.real("alpha")); }},
    {Embedding::type_name,
     [](R r, G) -> Module { return Embedding(r.integer("num_embeddings"), r.integer("embedding_dim")); }},
    {Flatten::type_name, [](R r, G) -> Module { return Flatten(r.integer("start_dim")); }},
    {GELU::type_name, [](R r, G) -> Module { return GELU({.tanh = r.flag("tanh")}); }},
    {Hardsigmoid::type_name, plain<Hardsigmoid>},
    {Hardswish::type_name, plain<Hardswish>},
    {Hardtanh::type_name, [](R r, G) -> Module { return Hardtanh(r.real("min_val"), r.real("max_val")); }},
    {Identity::type_name, plain<Identity>},
    {LayerNorm::type_name, layer_norm},
    {LeakyReLU::type_name, [](R r, G) -> Module { return LeakyReLU(r.real("negative_slope")); }},
    {Linear::type_name, linear},
    {LogSigmoid::type_name, plain<LogSigmoid>},
    {LogSoftmax::type_name, [](R r, G) -> Module { return LogSoftmax(r.integer("dim")); }},
    {Mish::type_name, plain<Mish>},
    {PReLU::type_name, [](R r, G) -> Module { return PReLU(r.integer("num_parameters")); }},
    {RMSNorm::type_name, rms_norm},
    {ReLU::type_name, plain<ReLU>},
    {ReLU6::type_name, plain<ReLU6>},
    {Residual::type_name,
     [](R r, G registry) -> Module { return Residual(registry.build(r.child("module"))); }},
    {SELU::type_name, plain<SELU>},
    {Sequential::type_name, sequential},
    {SiLU::type_name, plain<SiLU>},
    {Sigmoid::type_name, plain<Sigmoid>},
    {Softmax::type_name, [](R r, G) -> Module { return Softmax(r.integer("dim")); }},
    {Softplus::type_name, [](R r, G) -> Module { return Softplus(r.real("beta")); }},
    {Softsign::type_name, plain<Softsign>},
    {Tanh::type_name, plain<Tanh>},
};

}  // namespace

const Registry& Registry::standard() {
  static const Registry registry = [] {
    Registry result;
    for (const Entry& entry : entries) result.add(std::string(entry.type), entry.make);
    return result;
  }();
  return registry;
}

void Registry::add(std::string type, Factory factory) {
  factories_.insert_or_assign(std::move(type), std::move(factory));
}

Module Registry::build(const Record& record) const {
  const auto found = factories_.find(record.type);
  if (found != factories_.end()) return found->second(record, *this);
  const std::vector<std::string> known = types();
  throw ArgumentError({.function = "nn::Registry::build",
                       .argument = "record",
                       .problem = record.type.empty()
                                      ? "a module without a type name can't be built from its record"
                                      : "no module of this type is registered",
                       .got = quote(record.type),
                       .wanted = "a registered type",
                       .hint = record.type.empty() ? "build the model in code and use nn::load_weights"
                                                   : suggest(record.type, known)});
}

std::vector<std::string> Registry::types() const {
  std::vector<std::string> names;
  for (const auto& [type, factory] : factories_) names.push_back(type);
  return names;
}

}  // namespace chainrule::nn
