// The CPU's kernels of optimizers.

#include <cmath>
#include <limits>

#include "kernels/cpu/table_families.hpp"
#include "kernels/cpu/update.hpp"
#include "kernels/subnormals.hpp"
#include "ops/declarations.hpp"

namespace chainrule {
namespace {

using kernels::Array;

const char* refuse_adam(const Node& node) {
  const DType dtype = node.inputs[0].dtype();
  if (dtype != DType::float32 && dtype != DType::float64) return "computes float32 and float64 only";
  for (std::size_t i = 1; i < 4; ++i) {
    if (node.inputs[i].dtype() != dtype) return "wants parameter, gradient and means of one dtype";
    if (node.inputs[i].shape() != node.inputs[0].shape())
      return "wants parameter, gradient and means of one shape";
  }
  for (std::size_t i = 4; i < 6; ++i) {
    if (node.inputs[i].dtype() != DType::float64 || node.inputs[i].rank() != 0)
      return "wants the learning rate and the step's number as float64 scalars";
  }
  return nullptr;
}

kernels::AdamConstants constants_of(const KernelCall& call) {
  kernels::AdamConstants c;
  c.lr = *call.inputs[4].as<double>();
  c.beta1 = call.node->get<double>(0);
  c.beta2 = call.node->get<double>(1);
  c.eps = call.node->get<double>(2);
  c.l2 = call.node->get<double>(3);
  c.weight_decay = call.node->get<double>(4);
  const double t = *call.inputs[5].as<double>();
  c.bias1 = 1 - std::pow(c.beta1, t);
  c.bias2 = 1 - std::pow(c.beta2, t);
  return c;
}

template <typename T>
void run_adam(const KernelCall& call) {
  const auto& in = call.inputs;
  const auto& out = call.outputs;
  const kernels::AdamConstants constants = constants_of(call);
  // Beside an eps so small, here up to 1e4 times the root of the smallest normal v / bias2, the root of a
  // subnormal v counts; were v 0, a step would be m / eps.
  const bool root_counts =
      constants.eps * constants.eps * constants.bias2 < 1e8 * std::numeric_limits<T>::min();
  const kernels::SubnormalsScope subnormals(!root_counts && kernels::subnormal_bits() != 0);
  kernels::adam_update({in[0].as<T>(), in[2].as<T>(), in[3].as<T>()}, in[1].as<T>(), in[0].size(), constants,
                       {out[0].as<T>(), out[1].as<T>(), out[2].as<T>()});
}

void run_adam_update(const KernelCall& call) {
  call.inputs[0].dtype == DType::float32 ? run_adam<float>(call) : run_adam<double>(call);
}

}  // namespace

void add_update_kernels(KernelTable& table) {
  table[&ops::adam_update] = {{.name = "fused", .refuse = refuse_adam, .run = run_adam_update}};
}

}  // namespace chainrule
