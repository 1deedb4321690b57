#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/nn/record.hpp>
#include <chainrule/tree.hpp>

/// Neural networks. A module is any type with `Tensor operator()(const Tensor& x) const`; one with
/// parameters or options names them in `void visit(Visitor& v)`, and one that is to be saved with its
/// architecture has a `static constexpr std::string_view type_name`:
///
///     struct Gated {
///       static constexpr std::string_view type_name = "Gated";
///       nn::Linear value, gate;
///       Gated(std::int64_t in, std::int64_t out) : value(in, out), gate(in, out) {}
///       Tensor operator()(const Tensor& x) const { return value(x) * sigmoid(gate(x)); }
///       void visit(Visitor& v) { v("value", value); v("gate", gate); }
///     };
///
/// Modules are values: a copy has parameters of its own.
namespace chainrule::nn {

/// What a model is made of: anything that turns a tensor into a tensor.
template <typename T>
concept Callable = requires(const T& module, const Tensor& x) {
  { module(x) } -> std::convertible_to<Tensor>;
};

/// Any module, as a value: a copy clones what it holds.
class CHAINRULE_API Module {
 public:
  /// An empty handle; calling it throws StateError.
  Module() = default;
  template <Callable T>
  requires(!std::same_as<T, Module>)
      Module(T module)  // NOLINT: implicit on purpose, so that Sequential takes any module
      : self_(std::make_unique<Holder<T>>(std::move(module))) {}
  Module(const Module& other) : self_(other.self_ ? other.self_->clone() : nullptr) {}
  Module(Module&&) noexcept = default;
  Module& operator=(Module other) noexcept {
    self_ = std::move(other.self_);
    return *this;
  }
  ~Module() = default;

  Tensor operator()(const Tensor& x) const;
  /// The output for `x` with dropout off and running averages in use, whatever the context says. Many
  /// threads may call it on one model.
  Tensor predict(const Tensor& x) const;
  /// Writes weights and architecture to a safetensors file (see nn::save).
  void save(const std::string& path) const;
  void visit(Visitor& v);

  /// The module's type name; "" for a type without one.
  std::string_view type() const { return self_ ? self_->type() : std::string_view(); }
  /// The module as a T; null when it is something else.
  template <typename T>
  T* get_if() {
    auto* holder = dynamic_cast<Holder<T>*>(self_.get());
    return holder == nullptr ? nullptr : &holder->module;
  }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual std::unique_ptr<Base> clone() const = 0;
    virtual Tensor call(const Tensor& x) const = 0;
    virtual void visit(Visitor& v) = 0;
    virtual std::string_view type() const = 0;
  };
  template <typename T>
  struct Holder final : Base {
    explicit Holder(T value) : module(std::move(value)) {}
    std::unique_ptr<Base> clone() const override { return std::make_unique<Holder>(module); }
    Tensor call(const Tensor& x) const override { return module(x); }
    void visit(Visitor& v) override {
      if constexpr (Visitable<T> || NamedType<T>) v.visit_part(module);
    }
    std::string_view type() const override {
      if constexpr (NamedType<T>) return T::type_name;
      return {};
    }
    T module;
  };
  std::unique_ptr<Base> self_;
};

/// Modules one after the other: f_n(… f_2(f_1(x))). Paths are PyTorch's: "0.weight", "2.bias".
class CHAINRULE_API Sequential {
 public:
  static constexpr std::string_view type_name = "Sequential";

  Sequential() = default;
  template <Callable... Modules>
  explicit Sequential(Modules... modules) {
    modules_.reserve(sizeof...(modules));
    (modules_.emplace_back(std::move(modules)), ...);
  }
  explicit Sequential(std::vector<Module> modules) : modules_(std::move(modules)) {}

  Tensor operator()(const Tensor& x) const;
  /// See Module::predict and Module::save.
  Tensor predict(const Tensor& x) const;
  void save(const std::string& path) const;
  void visit(Visitor& v);

  void add(Module module) { modules_.push_back(std::move(module)); }
  std::int64_t size() const { return static_cast<std::int64_t>(modules_.size()); }
  /// Child i; negative positions count from the end. Throws ArgumentError outside of the list.
  Module& operator[](std::int64_t i);
  const Module& operator[](std::int64_t i) const { return const_cast<Sequential&>(*this)[i]; }

 private:
  std::vector<Module> modules_;
};

/// x + f(x), the skip connection. f keeps the shape of x (or broadcasts to it).
/// He et al., Deep residual learning for image recognition, CVPR 2016.
struct CHAINRULE_API Residual {
  static constexpr std::string_view type_name = "Residual";
  explicit Residual(Module inner) : module(std::move(inner)) {}

  Module module;

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v);
};

namespace detail {
CHAINRULE_API void save_leaves(const std::vector<Leaf>& leaves, const Record& record,
                               const std::string& path);
CHAINRULE_API void load_leaves(const std::vector<Leaf>& leaves, const std::string& path);
}  // namespace detail

/// The output for `x` in evaluation mode, whatever the context says.
template <Callable M>
Tensor predict(const M& model, const Tensor& x) {
  const Context scope({.train = false});
  Tensor y = model(x);
  y.eval();
  return y;
}

/// Writes a model's weights to a safetensors file, under PyTorch's names for the layers that it has, and its
/// architecture into the file's metadata. `load` reads both again; Python's safetensors reads the weights.
/// Throws IoError where the file can't be written; a file is complete or absent.
template <typename M>
void save(const M& model, const std::string& path) {
  detail::save_leaves(leaves(model), describe(model), path);
}

/// Replaces a model's weights by those of a safetensors file, or of a run's folder. Each tensor of the model
/// must be there under its path with its shape, and no other; dtypes are converted to the model's. Throws
/// IoError that names the tensor otherwise, and then leaves the model as it was.
template <typename M>
void load_weights(M& model, const std::string& path) {
  detail::load_leaves(leaves(model), path);
}

/// The model that `save` wrote, or the one of a run's folder: architecture and weights, in the file's dtypes.
/// Throws IoError for damaged files and for modules that the registry does not know.
CHAINRULE_API Module load(const std::string& path, const Registry& registry = Registry::standard());

}  // namespace chainrule::nn
