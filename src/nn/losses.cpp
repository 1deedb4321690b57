// Losses of an element against an element.

#include <chainrule/control.hpp>

#include "nn/loss_tools.hpp"

namespace chainrule::nn {
namespace {

// PyTorch's constant, a float there.
constexpr double least_variance = 1e-12F;

Tensor bounded_log(const Tensor& p) { return maximum(log(p), -100.0); }

// The derivative of log p at 0 is infinite, and times the 0 of its bound, or of 1 − t, it would be NaN. As in
// PyTorch, (p − t) / (p (1 − p)) has its denominator bounded instead.
Tensor bounded_cross_entropy(const std::vector<Tensor>& prediction_and_target) {
  static const auto loss = custom_vjp(
      [](const std::vector<Tensor>& x) {
        return -(x[1] * bounded_log(x[0]) + (1.0 - x[1]) * bounded_log(1.0 - x[0]));
      },
      [](const std::vector<Tensor>& x, const Tensor&, const Tensor& y_bar) {
        const Tensor slope = (x[0] - x[1]) / maximum(x[0] * (1.0 - x[0]), least_variance);
        return std::vector<Tensor>{y_bar * slope, y_bar * (bounded_log(1.0 - x[0]) - bounded_log(x[0]))};
      });
  return loss(prediction_and_target);
}

}  // namespace

Tensor MseLoss::operator()(const Tensor& prediction, const Tensor& target, const LossOptions& options) const {
  const Region region("mse_loss");
  const auto [y, t] = compared("mse_loss", prediction, target);
  return reduced(square(y - t), options.reduction);
}

Tensor L1Loss::operator()(const Tensor& prediction, const Tensor& target, const LossOptions& options) const {
  const Region region("l1_loss");
  const auto [y, t] = compared("l1_loss", prediction, target);
  return reduced(abs(y - t), options.reduction);
}

Tensor HuberLoss::operator()(const Tensor& prediction, const Tensor& target,
                             const HuberOptions& options) const {
  const Region region("huber_loss");
  const auto [y, t] = compared("huber_loss", prediction, target);
  const double delta = options.delta;
  check_positive("huber_loss", "delta", delta, false);
  const Tensor difference = y - t;
  const Tensor distance = abs(difference);
  const Tensor losses = where(distance <= delta, square(difference) * 0.5, (distance - delta / 2) * delta);
  return reduced(losses, options.reduction);
}

Tensor SmoothL1Loss::operator()(const Tensor& prediction, const Tensor& target,
                                const SmoothL1Options& options) const {
  check_positive("smooth_l1_loss", "beta", options.beta, true);
  if (options.beta == 0) return l1_loss(prediction, target, {.reduction = options.reduction});
  const Region region("smooth_l1_loss");
  return huber_loss(prediction, target, {.reduction = options.reduction, .delta = options.beta}) /
         options.beta;
}

Tensor BinaryCrossEntropyWithLogits::operator()(const Tensor& prediction, const Tensor& target,
                                                const BinaryCrossEntropyWithLogitsOptions& options) const {
  const Region region("binary_cross_entropy_with_logits");
  const auto [y, t] = compared("binary_cross_entropy_with_logits", prediction, target);
  // −log σ(z) = softplus(−z) and −log(1 − σ(z)) = softplus(z): no cancellation, and every derivative exact at
  // 0.
  Tensor positive = t * softplus(-y);
  if (options.pos_weight.defined()) positive = positive * options.pos_weight;
  Tensor losses = positive + (1.0 - t) * softplus(y);
  if (options.weight.defined()) losses = losses * options.weight;
  return reduced(losses, options.reduction);
}

Tensor BinaryCrossEntropy::operator()(const Tensor& prediction, const Tensor& target,
                                      const LossOptions& options) const {
  const Region region("binary_cross_entropy");
  const auto [y, t] = compared("binary_cross_entropy", prediction, target);
  return reduced(bounded_cross_entropy({y, t}), options.reduction);
}

Tensor KlDiv::operator()(const Tensor& prediction, const Tensor& target, const KlDivOptions& options) const {
  const Region region("kl_div");
  const auto [y, t] = compared("kl_div", prediction, target);
  if (options.log_target) return reduced(exp(t) * (t - y), options.reduction);
  // t log t is 0 at 0.
  const Tensor log_t = log(where(equal(t, 0.0), 1.0, t));
  return reduced(t * (log_t - y), options.reduction);
}

Tensor HingeLoss::operator()(const Tensor& prediction, const Tensor& target,
                             const LossOptions& options) const {
  const Region region("hinge_loss");
  const auto [y, t] = compared("hinge_loss", prediction, target);
  return reduced(relu(1.0 - y * t), options.reduction);
}

Tensor SoftMarginLoss::operator()(const Tensor& prediction, const Tensor& target,
                                  const LossOptions& options) const {
  const Region region("soft_margin_loss");
  const auto [y, t] = compared("soft_margin_loss", prediction, target);
  return reduced(softplus(-(y * t)), options.reduction);
}

}  // namespace chainrule::nn
