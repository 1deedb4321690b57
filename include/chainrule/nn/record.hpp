#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <chainrule/export.hpp>
#include <chainrule/shape.hpp>
#include <chainrule/tree.hpp>

namespace chainrule::nn {

class Module;

/// What a module is, without its weights: type, options, and the modules inside of it. From this a model is
/// built again.
struct CHAINRULE_API Record {
  using Option = std::variant<bool, std::int64_t, double, std::string, Dims>;
  std::string path;  ///< inside of its parent: "0"; "" for the outermost
  std::string type;  ///< "" for a type without a name
  std::map<std::string, Option> options;
  std::vector<Record> children;

  /// One option. Throws ArgumentError where it is absent or of another kind.
  bool flag(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  Dims dims(std::string_view name) const;
  std::string text(std::string_view name) const;
  bool has(std::string_view name) const { return options.contains(std::string(name)); }
  /// The module inside at `path`. Throws ArgumentError where there is none.
  const Record& child(std::string_view path) const;

  bool operator==(const Record& other) const;
};

/// A record as JSON on one line: {"type": "Linear", "options": {...}, "modules": {...}}.
CHAINRULE_API std::string to_json(const Record& record);
/// The record that `to_json` wrote. Throws IoError for anything else; `name` stands for its origin in errors.
CHAINRULE_API Record record_from_json(std::string_view json, const std::string& name);

namespace detail {
/// Collects options by module while it walks over a tree.
class CHAINRULE_API RecordVisitor : public Visitor {
 public:
  RecordVisitor();
  /// The record of the tree that was visited.
  Record take();

 protected:
  void leaf(Tensor&, LeafKind, bool*) override {}
  void enter(std::string_view type) override;
  void leave() override;
  void option(bool& value) override { add(value); }
  void option(std::int64_t& value) override { add(value); }
  void option(double& value) override { add(value); }
  void option(std::string& value) override { add(value); }
  void option(Dims& value) override { add(value); }

 private:
  void add(Record::Option value);
  std::string relative_path() const;
  std::vector<Record> open_;  // with whole paths
};
}  // namespace detail

/// The record of a model: one walk over it.
template <typename M>
Record describe(const M& model) {
  detail::RecordVisitor visitor;
  visitor.visit_part(const_cast<M&>(model));
  return visitor.take();
}

/// How modules are built from records, by type name. A program that loads models with layers of its own adds
/// them to a copy of the standard registry:
///
///     auto registry = nn::Registry::standard();
///     registry.add("Gated", [](const nn::Record& record, const nn::Registry&) {
///       const nn::Record& value = record.child("value");  // the Linear inside, with its options
///       return Gated(value.integer("in_features"), value.integer("out_features"));
///     });
///     auto model = nn::load("model.safetensors", registry);
class CHAINRULE_API Registry {
 public:
  using Factory = std::function<Module(const Record& record, const Registry& registry)>;

  /// Every layer of the library.
  static const Registry& standard();
  /// A factory under a new name, or in place of the old one. `defaults`: the record of such a module with
  /// the least sizes, which tells its options to those who read them from a file.
  void add(std::string type, Factory factory, Record defaults = {});
  /// A module with the record's architecture and fresh weights. Throws ArgumentError for an unknown type.
  Module build(const Record& record) const;
  std::vector<std::string> types() const;
  /// What was given as `defaults` for this type. Throws ArgumentError for an unknown type.
  const Record& defaults(std::string_view type) const;

 private:
  struct Entry {
    Factory factory;
    Record defaults;
  };
  const Entry& entry(std::string_view type) const;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace chainrule::nn
