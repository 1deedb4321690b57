#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <chainrule/tree.hpp>

/// Looks inside a model, chosen from outside: what enters and leaves a region, and the gradients there,
/// without a change to the model's code.
namespace chainrule {

/// What is asked for at a region. With y what leaves the region and x what enters it (parameters do not
/// count), L the loss whose gradient is taken:
enum class ProbeOf : std::uint8_t {
  output,            ///< y
  input,             ///< x, floating inputs only
  output_cotangent,  ///< ȳ = ∂L/∂y
  input_cotangent,   ///< what the region passes back to x: ȳᵀ ∂y/∂x
  /// Σ|x̄| / Σ|ȳ| per unit, the sums over all axes but the last: how much of the gradient that arrives at
  /// a unit the region passes on. NaN where none arrives. Only of regions that are an elementwise function of
  /// one input, such as activations: 0 for a dead unit of relu, near 0 for a saturated one of tanh.
  transmission
};

/// What is kept of it.
enum class Statistic : std::uint8_t {
  whole,  ///< the tensor itself
  norm,   ///< ‖x‖₂ over all elements
  mean,
  std,  ///< with Bessel's correction
  minimum,
  maximum,
  zero_share,  ///< the share of elements that are 0
  histogram    ///< counts, int64 [64], in equal bins from the minimum to the maximum; NaN counts nowhere
};

struct Probe {
  /// The region's path as errors and profiles show it, `Sequential[1].ReLU`; * stands for any characters.
  std::string region;
  ProbeOf of = ProbeOf::output;
  Statistic statistic = Statistic::whole;
};

/// What one probe found at one region. A region that gives two tensors, or runs twice, has two.
struct Reading {
  std::string region;
  ProbeOf of = ProbeOf::output;
  Statistic statistic = Statistic::whole;
  Tensor value;
  void visit(Visitor& v) { v("value", value); }
};

/// What a function returned, and what the probes found meanwhile: probe by probe, regions in the order of
/// the forward pass.
template <typename Result>
struct Probed {
  Result result;
  std::vector<Reading> readings;
  void visit(Visitor& v) {
    v("result", result);
    v("readings", readings);
  }
};

namespace detail {
/// While it lives, gradients that this thread takes and regions that it runs are looked at.
class CHAINRULE_API ProbeScope {
 public:
  explicit ProbeScope(const std::vector<Probe>& probes);
  ~ProbeScope();
  ProbeScope(const ProbeScope&) = delete;
  ProbeScope& operator=(const ProbeScope&) = delete;
  /// What was found on the way to `outputs`.
  std::vector<Reading> readings(const std::vector<Tensor>& outputs);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Tells lists of probes apart.
CHAINRULE_API std::uint64_t hash_of(const std::vector<Probe>& probes);

template <typename F, typename... Args>
auto probed_call(F& f, const std::vector<Probe>& probes, const Args&... args) {
  using Result = std::invoke_result_t<F&, const Args&...>;
  ProbeScope scope(probes);
  Result result = f(args...);
  std::vector<Tensor> outputs;
  for (const Leaf& leaf : leaves(result)) outputs.push_back(*leaf.tensor);
  return Probed<Result>{std::move(result), scope.readings(outputs)};
}
}  // namespace detail

/// Runs `f(args...)` and looks at its regions on the way:
///
///     auto [loss, readings] = probe([&](const Tensor& x) { return sum(model(x)); },
///                                   {{"*.ReLU", ProbeOf::output, Statistic::zero_share}}, x);
///
/// Cotangents are those of the gradients that f takes. A compiled step has the same as a member function, at
/// the price of a second plan (see Compiled::probe). Regions inside of a vmap or a scan are not seen, and
/// outside of `compile` and gradients none that lies before a value that f reads.
///
/// Throws ArgumentError for a pattern that matches no region ("*" may), StateError where gradients are asked
/// for and f takes none, or none that reaches the one region that is named. Regions that a pattern with a *
/// names and that have no such quantity are left out.
template <typename F, typename... Args>
auto probe(F f, const std::vector<Probe>& probes, const Args&... args) {
  return detail::probed_call(f, probes, args...);
}

}  // namespace chainrule
