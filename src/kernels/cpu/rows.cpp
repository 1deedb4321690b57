#include "kernels/cpu/rows.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/index.hpp"
#include "kernels/cpu/row_kernels.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

constexpr std::int64_t row_grain = 8192;  // elements that are worth handing to a thread
constexpr std::int64_t max_pieces = 16;   // pieces of the rows in sums over rows

/// Calls f(r) for every row.
template <typename F>
void for_each_row(std::int64_t rows, std::int64_t n, F&& f) {
  parallel_for(rows, std::max<std::int64_t>(1, row_grain / std::max<std::int64_t>(1, n)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t r = begin; r < end; ++r) f(r);
               });
}

std::int64_t label_of(const Array& labels, std::int64_t row) {
  return labels.dtype == DType::int32 ? labels.as<std::int32_t>()[row] : labels.as<std::int64_t>()[row];
}

std::int64_t first_bad_label(const Array& labels, std::int64_t ignored, std::int64_t rows, std::int64_t n) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t label = label_of(labels, r);
    if ((label < 0 || label >= n) && label != ignored) return r;
  }
  return -1;
}

template <typename T>
std::int64_t cross_entropy_rows(const T* x, const Array& labels, std::int64_t ignored, std::int64_t rows,
                                std::int64_t n, T* loss, T* lse) {
  if (const std::int64_t bad = first_bad_label(labels, ignored, rows, n); bad >= 0) return bad;
  const RowKernels<T>& kernels = row_kernels<T>();
  for_each_row(rows, n, [&](std::int64_t r) {
    const double whole = kernels.logsumexp(x + r * n, n);
    const std::int64_t label = label_of(labels, r);
    lse[r] = static_cast<T>(whole);
    loss[r] = label == ignored ? T(0) : static_cast<T>(whole - static_cast<double>(x[r * n + label]));
  });
  return -1;
}

template <typename T>
void cross_entropy_backward_rows(const T* x, const Array& labels, std::int64_t ignored, const T* lse,
                                 const T* dloss, std::int64_t rows, std::int64_t n, T* dx) {
  const RowKernels<T>& kernels = row_kernels<T>();
  for_each_row(rows, n, [&](std::int64_t r) {
    const std::int64_t label = label_of(labels, r);
    if (label == ignored) {
      std::fill_n(dx + r * n, n, T(0));
      return;
    }
    const T shift = std::isinf(lse[r]) ? T(0) : lse[r];
    kernels.exp_scaled(x + r * n, shift, dloss[r], n, dx + r * n);
    dx[r * n + label] -= dloss[r];
  });
}

/// The pieces of the rows whose sums are kept apart: by shape alone.
std::int64_t row_pieces(std::int64_t rows, std::int64_t n) {
  return std::clamp<std::int64_t>(rows * n / (4 * row_grain), 1, max_pieces);
}

/// dscale and dshift from the sums of the pieces: sums[p] is dscale's and then dshift's.
template <typename T>
void add_pieces(const double* sums, std::int64_t pieces, std::int64_t n, T* dscale, T* dshift) {
  for (std::int64_t i = 0; i < n; ++i) {
    double scale = 0;
    double shift = 0;
    for (std::int64_t p = 0; p < pieces; ++p) {
      scale += sums[2 * p * n + i];
      shift += sums[(2 * p + 1) * n + i];
    }
    if (dscale != nullptr) dscale[i] = static_cast<T>(scale);
    if (dshift != nullptr) dshift[i] = static_cast<T>(shift);
  }
}

/// Without means (null) that of RMS normalization.
template <typename T>
void layer_norm_backward_rows(const T* dy, const T* x, const T* scale, const T* mean, const T* rstd,
                              std::int64_t rows, std::int64_t n, T* dx, T* dscale, T* dshift,
                              void* workspace) {
  const RowKernels<T>& kernels = row_kernels<T>();
  const auto backward_row = mean != nullptr ? kernels.layer_norm_backward : kernels.rms_norm_backward;
  const bool with_parameters = dscale != nullptr || dshift != nullptr;
  auto* sums = static_cast<double*>(workspace);
  const std::int64_t pieces = row_pieces(rows, n);
  const std::int64_t per_piece = (rows + pieces - 1) / pieces;
  parallel_for(pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      double* piece = sums + 2 * p * n;
      if (with_parameters) std::fill_n(piece, 2 * n, 0.0);
      for (std::int64_t r = p * per_piece; r < std::min(rows, (p + 1) * per_piece); ++r) {
        const std::int64_t at = r * n;
        const T center = mean != nullptr ? mean[r] : T(0);
        if (with_parameters) {  // first: dx may stand in the memory of dy or x
          kernels.layer_norm_parameters(dy + at, x + at, center, rstd[r], n, piece, piece + n);
        }
        backward_row(dy + at, x + at, scale, center, rstd[r], n, dx + at);
      }
    }
  });
  if (with_parameters) add_pieces(sums, pieces, n, dscale, dshift);
}

}  // namespace

std::size_t layer_norm_backward_workspace_bytes(std::int64_t rows, std::int64_t n) {
  return static_cast<std::size_t>(2 * row_pieces(rows, n) * n) * sizeof(double);
}

void softmax(const float* x, std::int64_t rows, std::int64_t n, float* y) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_each_row(rows, n, [&](std::int64_t r) { kernels.softmax(x + r * n, n, y + r * n); });
}

void softmax_backward(const float* y, const float* dy, std::int64_t rows, std::int64_t n, float* dx) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_each_row(rows, n,
               [&](std::int64_t r) { kernels.softmax_backward(y + r * n, dy + r * n, n, dx + r * n); });
}

void log_softmax(const float* x, std::int64_t rows, std::int64_t n, float* y) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_each_row(rows, n, [&](std::int64_t r) { kernels.log_softmax(x + r * n, n, y + r * n); });
}

void log_softmax_backward(const float* y, const float* dy, std::int64_t rows, std::int64_t n, float* dx) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_each_row(rows, n,
               [&](std::int64_t r) { kernels.log_softmax_backward(y + r * n, dy + r * n, n, dx + r * n); });
}

void logsumexp(const float* x, std::int64_t rows, std::int64_t n, float* out) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_each_row(rows, n,
               [&](std::int64_t r) { out[r] = static_cast<float>(kernels.logsumexp(x + r * n, n)); });
}

void logsumexp_backward(const float* x, const float* out, const float* dout, std::int64_t rows,
                        std::int64_t n, float* dx) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_each_row(rows, n,
               [&](std::int64_t r) { kernels.exp_scaled(x + r * n, out[r], dout[r], n, dx + r * n); });
}

std::int64_t cross_entropy(const float* x, const Array& labels, std::int64_t ignored, std::int64_t rows,
                           std::int64_t n, float* loss, float* lse) {
  return cross_entropy_rows(x, labels, ignored, rows, n, loss, lse);
}

void cross_entropy_backward(const float* x, const Array& labels, std::int64_t ignored, const float* lse,
                            const float* dloss, std::int64_t rows, std::int64_t n, float* dx) {
  cross_entropy_backward_rows(x, labels, ignored, lse, dloss, rows, n, dx);
}

void layer_norm(const float* x, const float* scale, const float* shift, double epsilon, std::int64_t rows,
                std::int64_t n, float* y, float* mean, float* rstd) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_each_row(rows, n, [&](std::int64_t r) {
    kernels.layer_norm(x + r * n, scale, shift, epsilon, n, y + r * n, mean + r, rstd + r);
  });
}

void layer_norm_backward(const float* dy, const float* x, const float* scale, const float* mean,
                         const float* rstd, std::int64_t rows, std::int64_t n, float* dx, float* dscale,
                         float* dshift, void* workspace) {
  layer_norm_backward_rows(dy, x, scale, mean, rstd, rows, n, dx, dscale, dshift, workspace);
}

void rms_norm(const float* x, const float* scale, double epsilon, std::int64_t rows, std::int64_t n, float* y,
              float* rstd) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_each_row(rows, n, [&](std::int64_t r) {
    kernels.rms_norm(x + r * n, scale, nullptr, epsilon, n, y + r * n, nullptr, rstd + r);
  });
}

void rms_norm_backward(const float* dy, const float* x, const float* scale, const float* rstd,
                       std::int64_t rows, std::int64_t n, float* dx, float* dscale, void* workspace) {
  layer_norm_backward_rows<float>(dy, x, scale, nullptr, rstd, rows, n, dx, dscale, nullptr, workspace);
}

void softmax(const double* x, std::int64_t rows, std::int64_t n, double* y) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_each_row(rows, n, [&](std::int64_t r) { kernels.softmax(x + r * n, n, y + r * n); });
}

void softmax_backward(const double* y, const double* dy, std::int64_t rows, std::int64_t n, double* dx) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_each_row(rows, n,
               [&](std::int64_t r) { kernels.softmax_backward(y + r * n, dy + r * n, n, dx + r * n); });
}

void log_softmax(const double* x, std::int64_t rows, std::int64_t n, double* y) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_each_row(rows, n, [&](std::int64_t r) { kernels.log_softmax(x + r * n, n, y + r * n); });
}

void log_softmax_backward(const double* y, const double* dy, std::int64_t rows, std::int64_t n, double* dx) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_each_row(rows, n,
               [&](std::int64_t r) { kernels.log_softmax_backward(y + r * n, dy + r * n, n, dx + r * n); });
}

void logsumexp(const double* x, std::int64_t rows, std::int64_t n, double* out) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_each_row(rows, n,
               [&](std::int64_t r) { out[r] = static_cast<double>(kernels.logsumexp(x + r * n, n)); });
}

void logsumexp_backward(const double* x, const double* out, const double* dout, std::int64_t rows,
                        std::int64_t n, double* dx) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_each_row(rows, n,
               [&](std::int64_t r) { kernels.exp_scaled(x + r * n, out[r], dout[r], n, dx + r * n); });
}

std::int64_t cross_entropy(const double* x, const Array& labels, std::int64_t ignored, std::int64_t rows,
                           std::int64_t n, double* loss, double* lse) {
  return cross_entropy_rows(x, labels, ignored, rows, n, loss, lse);
}

void cross_entropy_backward(const double* x, const Array& labels, std::int64_t ignored, const double* lse,
                            const double* dloss, std::int64_t rows, std::int64_t n, double* dx) {
  cross_entropy_backward_rows(x, labels, ignored, lse, dloss, rows, n, dx);
}

void layer_norm(const double* x, const double* scale, const double* shift, double epsilon, std::int64_t rows,
                std::int64_t n, double* y, double* mean, double* rstd) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_each_row(rows, n, [&](std::int64_t r) {
    kernels.layer_norm(x + r * n, scale, shift, epsilon, n, y + r * n, mean + r, rstd + r);
  });
}

void layer_norm_backward(const double* dy, const double* x, const double* scale, const double* mean,
                         const double* rstd, std::int64_t rows, std::int64_t n, double* dx, double* dscale,
                         double* dshift, void* workspace) {
  layer_norm_backward_rows(dy, x, scale, mean, rstd, rows, n, dx, dscale, dshift, workspace);
}

void rms_norm(const double* x, const double* scale, double epsilon, std::int64_t rows, std::int64_t n,
              double* y, double* rstd) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_each_row(rows, n, [&](std::int64_t r) {
    kernels.rms_norm(x + r * n, scale, nullptr, epsilon, n, y + r * n, nullptr, rstd + r);
  });
}

void rms_norm_backward(const double* dy, const double* x, const double* scale, const double* rstd,
                       std::int64_t rows, std::int64_t n, double* dx, double* dscale, void* workspace) {
  layer_norm_backward_rows<double>(dy, x, scale, nullptr, rstd, rows, n, dx, dscale, nullptr, workspace);
}

}  // namespace chainrule::kernels
