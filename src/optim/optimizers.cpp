#include <chainrule/optim/optimizers.hpp>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

namespace chainrule::optim {
namespace {

// Half-open, [low, high).
void check_option(std::string_view optimizer, const char* option, double value, double low, double high,
                  const char* wanted) {
  if (value >= low && value < high) return;
  throw ArgumentError({.function = std::string(optimizer),
                       .argument = option,
                       .problem = "an option is outside its range",
                       .got = std::to_string(value),
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
                         .got = "momentum " + std::to_string(options.momentum) + ", dampening " +
                                std::to_string(options.dampening),
                         .wanted = "momentum > 0 and dampening = 0"});
  }
}

std::vector<std::string_view> SGD::state_names() const {
  if (options_.momentum == 0) return {};
  return {"momentum_buffer"};
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

std::vector<std::string_view> RMSProp::state_names() const {
  std::vector<std::string_view> names{"square_avg"};
  if (options_.centered) names.push_back("grad_avg");
  if (options_.momentum != 0) names.push_back("momentum_buffer");
  return names;
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

std::vector<std::string_view> adam_state_names(const AdamOptions& options) {
  if (options.amsgrad) return {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  return {"exp_avg", "exp_avg_sq"};
}

void visit_adam(AdamOptions& options, Visitor& v) {
  v("beta1", options.beta1);
  v("beta2", options.beta2);
  v("eps", options.eps);
  v("amsgrad", options.amsgrad);
  v("maximize", options.maximize);
}

// lr · m̂ / (√v̂ + eps). The corrections are scalars: they cost nothing per element.
Tensor adam_move(const Tensor& g, std::vector<Tensor>& state, const AdamOptions& options, const Tensor& lr,
                 const Tensor& count) {
  const DType dtype = g.dtype();
  Tensor& m = state[0];
  Tensor& v = state[1];
  m = m * options.beta1 + g * (1 - options.beta1);
  v = v * options.beta2 + square(g) * (1 - options.beta2);
  if (options.amsgrad) state[2] = maximum(state[2], v);
  const Tensor correction1 = 1.0 - pow(full({}, options.beta1, DType::float64), count);
  const Tensor correction2 = sqrt(1.0 - pow(full({}, options.beta2, DType::float64), count));
  const Tensor root = sqrt(options.amsgrad ? state[2] : v) * astype(1.0 / correction2, dtype);
  return m * astype(lr / correction1, dtype) / (root + options.eps);
}

}  // namespace

Adam::Adam(const AdamOptions& options)
    : Named(options.lr, options.weight_decay, options.groups), options_(options) {
  check_adam(type_name, options);
}
std::vector<std::string_view> Adam::state_names() const { return adam_state_names(options_); }
void Adam::visit_options(Visitor& v) { visit_adam(options_, v); }

Tensor Adam::step(const Tensor& parameter, const Tensor& gradient, ParameterState& state,
                  const Step& now) const {
  const Tensor g = effective_gradient(parameter, gradient, options_.maximize, now.weight_decay);
  return parameter - adam_move(g, state, options_, now.lr, now.count);
}

AdamW::AdamW(const AdamWOptions& o)
    : Named(o.lr, o.weight_decay, o.groups), options_{o.lr,           o.beta1,   o.beta2,    o.eps,
                                                      o.weight_decay, o.amsgrad, o.maximize, o.groups} {
  check_adam(type_name, options_);
}
std::vector<std::string_view> AdamW::state_names() const { return adam_state_names(options_); }
void AdamW::visit_options(Visitor& v) { visit_adam(options_, v); }

Tensor AdamW::step(const Tensor& parameter, const Tensor& gradient, ParameterState& state,
                   const Step& now) const {
  const Tensor g = options_.maximize ? -gradient : gradient;
  Tensor shrunk = parameter;
  if (now.weight_decay != 0) shrunk = parameter * astype(1.0 - now.lr * now.weight_decay, parameter.dtype());
  return shrunk - adam_move(g, state, options_, now.lr, now.count);
}

}  // namespace chainrule::optim
