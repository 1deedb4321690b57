#pragma once

#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include <chainrule/function_ref.hpp>
#include <chainrule/probe.hpp>
#include <chainrule/tree.hpp>

namespace chainrule {

namespace detail {

/// The leaves of a tree, and its options as numbers, for a plan's key.
class CHAINRULE_API StateVisitor : public Visitor {
 public:
  std::vector<Tensor*> tensors;
  std::vector<std::uint64_t> options;
  bool with_paths = false;         ///< for errors and the log; a run that allocates nothing does without
  std::vector<std::string> paths;  ///< of the leaves, when asked for
  void clear() {
    tensors.clear();
    options.clear();
    paths.clear();
  }

 protected:
  void leaf(Tensor& tensor, LeafKind kind, bool* trainable) override;
  void option(bool& value) override;
  void option(std::int64_t& value) override;
  void option(double& value) override;
  void option(std::string& value) override;
  void option(Dims& value) override;
};

/// One call of a compiled function.
struct CompiledCall {
  StateVisitor& state;      ///< visited already
  StateVisitor& arguments;  ///< visited already
  /// Calls the user's function, on the placeholders that by then stand in `state` and `arguments`, and
  /// appends the leaves of what it returns. Returns that, as the pattern of later results.
  FunctionRef<std::shared_ptr<void>(std::vector<Tensor>&)> trace;
  FunctionRef<void(StateVisitor&)> visit_state;      ///< visits the state anew
  FunctionRef<void(StateVisitor&)> visit_arguments;  ///< and the arguments
};

/// The part of a compiled function that does not depend on its types.
class CHAINRULE_API CompiledCore {
 public:
  CompiledCore();
  ~CompiledCore();
  /// Runs the plan for these tensors, tracing first where there is none. The results' leaves are written to
  /// `results`; returned is the pattern that they belong in.
  std::shared_ptr<const void> run(const CompiledCall& call, std::vector<Tensor>& results);
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
    return run(f_, 0, args...);
  }

  /// The same call, which also tells what the probes ask for (see probe.hpp). It advances the state as any
  /// other; the first call with a list of probes traces a plan of its own.
  template <typename... Args>
  auto probe(const std::vector<Probe>& probes, const Args&... args) {
    auto probed = [&](const Args&... a) { return detail::probed_call(f_, probes, a...); };
    return run(probed, detail::hash_of(probes), args...);
  }

  /// How often the function was traced: once per combination of shapes, dtypes and options.
  int trace_count() const { return core_->trace_count(); }

 private:
  template <typename G, typename... Args>
  auto run(G& f, std::uint64_t kind, const Args&... args) {
    using Result = std::invoke_result_t<G&, const Args&...>;
    static_assert(!std::is_void_v<Result>,
                  "a compiled step returns a tensor or a tree of tensors, such as its loss");
    std::tuple<Args...> arguments(args...);
    state_visitor_.clear();
    argument_visitor_.clear();
    collect(state_visitor_);
    argument_visitor_.visit_part(arguments);
    argument_visitor_.options.push_back(kind);  // a plan for each list of probes
    if (detail::depends_on_transform(argument_visitor_.tensors) ||
        detail::depends_on_transform(state_visitor_.tensors)) {
      return std::apply(f, std::as_const(arguments));
    }
    results_.clear();
    const auto trace = [&](std::vector<Tensor>& outputs) -> std::shared_ptr<void> {
      auto result = std::make_shared<Result>(std::apply(f, std::as_const(arguments)));
      detail::StateVisitor visitor;
      visitor.visit_part(*result);
      for (const Tensor* tensor : visitor.tensors) outputs.push_back(*tensor);
      return result;
    };
    const auto visit_state = [this](detail::StateVisitor& v) { collect(v); };
    const auto visit_arguments = [&](detail::StateVisitor& v) { v.visit_part(arguments); };
    const std::shared_ptr<const void> pattern =
        core_->run({state_visitor_, argument_visitor_, trace, visit_state, visit_arguments}, results_);
    return with_results(*static_cast<const Result*>(pattern.get()));
  }
  void collect(detail::StateVisitor& visitor) {
    std::apply([&](auto&... trees) { (visitor.visit_part(trees), ...); }, state_);
  }
  template <typename Result>
  Result with_results(const Result& pattern) {
    if constexpr (std::same_as<Result, Tensor>) {
      Tensor result = std::move(results_[0]);
      return result;
    } else {
      Result result = pattern;
      result_visitor_.clear();
      result_visitor_.visit_part(result);
      for (std::size_t i = 0; i < results_.size(); ++i) *result_visitor_.tensors[i] = std::move(results_[i]);
      return result;
    }
  }

  F f_;
  std::tuple<State&...> state_;
  detail::StateVisitor state_visitor_;
  detail::StateVisitor argument_visitor_;
  detail::StateVisitor result_visitor_;
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
/// neither state nor argument is a constant of the plan; a Parameter there throws StateError, as does a state
/// or a result without a value. A step commits at its end: where the loss or a gradient is not finite, the
/// state stays as it was and NumericError says which op of which layer produced the first non-finite number.
/// Throws ShapeError or DTypeError, which name the tensor's path, where the step gives a tensor of its state
/// another shape or dtype, and StateError where the state names a tensor twice. From the second call with the
/// same shapes on, nothing is allocated, but for what a result holds besides tensors (the memory of a
/// vector).
template <typename F, typename... State>
Compiled<F, State...> compile(F step, State&... state) {
  return Compiled<F, State...>(std::move(step), state...);
}

}  // namespace chainrule
