#pragma once

#include <optional>
#include <string>
#include <vector>

#include <chainrule/train/fit.hpp>

/// Why a training diverged, in numbers.
namespace chainrule::train {

/// What is known when a run has diverged.
struct VerdictFacts {
  std::int64_t step = 0;
  double first_loss = unknown;
  double last_loss = unknown;
  std::string numeric_error;  ///< of the op that made the first number that is not finite
  std::string optimizer;
  double learning_rate = unknown;
  std::optional<double> largest_curvature;  ///< λmax of the loss's Hessian; of gradient descent alone
  std::vector<ProbeRecord> probes;
};

/// `diverged at step 41: loss 2.3 → 8.1e4. lr·λmax = 0.5 × 12.4 = 6.2 > 2, the stability limit …`
std::string verdict_text(const VerdictFacts& facts);

/// Whether the stability limit of gradient descent speaks of this optimizer: SGD, with or without momentum.
bool is_gradient_descent(const optim::Optimizer& optimizer);

/// The eigenvalue of largest size of ∂²L/∂w² on a batch, by power iteration on Hessian-vector products;
/// absent where it can't be computed.
std::optional<double> largest_curvature(nn::Module& model, const Loss& loss, const data::Dataset& dataset,
                                        std::int64_t batch_size);

/// The model's tensors, as handles.
std::vector<Tensor> values_of_leaves(nn::Module& model);

}  // namespace chainrule::train
