#pragma once

#include <cstdint>

namespace chainrule::kernels {

/// The kernels of rows.hpp on one row, for the best instruction set of this machine.
template <typename T>
struct RowKernels {
  void (*softmax)(const T* x, std::int64_t n, T* y);
  void (*softmax_backward)(const T* y, const T* dy, std::int64_t n, T* dx);
  void (*log_softmax)(const T* x, std::int64_t n, T* y);
  void (*log_softmax_backward)(const T* y, const T* dy, std::int64_t n, T* dx);
  double (*logsumexp)(const T* x, std::int64_t n);
  /// dx = exp(x − lse)·factor.
  void (*exp_scaled)(const T* x, T lse, T factor, std::int64_t n, T* dx);
  void (*layer_norm)(const T* x, const T* scale, const T* shift, double epsilon, std::int64_t n, T* y,
                     T* mean, T* rstd);
  void (*layer_norm_backward)(const T* dy, const T* x, const T* scale, T mean, T rstd, std::int64_t n, T* dx);
  /// The same with a mean that is taken for 0.
  void (*rms_norm)(const T* x, const T* scale, const T* shift, double epsilon, std::int64_t n, T* y, T* mean,
                   T* rstd);
  void (*rms_norm_backward)(const T* dy, const T* x, const T* scale, T mean, T rstd, std::int64_t n, T* dx);
  void (*layer_norm_parameters)(const T* dy, const T* x, T mean, T rstd, std::int64_t n, double* dscale,
                                double* dshift);
};

/// For T float and double.
template <typename T>
const RowKernels<T>& row_kernels();

}  // namespace chainrule::kernels
