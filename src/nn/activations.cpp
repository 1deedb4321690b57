#include <chainrule/nn/activations.hpp>

#include <chainrule/error.hpp>

namespace chainrule::nn {

Tensor ReLU::operator()(const Tensor& x) const {
  const Region region(type_name);
  return chainrule::relu(x);
}
Tensor Sigmoid::operator()(const Tensor& x) const {
  const Region region(type_name);
  return chainrule::sigmoid(x);
}
Tensor Tanh::operator()(const Tensor& x) const {
  const Region region(type_name);
  return chainrule::tanh(x);
}
Tensor Identity::operator()(const Tensor& x) const { return x; }

}  // namespace chainrule::nn
