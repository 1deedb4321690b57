#pragma once

#include <cstdint>
#include <string_view>

#include <chainrule/ops.hpp>
#include <chainrule/tree.hpp>

/// Activations as modules: `nn::ReLU()` in a Sequential, or the object `nn::relu`, which is the same. Each
/// calls the function of its name in chainrule/ops.hpp, where formula and source stand, in a region of its
/// own.
namespace chainrule::nn {

#define CHAINRULE_ACTIVATION(Type, object)               \
  struct CHAINRULE_API Type {                            \
    static constexpr std::string_view type_name = #Type; \
    Tensor operator()(const Tensor& x) const;            \
  };                                                     \
  inline constexpr Type object {}

CHAINRULE_ACTIVATION(Identity, identity);
CHAINRULE_ACTIVATION(ReLU, relu);
CHAINRULE_ACTIVATION(ReLU6, relu6);
CHAINRULE_ACTIVATION(SELU, selu);
CHAINRULE_ACTIVATION(SiLU, silu);
CHAINRULE_ACTIVATION(Mish, mish);
CHAINRULE_ACTIVATION(Sigmoid, sigmoid);
CHAINRULE_ACTIVATION(LogSigmoid, log_sigmoid);
CHAINRULE_ACTIVATION(Tanh, tanh);
CHAINRULE_ACTIVATION(Softsign, softsign);
CHAINRULE_ACTIVATION(Hardsigmoid, hardsigmoid);
CHAINRULE_ACTIVATION(Hardswish, hardswish);

#undef CHAINRULE_ACTIVATION

/// x for x > 0, negative_slope · x elsewhere.
struct CHAINRULE_API LeakyReLU {
  static constexpr std::string_view type_name = "LeakyReLU";
  constexpr explicit LeakyReLU(double slope = 0.01) : negative_slope(slope) {}
  double negative_slope;
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) { v("negative_slope", negative_slope); }
};
inline constexpr LeakyReLU leaky_relu{};

/// x for x > 0, alpha (eˣ − 1) elsewhere.
struct CHAINRULE_API ELU {
  static constexpr std::string_view type_name = "ELU";
  constexpr explicit ELU(double scale = 1) : alpha(scale) {}
  double alpha;
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) { v("alpha", alpha); }
};
inline constexpr ELU elu{};

/// x Φ(x) with the normal distribution's Φ, or its approximation by tanh: GELU({.tanh = true}).
struct CHAINRULE_API GELU {
  static constexpr std::string_view type_name = "GELU";
  struct Options {
    bool tanh;
  };
  constexpr GELU() = default;
  constexpr explicit GELU(Options options) : tanh_approximation(options.tanh) {}
  bool tanh_approximation = false;
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) { v("tanh", tanh_approximation); }
};
inline constexpr GELU gelu{};

/// log(1 + exp(beta x)) / beta.
struct CHAINRULE_API Softplus {
  static constexpr std::string_view type_name = "Softplus";
  constexpr explicit Softplus(double scale = 1) : beta(scale) {}
  double beta;
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) { v("beta", beta); }
};
inline constexpr Softplus softplus{};

/// x between two bounds.
struct CHAINRULE_API Hardtanh {
  static constexpr std::string_view type_name = "Hardtanh";
  constexpr explicit Hardtanh(double low = -1, double high = 1) : min_val(low), max_val(high) {}
  double min_val, max_val;
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) {
    v("min_val", min_val);
    v("max_val", max_val);
  }
};
inline constexpr Hardtanh hardtanh{};

/// exp(x) / Σ exp(x) along an axis.
struct CHAINRULE_API Softmax {
  static constexpr std::string_view type_name = "Softmax";
  constexpr explicit Softmax(std::int64_t axis = -1) : dim(axis) {}
  std::int64_t dim;
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) { v("dim", dim); }
};
inline constexpr Softmax softmax{};

/// x − log Σ exp(x) along an axis.
struct CHAINRULE_API LogSoftmax {
  static constexpr std::string_view type_name = "LogSoftmax";
  constexpr explicit LogSoftmax(std::int64_t axis = -1) : dim(axis) {}
  std::int64_t dim;
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) { v("dim", dim); }
};
inline constexpr LogSoftmax log_softmax{};

/// x for x > 0, weight · x elsewhere, with a weight that is learned: one for all, or one per feature (axis
/// 1). He et al., Delving deep into rectifiers, ICCV 2015.
struct CHAINRULE_API PReLU {
  static constexpr std::string_view type_name = "PReLU";
  explicit PReLU(std::int64_t num_parameters = 1, double init = 0.25);
  Parameter weight;
  std::int64_t num_parameters;
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) {
    v("num_parameters", num_parameters);
    v("weight", weight);
  }
};

}  // namespace chainrule::nn
