// The micro kernels of the matrix product, compiled once per instruction set.

#if defined(CHAINRULE_KERNELS_CPU_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_KERNELS_CPU_GEMM_INL_H_
#undef CHAINRULE_KERNELS_CPU_GEMM_INL_H_
#else
#define CHAINRULE_KERNELS_CPU_GEMM_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/partial-inl.h"
#include "kernels/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using std::int64_t;

// The accumulators have to stay in registers: 24 of 32, or 12 of 16.
#if HWY_TARGET <= HWY_AVX3
inline constexpr int accumulators = 24;
inline constexpr int max_vectors = 4;
inline constexpr int narrow_rows = 16;
#else
inline constexpr int accumulators = 12;
inline constexpr int max_vectors = 3;
inline constexpr int narrow_rows = 12;
#endif
/// Vectors of a panel where there are many: eight rows (or four) of three need the fewest loads for each
/// multiply-add, from memory that the first cache level can't hold.
inline constexpr int panel_vectors = 3;

/// The most rows of a micro tile over so many vectors. A tile of one vector, as wide as all of C, is taller
/// where the elements of A for a step are adjacent: each load of B then serves more rows, and one register
/// finds them all.
constexpr int rows_over(int vectors, bool adjacent) {
  if (vectors == 1) return adjacent ? narrow_rows : accumulators / 2;
  return accumulators / vectors;
}
/// Rows of a tile of A that is packed for any panel.
inline constexpr int packed_rows = rows_over(panel_vectors, true);

template <typename T>
using Lanes = hn::ScalableTag<T>;

template <typename T>
constexpr int64_t lanes_of() {
  return static_cast<int64_t>(hn::MaxLanes(Lanes<T>()));
}

/// What a micro tile multiplies: A(i, p) = a[i * a_row + p * a_step], B's row p at b + p * b_step.
template <typename T>
struct Factors {
  int64_t depth;
  const T* a;
  int64_t a_row, a_step;
  const T* b;
  int64_t b_step;
};

/// Where a micro tile goes, and what happens on the way.
template <typename T>
struct Target {
  T* c;
  int64_t ldc;
  int64_t cols;
  bool accumulate;
  const T* bias;
  bool relu;
};

/// C from a tile of sums, with all that the target asks for.
template <typename T>
HWY_NOINLINE void store_tile(const T* HWY_RESTRICT sums, int64_t rows, int64_t width, const Target<T>& to) {
  const Lanes<T> d;
  constexpr int64_t lanes = lanes_of<T>();
  const auto zero = hn::Zero(d);
  for (int64_t i = 0; i < rows; ++i, sums += width) {
    T* const c = to.c + i * to.ldc;
    for (int64_t j = 0; j < to.cols; j += lanes) {
      const int64_t count = HWY_MIN(lanes, to.cols - j);
      auto value = hn::LoadU(d, sums + j);
      if (to.accumulate) value = hn::Add(load(d, c + j, count), value);
      if (to.bias != nullptr) value = hn::Add(value, load(d, to.bias + j, count));
      if (to.relu) value = hn::IfThenElse(hn::Lt(value, zero), zero, value);
      store(value, d, c + j, count);
    }
  }
}

/// Steps of k between two looks at what to fetch next.
inline constexpr int64_t steps_per_fetch = 16;
/// How many steps of k ahead B is fetched into the first cache level. A panel is longer than that level
/// holds, and the processor's own prefetching alone left a twelfth of the speed behind (AVX-512, 784 deep).
inline constexpr int64_t steps_ahead = 8;

/// What a block still has to fetch, how far it is in the current row of that, and how many lines it fetches
/// at a time: as many as bring it to the end of all that together with the block's own end.
template <typename T>
struct Fetching {
  explicit Fetching(const GemmBlock<T>& block) : ahead(block.next), later(block.later) {
    if (ahead.rows <= 0) return;
    const int64_t lines = lines_of(ahead) + lines_of(later);
    const int64_t tiles = ((block.rows - 1) / packed_rows + 1) * ((block.cols - 1) / block.panel + 1);
    const int64_t times = tiles * ((block.depth - 1) / steps_per_fetch + 1);
    at_a_time = HWY_MAX(2, HWY_MIN(8, (lines - 1) / times + 1));
  }

  HWY_INLINE void next_lines() {
    for (int64_t i = 0; i < at_a_time && ahead.rows > 0; ++i) {
      __builtin_prefetch(ahead.row + at, 0, 2);
      at += line;
      if (at < ahead.length) continue;
      at = 0;
      ahead.row += ahead.ld;
      --ahead.rows;
    }
  }
  /// Between tiles, not in their loops, where it would take a fiftieth of their speed.
  void go_on() {
    if (ahead.rows > 0 || later.rows <= 0) return;
    ahead = later;
    later.rows = 0;
  }
  static int64_t lines_of(const ReadAhead<T>& of) {
    return of.rows <= 0 ? 0 : of.rows * ((of.length - 1) / line + 1);
  }

  static constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  ReadAhead<T> ahead, later;
  int64_t at = 0, at_a_time = 0;
};

/// C from the sums of a micro tile, by way of memory only where there is more to do than to add.
template <typename T, int rows, int vectors>
HWY_INLINE void store_sums(hn::Vec<Lanes<T>> (&sum)[rows][vectors], const Target<T>& to) {
  const Lanes<T> d;
  constexpr int64_t lanes = lanes_of<T>();
  constexpr int64_t width = vectors * lanes;
  const bool plain = to.bias == nullptr && !to.relu;
  if (plain && to.cols == width) {
    HWY_UNROLL(16)
    for (int i = 0; i < rows; ++i) {
      HWY_UNROLL(4)
      for (int v = 0; v < vectors; ++v) {
        T* const at = to.c + i * to.ldc + v * lanes;
        if (to.accumulate) sum[i][v] = hn::Add(hn::LoadU(d, at), sum[i][v]);
        hn::StoreU(sum[i][v], d, at);
      }
    }
    return;
  }
  if constexpr (CHAINRULE_MASKED != 0 && vectors == 1) {
    if (plain) {
      HWY_UNROLL(16)
      for (int i = 0; i < rows; ++i) {
        T* const at = to.c + i * to.ldc;
        if (to.accumulate) sum[i][0] = hn::Add(load(d, at, to.cols), sum[i][0]);
        store(sum[i][0], d, at, to.cols);
      }
      return;
    }
  }
  HWY_ALIGN T tile[static_cast<std::size_t>(rows * width)];
  HWY_UNROLL(16)
  for (int i = 0; i < rows; ++i) {
    HWY_UNROLL(4)
    for (int v = 0; v < vectors; ++v) hn::StoreU(sum[i][v], d, tile + i * width + v * lanes);
  }
  store_tile<T>(tile, rows, width, to);
}

/// Row i of what a tile adds to, into the first cache level, where it is to be written (3), or only into the
/// second (2); see __builtin_prefetch.
template <typename T, int vectors, int locality>
HWY_INLINE void fetch_row(const Target<T>& to, int64_t i) {
  for (int v = 0; v < vectors; ++v) {
    __builtin_prefetch(to.c + i * to.ldc + v * lanes_of<T>(), locality == 3, locality);
  }
}

/// rows x (vectors · lanes) entries of C at once: one broadcast of A per row and step, one load of B
/// per vector and step. A tile of each height is an instantiation of its own, and so is one whose elements of
/// A for a step are adjacent: these need no computed addresses, which weighs where another hyperthread takes
/// half of the instructions.
template <typename T, int rows, int vectors, bool adjacent>
HWY_NOINLINE void micro_tile(const Factors<T>& of, const Target<T>& to, Fetching<T>& fetching) {
  const Lanes<T> d;
  constexpr int64_t lanes = lanes_of<T>();
  hn::Vec<Lanes<T>> sum[rows][vectors];
  HWY_UNROLL(16)
  for (int i = 0; i < rows; ++i) {
    HWY_UNROLL(4)
    for (int v = 0; v < vectors; ++v) sum[i][v] = hn::Zero(d);
  }
  const int64_t a_row = adjacent ? 1 : of.a_row;
  const T* HWY_RESTRICT b = of.b;
  // The few multiply-adds of a tile of one vector leave no time to find each row from the one before it.
  constexpr int found_together = vectors == 1 && !adjacent ? 3 : rows;
  constexpr int groups = (rows - 1) / found_together + 1;
  const T* first[groups];
  HWY_UNROLL(16)
  for (int i = 0; i < rows; i += found_together) first[i / found_together] = of.a + i * a_row;
  constexpr int64_t fetches_before_end = rows + 2;
  const int64_t near_from = of.depth - steps_per_fetch * fetches_before_end;
  int64_t far_row = 0, near_row = 0;
  for (int64_t p = 0; p < of.depth;) {
    fetching.next_lines();
    // A row of C at a time: into the second cache level at once, into the first shortly before the sums are
    // complete. What is fetched there earlier is gone again by then, and from the third it comes too late.
    if (near_from > 0 && far_row < rows) fetch_row<T, vectors, 2>(to, far_row++);
    if (p >= near_from && near_row < rows) fetch_row<T, vectors, 3>(to, near_row++);
    const int64_t end = p + steps_per_fetch < of.depth ? p + steps_per_fetch : of.depth;
    for (; p < end; ++p) {
      hn::Vec<Lanes<T>> column[vectors];
      HWY_UNROLL(4)
      for (int v = 0; v < vectors; ++v) {
        column[v] = hn::LoadU(d, b + v * lanes);
        __builtin_prefetch(b + steps_ahead * of.b_step + v * lanes);
      }
      HWY_UNROLL(16)
      for (int i = 0; i < rows; ++i) {
        const auto broadcast = hn::Set(d, first[i / found_together][i % found_together * a_row]);
        HWY_UNROLL(4)
        for (int v = 0; v < vectors; ++v) sum[i][v] = hn::MulAdd(broadcast, column[v], sum[i][v]);
      }
      HWY_UNROLL(16)
      for (int group = 0; group < groups; ++group) first[group] += of.a_step;
      b += of.b_step;
    }
  }
  store_sums<T>(sum, to);
}

template <typename T, int vectors, bool adjacent, std::size_t... i>
void run_tile(int64_t rows, const Factors<T>& of, const Target<T>& to, Fetching<T>& fetching,
              std::index_sequence<i...>) {
  using Tile = void (*)(const Factors<T>&, const Target<T>&, Fetching<T>&);
  static constexpr Tile by_height[] = {micro_tile<T, static_cast<int>(i) + 1, vectors, adjacent>...};
  by_height[rows - 1](of, to, fetching);
}

template <typename T, int vectors, bool adjacent>
void run_tiles(const GemmBlock<T>& block, Factors<T> of, Target<T> to, Fetching<T>& fetching) {
  constexpr int most = rows_over(vectors, adjacent);
  const TileHeights heights(block.rows, block.a_tile != 0 ? packed_rows : most);
  for (int64_t tile = 0; tile < heights.tiles; ++tile) {
    const int64_t rows = heights[tile];
    run_tile<T, vectors, adjacent>(rows, of, to, fetching, std::make_index_sequence<most>());
    fetching.go_on();
    of.a += block.a_tile != 0 ? block.a_tile : rows * block.a_row;
    to.c += rows * block.ldc;
  }
}

/// A panel of B times all rows of the block: the panel stays at hand while A passes by.
template <typename T, int vectors>
void run_panel(const GemmBlock<T>& block, int64_t column, Fetching<T>& fetching) {
  constexpr int64_t width = vectors * lanes_of<T>();
  const Factors<T> of{block.depth,
                      block.a,
                      block.a_row,
                      block.a_step,
                      block.b_packed ? block.b + column * block.depth : block.b + column,
                      block.b_packed ? width : block.ldb};
  const Target<T> to{block.c + column,
                     block.ldc,
                     HWY_MIN(block.cols - column, width),
                     block.accumulate,
                     block.bias == nullptr ? nullptr : block.bias + column,
                     block.relu};
  if (block.a_row == 1) {
    run_tiles<T, vectors, true>(block, of, to, fetching);
  } else {
    run_tiles<T, vectors, false>(block, of, to, fetching);
  }
}

template <typename T, std::size_t... v>
void run_panels(const GemmBlock<T>& block, std::index_sequence<v...>) {
  using Panel = void (*)(const GemmBlock<T>&, int64_t, Fetching<T>&);
  static constexpr Panel by_width[] = {run_panel<T, static_cast<int>(v) + 1>...};
  Fetching<T> fetching(block);
  for (int64_t column = 0; column < block.cols;) {
    const int64_t width = panel_columns(block.cols - column, block.panel, lanes_of<T>());
    by_width[width / lanes_of<T>() - 1](block, column, fetching);
    column += width;
  }
}

template <typename T>
void gemm_block(const GemmBlock<T>& block) {
  run_panels(block, std::make_index_sequence<max_vectors>());
}

template <typename T>
void pack_panel(const T* b, int64_t ldb, int64_t depth, int64_t cols, int64_t width, T* out) {
  const Lanes<T> d;
  constexpr int64_t lanes = lanes_of<T>();
  for (int64_t p = 0; p < depth; ++p, b += ldb, out += width) {
    for (int64_t j = 0; j < cols; j += lanes) {
      hn::StoreU(load(d, b + j, HWY_MIN(lanes, cols - j)), d, out + j);
    }
  }
}

#if HWY_TARGET == HWY_SCALAR
template <typename T>
void pack_transposed_panel(const T* b, int64_t ldb, int64_t depth, int64_t cols, int64_t width, T* out) {
  for (int64_t p = 0; p < depth; ++p, out += width) {
    for (int64_t j = 0; j < width; ++j) out[j] = j < cols ? b[j * ldb + p] : T{0};
  }
}

template <typename T>
void pack_tile(const T* a, int64_t lda, int64_t rows, int64_t depth, T* out) {
  for (int64_t p = 0; p < depth; ++p, out += packed_rows) {
    for (int64_t i = 0; i < rows; ++i) out[i] = a[i * lda + p];
  }
}
#else
/// A vector whose 16-byte blocks come from rows that lie `step` elements apart.
template <class D, typename T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> load_blocks(D d, const T* b, int64_t step) {
  if constexpr (hn::MaxLanes(D()) * sizeof(T) <= 16) {
    return hn::LoadU(d, b);
  } else {
    const hn::Half<D> half;
    constexpr int64_t blocks = static_cast<int64_t>(hn::MaxLanes(D()) * sizeof(T) / 32);
    return hn::Combine(d, load_blocks(half, b + blocks * step, step), load_blocks(half, b, step));
  }
}

/// out[p][j] = b[j][p] for as many j as D has lanes and as many p as 16 bytes hold: each block of the
/// vectors is transposed in place.
template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void transpose_rows(D d, const T* b, int64_t ldb, T* out, int64_t ldo) {
  constexpr int64_t side = 16 / static_cast<int64_t>(sizeof(T));
  hn::Vec<D> rows[side], columns[side];
  HWY_UNROLL(4)
  for (int64_t i = 0; i < side; ++i) rows[i] = load_blocks(d, b + i * ldb, side * ldb);
  transpose_squares(d, rows, columns);
  HWY_UNROLL(4)
  for (int64_t p = 0; p < side; ++p) hn::StoreU(columns[p], d, out + p * ldo);
}

template <typename T>
void pack_transposed_panel(const T* b, int64_t ldb, int64_t depth, int64_t cols, int64_t width, T* out) {
  constexpr int64_t lanes = lanes_of<T>();
  constexpr int64_t block = 16 / static_cast<int64_t>(sizeof(T));
  const Lanes<T> d;
  const hn::FixedTag<T, static_cast<std::size_t>(block)> narrow;
  const int64_t even_depth = depth - depth % block;
  if (cols < width) std::memset(out, 0, static_cast<std::size_t>(depth * width) * sizeof(T));
  int64_t j = 0;
  for (; j + lanes <= cols; j += lanes) {
    for (int64_t p = 0; p < even_depth; p += block) {
      transpose_rows(d, b + j * ldb + p, ldb, out + p * width + j, width);
    }
  }
  for (; j + block <= cols; j += block) {
    for (int64_t p = 0; p < even_depth; p += block) {
      transpose_rows(narrow, b + j * ldb + p, ldb, out + p * width + j, width);
    }
  }
  for (int64_t p = 0; p < depth; ++p) {
    for (int64_t i = p < even_depth ? j : 0; i < cols; ++i) out[p * width + i] = b[i * ldb + p];
  }
}

/// The rows from `i` on, D's lanes at a time, of one stretch of p that 16 bytes hold.
template <class D, typename T>
HWY_INLINE int64_t pack_row_groups(D d, const T* a, int64_t lda, int64_t rows, int64_t i, T* out) {
  constexpr int64_t group = static_cast<int64_t>(hn::MaxLanes(D()));
  for (; i + group <= rows; i += group) transpose_rows(d, a + i * lda, lda, out + i, packed_rows);
  return i;
}

/// Without calls and loops for each stretch where the compiler knows the rows: `Rows` is an int64_t or a
/// constant.
template <typename T, typename Rows>
HWY_INLINE void pack_rows_of_tile(const T* a, int64_t lda, Rows rows, int64_t depth, T* out) {
  constexpr int64_t block = 16 / static_cast<int64_t>(sizeof(T));
  constexpr int64_t lanes = lanes_of<T>();
  const hn::FixedTag<T, static_cast<std::size_t>(block)> narrow;
  const hn::FixedTag<T, static_cast<std::size_t>(lanes < packed_rows ? lanes : packed_rows)> wide;
  int64_t p = 0;
  for (; rows >= block && p + block <= depth; p += block, out += block * packed_rows) {
    int64_t i = pack_row_groups(wide, a + p, lda, rows, 0, out);
    i = pack_row_groups(narrow, a + p, lda, rows, i, out);
    // The last group again, together with the rows that fill none.
    if (i < rows) pack_row_groups(narrow, a + p, lda, rows, rows - block, out);
  }
  for (; p < depth; ++p, out += packed_rows) {
    for (int64_t i = 0; i < rows; ++i) out[i] = a[i * lda + p];
  }
}

template <typename T>
void pack_tile(const T* a, int64_t lda, int64_t rows, int64_t depth, T* out) {
  if (rows == packed_rows) {
    pack_rows_of_tile(a, lda, std::integral_constant<int64_t, packed_rows>(), depth, out);
  } else {
    pack_rows_of_tile(a, lda, rows, depth, out);
  }
}
#endif

/// Stored rows from outside to inside, so that each is read in one go.
template <typename T>
void pack_columns(const BColumns<T>& from, int64_t panel, T* out) {
  constexpr int64_t rows_at_a_time = 8;
  const int64_t group = from.transposed ? from.depth : rows_at_a_time;
  for (int64_t p = 0; p < from.depth; p += group) {
    const int64_t rows = from.depth - p < group ? from.depth - p : group;
    for (int64_t column = 0; column < from.cols;) {
      const int64_t left = from.cols - column;
      const int64_t width = panel_columns(left, panel, lanes_of<T>());
      const T* const b = from.b + (from.transposed ? column * from.ldb : p * from.ldb + column);
      const auto pack = from.transposed ? pack_transposed_panel<T> : pack_panel<T>;
      pack(b, from.ldb, rows, left < width ? left : width, width, out + column * from.depth + p * width);
      column += width;
    }
  }
}

/// Some steps of a tile, from rows that are stored transposed: those of a step are adjacent.
template <typename T>
void pack_transposed_tile(const T* a, int64_t lda, int64_t rows, int64_t depth, T* out) {
  for (int64_t p = 0; p < depth; ++p, a += lda, out += packed_rows) {
    if (rows == packed_rows) {
      std::memcpy(out, a, sizeof(T) * packed_rows);  // a size that the compiler knows
    } else {
      for (int64_t i = 0; i < rows; ++i) out[i] = a[i];
    }
  }
}

/// Tile by tile; but stored rows that lie a multiple of 2 KiB apart would drive each other out of the caches
/// before the next tile reads the same lines: of these some at a time for all tiles.
template <typename T>
void pack_rows(const ARows<T>& from, T* out) {
  constexpr int64_t rows_at_a_time = 8, colliding = 2048 / static_cast<int64_t>(sizeof(T));
  const TileHeights heights(from.rows, packed_rows);
  const auto pack = from.transposed ? pack_transposed_tile<T> : pack_tile<T>;
  const int64_t group = from.transposed && from.lda % colliding == 0 ? rows_at_a_time : from.depth;
  for (int64_t p = 0; p < from.depth; p += group, out += group * packed_rows) {
    const T* a = from.a + (from.transposed ? p * from.lda : p);
    const int64_t steps = from.depth - p < group ? from.depth - p : group;
    for (int64_t tile = 0; tile < heights.tiles; ++tile) {
      pack(a, from.lda, heights[tile], steps, out + tile * packed_rows * from.depth);
      a += heights[tile] * (from.transposed ? 1 : from.lda);
    }
  }
}

/// `vectors` independent chains of additions, so that none waits for another.
template <typename T, int vectors>
HWY_INLINE void row_stripe(int64_t k, const T* a, int64_t a_step, const T* b, int64_t ldb, T* c) {
  const Lanes<T> d;
  constexpr int64_t lanes = lanes_of<T>();
  hn::Vec<Lanes<T>> sum[vectors];
  HWY_UNROLL(8)
  for (int v = 0; v < vectors; ++v) sum[v] = hn::Zero(d);
  for (int64_t p = 0; p < k; ++p, b += ldb) {
    const auto broadcast = hn::Set(d, a[p * a_step]);
    HWY_UNROLL(8)
    for (int v = 0; v < vectors; ++v) sum[v] = hn::MulAdd(broadcast, hn::LoadU(d, b + v * lanes), sum[v]);
  }
  HWY_UNROLL(8)
  for (int v = 0; v < vectors; ++v) hn::StoreU(sum[v], d, c + v * lanes);
}

template <typename T>
void row_times_matrix(int64_t n, int64_t k, const T* a, int64_t a_step, const T* b, int64_t ldb, T* c) {
  constexpr int64_t lanes = lanes_of<T>();
  int64_t j = 0;
  for (; j + 8 * lanes <= n; j += 8 * lanes) row_stripe<T, 8>(k, a, a_step, b + j, ldb, c + j);
  for (; j + 2 * lanes <= n; j += 2 * lanes) row_stripe<T, 2>(k, a, a_step, b + j, ldb, c + j);
  for (; j + lanes <= n; j += lanes) row_stripe<T, 1>(k, a, a_step, b + j, ldb, c + j);
  if (j == n) return;
#if CHAINRULE_MASKED
  const Lanes<T> d;
  auto sum = hn::Zero(d);
  for (int64_t p = 0; p < k; ++p)
    sum = hn::MulAdd(hn::Set(d, a[p * a_step]), load(d, b + p * ldb + j, n - j), sum);
  store(sum, d, c + j, n - j);
#else
  // Fewer columns than a vector has lanes: all of them together, one step after the other. MulAdd on
  // one lane keeps the arithmetic that of the other columns.
  const hn::CappedTag<T, 1> one;
  for (int64_t i = j; i < n; ++i) c[i] = T{0};
  for (int64_t p = 0; p < k; ++p) {
    const auto factor = hn::Set(one, a[p * a_step]);
    for (int64_t i = j; i < n; ++i) {
      hn::StoreU(hn::MulAdd(factor, hn::LoadU(one, b + p * ldb + i), hn::LoadU(one, c + i)), one, c + i);
    }
  }
#endif
}

template <typename T>
GemmKernels<T> kernels_of() {
  return {lanes_of<T>(),
          panel_vectors * lanes_of<T>(),
          max_vectors * lanes_of<T>(),
          packed_rows,
          gemm_block<T>,
          pack_columns<T>,
          pack_rows<T>,
          row_times_matrix<T>};
}

GemmKernels<float> float_kernels() { return kernels_of<float>(); }
GemmKernels<double> double_kernels() { return kernels_of<double>(); }

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::kernels
HWY_AFTER_NAMESPACE();

#endif
