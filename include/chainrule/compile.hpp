#pragma once

#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include <chainrule/function_ref.hpp>
#include <chainrule/tree.hpp>

namespace chainrule {

namespace detail {

/// Options of a tree as numbers, for a plan's key.
class CHAINRULE_API StateVisitor : public Visitor {
 public:
  std::vector<Tensor*> tensors;
  std::vector<std::uint64_t> options;
  void clear() {
    tensors.clear();
    options.clear();
  }

 protected:
  void leaf(Tensor& tensor, LeafKind kind, bool* trainable) override;
  void option(bool& value) override;
  void option(std::int64_t& value) override;
  void option(double& value) override;
  void option(std::string& value) override;
  void option(Dims& value) override;
};

/// The part of a compiled function that does not depend on its types.
class CHAINRULE_API CompiledCore {
 public:
  CompiledCore();
  ~CompiledCore();
  /// Runs the plan for these tensors, tracing first where there is none. `trace` calls the user's function
  /// (on the placeholders that by then stand in `state` and `arguments`) and appends its results' leaves.
  /// `collect` visits the state anew. The results' new handles are written to `results`.
  void run(StateVisitor& state, StateVisitor& arguments, FunctionRef<void(std::vector<Tensor>&)> trace,
           FunctionRef<void(StateVisitor&)> collect, std::vector<Tensor>& results);
  int trace_count() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// True while this thread builds an expression that a transform walks or that `compile` records: then a
/// compiled function is inlined.
CHAINRULE_API bool depends_on_transform(const std::vector<Tensor*>& tensors);

}  // namespace detail

/// A function with state, compiled: the first call with given shapes traces it, later calls run the plan.
template <typename F, typename... State>
class Compiled {
 public:
  explicit Compiled(F f, State&... state) : f_(std::move(f)), state_(state...) {}

  template <typename... Args>
  auto operator()(const Args&... args) {
    using Result = std::invoke_result_t<F&, const Args&...>;
    static_assert(!std::is_void_v<Result>,
                  "a compiled step returns a tensor or a tree of tensors, such as its loss");
    std::tuple<Args...> arguments(args...);
    state_visitor_.clear();
    argument_visitor_.clear();
    collect(state_visitor_);
    argument_visitor_.visit_part(arguments);
    if (detail::depends_on_transform(argument_visitor_.tensors) ||
        detail::depends_on_transform(state_visitor_.tensors)) {
      return std::apply(f_, std::as_const(arguments));
    }
    results_.clear();
    const auto trace = [&](std::vector<Tensor>& outputs) {
      auto result = std::make_shared<Result>(std::apply(f_, std::as_const(arguments)));
      detail::StateVisitor visitor;
      visitor.visit_part(*result);
      for (const Tensor* tensor : visitor.tensors) outputs.push_back(*tensor);
      template_ = std::move(result);
    };
    core_->run(
        state_visitor_, argument_visitor_, trace, [this](detail::StateVisitor& v) { collect(v); }, results_);
    return with_results<Result>();
  }

  /// How often the function was traced: once per combination of shapes, dtypes and options.
  int trace_count() const { return core_->trace_count(); }

 private:
  void collect(detail::StateVisitor& visitor) {
    std::apply([&](auto&... trees) { (visitor.visit_part(trees), ...); }, state_);
  }
  template <typename Result>
  Result with_results() {
    if constexpr (std::same_as<Result, Tensor>) {
      Tensor result = std::move(results_[0]);
      return result;
    } else {
      Result result = *std::static_pointer_cast<Result>(template_);
      detail::StateVisitor visitor;
      visitor.visit_part(result);
      for (std::size_t i = 0; i < results_.size(); ++i) *visitor.tensors[i] = std::move(results_[i]);
      return result;
    }
  }

  F f_;
  std::tuple<State&...> state_;
  std::shared_ptr<void> template_;
  detail::StateVisitor state_visitor_;
  detail::StateVisitor argument_visitor_;
  std::vector<Tensor> results_;
  std::unique_ptr<detail::CompiledCore> core_ = std::make_unique<detail::CompiledCore>();
};

/// Compiles `step` together with the state it reads and changes:
///
///     auto step = compile([&](const Tensor& x, const Tensor& y) {
///       auto [loss, gradient] = value_and_grad(loss_of)(model, x, y);
///       optimizer.update(model, gradient);
///       return loss;
///     }, model, optimizer);
///
/// The state is held by reference and updated by each call. A tensor that the step reaches but that is
/// neither state nor argument is a constant of the plan. A step commits at its end: where the loss or a
/// gradient is not finite, the state stays as it was and NumericError says which op of which layer
/// produced the first non-finite number. From the second call with the same shapes on, nothing is allocated.
template <typename F, typename... State>
Compiled<F, State...> compile(F step, State&... state) {
  return Compiled<F, State...>(std::move(step), state...);
}

}  // namespace chainrule
