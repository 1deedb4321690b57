#pragma once

#include "graph/op.hpp"

/// Every declaration by name, family by family, in the order of the files that hold them.
namespace chainrule::ops {

// arithmetic.cpp
extern const OpDef add, sub, mul, div, floor_divide, remainder, pow, maximum, minimum, neg, abs, sign, square,
    sqrt, rsqrt, cbrt, reciprocal, clamp, hypot;
// logic.cpp
extern const OpDef equal, not_equal, less, less_equal, greater, greater_equal, logical_and, logical_or,
    logical_xor, logical_not, isnan, isinf, isfinite, where;
// exponential.cpp
extern const OpDef exp, exp2, expm1, log, log2, log10, log1p, logaddexp;
// trigonometric.cpp
extern const OpDef sin, cos, tan, asin, acos, atan, atan2, sinh, cosh, asinh, acosh, atanh;
// special.cpp
extern const OpDef erf, erfc, erfinv, lgamma, digamma, polygamma;
// rounding.cpp
extern const OpDef floor, ceil, round, trunc;
// activations.cpp
extern const OpDef sigmoid, tanh, elu, selu, celu, gelu, gelu_tanh, silu, mish, softplus, log_sigmoid,
    softsign, tanhshrink, glu;
// piecewise.cpp
extern const OpDef relu, relu6, hardtanh, leaky_relu, prelu, hardsigmoid, hardswish, hardshrink, softshrink,
    threshold;
// reductions.cpp
extern const OpDef sum, prod, max, min, any, all, argmax, argmin, max_with_indices, min_with_indices;
// statistics.cpp
extern const OpDef mean, var, std, norm, logsumexp, softmax, softmax_backward, log_softmax,
    log_softmax_backward;
// normalization.cpp
extern const OpDef layer_norm, layer_norm_backward, rms_norm, rms_norm_backward;
// losses.cpp
extern const OpDef softmax_cross_entropy, softmax_cross_entropy_backward;
// updates.cpp
extern const OpDef adam_update;
// views.cpp
extern const OpDef reshape, permute, broadcast_to, slice, slice_transpose, flip, astype, stop_gradient;
// axes.cpp
extern const OpDef flatten, transpose, moveaxis, squeeze, unsqueeze, split, chunk;
// joins.cpp
extern const OpDef concatenate, stack;
// repeats.cpp
extern const OpDef pad, roll, repeat, tile;
// parts.cpp
extern const OpDef slice_set, slice_add;
// indexing.cpp
extern const OpDef gather, take, take_transpose, scatter_add, one_hot;
// sorting.cpp
extern const OpDef sort, argsort, topk;
// scans.cpp
extern const OpDef cumsum, cumprod;
// einsum.cpp
extern const OpDef einsum;
// products.cpp
extern const OpDef matmul, dot, outer;
// random.cpp
extern const OpDef random_uniform, random_normal, random_fold_in, random_split;
// sampling.cpp
extern const OpDef bernoulli, categorical, permutation, truncated_normal;

// src/autodiff/scan.cpp, src/autodiff/custom.cpp: their rules differentiate a body
extern const OpDef scan, custom;

}  // namespace chainrule::ops
