#pragma once

#include <cstdint>

/// The SIMD kernels that the matrix products in blocks are built of, chosen for the machine.
///
/// Letters: C[m, n] = A[m, k] · B[k, n]. A *panel* is a stripe of B that is as wide as the micro tile, some
/// vectors. Every entry of C is the same chain of fused (or, without FMA, rounded) multiply-adds over k in
/// ascending order, whatever block of C it is computed in: results do not depend on how C is cut.
namespace chainrule::kernels {

/// Memory that is read soon: `rows` rows (0: none) of `length` elements, one or more, `ld` apart. It is
/// fetched into the second cache level while a block is computed, two to eight lines at a time.
template <typename T>
struct ReadAhead {
  const T* row = nullptr;
  std::int64_t rows = 0, length = 0, ld = 0;
};

/// Columns of the next panel where `left` columns are left and panels have at most `panel`: never a single
/// vector behind others, whose sums would wait for one another.
constexpr std::int64_t panel_columns(std::int64_t left, std::int64_t panel, std::int64_t lanes) {
  const std::int64_t vectors = (left - 1) / lanes + 1, most = panel / lanes;
  if (vectors == most + 1) return (vectors + 1) / 2 * lanes;
  return (vectors < most ? vectors : most) * lanes;
}

/// Rows in tiles of nearly equal height: a last tile of one row would wait for its own additions.
struct TileHeights {
  TileHeights(std::int64_t rows, std::int64_t most) : tiles((rows - 1) / most + 1) {
    low = tiles == 1 ? rows : rows / tiles;
    higher = rows - low * tiles;
  }
  std::int64_t operator[](std::int64_t tile) const { return tile < higher ? low + 1 : low; }
  /// The first row of a tile; behind the last tile, the number of rows.
  std::int64_t start(std::int64_t tile) const { return tile * low + (tile < higher ? tile : higher); }
  std::int64_t tiles, low, higher;  // so many tiles have a row more
};

/// Columns of B over a stretch of the inner dimension: stored as [depth, cols] or, transposed, as
/// [cols, depth].
template <typename T>
struct BColumns {
  const T* b;
  std::int64_t ldb;
  bool transposed;
  std::int64_t depth, cols;
};

/// Rows of A over a stretch of the inner dimension: stored as [rows, depth] or, transposed, as [depth, rows].
template <typename T>
struct ARows {
  const T* a;
  std::int64_t lda;
  bool transposed;
  std::int64_t rows, depth;
};

/// One block of C: rows x cols, over a stretch of `depth` of the inner dimension.
template <typename T>
struct GemmBlock {
  std::int64_t rows = 0, cols = 0, depth = 0;
  const T* a = nullptr;
  std::int64_t a_row = 0, a_step = 0;  ///< A(i, p) = a[i * a_row + p * a_step]
  std::int64_t a_tile = 0;  ///< where pack_rows has packed A: from one tile of rows to the next; 0 elsewhere
  const T* b = nullptr;
  std::int64_t ldb = 0;
  bool b_packed = false;   ///< by pack_columns, with this `panel`
  std::int64_t panel = 0;  ///< columns of a panel; with packed A, at most GemmKernels::panel
  T* c = nullptr;
  std::int64_t ldc = 0;
  bool accumulate = false;  ///< add to what C holds (a later stretch of k)
  const T* bias = nullptr;  ///< `cols` values added to each row, or null
  bool relu = false;        ///< max(·, 0) at the end; NaN stays NaN
  ReadAhead<T> next;        ///< what the next block reads
  ReadAhead<T> later;       ///< and then; only behind a `next`
};

template <typename T>
struct GemmKernels {
  std::int64_t lanes = 0;         ///< columns of a vector
  std::int64_t panel = 0;         ///< columns of a panel where there are many
  std::int64_t widest_panel = 0;  ///< columns that can make a single panel
  std::int64_t tile_rows = 0;     ///< rows of a packed tile of A
  /// Computes the block. Reads whole vectors of B: where B is not packed, `cols` must fill its panels.
  void (*block)(const GemmBlock<T>& block) = nullptr;
  /// B panel after panel, the last padded with zeros to whole vectors: column c of a panel that starts at
  /// column j, step p, is out[j * depth + p * width + c - j], where panel_columns gives the width.
  void (*pack_columns)(const BColumns<T>& from, std::int64_t panel, T* out) = nullptr;
  /// A for `block`, tile after tile: out[tile * tile_rows * depth + p * tile_rows + i] is row i of the tile
  /// at p. A block's a_row is then 1, its a_step tile_rows, and its a_tile tile_rows * depth.
  void (*pack_rows)(const ARows<T>& from, T* out) = nullptr;
  /// c[j] = Σ_p a[p] · b[p * ldb + j], j < n: a row vector times a matrix.
  void (*row_times_matrix)(std::int64_t n, std::int64_t k, const T* a, std::int64_t a_step, const T* b,
                           std::int64_t ldb, T* c) = nullptr;
};

/// The kernels for the instruction set in use. T is float or double.
template <typename T>
GemmKernels<T> gemm_kernels();

}  // namespace chainrule::kernels
