#pragma once

#include <cstdint>

/// The SIMD kernels that the matrix products in gemm.cpp are built of, chosen for the machine.
///
/// Letters: C[m, n] = A[m, k] · B[k, n]. A *panel* is a stripe of B as wide as the micro kernel. Every
/// entry of C is the same chain of fused (or, without FMA, rounded) multiply-adds over k in ascending
/// order, whatever block of C it is computed in: results do not depend on how C is cut.
namespace chainrule::kernels {

/// Memory that the next block reads: `rows` rows of `length` elements, `ld` apart. It is fetched into the
/// second cache level while this block is computed, a few lines at a time.
template <typename T>
struct ReadAhead {
  const T* row = nullptr;
  std::int64_t rows = 0, length = 0, ld = 0;
};

/// One block of C: rows x cols, over a stretch of `depth` of the inner dimension.
template <typename T>
struct GemmBlock {
  std::int64_t rows = 0, cols = 0, depth = 0;
  const T* a = nullptr;
  std::int64_t a_row = 0, a_step = 0;  ///< A(i, p) = a[i * a_row + p * a_step]
  const T* b = nullptr;
  std::int64_t b_panel = 0, b_step = 0;  ///< panel j starts at b + j * b_panel; its rows are b_step apart
  T* c = nullptr;
  std::int64_t ldc = 0;
  bool accumulate = false;  ///< add to what C holds (a later stretch of k)
  const T* bias = nullptr;  ///< `cols` values added to each row, or null
  bool relu = false;        ///< max(·, 0) at the end; NaN stays NaN
  ReadAhead<T> next_a;
};

template <typename T>
struct GemmKernels {
  std::int64_t panel = 0;      ///< columns of a panel
  std::int64_t lanes = 0;      ///< columns of one vector
  std::int64_t tile_rows = 0;  ///< rows of the micro kernel
  /// Computes the block. Reads whole vectors of B: the last panel must be padded to `lanes` columns if it
  /// has no more, otherwise to `panel`.
  void (*block)(const GemmBlock<T>& block) = nullptr;
  /// out[p * panel + j] = b[j * ldb + p] for j < cols, 0 for the others that `block` reads: one packed panel
  /// out of a B that is stored as [n, k].
  void (*pack_transposed)(const T* b, std::int64_t ldb, std::int64_t depth, std::int64_t cols,
                          T* out) = nullptr;
  /// out[p * panel + j] = b[p * ldb + j], padded alike.
  void (*pack)(const T* b, std::int64_t ldb, std::int64_t depth, std::int64_t cols, T* out) = nullptr;
  /// c[j] = Σ_p a[p] · b[p * ldb + j], j < n: a row vector times a matrix.
  void (*row_times_matrix)(std::int64_t n, std::int64_t k, const T* a, std::int64_t a_step, const T* b,
                           std::int64_t ldb, T* c) = nullptr;
  /// c[j] = Σ_p a[p] · b[j * ldb + p], j < n: a row vector times a matrix stored as [n, k].
  void (*row_times_transposed)(std::int64_t n, std::int64_t k, const T* a, const T* b, std::int64_t ldb,
                               T* c) = nullptr;
};

/// The kernels for the best instruction set of this machine. T is float or double.
template <typename T>
const GemmKernels<T>& gemm_kernels();

}  // namespace chainrule::kernels
