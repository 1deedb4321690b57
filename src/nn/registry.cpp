// The one list of modules that can be built from a record.

#include <chainrule/error.hpp>
#include <chainrule/nn/activations.hpp>
#include <chainrule/nn/layers.hpp>
#include <chainrule/nn/record.hpp>

#include "tensor/text.hpp"

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

constexpr Entry entries[] = {
    {Dropout::type_name, [](const Record& r, const Registry&) -> Module { return Dropout(r.real("p")); }},
    {Flatten::type_name,
     [](const Record& r, const Registry&) -> Module { return Flatten(r.integer("start_dim")); }},
    {Identity::type_name, plain<Identity>},
    {Linear::type_name, linear},
    {ReLU::type_name, plain<ReLU>},
    {Residual::type_name,
     [](const Record& r, const Registry& registry) -> Module {
       return Residual(registry.build(r.child("module")));
     }},
    {Sequential::type_name, sequential},
    {Sigmoid::type_name, plain<Sigmoid>},
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
