// The one list of modules that can be built from a record.

#include <concepts>

#include <chainrule/context.hpp>
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
  Record (*defaults)();
};

/// The record of a T that was made without options, with all sizes 1.
template <typename T>
Record defaults_of() {
  if constexpr (std::default_initializable<T>) {
    return describe(T());
  } else if constexpr (std::constructible_from<T, Module>) {
    return describe(T(Identity()));
  } else if constexpr (std::constructible_from<T, std::int64_t>) {
    return describe(T(std::int64_t{1}));
  } else {
    return describe(T(1, 1));
  }
}

template <typename T>
constexpr Entry entry(Module (*make)(const Record& record, const Registry& registry)) {
  return {T::type_name, make, defaults_of<T>};
}

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
    entry<BatchNorm>(batch_norm),
    entry<Dropout>([](R r, G) -> Module { return Dropout(r.real("p")); }),
    entry<ELU>([](R r, G) -> Module { return ELU(r.real("alpha")); }),
    entry<Embedding>(
        [](R r, G) -> Module { return Embedding(r.integer("num_embeddings"), r.integer("embedding_dim")); }),
    entry<Flatten>([](R r, G) -> Module { return Flatten(r.integer("start_dim")); }),
    entry<GELU>([](R r, G) -> Module { return GELU({.tanh = r.flag("tanh")}); }),
    entry<Hardsigmoid>(plain<Hardsigmoid>),
    entry<Hardswish>(plain<Hardswish>),
    entry<Hardtanh>([](R r, G) -> Module { return Hardtanh(r.real("min_val"), r.real("max_val")); }),
    entry<Identity>(plain<Identity>),
    entry<LayerNorm>(layer_norm),
    entry<LeakyReLU>([](R r, G) -> Module { return LeakyReLU(r.real("negative_slope")); }),
    entry<Linear>(linear),
    entry<LogSigmoid>(plain<LogSigmoid>),
    entry<LogSoftmax>([](R r, G) -> Module { return LogSoftmax(r.integer("dim")); }),
    entry<Mish>(plain<Mish>),
    entry<PReLU>([](R r, G) -> Module { return PReLU(r.integer("num_parameters")); }),
    entry<RMSNorm>(rms_norm),
    entry<ReLU>(plain<ReLU>),
    entry<ReLU6>(plain<ReLU6>),
    entry<Residual>([](R r, G registry) -> Module { return Residual(registry.build(r.child("module"))); }),
    entry<SELU>(plain<SELU>),
    entry<Sequential>(sequential),
    entry<SiLU>(plain<SiLU>),
    entry<Sigmoid>(plain<Sigmoid>),
    entry<Softmax>([](R r, G) -> Module { return Softmax(r.integer("dim")); }),
    entry<Softplus>([](R r, G) -> Module { return Softplus(r.real("beta")); }),
    entry<Softsign>(plain<Softsign>),
    entry<Tanh>(plain<Tanh>),
};

}  // namespace

const Registry& Registry::standard() {
  static const Registry registry = [] {
    const Context scope({.seed = 0});  // the examples' weights leave the caller's random stream alone
    Registry result;
    for (const auto& [type, make, defaults] : entries) result.add(std::string(type), make, defaults());
    return result;
  }();
  return registry;
}

void Registry::add(std::string type, Factory factory, Record defaults) {
  entries_.insert_or_assign(std::move(type), Entry{std::move(factory), std::move(defaults)});
}

const Registry::Entry& Registry::entry(std::string_view type) const {
  const auto found = entries_.find(type);
  if (found != entries_.end()) return found->second;
  std::string hint =
      type.empty() ? "build the model in code and use nn::load_weights" : suggest(type, types());
  if (hint.empty()) hint = "add it to a copy of Registry::standard() and pass that, or use nn::load_weights";
  throw ArgumentError({.function = "nn::Registry::build",
                       .argument = "record",
                       .problem = type.empty() ? "a module without a type name can't be built from its record"
                                               : "no module of this type is registered",
                       .got = quote(type),
                       .wanted = "a registered type",
                       .hint = std::move(hint)});
}

Module Registry::build(const Record& record) const { return entry(record.type).factory(record, *this); }
const Record& Registry::defaults(std::string_view type) const { return entry(type).defaults; }

std::vector<std::string> Registry::types() const {
  std::vector<std::string> names;
  for (const auto& [type, entry] : entries_) names.push_back(type);
  return names;
}

}  // namespace chainrule::nn
