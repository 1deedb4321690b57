#pragma once

#include <cstdint>

namespace chainrule::kernels {

/// Rows whose logarithms are taken together: the most of a call of `logsumexp`.
inline constexpr std::int64_t logarithms_together = 64;

/// The kernels of rows.hpp on `rows` rows that lie one behind the other, for the best instruction set of this
/// machine.
template <typename T>
struct RowKernels {
  void (*softmax)(const T* x, std::int64_t rows, std::int64_t n, T* y);
  void (*softmax_backward)(const T* y, const T* dy, std::int64_t rows, std::int64_t n, T* dx);
  void (*log_softmax)(const T* x, std::int64_t rows, std::int64_t n, T* y);
  void (*log_softmax_backward)(const T* y, const T* dy, std::int64_t rows, std::int64_t n, T* dx);
  void (*logsumexp)(const T* x, std::int64_t rows, std::int64_t n, double* out);
  /// dx = exp(x − lse[r])·factor[r].
  void (*exp_scaled)(const T* x, const T* lse, const T* factor, std::int64_t rows, std::int64_t n, T* dx);
  void (*layer_norm)(const T* x, const T* scale, const T* shift, double epsilon, std::int64_t rows,
                     std::int64_t n, T* y, T* mean, T* rstd);
  void (*layer_norm_backward)(const T* dy, const T* x, const T* scale, const T* mean, const T* rstd,
                              std::int64_t rows, std::int64_t n, T* dx);
  /// The same with means that are taken for 0, and neither read nor written.
  void (*rms_norm)(const T* x, const T* scale, const T* shift, double epsilon, std::int64_t rows,
                   std::int64_t n, T* y, T* mean, T* rstd);
  void (*rms_norm_backward)(const T* dy, const T* x, const T* scale, const T* mean, const T* rstd,
                            std::int64_t rows, std::int64_t n, T* dx);
  /// dscale += Σ dy·x̂ and dshift += Σ dy over n columns of rows that begin `stride` elements apart. Without
  /// means (null) these are 0.
  void (*layer_norm_parameters)(const T* dy, const T* x, const T* mean, const T* rstd, std::int64_t stride,
                                std::int64_t rows, std::int64_t n, double* dscale, double* dshift);
};

/// For T float and double.
template <typename T>
const RowKernels<T>& row_kernels();

}  // namespace chainrule::kernels
