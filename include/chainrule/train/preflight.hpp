#pragma once

#include <string>
#include <vector>

#include <chainrule/data.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/train/fit.hpp>

/// A look at data and model before the first step.
namespace chainrule::train {

enum class CheckStatus : std::uint8_t { ok, warn, fail };

struct Finding {
  std::string name;         ///< `loss at step 0`
  std::string value;        ///< `2.310`
  std::string expectation;  ///< `ln 10 = 2.303`
  CheckStatus status = CheckStatus::ok;
  std::string sentence;  ///< what it means
};

namespace detail {
CHAINRULE_API std::vector<Finding> preflight(nn::Module& model, const data::Dataset& dataset,
                                             const Loss& loss);
CHAINRULE_API Finding overfit_one_batch(nn::Module& model, const data::Dataset& dataset,
                                        const Options& options);
}  // namespace detail

/// Range and scaling of the inputs, missing and infinite values, class balance, constant and duplicate
/// columns, parameters against examples, and the loss before the first step against that of a model which
/// answers 0 to everything: ln K for K classes, the targets' mean square for mean squared errors. Looks at up
/// to 2,000 examples, evenly spaced.
template <nn::Callable M>
std::vector<Finding> preflight(M& model, const data::Dataset& dataset, const Loss& loss = {}) {
  nn::Module handle{detail::Borrowed<M>(model)};
  return detail::preflight(handle, dataset, loss);
}

/// Trains a copy of the model on one batch alone, up to 32 examples drawn by the seed, for 1,000 steps: a
/// model that can't learn them by heart has a mistake in it. Loss, optimizer, batch size, seed and stop token
/// are those of the options.
template <nn::Callable M>
Finding overfit_one_batch(const M& model, const data::Dataset& dataset, const Options& options = {}) {
  nn::Module copy{model};
  return detail::overfit_one_batch(copy, dataset, options);
}

}  // namespace chainrule::train
