#pragma once

#include <string_view>
#include <vector>

#include <chainrule/tree.hpp>

/// Penalties on parameters, to add to a loss, and bounds on gradients. Patterns choose parameters by path: *
/// stands for any characters ("*.weight"); frozen parameters take no part.
///
/// A penalty enters the gradient, and so the moments of Adam; weight decay apart from the gradient is
/// optim::AdamW's.
namespace chainrule::nn {

namespace detail {
CHAINRULE_API Tensor sum_of_powers(const std::vector<Leaf>& leaves, std::string_view pattern, int power);
CHAINRULE_API Tensor global_norm(const std::vector<Leaf>& leaves);
CHAINRULE_API void clip_by_value(const std::vector<Leaf>& leaves, double limit);
CHAINRULE_API void clip_by_norm(const std::vector<Leaf>& leaves, double max_norm);
}  // namespace detail

/// Σ|w| over the parameters that match. Throws ArgumentError where none does.
/// Tibshirani, Regression shrinkage and selection via the lasso, 1996.
template <typename Tree>
Tensor l1_penalty(const Tree& model, std::string_view pattern = "*") {
  return detail::sum_of_powers(leaves(model), pattern, 1);
}
/// Σw² over the parameters that match, by default all of them, biases included. λ/2 times it pulls as a
/// weight decay of λ does in SGD. Hoerl and Kennard, Ridge regression, 1970.
template <typename Tree>
Tensor l2_penalty(const Tree& model, std::string_view pattern = "*") {
  return detail::sum_of_powers(leaves(model), pattern, 2);
}

struct ElasticNetOptions {
  double alpha = 1;       ///< the strength of both
  double l1_ratio = 0.5;  ///< the share of L1
  std::string_view pattern = "*";
};
/// α (ρ Σ|w| + (1 − ρ)/2 Σw²). Zou and Hastie, Regularization and variable selection via the elastic net,
/// 2005.
template <typename Tree>
Tensor elastic_net_penalty(const Tree& model, const ElasticNetOptions& options = {});

/// √Σ‖g‖² over all leaves of a tree.
template <typename Tree>
Tensor global_norm(const Tree& tree) {
  return detail::global_norm(leaves(tree));
}
/// Every element of a gradient brought into [−limit, limit].
template <typename Tree>
Tree clip_by_value(Tree gradient, double limit) {
  detail::clip_by_value(leaves(gradient), limit);
  return gradient;
}
/// A gradient scaled to the norm max_norm where its global norm is larger: g · min(1, max_norm / (‖g‖ +
/// 1e-6)). Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML 2013.
template <typename Tree>
Tree clip_by_norm(Tree gradient, double max_norm) {
  detail::clip_by_norm(leaves(gradient), max_norm);
  return gradient;
}

// ---------------------------------------------------------------------------------------------

namespace detail {
CHAINRULE_API Tensor elastic_net(const std::vector<Leaf>& leaves, const ElasticNetOptions& options);
}
template <typename Tree>
Tensor elastic_net_penalty(const Tree& model, const ElasticNetOptions& options) {
  return detail::elastic_net(leaves(model), options);
}

}  // namespace chainrule::nn
