// The table of ops: every declaration, once. A test compares it with declarations.hpp.

#include <algorithm>
#include <vector>

#include "ops/declarations.hpp"

namespace chainrule {
namespace {

// clang-format off
const OpDef* const declarations[] = {
  // arithmetic.cpp
  &ops::add, &ops::sub, &ops::mul, &ops::div, &ops::floor_divide, &ops::remainder, &ops::pow,
  &ops::maximum, &ops::minimum, &ops::neg, &ops::abs, &ops::sign, &ops::square, &ops::sqrt, &ops::rsqrt,
  &ops::cbrt, &ops::reciprocal, &ops::clamp, &ops::hypot,
  // logic.cpp
  &ops::equal, &ops::not_equal, &ops::less, &ops::less_equal, &ops::greater, &ops::greater_equal,
  &ops::logical_and, &ops::logical_or, &ops::logical_xor, &ops::logical_not, &ops::isnan, &ops::isinf,
  &ops::isfinite, &ops::where,
  // exponential.cpp
  &ops::exp, &ops::exp2, &ops::expm1, &ops::log, &ops::log2, &ops::log10, &ops::log1p, &ops::logaddexp,
  // trigonometric.cpp
  &ops::sin, &ops::cos, &ops::tan, &ops::asin, &ops::acos, &ops::atan, &ops::atan2, &ops::sinh,
  &ops::cosh, &ops::asinh, &ops::acosh, &ops::atanh,
  // special.cpp
  &ops::erf, &ops::erfc, &ops::erfinv, &ops::lgamma, &ops::digamma, &ops::polygamma,
  // rounding.cpp
  &ops::floor, &ops::ceil, &ops::round, &ops::trunc,
  // activations.cpp
  &ops::sigmoid, &ops::tanh, &ops::elu, &ops::selu, &ops::celu, &ops::gelu, &ops::gelu_tanh, &ops::silu,
  &ops::mish, &ops::softplus, &ops::log_sigmoid, &ops::softsign, &ops::tanhshrink, &ops::glu,
  // piecewise.cpp
  &ops::relu, &ops::relu6, &ops::hardtanh, &ops::leaky_relu, &ops::prelu, &ops::hardsigmoid,
  &ops::hardswish, &ops::hardshrink, &ops::softshrink, &ops::threshold,
  // reductions.cpp
  &ops::sum, &ops::prod, &ops::max, &ops::min, &ops::any, &ops::all, &ops::argmax, &ops::argmin,
  &ops::max_with_indices, &ops::min_with_indices,
  // statistics.cpp
  &ops::mean, &ops::var, &ops::std, &ops::norm, &ops::logsumexp, &ops::softmax, &ops::softmax_backward,
  &ops::log_softmax, &ops::log_softmax_backward,
  // normalization.cpp
  &ops::layer_norm, &ops::layer_norm_backward, &ops::rms_norm, &ops::rms_norm_backward,
  // losses.cpp
  &ops::softmax_cross_entropy, &ops::softmax_cross_entropy_backward,
  // updates.cpp
  &ops::adam_update,
  // views.cpp
  &ops::reshape, &ops::permute, &ops::broadcast_to, &ops::slice, &ops::slice_transpose, &ops::flip,
  &ops::astype, &ops::stop_gradient,
  // axes.cpp
  &ops::flatten, &ops::transpose, &ops::moveaxis, &ops::squeeze, &ops::unsqueeze, &ops::split, &ops::chunk,
  // joins.cpp
  &ops::concatenate, &ops::stack,
  // repeats.cpp
  &ops::pad, &ops::roll, &ops::repeat, &ops::tile,
  // parts.cpp
  &ops::slice_set, &ops::slice_add,
  // indexing.cpp
  &ops::gather, &ops::take, &ops::take_transpose, &ops::scatter_add, &ops::one_hot,
  // sorting.cpp
  &ops::sort, &ops::argsort, &ops::topk,
  // scans.cpp
  &ops::cumsum, &ops::cumprod,
  // einsum.cpp
  &ops::einsum,
  // products.cpp
  &ops::matmul, &ops::dot, &ops::outer,
  // random.cpp
  &ops::random_uniform, &ops::random_normal, &ops::random_fold_in, &ops::random_split,
  // sampling.cpp
  &ops::bernoulli, &ops::categorical, &ops::permutation, &ops::truncated_normal,
  // src/autodiff
  &ops::scan, &ops::custom,
};
// clang-format on

std::vector<const OpDef*> make_table() {
  std::vector<const OpDef*> table(std::begin(declarations), std::end(declarations));
  std::sort(table.begin(), table.end(), [](const OpDef* a, const OpDef* b) { return a->name < b->name; });
  return table;
}

const std::vector<const OpDef*>& table() {
  static const auto* ops = new std::vector<const OpDef*>(make_table());
  return *ops;
}

}  // namespace

std::span<const OpDef* const> op_table() { return table(); }

const OpDef* find_op(std::string_view name) {
  const auto& ops = table();
  const auto found = std::lower_bound(ops.begin(), ops.end(), name,
                                      [](const OpDef* op, std::string_view n) { return op->name < n; });
  return found != ops.end() && (*found)->name == name ? *found : nullptr;
}

}  // namespace chainrule
