// The table of ops: every declaration, once. A test compares it with declarations.hpp.

#include <algorithm>
#include <vector>

#include "ops/declarations.hpp"

namespace chainrule {
namespace {

std::vector<const OpDef*> make_table() {
  using namespace ops;
  std::vector<const OpDef*> table = {
      // arithmetic.cpp
      &add, &sub, &mul, &div, &floor_divide, &remainder, &pow, &maximum, &minimum, &neg, &abs, &sign, &square, &ops::sqrt,
      &rsqrt, &cbrt, &reciprocal,
      // logic.cpp
      &equal, &not_equal, &less, &less_equal, &greater, &greater_equal, &logical_and, &logical_or, &logical_xor,
      &logical_not, &isnan, &isinf, &isfinite, &where,
      // exponential.cpp
      &ops::exp, &exp2, &expm1, &log, &log2, &log10, &log1p,
      // activations.cpp
      &relu, &sigmoid, &tanh,
      // reductions.cpp
      &sum, &prod, &max, &min, &any, &all, &argmax, &argmin, &max_with_indices, &min_with_indices,
      // views.cpp
      &reshape, &permute, &broadcast_to, &slice, &slice_transpose, &flip, &astype, &stop_gradient,
      // joins.cpp
      &concatenate,
      // products.cpp
      &matmul,
      // random.cpp
      &random_uniform, &random_normal, &random_fold_in, &random_split,
  };
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
  const auto found = std::lower_bound(ops.begin(), ops.end(), name, [](const OpDef* op, std::string_view n) { return op->name < n; });
  return found != ops.end() && (*found)->name == name ? *found : nullptr;
}

}  // namespace chainrule
