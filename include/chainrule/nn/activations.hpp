#pragma once

#include <string_view>

#include <chainrule/ops.hpp>
#include <chainrule/tree.hpp>

/// Activations as modules: `nn::ReLU()` in a Sequential, or the object `nn::relu`, which is the same. Each
/// calls the function of its name in chainrule/ops.hpp.
namespace chainrule::nn {

#define CHAINRULE_ACTIVATION(Type, object)               \
  struct CHAINRULE_API Type {                            \
    static constexpr std::string_view type_name = #Type; \
    Tensor operator()(const Tensor& x) const;            \
  };                                                     \
  inline constexpr Type object {}

CHAINRULE_ACTIVATION(ReLU, relu);          ///< max(x, 0)
CHAINRULE_ACTIVATION(Sigmoid, sigmoid);    ///< 1 / (1 + e⁻ˣ)
CHAINRULE_ACTIVATION(Tanh, tanh);          ///< tanh(x)
CHAINRULE_ACTIVATION(Identity, identity);  ///< x

#undef CHAINRULE_ACTIVATION

}  // namespace chainrule::nn
