#pragma once

#include "graph/op.hpp"

/// Every declaration by name, family by family, in the order of the files that hold them.
namespace chainrule::ops {

// arithmetic.cpp
extern const OpDef add, sub, mul, div, floor_divide, remainder, pow, maximum, minimum, neg, abs, sign, square, sqrt,
    rsqrt, cbrt, reciprocal;
// logic.cpp
extern const OpDef equal, not_equal, less, less_equal, greater, greater_equal, logical_and, logical_or, logical_xor,
    logical_not, isnan, isinf, isfinite, where;
// exponential.cpp
extern const OpDef exp, exp2, expm1, log, log2, log10, log1p;
// activations.cpp
extern const OpDef relu, sigmoid, tanh;
// reductions.cpp
extern const OpDef sum, prod, max, min, any, all, argmax, argmin, max_with_indices, min_with_indices;
// views.cpp
extern const OpDef reshape, permute, broadcast_to, slice, slice_transpose, flip, astype, stop_gradient;
// joins.cpp
extern const OpDef concatenate;
// products.cpp
extern const OpDef matmul;
// random.cpp
extern const OpDef random_uniform, random_normal, random_fold_in, random_split;

}  // namespace chainrule::ops
