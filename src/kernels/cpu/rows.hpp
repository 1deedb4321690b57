#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/array.hpp"

/// Kernels on the rows of dense [rows, n] arrays: softmax and its kin, layer normalization, and their
/// backward passes. Each exists for float and double. Letters: x input, y output, ȳ (dy) the cotangent of y.
/// Sums over a row run in float64 from partial sums of 1,024 elements. An output may be the same memory as
/// an input of the same shape. NaN and infinities go where the formulas send them.
namespace chainrule::kernels {

/// y = exp(x − m) / Σ exp(x − m), m = max x.
void softmax(const float* x, std::int64_t rows, std::int64_t n, float* y);
void softmax(const double* x, std::int64_t rows, std::int64_t n, double* y);

/// dx = y·(dy − Σ dy·y).
void softmax_backward(const float* y, const float* dy, std::int64_t rows, std::int64_t n, float* dx);
void softmax_backward(const double* y, const double* dy, std::int64_t rows, std::int64_t n, double* dx);

/// y = x − m − ln Σ exp(x − m).
void log_softmax(const float* x, std::int64_t rows, std::int64_t n, float* y);
void log_softmax(const double* x, std::int64_t rows, std::int64_t n, double* y);

/// dx = dy − exp(y)·Σ dy.
void log_softmax_backward(const float* y, const float* dy, std::int64_t rows, std::int64_t n, float* dx);
void log_softmax_backward(const double* y, const double* dy, std::int64_t rows, std::int64_t n, double* dx);

/// out[r] = m + ln Σ exp(x − m); −∞ for a row of −∞ or an empty one, +∞ where there is +∞ and no NaN.
void logsumexp(const float* x, std::int64_t rows, std::int64_t n, float* out);
void logsumexp(const double* x, std::int64_t rows, std::int64_t n, double* out);

/// dx = exp(x − out)·dout.
void logsumexp_backward(const float* x, const float* out, const float* dout, std::int64_t rows,
                        std::int64_t n, float* dx);
void logsumexp_backward(const double* x, const double* out, const double* dout, std::int64_t rows,
                        std::int64_t n, double* dx);

/// loss[r] = ln Σ exp x[r] − x[r, label[r]], lse[r] = ln Σ exp x[r] (kept for the backward pass). `labels`
/// has `rows` int32 or int64 elements; where one is `ignored` the loss is 0. Returns the first row whose
/// label is neither that nor in [0, n), having written nothing; −1 when there is none.
std::int64_t cross_entropy(const float* x, const Array& labels, std::int64_t ignored, std::int64_t rows,
                           std::int64_t n, float* loss, float* lse);
std::int64_t cross_entropy(const double* x, const Array& labels, std::int64_t ignored, std::int64_t rows,
                           std::int64_t n, double* loss, double* lse);

/// dx = (exp(x − lse) − [column = label])·dloss[r], 0 in rows that are ignored. Labels as in `cross_entropy`,
/// which has checked them.
void cross_entropy_backward(const float* x, const Array& labels, std::int64_t ignored, const float* lse,
                            const float* dloss, std::int64_t rows, std::int64_t n, float* dx);
void cross_entropy_backward(const double* x, const Array& labels, std::int64_t ignored, const double* lse,
                            const double* dloss, std::int64_t rows, std::int64_t n, double* dx);

/// y = (x − mean)·rstd·scale + shift with rstd = 1 / √(variance + epsilon), variance = Σ (x − mean)² / n.
/// `scale` and `shift` are [n] or null; mean and rstd ([rows]) are kept for the backward pass.
void layer_norm(const float* x, const float* scale, const float* shift, double epsilon, std::int64_t rows,
                std::int64_t n, float* y, float* mean, float* rstd);
void layer_norm(const double* x, const double* scale, const double* shift, double epsilon, std::int64_t rows,
                std::int64_t n, double* y, double* mean, double* rstd);

/// The bytes of workspace of `layer_norm_backward`.
std::size_t layer_norm_backward_workspace_bytes(std::int64_t rows, std::int64_t n);

/// With x̂ = (x − mean)·rstd and g = dy·scale: dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), dscale = Σ_rows dy·x̂,
/// dshift = Σ_rows dy. `scale` may be null; dscale and dshift ([n]) may be null, and then need no workspace.
/// The sums over rows are cut by shape alone. dscale and dshift share no memory with an input.
void layer_norm_backward(const float* dy, const float* x, const float* scale, const float* mean,
                         const float* rstd, std::int64_t rows, std::int64_t n, float* dx, float* dscale,
                         float* dshift, void* workspace);
void layer_norm_backward(const double* dy, const double* x, const double* scale, const double* mean,
                         const double* rstd, std::int64_t rows, std::int64_t n, double* dx, double* dscale,
                         double* dshift, void* workspace);

/// y = x·rstd·scale with rstd = 1 / √(Σ x² / n + epsilon); rstd ([rows]) is kept for the backward pass.
void rms_norm(const float* x, const float* scale, double epsilon, std::int64_t rows, std::int64_t n, float* y,
              float* rstd);
void rms_norm(const double* x, const double* scale, double epsilon, std::int64_t rows, std::int64_t n,
              double* y, double* rstd);

/// With x̂ = x·rstd and g = dy·scale: dx = rstd·(g − x̂·mean(g·x̂)), dscale = Σ_rows dy·x̂. Null pointers and
/// workspace as for `layer_norm_backward`.
void rms_norm_backward(const float* dy, const float* x, const float* scale, const float* rstd,
                       std::int64_t rows, std::int64_t n, float* dx, float* dscale, void* workspace);
void rms_norm_backward(const double* dy, const double* x, const double* scale, const double* rstd,
                       std::int64_t rows, std::int64_t n, double* dx, double* dscale, void* workspace);

}  // namespace chainrule::kernels
