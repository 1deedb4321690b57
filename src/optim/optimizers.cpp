#include <chainrule/optim/optimizers.hpp>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

#include "ops/declarations.hpp"

namespace chainrule::optim {
namespace {

// Half-open, [low, high).
void check_option(std::string_view optimizer, const char* option, double value, double low, double high,
                  const char* wanted) {
  if (value >= low && value < high) return;
  throw ArgumentError({.function = std::string(optimizer),
                       .argument = option,
                       .problem = "an option is outside its range",
                       .got = short_number(value),
                       .wanted = wanted});
}
constexpr double no_limit = 1e300;
void check_share(std::string_view optimizer, const char* option, double value) {
  check_option(optimizer, option, value, 0, 1, "at least 0, below 1");
}
void check_positive(std::string_view optimizer, const char* option, double value) {
  check_option(optimizer, option, value, 0, no_limit, "0 or more");
}

// The gradient that a step goes against: of −f when f is to grow, with the pull of the weight decay.
Tensor effective_gradient(const Tensor& parameter, const Tensor& gradient, bool maximize,
                          double weight_decay) {
  const Tensor g = maximize ? -gradient : gradient;
  return weight_decay == 0 ? g : g + parameter * weight_decay;
}

}  // namespace

// ---- SGD ----

SGD::SGD(const SGDOptions& options)
    : Named(options.lr, options.weight_decay, options.groups), options_(options) {
  check_positive(type_name, "momentum", options.momentum);
  check_positive(type_name, "weight_decay", options.weight_decay);
  if (options.nesterov && (options.momentum == 0 || options.dampening != 0)) {
    throw ArgumentError({.function = "SGD",
                         .argument = "nesterov",
                         .problem = "Nesterov's form needs a momentum and no dampening",
                         .got = "momentum " + short_number(options.momentum) + ", dampening " +
                                short_number(options.dampening),
                         .wanted = "momentum > 0 and dampening = 0"});
  }
}

std::span<const std::string_view> SGD::state_names() const {
  static constexpr std::string_view names[] = {"momentum_buffer"};
  if (options_.momentum == 0) return {};
  return names;
}

Tensor SGD::step(const Tensor& parameter, const Tensor& gradient, ParameterState& state,
                 const Step& now) const {
  const DType dtype = parameter.dtype();
  Tensor g = effective_gradient(parameter, gradient, options_.maximize, now.weight_decay);
  if (options_.momentum != 0) {
    Tensor fresh = g;
    if (options_.dampening != 0) {  // the first gradient enters whole
      const Tensor later = full({}, 1 - options_.dampening, DType::float64);
      const Tensor share = where(equal(now.count, 1.0), 1.0, later);
      fresh = g * astype(share, dtype);
    }
    Tensor& buffer = state[0];
    buffer = buffer * options_.momentum + fresh;
    g = options_.nesterov ? g + buffer * options_.momentum : buffer;
  }
  return parameter - g * astype(now.lr, dtype);
}

void SGD::visit_options(Visitor& v) {
  v("momentum", options_.momentum);
  v("dampening", options_.dampening);
  v("nesterov", options_.nesterov);
  v("maximize", options_.maximize);
}

// ---- gradient descent ----

GradientDescent::GradientDescent(const GradientDescentOptions& options) : Named(options.lr, 0, {}) {}

Tensor GradientDescent::step(const Tensor& parameter, const Tensor& gradient, ParameterState&,
                             const Step& now) const {
  return parameter - gradient * astype(now.lr, parameter.dtype());
}

// ---- RMSProp ----

RMSProp::RMSProp(const RMSPropOptions& options)
    : Named(options.lr, options.weight_decay, options.groups), options_(options) {
  check_share(type_name, "alpha", options.alpha);
  check_positive(type_name, "eps", options.eps);
  check_positive(type_name, "momentum", options.momentum);
  check_positive(type_name, "weight_decay", options.weight_decay);
}

std::span<const std::string_view> RMSProp::state_names() const {
  static constexpr std::string_view centered[] = {"square_avg", "grad_avg", "momentum_buffer"};
  static constexpr std::string_view plain[] = {"square_avg", "momentum_buffer"};
  const std::span<const std::string_view> names = options_.centered
                                                      ? std::span<const std::string_view>(centered)
                                                      : std::span<const std::string_view>(plain);
  return options_.momentum != 0 ? names : names.first(names.size() - 1);
}

Tensor RMSProp::step(const Tensor& parameter, const Tensor& gradient, ParameterState& state,
                     const Step& now) const {
  const Tensor g = effective_gradient(parameter, gradient, options_.maximize, now.weight_decay);
  const double alpha = options_.alpha;
  const Tensor lr = astype(now.lr, parameter.dtype());
  state[0] = state[0] * alpha + square(g) * (1 - alpha);
  Tensor spread = state[0];
  if (options_.centered) {
    state[1] = state[1] * alpha + g * (1 - alpha);
    spread = spread - square(state[1]);
  }
  const Tensor quotient = g / (sqrt(spread) + options_.eps);
  if (options_.momentum == 0) return parameter - lr * quotient;
  Tensor& buffer = state.back();
  buffer = buffer * options_.momentum + quotient;
  return parameter - lr * buffer;
}

void RMSProp::visit_options(Visitor& v) {
  v("alpha", options_.alpha);
  v("eps", options_.eps);
  v("momentum", options_.momentum);
  v("centered", options_.centered);
  v("maximize", options_.maximize);
}

// ---- Adam and AdamW ----

namespace {

void check_adam(std::string_view name, const AdamOptions& options) {
  check_share(name, "beta1", options.beta1);
  check_share(name, "beta2", options.beta2);
  check_positive(name, "eps", options.eps);
  check_positive(name, "weight_decay", options.weight_decay);
}

std::span<const std::string_view> adam_state_names(const AdamOptions& options) {
  static constexpr std::string_view names[] = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  return std::span<const std::string_view>(names).first(options.amsgrad ? 3 : 2);
}

void visit_adam(AdamOptions& options, Visitor& v) {
  v("beta1", options.beta1);
  v("beta2", options.beta2);
  v("eps", options.eps);
  v("amsgrad", options.amsgrad);
  v("maximize", options.maximize);
}

// How far the weight decay reaches: into the means (Adam), or past them (AdamW).
struct Decay {
  double l2 = 0;
  double decoupled = 0;
};

// One step, and the new state. AMSGrad's maximum is not part of the op.
Tensor adam_step(const Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& state,
                 const AdamOptions& options, const Decay& decay, const Tensor& lr, const Tensor& count) {
  const Tensor g = options.maximize ? -gradient : gradient;
  std::vector<Tensor> results =
      make_outputs(ops::adam_update, {parameter, g, state[0], state[1], lr, count},
                   {options.beta1, options.beta2, options.eps, decay.l2, decay.decoupled});
  state[0] = std::move(results[1]);
  state[1] = std::move(results[2]);
  return std::move(results[0]);
}

// Reddi, Kale and Kumar, On the convergence of Adam and beyond, ICLR 2018: the largest mean square so far.
Tensor amsgrad_step(const Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& state,
                    const AdamOptions& options, const Decay& decay, const Tensor& lr, const Tensor& count) {
  const DType dtype = parameter.dtype();
  const Tensor g = effective_gradient(parameter, gradient, options.maximize, decay.l2);
  state[0] = state[0] * options.beta1 + g * (1 - options.beta1);
  state[1] = state[1] * options.beta2 + square(g) * (1 - options.beta2);
  state[2] = maximum(state[2], state[1]);
  const Tensor correction1 = 1.0 - pow(full({}, options.beta1, DType::float64), count);
  const Tensor correction2 = sqrt(1.0 - pow(full({}, options.beta2, DType::float64), count));
  const Tensor root = sqrt(state[2]) * astype(1.0 / correction2, dtype);
  Tensor shrunk = parameter;
  if (decay.decoupled != 0) shrunk = parameter * astype(1.0 - lr * decay.decoupled, dtype);
  return shrunk - state[0] * astype(lr / correction1, dtype) / (root + options.eps);
}

}  // namespace

Adam::Adam(const AdamOptions& options)
    : Named(options.lr, options.weight_decay, options.groups), options_(options) {
  check_adam(type_name, options);
}
std::span<const std::string_view> Adam::state_names() const { return adam_state_names(options_); }
void Adam::visit_options(Visitor& v) { visit_adam(options_, v); }

Tensor Adam::step(const Tensor& parameter, const Tensor& gradient, ParameterState& state,
                  const Step& now) const {
  const auto step = options_.amsgrad ? amsgrad_step : adam_step;
  return step(parameter, gradient, state, options_, {.l2 = now.weight_decay}, now.lr, now.count);
}

AdamW::AdamW(const AdamWOptions& o)
    : Named(o.lr, o.weight_decay, o.groups), options_{o.lr,           o.beta1,   o.beta2,    o.eps,
                                                      o.weight_decay, o.amsgrad, o.maximize, o.groups} {
  check_adam(type_name, options_);
}
std::span<const std::string_view> AdamW::state_names() const { return adam_state_names(options_); }
void AdamW::visit_options(Visitor& v) { visit_adam(options_, v); }

Tensor AdamW::step(const Tensor& parameter, const Tensor& gradient, ParameterState& state,
                   const Step& now) const {
  const auto step = options_.amsgrad ? amsgrad_step : adam_step;
  return step(parameter, gradient, state, options_, {.decoupled = now.weight_decay}, now.lr, now.count);
}

}  // namespace chainrule::optim
