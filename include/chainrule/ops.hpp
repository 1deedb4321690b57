#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <chainrule/tensor.hpp>

/// Functions of tensors. All of them broadcast as NumPy does, promote dtypes as PyTorch does, build an
/// expression and compute nothing. Shape and dtype errors are thrown by the call itself.
namespace chainrule {

// ---- arithmetic -------------------------------------------------------------------------------
CHAINRULE_API Tensor add(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor sub(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor mul(const Tensor& x, const Tensor& y);
/// True division: integers give float32.
CHAINRULE_API Tensor div(const Tensor& x, const Tensor& y);
/// ⌊x / y⌋, rounded down as Python does. An integer divided by zero gives 0.
CHAINRULE_API Tensor floor_divide(const Tensor& x, const Tensor& y);
/// x − y⌊x / y⌋: has the sign of y.
CHAINRULE_API Tensor remainder(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor pow(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor maximum(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor minimum(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor neg(const Tensor& x);
CHAINRULE_API Tensor abs(const Tensor& x);
CHAINRULE_API Tensor sign(const Tensor& x);
CHAINRULE_API Tensor square(const Tensor& x);
CHAINRULE_API Tensor sqrt(const Tensor& x);
CHAINRULE_API Tensor rsqrt(const Tensor& x);
CHAINRULE_API Tensor cbrt(const Tensor& x);
CHAINRULE_API Tensor reciprocal(const Tensor& x);
/// min(max(x, low), high). The gradient is 1 inside and 0 outside; at a bound it is 1.
CHAINRULE_API Tensor clamp(const Tensor& x, const Tensor& low, const Tensor& high);
/// √(x² + y²) without overflow.
CHAINRULE_API Tensor hypot(const Tensor& x, const Tensor& y);

inline Tensor operator+(const Tensor& x, const Tensor& y) { return add(x, y); }
inline Tensor operator-(const Tensor& x, const Tensor& y) { return sub(x, y); }
inline Tensor operator*(const Tensor& x, const Tensor& y) { return mul(x, y); }
inline Tensor operator/(const Tensor& x, const Tensor& y) { return div(x, y); }
inline Tensor operator-(const Tensor& x) { return neg(x); }

// ---- comparison and logic ---------------------------------------------------------------------
CHAINRULE_API Tensor equal(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor not_equal(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor less(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor less_equal(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor greater(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor greater_equal(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor logical_and(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor logical_or(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor logical_xor(const Tensor& x, const Tensor& y);
CHAINRULE_API Tensor logical_not(const Tensor& x);
CHAINRULE_API Tensor isnan(const Tensor& x);
CHAINRULE_API Tensor isinf(const Tensor& x);
CHAINRULE_API Tensor isfinite(const Tensor& x);
/// a where the condition holds, b elsewhere.
CHAINRULE_API Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

inline Tensor operator<(const Tensor& x, const Tensor& y) { return less(x, y); }
inline Tensor operator<=(const Tensor& x, const Tensor& y) { return less_equal(x, y); }
inline Tensor operator>(const Tensor& x, const Tensor& y) { return greater(x, y); }
inline Tensor operator>=(const Tensor& x, const Tensor& y) { return greater_equal(x, y); }

// ---- exponentials and logarithms --------------------------------------------------------------
CHAINRULE_API Tensor exp(const Tensor& x);
CHAINRULE_API Tensor exp2(const Tensor& x);
/// exp(x) − 1, exact near 0.
CHAINRULE_API Tensor expm1(const Tensor& x);
CHAINRULE_API Tensor log(const Tensor& x);
CHAINRULE_API Tensor log2(const Tensor& x);
CHAINRULE_API Tensor log10(const Tensor& x);
/// log(1 + x), exact near 0.
CHAINRULE_API Tensor log1p(const Tensor& x);
/// log(exp(x) + exp(y)) without overflow.
CHAINRULE_API Tensor logaddexp(const Tensor& x, const Tensor& y);

// ---- trigonometric and hyperbolic -------------------------------------------------------------
CHAINRULE_API Tensor sin(const Tensor& x);
CHAINRULE_API Tensor cos(const Tensor& x);
CHAINRULE_API Tensor tan(const Tensor& x);
CHAINRULE_API Tensor asin(const Tensor& x);
CHAINRULE_API Tensor acos(const Tensor& x);
CHAINRULE_API Tensor atan(const Tensor& x);
CHAINRULE_API Tensor atan2(const Tensor& y, const Tensor& x);
CHAINRULE_API Tensor sinh(const Tensor& x);
CHAINRULE_API Tensor cosh(const Tensor& x);
CHAINRULE_API Tensor tanh(const Tensor& x);
CHAINRULE_API Tensor asinh(const Tensor& x);
CHAINRULE_API Tensor acosh(const Tensor& x);
CHAINRULE_API Tensor atanh(const Tensor& x);

// ---- special functions ------------------------------------------------------------------------
CHAINRULE_API Tensor erf(const Tensor& x);
CHAINRULE_API Tensor erfc(const Tensor& x);
/// The inverse of erf on (−1, 1).
CHAINRULE_API Tensor erfinv(const Tensor& y);
/// log |Γ(x)|.
CHAINRULE_API Tensor lgamma(const Tensor& x);
/// ψ(x) = d/dx log Γ(x).
CHAINRULE_API Tensor digamma(const Tensor& x);
/// ψ⁽ⁿ⁾(x), n ≥ 0.
CHAINRULE_API Tensor polygamma(std::int64_t n, const Tensor& x);

// ---- rounding ---------------------------------------------------------------------------------
CHAINRULE_API Tensor floor(const Tensor& x);
CHAINRULE_API Tensor ceil(const Tensor& x);
/// To the nearest integer, halves to the even one.
CHAINRULE_API Tensor round(const Tensor& x);
CHAINRULE_API Tensor trunc(const Tensor& x);

// ---- activations ------------------------------------------------------------------------------
CHAINRULE_API Tensor relu(const Tensor& x);
/// min(relu(x), 6).
CHAINRULE_API Tensor relu6(const Tensor& x);
/// x between the bounds, the bound beyond them.
CHAINRULE_API Tensor hardtanh(const Tensor& x, double min_val = -1, double max_val = 1);
CHAINRULE_API Tensor leaky_relu(const Tensor& x, double negative_slope = 0.01);
/// leaky_relu with the slope `weight`, which broadcasts against x.
CHAINRULE_API Tensor prelu(const Tensor& x, const Tensor& weight);
/// x for x > 0, alpha·(eˣ − 1) elsewhere.
CHAINRULE_API Tensor elu(const Tensor& x, double alpha = 1);
CHAINRULE_API Tensor selu(const Tensor& x);
/// x for x > 0, alpha·(exp(x / alpha) − 1) elsewhere.
CHAINRULE_API Tensor celu(const Tensor& x, double alpha = 1);
/// x·Φ(x); `approximate` is "none" or "tanh".
CHAINRULE_API Tensor gelu(const Tensor& x, std::string_view approximate = "none");
/// x·sigmoid(x), also known as swish.
CHAINRULE_API Tensor silu(const Tensor& x);
/// x·tanh(softplus(x)).
CHAINRULE_API Tensor mish(const Tensor& x);
CHAINRULE_API Tensor sigmoid(const Tensor& x);
/// log(1 + exp(beta·x)) / beta without overflow.
CHAINRULE_API Tensor softplus(const Tensor& x, double beta = 1);
CHAINRULE_API Tensor log_sigmoid(const Tensor& x);
/// relu6(x + 3) / 6.
CHAINRULE_API Tensor hardsigmoid(const Tensor& x);
/// x·relu6(x + 3) / 6.
CHAINRULE_API Tensor hardswish(const Tensor& x);
/// x / (1 + |x|).
CHAINRULE_API Tensor softsign(const Tensor& x);
/// x − tanh(x).
CHAINRULE_API Tensor tanhshrink(const Tensor& x);
/// x where |x| > lambda, else 0.
CHAINRULE_API Tensor hardshrink(const Tensor& x, double lambda = 0.5);
/// x moved towards 0 by lambda, and 0 within.
CHAINRULE_API Tensor softshrink(const Tensor& x, double lambda = 0.5);
/// x where x > threshold, else value.
CHAINRULE_API Tensor threshold(const Tensor& x, double threshold, double value);
/// The first half of x along the axis times the sigmoid of the second half.
CHAINRULE_API Tensor glu(const Tensor& x, int axis = -1);

// ---- reductions: over `axes`, or over all of them when none are given --------------------------
CHAINRULE_API Tensor sum(const Tensor& x, const Dims& axes = {}, bool keepdims = false);
CHAINRULE_API Tensor mean(const Tensor& x, const Dims& axes = {}, bool keepdims = false);
CHAINRULE_API Tensor prod(const Tensor& x, const Dims& axes = {}, bool keepdims = false);
CHAINRULE_API Tensor max(const Tensor& x, const Dims& axes = {}, bool keepdims = false);
CHAINRULE_API Tensor min(const Tensor& x, const Dims& axes = {}, bool keepdims = false);
CHAINRULE_API Tensor any(const Tensor& x, const Dims& axes = {}, bool keepdims = false);
CHAINRULE_API Tensor all(const Tensor& x, const Dims& axes = {}, bool keepdims = false);
/// Σ(x − mean)² / (n − correction). `correction` 1 is the unbiased sample variance.
CHAINRULE_API Tensor var(const Tensor& x, const Dims& axes = {}, double correction = 1,
                         bool keepdims = false);
CHAINRULE_API Tensor std(const Tensor& x, const Dims& axes = {}, double correction = 1,
                         bool keepdims = false);
/// (Σ|x|^p)^(1/p); p may be infinite.
CHAINRULE_API Tensor norm(const Tensor& x, double p = 2, const Dims& axes = {}, bool keepdims = false);
/// log Σ exp(x) without overflow.
CHAINRULE_API Tensor logsumexp(const Tensor& x, const Dims& axes = {}, bool keepdims = false);
/// Where the largest (smallest) element first occurs along one axis (int64), by default the last.
CHAINRULE_API Tensor argmax(const Tensor& x, int axis = -1, bool keepdims = false);
CHAINRULE_API Tensor argmin(const Tensor& x, int axis = -1, bool keepdims = false);
/// The same over several axes, or over all of them for `Dims{}`: the row-major position within the part of x
/// that these axes, in ascending order, span.
CHAINRULE_API Tensor argmax(const Tensor& x, const Dims& axes, bool keepdims = false);
CHAINRULE_API Tensor argmin(const Tensor& x, const Dims& axes, bool keepdims = false);
struct ValuesIndices {
  Tensor values;
  Tensor indices;
};
/// The largest (smallest) element along one axis and where it first occurs (int64).
CHAINRULE_API ValuesIndices max_with_indices(const Tensor& x, int axis = -1, bool keepdims = false);
CHAINRULE_API ValuesIndices min_with_indices(const Tensor& x, int axis = -1, bool keepdims = false);
/// The same over several axes; positions as those of `argmax`.
CHAINRULE_API ValuesIndices max_with_indices(const Tensor& x, const Dims& axes, bool keepdims = false);
CHAINRULE_API ValuesIndices min_with_indices(const Tensor& x, const Dims& axes, bool keepdims = false);
/// The sum (product) of the elements up to each one, along one axis: the order of several would be arbitrary.
CHAINRULE_API Tensor cumsum(const Tensor& x, int axis = -1);
CHAINRULE_API Tensor cumprod(const Tensor& x, int axis = -1);
CHAINRULE_API Tensor softmax(const Tensor& x, int axis = -1);
CHAINRULE_API Tensor log_softmax(const Tensor& x, int axis = -1);
/// (x − μ) / √(σ² + eps) · weight + bias for every row x [.., n], with the row's mean μ and variance σ² (over
/// n, not n − 1). weight and bias are [n]; undefined ones stand for 1 and 0. Ba et al., Layer normalization,
/// 2016. Throws ShapeError and DTypeError.
CHAINRULE_API Tensor layer_norm(const Tensor& x, const Tensor& weight = {}, const Tensor& bias = {},
                                double eps = 1e-5);
/// x / √(mean(x²) + eps) · weight for every row x [.., n]; weight as for layer_norm, eps the machine epsilon
/// of x's dtype where absent. Zhang and Sennrich, Root mean square layer normalization, NeurIPS 2019.
CHAINRULE_API Tensor rms_norm(const Tensor& x, const Tensor& weight = {}, std::optional<double> eps = {});
/// −log softmax(z)[t] = logsumexp(z) − z[t] for every row of logits z [.., C] and its class t [..]; 0 where t
/// is `ignore_index`. Throws ShapeError and DTypeError (floating logits, integer classes); a class outside
/// [0, C) is an ArgumentError once it is evaluated. nn::cross_entropy adds means, weights and label
/// smoothing.
CHAINRULE_API Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& classes,
                                           std::int64_t ignore_index = -100);

// ---- shapes: views where the memory allows it ---------------------------------------------------
/// One length may be -1: it is computed.
CHAINRULE_API Tensor reshape(const Tensor& x, const Shape& shape);
/// All dimensions from `start_axis` on as one.
CHAINRULE_API Tensor flatten(const Tensor& x, int start_axis = 0);
CHAINRULE_API Tensor permute(const Tensor& x, const Dims& axes);
CHAINRULE_API Tensor transpose(const Tensor& x, int axis_a = -2, int axis_b = -1);
CHAINRULE_API Tensor moveaxis(const Tensor& x, int from, int to);
/// Removes axes of length 1: those named, or all.
CHAINRULE_API Tensor squeeze(const Tensor& x, const Dims& axes = {});
CHAINRULE_API Tensor unsqueeze(const Tensor& x, int axis);
/// Repeats axes of length 1, and new leading axes, without a copy.
CHAINRULE_API Tensor broadcast_to(const Tensor& x, const Shape& shape);
/// x[start:stop:step] along one axis, as Python slices: negative positions count from the end.
CHAINRULE_API Tensor slice(const Tensor& x, int axis, std::int64_t start, std::int64_t stop,
                           std::int64_t step = 1);
CHAINRULE_API Tensor flip(const Tensor& x, const Dims& axes = {});
CHAINRULE_API Tensor astype(const Tensor& x, DType dtype);
/// x as a constant: no derivative flows through it.
CHAINRULE_API Tensor stop_gradient(const Tensor& x);

// ---- joining, padding, repeating ----------------------------------------------------------------
CHAINRULE_API Tensor concatenate(const std::vector<Tensor>& tensors, int axis = 0);
CHAINRULE_API Tensor stack(const std::vector<Tensor>& tensors, int axis = 0);
CHAINRULE_API std::vector<Tensor> split(const Tensor& x, const std::vector<std::int64_t>& sizes,
                                        int axis = 0);
/// `count` parts of equal length, the last one shorter where the length is no multiple of `count`.
CHAINRULE_API std::vector<Tensor> chunk(const Tensor& x, std::int64_t count, int axis = 0);
/// `before[i]` and `after[i]` copies of `value` around axis i.
CHAINRULE_API Tensor pad(const Tensor& x, const Dims& before, const Dims& after, double value = 0);
CHAINRULE_API Tensor roll(const Tensor& x, std::int64_t shift, int axis);
/// Each element `count` times in a row along an axis.
CHAINRULE_API Tensor repeat(const Tensor& x, std::int64_t count, int axis);
/// The whole tensor `counts[i]` times along axis i.
CHAINRULE_API Tensor tile(const Tensor& x, const Dims& counts);

// ---- indexing and sorting -----------------------------------------------------------------------
/// result[i…] = x[i… with the axis replaced by index[i…]]; index has x's rank.
CHAINRULE_API Tensor gather(const Tensor& x, const Tensor& index, int axis);
/// Whole slices of x along an axis, chosen by an index tensor of any shape, which replaces the axis.
CHAINRULE_API Tensor take(const Tensor& x, const Tensor& index, int axis = 0);
/// x with source[i…] added at [i… with the axis replaced by index[i…]]. Equal indices add up.
CHAINRULE_API Tensor scatter_add(const Tensor& x, const Tensor& index, const Tensor& source, int axis);
CHAINRULE_API Tensor one_hot(const Tensor& index, std::int64_t classes, DType dtype = DType::float32);
CHAINRULE_API Tensor sort(const Tensor& x, int axis = -1, bool descending = false);
CHAINRULE_API Tensor argsort(const Tensor& x, int axis = -1, bool descending = false);
CHAINRULE_API ValuesIndices topk(const Tensor& x, std::int64_t k, int axis = -1, bool largest = true);

// ---- products -----------------------------------------------------------------------------------
/// [.., M, K] · [.., K, N] → [.., M, N], batched and broadcast over the leading dimensions; vectors as
/// NumPy's `@`.
CHAINRULE_API Tensor matmul(const Tensor& a, const Tensor& b);
/// Σ aᵢ bᵢ of two vectors.
CHAINRULE_API Tensor dot(const Tensor& a, const Tensor& b);
/// aᵢ bⱼ of two vectors.
CHAINRULE_API Tensor outer(const Tensor& a, const Tensor& b);
/// Sums of products named by letters: einsum("ij,jk->ik", {a, b}). Without "->" the result has the
/// letters that occur once, sorted.
CHAINRULE_API Tensor einsum(const std::string& equation, const std::vector<Tensor>& operands);

}  // namespace chainrule
