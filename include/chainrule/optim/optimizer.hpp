#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <chainrule/tree.hpp>

/// Optimizers: values that hold options and state. The state is a tree, and all that changes from step to
/// step (learning rate, step count, moments) is a tensor in it, so that `compile(step, model, optimizer)`
/// never traces a step again because of them.
namespace chainrule::optim {

/// Settings of their own for parameters by path pattern (* stands for any characters). The first group whose
/// pattern matches counts. The optimizer's constructor throws ArgumentError for negative numbers and NaN,
/// `init` and the first `update` for a pattern that no parameter of the model matches.
struct ParameterGroup {
  std::string pattern;
  double lr_multiplier = 1;
  std::optional<double> weight_decay;  ///< absent: the optimizer's
};

/// What all optimizers share. `update` moves the parameters against the gradient:
///
///     optim::Adam optimizer({.lr = 1e-3});
///     auto [loss, gradient] = value_and_grad(loss_of)(model, x, y);
///     optimizer.update(model, gradient);
class CHAINRULE_API OptimizerBase {
 public:
  virtual ~OptimizerBase() = default;

  /// Creates the state for every trainable parameter. `update` does so too for those that have none yet.
  template <typename Tree>
  void init(Tree& model) {
    init_leaves(leaves(model));
  }
  /// Assigns new values to the trainable parameters, and puts recorded updates (running averages) in place.
  /// The gradient is a tree of the model's type, as `grad` returns it. Throws ArgumentError where it has
  /// other paths.
  template <typename Tree>
  void update(Tree& model, const Tree& gradient) {
    update_leaves(leaves(model), leaves(gradient));
  }

  /// Takes effect with the next update; a compiled step is not traced again. Throws ArgumentError for
  /// negative numbers and NaN.
  void set_learning_rate(double lr);
  double learning_rate() const;
  /// How many updates have been made.
  std::int64_t step_count() const;

  /// Options, and as buffers learning rate, step count and the state of each parameter:
  /// "state.0.weight.exp_avg".
  void visit(Visitor& v);
  /// "Adam".
  virtual std::string_view name() const = 0;
  virtual std::unique_ptr<OptimizerBase> clone() const = 0;

 protected:
  /// The state of one parameter, in the order of `state_names`.
  using ParameterState = std::vector<Tensor>;
  /// What one update knows besides the parameter. Scalars are float64: their rounding is no matter of the
  /// model.
  struct Step {
    Tensor lr;     ///< with the group's multiplier
    Tensor count;  ///< 1 in the first update
    double weight_decay;
  };

  /// `name` is what errors call the optimizer. Throws ArgumentError for numbers that are negative or not
  /// finite.
  OptimizerBase(std::string_view name, double lr, double weight_decay, std::vector<ParameterGroup> groups);
  OptimizerBase(const OptimizerBase&) = default;
  OptimizerBase(OptimizerBase&&) = default;
  OptimizerBase& operator=(const OptimizerBase&) = default;
  OptimizerBase& operator=(OptimizerBase&&) = default;

  /// The names of a parameter's state tensors; each has its shape and starts at zero. They outlive the
  /// optimizer.
  virtual std::span<const std::string_view> state_names() const = 0;
  /// The parameter's new value; changes `state`.
  virtual Tensor step(const Tensor& parameter, const Tensor& gradient, ParameterState& state,
                      const Step& now) const = 0;
  virtual void visit_options(Visitor& v) = 0;

 private:
  void init_leaves(const std::vector<Leaf>& parameters);
  void update_leaves(const std::vector<Leaf>& parameters, const std::vector<Leaf>& gradients);
  ParameterState& state_of(const Leaf& parameter);
  Step step_for(const Leaf& parameter, const Tensor& count) const;
  const ParameterGroup* group_of(const std::string& path) const;
  void check_groups(const std::vector<Leaf>& parameters);

  Tensor lr_;     // float64
  Tensor count_;  // int64
  double weight_decay_;
  std::vector<ParameterGroup> groups_;
  bool groups_match_ = false;  // known to, for this optimizer's model
  std::map<std::string, ParameterState> state_;
};

/// Any optimizer, as a value.
class CHAINRULE_API Optimizer {
 public:
  template <std::derived_from<OptimizerBase> T>
  Optimizer(T optimizer)  // NOLINT: implicit on purpose: `.optimizer = optim::Adam()`
      : self_(std::make_unique<T>(std::move(optimizer))) {}
  Optimizer(const Optimizer& other) : self_(other.self_->clone()) {}
  Optimizer(Optimizer&&) noexcept = default;
  Optimizer& operator=(Optimizer other) noexcept {
    self_ = std::move(other.self_);
    return *this;
  }
  ~Optimizer() = default;

  template <typename Tree>
  void init(Tree& model) {
    self_->init(model);
  }
  template <typename Tree>
  void update(Tree& model, const Tree& gradient) {
    self_->update(model, gradient);
  }
  void set_learning_rate(double lr) { self_->set_learning_rate(lr); }
  double learning_rate() const { return self_->learning_rate(); }
  std::int64_t step_count() const { return self_->step_count(); }
  void visit(Visitor& v) { self_->visit(v); }
  std::string_view name() const { return self_->name(); }

 private:
  std::unique_ptr<OptimizerBase> self_;
};

namespace detail {
/// `clone` and `name` for an optimizer T.
template <typename T>
class Named : public OptimizerBase {
 public:
  Named(double lr, double weight_decay, std::vector<ParameterGroup> groups)
      : OptimizerBase(T::type_name, lr, weight_decay, std::move(groups)) {}
  std::string_view name() const override { return T::type_name; }
  std::unique_ptr<OptimizerBase> clone() const override {
    return std::make_unique<T>(static_cast<const T&>(*this));
  }
};
}  // namespace detail

}  // namespace chainrule::optim
