#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <chainrule/error.hpp>
#include <chainrule/train/fit.hpp>

#include "io/json.hpp"

/// Why a training diverged, in numbers.
namespace chainrule::train {

/// The largest lr·λ at which a method still shrinks every direction of a quadratic with curvature λ.
struct StabilityLimit {
  double value = 2;
  std::string method = "gradient descent";
  double weight_decay = 0;  ///< adds to every curvature
};

/// Of gradient descent, with momentum or without:
///   plain 2,  heavy ball 2 (1 + μ) / (1 − τ) with dampening τ,  Nesterov 2 (1 + μ) / (1 + 2μ).
/// Absent for other optimizers, and where parameter groups, clipping or an ascent change the step.
/// Heavy ball: Polyak, Some methods of speeding up the convergence of iteration methods, 1964; Nesterov: the
/// eigenvalues of the iteration in (p, b) leave the unit circle at −1 (Jury's criterion).
std::optional<StabilityLimit> stability_limit(const Options& options);

/// What is known when a run has diverged.
struct VerdictFacts {
  std::int64_t step = 0;  ///< the one that failed, counted from 1
  double first_loss = unknown;
  double last_loss = unknown;
  std::string numeric_error;  ///< what was not finite first, and where
  double learning_rate = unknown;
  std::optional<StabilityLimit> limit;
  std::optional<double> largest_curvature;  ///< λmax of the objective's Hessian, penalties included
  std::vector<ProbeRecord> probes;
  std::map<std::string, std::string> names;  ///< of parameters, as people know them
};

/// `diverged at step 41: loss 2.3 → 8.1e4. lr·λmax = 0.5 × 12.4 = 6.2 > 2, the stability limit …`
std::string verdict_text(const VerdictFacts& facts);

/// The facts as numbers, for run.json: step, first_loss, last_loss, learning_rate, and where they are known
/// largest_curvature (with the weight decay that adds to it), limit, method, growth, numeric_error.
io::Json to_json(const VerdictFacts& facts);

/// "exp(93.4) = inf at element 3 …, at Sequential[1].Linear": the op that made the first number that is not
/// finite. Without the step, of which the trainer has its own count.
std::string first_non_finite_text(const NumericError& error);

/// The eigenvalue of largest size of ∂²L/∂w² on a batch, by power iteration on Hessian-vector products;
/// absent where it can't be computed.
std::optional<double> largest_curvature(
    nn::Module& model, const std::function<Tensor(const nn::Module&, const data::Batch&)>& loss,
    const data::Dataset& dataset, std::int64_t batch_size);

/// Each parameter's path with the layers' names in it: `0.weight` → `Sequential[0].Linear.weight`.
std::map<std::string, std::string> parameter_names(nn::Module& model);
/// The path of each layer without layers inside, by the region that it opens: "Sequential[1].ReLU" is "1".
std::map<std::string, std::string> layer_paths(nn::Module& model);

/// The model's tensors, as handles.
std::vector<Tensor> values_of_leaves(nn::Module& model);

}  // namespace chainrule::train
