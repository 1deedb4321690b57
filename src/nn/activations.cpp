#include <chainrule/nn/activations.hpp>

#include <chainrule/context.hpp>

#include "nn/checks.hpp"

namespace chainrule::nn {

#define CHAINRULE_ACTIVATION(Type, function)       \
  Tensor Type::operator()(const Tensor& x) const { \
    const Region region(type_name);                \
    return chainrule::function(x);                 \
  }

CHAINRULE_ACTIVATION(ReLU, relu)
CHAINRULE_ACTIVATION(ReLU6, relu6)
CHAINRULE_ACTIVATION(SELU, selu)
CHAINRULE_ACTIVATION(SiLU, silu)
CHAINRULE_ACTIVATION(Mish, mish)
CHAINRULE_ACTIVATION(Sigmoid, sigmoid)
CHAINRULE_ACTIVATION(LogSigmoid, log_sigmoid)
CHAINRULE_ACTIVATION(Tanh, tanh)
CHAINRULE_ACTIVATION(Softsign, softsign)
CHAINRULE_ACTIVATION(Hardsigmoid, hardsigmoid)
CHAINRULE_ACTIVATION(Hardswish, hardswish)

#undef CHAINRULE_ACTIVATION

Tensor Identity::operator()(const Tensor& x) const { return x; }
Tensor LeakyReLU::operator()(const Tensor& x) const {
  const Region region(type_name);
  return chainrule::leaky_relu(x, negative_slope);
}
Tensor ELU::operator()(const Tensor& x) const {
  const Region region(type_name);
  return chainrule::elu(x, alpha);
}
Tensor GELU::operator()(const Tensor& x) const {
  const Region region(type_name);
  return chainrule::gelu(x, tanh_approximation ? "tanh" : "none");
}
Tensor Softplus::operator()(const Tensor& x) const {
  const Region region(type_name);
  return chainrule::softplus(x, beta);
}
Tensor Hardtanh::operator()(const Tensor& x) const {
  const Region region(type_name);
  return chainrule::hardtanh(x, min_val, max_val);
}
Tensor Softmax::operator()(const Tensor& x) const {
  const Region region(type_name);
  return chainrule::softmax(Context::to_reductions(x), static_cast<int>(dim));
}
Tensor LogSoftmax::operator()(const Tensor& x) const {
  const Region region(type_name);
  return chainrule::log_softmax(Context::to_reductions(x), static_cast<int>(dim));
}

PReLU::PReLU(std::int64_t count, double init) : num_parameters(count) {
  check_size(type_name, "num_parameters", count);
  weight = full({count}, init, Context::parameter_dtype());
}

Tensor PReLU::operator()(const Tensor& x) const {
  const Region region(type_name);
  if (num_parameters == 1) return chainrule::prelu(x, weight);
  if (x.rank() < 2 || x.size(1) != num_parameters) {
    throw ShapeError({.function = "PReLU",
                      .argument = "x",
                      .problem = "the features do not match the layer's parameters",
                      .got = describe_tensor("x", x),
                      .wanted = "[N, " + std::to_string(num_parameters) + ", ..]"});
  }
  Shape aligned = Dims::filled(x.rank(), 1);
  aligned[1] = num_parameters;
  return chainrule::prelu(x, reshape(weight, aligned));
}

}  // namespace chainrule::nn
