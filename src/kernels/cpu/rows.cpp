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

/// Calls f(first, count) for stretches of rows.
template <typename F>
void for_stretches(std::int64_t rows, std::int64_t n, F&& f) {
  parallel_for(rows, std::max<std::int64_t>(1, row_grain / std::max<std::int64_t>(1, n)),
               [&](std::int64_t begin, std::int64_t end) { f(begin, end - begin); });
}

/// The same for stretches of at most logarithms_together rows.
template <typename F>
void for_short_stretches(std::int64_t rows, std::int64_t n, F&& f) {
  for_stretches(rows, n, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; r += logarithms_together)
      f(r, std::min(logarithms_together, first + count - r));
  });
}

/// Calls f with a pointer to the labels.
template <typename F>
auto with_labels(const Array& labels, F&& f) {
  return labels.dtype == DType::int32 ? f(labels.as<std::int32_t>()) : f(labels.as<std::int64_t>());
}

template <typename Label>
std::int64_t first_bad_label(const Label* labels, std::int64_t ignored, std::int64_t rows, std::int64_t n) {
  for (std::int64_t r = 0; r < rows; ++r) {
    if ((labels[r] < 0 || labels[r] >= n) && labels[r] != ignored) return r;
  }
  return -1;
}

template <typename T>
void logsumexp_rows(const T* x, std::int64_t rows, std::int64_t n, T* out) {
  const RowKernels<T>& kernels = row_kernels<T>();
  for_short_stretches(rows, n, [&](std::int64_t first, std::int64_t count) {
    double whole[logarithms_together];
    kernels.logsumexp(x + first * n, count, n, whole);
    for (std::int64_t r = 0; r < count; ++r) out[first + r] = static_cast<T>(whole[r]);
  });
}

template <typename T>
std::int64_t cross_entropy_rows(const T* x, const Array& labels, std::int64_t ignored, std::int64_t rows,
                                std::int64_t n, T* loss, T* lse) {
  return with_labels(labels, [&](const auto* label) -> std::int64_t {
    if (const std::int64_t bad = first_bad_label(label, ignored, rows, n); bad >= 0) return bad;
    const RowKernels<T>& kernels = row_kernels<T>();
    for_short_stretches(rows, n, [&](std::int64_t first, std::int64_t count) {
      double whole[logarithms_together];
      kernels.logsumexp(x + first * n, count, n, whole);
      for (std::int64_t r = first; r < first + count; ++r) {
        const double sum = whole[r - first];
        lse[r] = static_cast<T>(sum);
        loss[r] = label[r] == ignored ? T(0) : static_cast<T>(sum - static_cast<double>(x[r * n + label[r]]));
      }
    });
    return -1;
  });
}

template <typename T>
void cross_entropy_backward_rows(const T* x, const Array& labels, std::int64_t ignored, const T* lse,
                                 const T* dloss, std::int64_t rows, std::int64_t n, T* dx) {
  const RowKernels<T>& kernels = row_kernels<T>();
  with_labels(labels, [&](const auto* label) {
    for_short_stretches(rows, n, [&](std::int64_t first, std::int64_t count) {
      T shifts[logarithms_together];
      for (std::int64_t r = 0; r < count; ++r) shifts[r] = std::isinf(lse[first + r]) ? T(0) : lse[first + r];
      kernels.exp_scaled(x + first * n, shifts, dloss + first, count, n, dx + first * n);
      for (std::int64_t r = first; r < first + count; ++r) {
        if (label[r] == ignored) {
          std::fill_n(dx + r * n, n, T(0));
        } else {
          dx[r * n + label[r]] -= dloss[r];
        }
      }
    });
  });
}

/// Rows of a sum over rows for each time that its accumulators are loaded.
constexpr std::int64_t summed_together = 8;
/// The longest row of which so many, of x and of dy, stay in the second cache level.
constexpr std::int64_t longest_row = 16384;
/// Columns of a sum that takes them by all rows.
constexpr std::int64_t columns_together = 1024;

/// Whether sums over rows take some columns of all rows at a time: rows too long or too few for pieces of
/// them.
bool sums_by_columns(std::int64_t rows, std::int64_t n) {
  return n > longest_row || (rows < 2 * summed_together && n > columns_together);
}

/// The pieces of the rows whose sums are kept apart: by shape alone.
std::int64_t row_pieces(std::int64_t rows, std::int64_t n) {
  const std::int64_t most = std::clamp<std::int64_t>(rows / summed_together, 1, max_pieces);
  return std::clamp<std::int64_t>(rows * n / (4 * row_grain), 1, most);
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

/// The gradients of scale and shift, some columns of all rows at a time.
template <typename T>
void add_columns(const T* dy, const T* x, const T* mean, const T* rstd, std::int64_t rows, std::int64_t n,
                 T* dscale, T* dshift) {
  const RowKernels<T>& kernels = row_kernels<T>();
  parallel_for((n - 1) / columns_together + 1, 1, [&](std::int64_t begin, std::int64_t end) {
    double sums[2 * columns_together];
    for (std::int64_t at = begin * columns_together; at < std::min(n, end * columns_together);
         at += columns_together) {
      const std::int64_t count = std::min(columns_together, n - at);
      std::fill_n(sums, 2 * count, 0.0);
      for (std::int64_t r = 0; r < rows; r += summed_together) {
        kernels.layer_norm_parameters(dy + r * n + at, x + r * n + at, mean == nullptr ? nullptr : mean + r,
                                      rstd + r, n, std::min(summed_together, rows - r), count, sums,
                                      sums + count);
      }
      add_pieces(sums, 1, count, dscale == nullptr ? nullptr : dscale + at,
                 dshift == nullptr ? nullptr : dshift + at);
    }
  });
}

/// Without means (null) that of RMS normalization.
template <typename T>
void layer_norm_backward_rows(const T* dy, const T* x, const T* scale, const T* mean, const T* rstd,
                              std::int64_t rows, std::int64_t n, T* dx, T* dscale, T* dshift,
                              void* workspace) {
  const RowKernels<T>& kernels = row_kernels<T>();
  const auto backward = [&](std::int64_t r, std::int64_t count) {
    const auto kernel = mean != nullptr ? kernels.layer_norm_backward : kernels.rms_norm_backward;
    kernel(dy + r * n, x + r * n, scale, mean == nullptr ? nullptr : mean + r, rstd + r, count, n,
           dx + r * n);
  };
  // The parameters come first: dx may stand in the memory of dy or x.
  const bool with_parameters = dscale != nullptr || dshift != nullptr;
  const bool by_columns = sums_by_columns(rows, n);
  if (with_parameters && by_columns) add_columns(dy, x, mean, rstd, rows, n, dscale, dshift);
  if (!with_parameters || by_columns) return for_stretches(rows, n, backward);
  auto* sums = static_cast<double*>(workspace);
  const std::int64_t pieces = row_pieces(rows, n);
  const std::int64_t per_piece = (rows + pieces - 1) / pieces;
  parallel_for(pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      double* piece = sums + 2 * p * n;
      std::fill_n(piece, 2 * n, 0.0);
      const std::int64_t last = std::min(rows, (p + 1) * per_piece);
      for (std::int64_t r = p * per_piece; r < last; r += summed_together) {
        const std::int64_t count = std::min(summed_together, last - r);
        kernels.layer_norm_parameters(dy + r * n, x + r * n, mean == nullptr ? nullptr : mean + r, rstd + r,
                                      n, count, n, piece, piece + n);
        backward(r, count);
      }
    }
  });
  add_pieces(sums, pieces, n, dscale, dshift);
}

}  // namespace

std::size_t layer_norm_backward_workspace_bytes(std::int64_t rows, std::int64_t n) {
  return sums_by_columns(rows, n) ? 0
                                  : static_cast<std::size_t>(2 * row_pieces(rows, n) * n) * sizeof(double);
}

void softmax(const float* x, std::int64_t rows, std::int64_t n, float* y) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_stretches(rows, n,
                [&](std::int64_t r, std::int64_t count) { kernels.softmax(x + r * n, count, n, y + r * n); });
}

void softmax_backward(const float* y, const float* dy, std::int64_t rows, std::int64_t n, float* dx) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_stretches(rows, n, [&](std::int64_t r, std::int64_t count) {
    kernels.softmax_backward(y + r * n, dy + r * n, count, n, dx + r * n);
  });
}

void log_softmax(const float* x, std::int64_t rows, std::int64_t n, float* y) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_stretches(rows, n, [&](std::int64_t r, std::int64_t count) {
    kernels.log_softmax(x + r * n, count, n, y + r * n);
  });
}

void log_softmax_backward(const float* y, const float* dy, std::int64_t rows, std::int64_t n, float* dx) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_stretches(rows, n, [&](std::int64_t r, std::int64_t count) {
    kernels.log_softmax_backward(y + r * n, dy + r * n, count, n, dx + r * n);
  });
}

void logsumexp(const float* x, std::int64_t rows, std::int64_t n, float* out) {
  logsumexp_rows(x, rows, n, out);
}

void logsumexp_backward(const float* x, const float* out, const float* dout, std::int64_t rows,
                        std::int64_t n, float* dx) {
  const RowKernels<float>& kernels = row_kernels<float>();
  for_stretches(rows, n, [&](std::int64_t r, std::int64_t count) {
    kernels.exp_scaled(x + r * n, out + r, dout + r, count, n, dx + r * n);
  });
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
  for_stretches(rows, n, [&](std::int64_t r, std::int64_t count) {
    kernels.layer_norm(x + r * n, scale, shift, epsilon, count, n, y + r * n, mean + r, rstd + r);
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
  for_stretches(rows, n, [&](std::int64_t r, std::int64_t count) {
    kernels.rms_norm(x + r * n, scale, nullptr, epsilon, count, n, y + r * n, nullptr, rstd + r);
  });
}

void rms_norm_backward(const float* dy, const float* x, const float* scale, const float* rstd,
                       std::int64_t rows, std::int64_t n, float* dx, float* dscale, void* workspace) {
  layer_norm_backward_rows<float>(dy, x, scale, nullptr, rstd, rows, n, dx, dscale, nullptr, workspace);
}

void softmax(const double* x, std::int64_t rows, std::int64_t n, double* y) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_stretches(rows, n,
                [&](std::int64_t r, std::int64_t count) { kernels.softmax(x + r * n, count, n, y + r * n); });
}

void softmax_backward(const double* y, const double* dy, std::int64_t rows, std::int64_t n, double* dx) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_stretches(rows, n, [&](std::int64_t r, std::int64_t count) {
    kernels.softmax_backward(y + r * n, dy + r * n, count, n, dx + r * n);
  });
}

void log_softmax(const double* x, std::int64_t rows, std::int64_t n, double* y) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_stretches(rows, n, [&](std::int64_t r, std::int64_t count) {
    kernels.log_softmax(x + r * n, count, n, y + r * n);
  });
}

void log_softmax_backward(const double* y, const double* dy, std::int64_t rows, std::int64_t n, double* dx) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_stretches(rows, n, [&](std::int64_t r, std::int64_t count) {
    kernels.log_softmax_backward(y + r * n, dy + r * n, count, n, dx + r * n);
  });
}

void logsumexp(const double* x, std::int64_t rows, std::int64_t n, double* out) {
  logsumexp_rows(x, rows, n, out);
}

void logsumexp_backward(const double* x, const double* out, const double* dout, std::int64_t rows,
                        std::int64_t n, double* dx) {
  const RowKernels<double>& kernels = row_kernels<double>();
  for_stretches(rows, n, [&](std::int64_t r, std::int64_t count) {
    kernels.exp_scaled(x + r * n, out + r, dout + r, count, n, dx + r * n);
  });
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
  for_stretches(rows, n, [&](std::int64_t r, std::int64_t count) {
    kernels.layer_norm(x + r * n, scale, shift, epsilon, count, n, y + r * n, mean + r, rstd + r);
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
  for_stretches(rows, n, [&](std::int64_t r, std::int64_t count) {
    kernels.rms_norm(x + r * n, scale, nullptr, epsilon, count, n, y + r * n, nullptr, rstd + r);
  });
}

void rms_norm_backward(const double* dy, const double* x, const double* scale, const double* rstd,
                       std::int64_t rows, std::int64_t n, double* dx, double* dscale, void* workspace) {
  layer_norm_backward_rows<double>(dy, x, scale, nullptr, rstd, rows, n, dx, dscale, nullptr, workspace);
}

}  // namespace chainrule::kernels
