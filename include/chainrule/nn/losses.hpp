#pragma once

#include <cstdint>
#include <span>

#include <chainrule/description.hpp>
#include <chainrule/tensor.hpp>

/// Losses: function objects, called as loss(prediction, target) or loss(prediction, target, {options}). They
/// fit std::function<Tensor(const Tensor&, const Tensor&)>. Formulas are per element or example; options,
/// defaults and reductions are PyTorch's. Targets take part in the derivative where they are floating.
/// Prediction and target must have one shape, unless said otherwise: nothing is broadcast. Throws ShapeError
/// where shapes do not fit, ArgumentError for options outside their range. Under a dtype policy losses
/// compute in its `reductions`.
namespace chainrule::nn {

/// What becomes of the loss of each element or example.
enum class Reduction : std::uint8_t { mean, sum, none };

/// Every loss, by name. Formulas are per element, of prediction y and target t; z and l are rows of logits
/// and log-probabilities.
CHAINRULE_API std::span<const Description> loss_table();

struct LossOptions {
  Reduction reduction = Reduction::mean;
};

/// The target of an example that counts for no loss and no metric, unless told otherwise.
inline constexpr std::int64_t ignored_class = -100;

struct CrossEntropyOptions {
  Reduction reduction = Reduction::mean;
  double label_smoothing = 0;  ///< the share of the target that is spread evenly over all classes
  Tensor weight = {};          ///< [C]: a weight per class; the mean is then the weighted one
  std::int64_t ignore_index = ignored_class;  ///< examples with this target count as absent
};

/// L = logsumexp(z) − z[t] = −log softmax(z)[t].   z: logits [N, C] or [N, C, ..] or [C].
///
/// The target holds class indices (integers, z's shape without the class axis) or probabilities (floating,
/// z's shape: L = −Σ t log softmax(z)). Throws DTypeError for a target of bools or integer logits, and
/// ArgumentError when the loss is evaluated with a class outside [0, C) that is not ignore_index.
struct CHAINRULE_API CrossEntropy {
  Tensor operator()(const Tensor& prediction, const Tensor& target,
                    const CrossEntropyOptions& options = {}) const;
};
inline constexpr CrossEntropy cross_entropy{};

struct NllOptions {
  Reduction reduction = Reduction::mean;
  Tensor weight = {};                         ///< [C]: a weight per class; the mean is then the weighted one
  std::int64_t ignore_index = ignored_class;  ///< examples with this target count as absent
};

/// L = −l[t].   l: log-probabilities [N, C] or [N, C, ..] or [C]; t: class indices as for cross_entropy.
struct CHAINRULE_API NllLoss {
  Tensor operator()(const Tensor& prediction, const Tensor& target, const NllOptions& options = {}) const;
};
inline constexpr NllLoss nll_loss{};

/// L = (y − t)².
struct CHAINRULE_API MseLoss {
  Tensor operator()(const Tensor& prediction, const Tensor& target, const LossOptions& options = {}) const;
};
inline constexpr MseLoss mse_loss{};

/// L = |y − t|, with derivative 0 at 0.
struct CHAINRULE_API L1Loss {
  Tensor operator()(const Tensor& prediction, const Tensor& target, const LossOptions& options = {}) const;
};
inline constexpr L1Loss l1_loss{};

struct HuberOptions {
  Reduction reduction = Reduction::mean;
  double delta = 1;
};

/// L = d² / 2 where |d| ≤ δ, δ (|d| − δ / 2) beyond, d = y − t.
/// Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics 35, 1964.
struct CHAINRULE_API HuberLoss {
  Tensor operator()(const Tensor& prediction, const Tensor& target, const HuberOptions& options = {}) const;
};
inline constexpr HuberLoss huber_loss{};

struct SmoothL1Options {
  Reduction reduction = Reduction::mean;
  double beta = 1;
};

/// Huber's loss with δ = β, divided by β; the L1 loss for β = 0.
struct CHAINRULE_API SmoothL1Loss {
  Tensor operator()(const Tensor& prediction, const Tensor& target,
                    const SmoothL1Options& options = {}) const;
};
inline constexpr SmoothL1Loss smooth_l1_loss{};

struct BinaryCrossEntropyWithLogitsOptions {
  Reduction reduction = Reduction::mean;
  Tensor weight = {};      ///< of each element; broadcasts against the target
  Tensor pos_weight = {};  ///< of the positive part; broadcasts against the target
};

/// L = −t log σ(z) − (1 − t) log(1 − σ(z)) for logits z and probabilities t, without overflow.
struct CHAINRULE_API BinaryCrossEntropyWithLogits {
  Tensor operator()(const Tensor& prediction, const Tensor& target,
                    const BinaryCrossEntropyWithLogitsOptions& options = {}) const;
};
inline constexpr BinaryCrossEntropyWithLogits binary_cross_entropy_with_logits{};

/// L = −t log p − (1 − t) log(1 − p) for probabilities p and t; logarithms are bounded at −100. Prefer
/// logits.
struct CHAINRULE_API BinaryCrossEntropy {
  Tensor operator()(const Tensor& prediction, const Tensor& target, const LossOptions& options = {}) const;
};
inline constexpr BinaryCrossEntropy binary_cross_entropy{};

struct KlDivOptions {
  Reduction reduction =
      Reduction::mean;      ///< over elements; divide the sum by N for the mean divergence per example
  bool log_target = false;  ///< the target is a log-probability too
};

/// L = t (log t − l) for log-probabilities l and probabilities t: summed over classes, KL(t ‖ exp l).
/// Kullback and Leibler, On information and sufficiency, Annals of Mathematical Statistics 22, 1951.
struct CHAINRULE_API KlDiv {
  Tensor operator()(const Tensor& prediction, const Tensor& target, const KlDivOptions& options = {}) const;
};
inline constexpr KlDiv kl_div{};

/// L = max(0, 1 − t y) for scores y and targets t = ±1.
/// Cortes and Vapnik, Support-vector networks, Machine Learning 20, 1995.
struct CHAINRULE_API HingeLoss {
  Tensor operator()(const Tensor& prediction, const Tensor& target, const LossOptions& options = {}) const;
};
inline constexpr HingeLoss hinge_loss{};

/// L = log(1 + exp(−t y)) for scores y and targets t = ±1.
struct CHAINRULE_API SoftMarginLoss {
  Tensor operator()(const Tensor& prediction, const Tensor& target, const LossOptions& options = {}) const;
};
inline constexpr SoftMarginLoss soft_margin_loss{};

}  // namespace chainrule::nn
