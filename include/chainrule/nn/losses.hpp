#pragma once

#include <cstdint>

#include <chainrule/tensor.hpp>

/// Losses: function objects, called as loss(prediction, target) or loss(prediction, target, {options}). They
/// fit std::function<Tensor(const Tensor&, const Tensor&)>. Options and defaults are PyTorch's. Shapes that
/// do not fit raise ShapeError.
namespace chainrule::nn {

/// What becomes of the loss of each element or example.
enum class Reduction : std::uint8_t { mean, sum, none };

struct LossOptions {
  Reduction reduction = Reduction::mean;
};

struct CrossEntropyOptions {
  Reduction reduction = Reduction::mean;
  double label_smoothing = 0;        ///< the share of the target that is spread evenly over all classes
  Tensor weight;                     ///< [C]: a weight per class; the mean is then the weighted one
  std::int64_t ignore_index = -100;  ///< examples with this target count as absent
};

/// L = logsumexp(z) − z[t] = −log softmax(z)[t] per example.   z: logits [N, C] or [N, C, ..] or [C].
///
/// The target holds class indices (integers, z's shape without the class axis) or probabilities (floating,
/// z's shape). Throws ArgumentError for a smoothing outside [0, 1], DTypeError for a target of bools.
struct CHAINRULE_API CrossEntropy {
  Tensor operator()(const Tensor& prediction, const Tensor& target,
                    const CrossEntropyOptions& options = {}) const;
};
inline constexpr CrossEntropy cross_entropy{};

/// (y − t)² per element.
struct CHAINRULE_API MseLoss {
  Tensor operator()(const Tensor& prediction, const Tensor& target, const LossOptions& options = {}) const;
};
inline constexpr MseLoss mse_loss{};

}  // namespace chainrule::nn
