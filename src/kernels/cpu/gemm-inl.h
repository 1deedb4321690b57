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
#include <utility>

#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using std::int64_t;

// The accumulators have to stay in registers: 24 of 32, or 12 of 16.
#if HWY_TARGET <= HWY_AVX3
inline constexpr int gemm_rows = 12;
inline constexpr int narrow_rows = 16;
#else
inline constexpr int gemm_rows = 6;
inline constexpr int narrow_rows = 12;
#endif
inline constexpr int gemm_vectors = 2;

/// The most rows of a tile that is so many vectors wide. A narrow one, as wide as all of C, is taller where
/// the rows of A lie side by side: each load of B then serves more of them, and one register finds them all.
constexpr int most_rows(int vectors, bool adjacent) {
  return vectors < gemm_vectors && adjacent ? narrow_rows : gemm_rows;
}

template <typename T>
using Lanes = hn::ScalableTag<T>;

template <typename T>
constexpr int64_t panel_width() {
  return static_cast<int64_t>(hn::MaxLanes(Lanes<T>())) * gemm_vectors;
}

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
  constexpr int64_t lanes = static_cast<int64_t>(hn::MaxLanes(Lanes<T>()));
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

/// The next two lines of what the next block reads.
template <typename T>
HWY_INLINE void fetch_lines(ReadAhead<T>& ahead, int64_t& at) {
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  for (int i = 0; i < 2 && ahead.rows > 0; ++i) {
    __builtin_prefetch(ahead.row + at, 0, 2);
    at += line;
    if (at < ahead.length) continue;
    at = 0;
    ahead.row += ahead.ld;
    --ahead.rows;
  }
}

/// What a block still has to fetch, and how far it is in the current row of that.
template <typename T>
struct Fetching {
  ReadAhead<T> ahead;
  int64_t at = 0;
};

/// rows x (vectors · lanes) entries of C at once: one broadcast of A per row and step, one load of B
/// per vector and step. A tile with fewer rows than gemm_rows is an instantiation of its own.
template <typename T, int rows, int vectors, bool adjacent>
HWY_INLINE void micro_tile(const GemmBlock<T>& block, const T* HWY_RESTRICT a, const T* HWY_RESTRICT b,
                           const Target<T>& to, Fetching<T>& fetching) {
  const Lanes<T> d;
  constexpr int64_t lanes = static_cast<int64_t>(hn::MaxLanes(Lanes<T>()));
  hn::Vec<Lanes<T>> sum[rows][vectors];
  HWY_UNROLL(16)
  for (int i = 0; i < rows; ++i) {
    HWY_UNROLL(2)
    for (int v = 0; v < vectors; ++v) sum[i][v] = hn::Zero(d);
  }
  // A narrow tile's few multiply-adds leave no time to find each row from the one before it.
  const int64_t a_row = adjacent ? 1 : block.a_row;
  constexpr int found_together = vectors < gemm_vectors && !adjacent ? 3 : rows;
  const T* first[(rows - 1) / found_together + 1];
  HWY_UNROLL(16)
  for (int i = 0; i < rows; i += found_together) first[i / found_together] = a + i * a_row;
  int64_t c_row = 0;
  for (int64_t p = 0; p < block.depth;) {
    fetch_lines(fetching.ahead, fetching.at);
    // The rows of C, one at a time, so that they are at hand when the sums are complete.
    if (c_row < rows) {
      for (int v = 0; v < vectors; ++v) __builtin_prefetch(to.c + c_row * to.ldc + v * lanes, 1, 3);
      ++c_row;
    }
    const int64_t end = p + steps_per_fetch < block.depth ? p + steps_per_fetch : block.depth;
    for (; p < end; ++p) {
      hn::Vec<Lanes<T>> column[vectors];
      HWY_UNROLL(2)
      for (int v = 0; v < vectors; ++v) {
        column[v] = hn::LoadU(d, b + v * lanes);
        __builtin_prefetch(b + steps_ahead * block.b_step + v * lanes);
      }
      HWY_UNROLL(16)
      for (int i = 0; i < rows; ++i) {
        const auto broadcast = hn::Set(d, first[i / found_together][i % found_together * a_row]);
        HWY_UNROLL(2)
        for (int v = 0; v < vectors; ++v) sum[i][v] = hn::MulAdd(broadcast, column[v], sum[i][v]);
      }
      HWY_UNROLL(16)
      for (auto& rows_of_a : first) rows_of_a += block.a_step;
      b += block.b_step;
    }
  }
  constexpr int64_t width = vectors * lanes;
  const bool plain = to.bias == nullptr && !to.relu;
  if (plain && to.cols == width) {
    HWY_UNROLL(16)
    for (int i = 0; i < rows; ++i) {
      HWY_UNROLL(2)
      for (int v = 0; v < vectors; ++v) {
        T* const at = to.c + i * to.ldc + v * lanes;
        if (to.accumulate) sum[i][v] = hn::Add(hn::LoadU(d, at), sum[i][v]);
        hn::StoreU(sum[i][v], d, at);
      }
    }
    return;
  }
  if constexpr (CHAINRULE_MASKED != 0 && vectors == 1) {
    HWY_UNROLL(16)
    for (int i = 0; i < rows && plain; ++i) {
      T* const at = to.c + i * to.ldc;
      if (to.accumulate) sum[i][0] = hn::Add(load(d, at, to.cols), sum[i][0]);
      store(sum[i][0], d, at, to.cols);
    }
    if (plain) return;
  }
  HWY_ALIGN T tile[static_cast<std::size_t>(rows * width)];
  HWY_UNROLL(16)
  for (int i = 0; i < rows; ++i) {
    HWY_UNROLL(2)
    for (int v = 0; v < vectors; ++v) hn::StoreU(sum[i][v], d, tile + i * width + v * lanes);
  }
  store_tile<T>(tile, rows, width, to);
}

template <typename T, int rows, int vectors, bool adjacent>
HWY_NOINLINE void tile_of(const GemmBlock<T>& block, const T* a, const T* b, const Target<T>& to,
                          Fetching<T>& fetching) {
  micro_tile<T, rows, vectors, adjacent>(block, a, b, to, fetching);
}

template <typename T>
using TileFunction = void (*)(const GemmBlock<T>&, const T*, const T*, const Target<T>&, Fetching<T>&);

template <typename T, int vectors, bool adjacent, std::size_t... i>
constexpr TileFunction<T> tile_function(int64_t rows, std::index_sequence<i...>) {
  constexpr TileFunction<T> table[] = {tile_of<T, static_cast<int>(i) + 1, vectors, adjacent>...};
  return table[rows - 1];
}

/// The rows of one stripe of columns, in tiles of nearly equal height: a last tile of one row would wait for
/// its own additions.
template <typename T, int vectors, bool adjacent>
HWY_INLINE void run_tiles(const GemmBlock<T>& block, const T* b, Target<T> to, Fetching<T>& fetching) {
  constexpr int most = most_rows(vectors, adjacent);
  const int64_t tiles = (block.rows - 1) / most + 1;
  const int64_t low = tiles == 1 ? block.rows : block.rows / tiles;
  const int64_t higher = block.rows - low * tiles;  // so many tiles have a row more
  const T* a = block.a;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t rows = tile < higher ? low + 1 : low;
    const auto run = tile_function<T, vectors, adjacent>(rows, std::make_index_sequence<most>());
    run(block, a, b, to, fetching);
    a += rows * block.a_row;
    to.c += rows * block.ldc;
  }
}

/// Panels outside, rows inside: a panel of B stays in the first cache level while A passes by.
template <typename T>
void gemm_block(const GemmBlock<T>& block) {
  constexpr int64_t panel = panel_width<T>();
  constexpr int64_t lanes = panel / gemm_vectors;
  Fetching<T> fetching{block.next_a};
  for (int64_t column = 0, stripe = 0; column < block.cols; column += panel, ++stripe) {
    const int64_t cols = block.cols - column < panel ? block.cols - column : panel;
    const Target<T> to{block.c + column,
                       block.ldc,
                       cols,
                       block.accumulate,
                       block.bias == nullptr ? nullptr : block.bias + column,
                       block.relu};
    const T* const b = block.b + stripe * block.b_panel;
    if (cols > lanes) {
      run_tiles<T, gemm_vectors, false>(block, b, to, fetching);
    } else if (block.a_row == 1) {
      run_tiles<T, 1, true>(block, b, to, fetching);
    } else {
      run_tiles<T, 1, false>(block, b, to, fetching);
    }
  }
}

template <typename T>
void pack_panel(const T* b, int64_t ldb, int64_t depth, int64_t cols, T* out) {
  const Lanes<T> d;
  constexpr int64_t panel = panel_width<T>();
  if (cols == panel) {
    for (int64_t p = 0; p < depth; ++p, b += ldb, out += panel) {
      hn::StoreU(hn::LoadU(d, b), d, out);
      hn::StoreU(hn::LoadU(d, b + panel / 2), d, out + panel / 2);
    }
    return;
  }
  constexpr int64_t lanes = panel / gemm_vectors;
  const int64_t first = HWY_MIN(lanes, cols);
  for (int64_t p = 0; p < depth; ++p, b += ldb, out += panel) {
    hn::StoreU(load(d, b, first), d, out);
    if (cols > lanes) hn::StoreU(load(d, b + lanes, cols - lanes), d, out + lanes);
  }
}

#if HWY_TARGET == HWY_SCALAR
template <typename T>
void pack_transposed_panel(const T* b, int64_t ldb, int64_t depth, int64_t cols, T* out) {
  constexpr int64_t panel = panel_width<T>();
  for (int64_t p = 0; p < depth; ++p) {
    for (int64_t j = 0; j < panel; ++j) out[p * panel + j] = j < cols ? b[j * ldb + p] : T{0};
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
template <class D>
HWY_INLINE void transpose_rows(D d, const float* b, int64_t ldb, float* out, int64_t ldo) {
  const hn::RepartitionToWide<D> wide;
  const auto r0 = load_blocks(d, b, 4 * ldb);
  const auto r1 = load_blocks(d, b + ldb, 4 * ldb);
  const auto r2 = load_blocks(d, b + 2 * ldb, 4 * ldb);
  const auto r3 = load_blocks(d, b + 3 * ldb, 4 * ldb);
  const auto low01 = hn::BitCast(wide, hn::InterleaveLower(d, r0, r1));
  const auto low23 = hn::BitCast(wide, hn::InterleaveLower(d, r2, r3));
  const auto high01 = hn::BitCast(wide, hn::InterleaveUpper(d, r0, r1));
  const auto high23 = hn::BitCast(wide, hn::InterleaveUpper(d, r2, r3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(wide, low01, low23)), d, out);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(wide, low01, low23)), d, out + ldo);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(wide, high01, high23)), d, out + 2 * ldo);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(wide, high01, high23)), d, out + 3 * ldo);
}

template <class D>
HWY_INLINE void transpose_rows(D d, const double* b, int64_t ldb, double* out, int64_t ldo) {
  const auto r0 = load_blocks(d, b, 2 * ldb);
  const auto r1 = load_blocks(d, b + ldb, 2 * ldb);
  hn::StoreU(hn::InterleaveLower(d, r0, r1), d, out);
  hn::StoreU(hn::InterleaveUpper(d, r0, r1), d, out + ldo);
}

template <typename T>
void pack_transposed_panel(const T* b, int64_t ldb, int64_t depth, int64_t cols, T* out) {
  constexpr int64_t panel = panel_width<T>();
  constexpr int64_t lanes = panel / gemm_vectors;
  constexpr int64_t block = 16 / static_cast<int64_t>(sizeof(T));
  const Lanes<T> d;
  const hn::FixedTag<T, static_cast<std::size_t>(block)> narrow;
  const int64_t even_depth = depth - depth % block;
  const int64_t read = cols > lanes ? panel : lanes;
  for (int64_t p = 0; p < depth && cols < read; ++p)
    std::memset(out + p * panel, 0, static_cast<std::size_t>(read) * sizeof(T));
  int64_t j = 0;
  for (; j + lanes <= cols; j += lanes) {
    for (int64_t p = 0; p < even_depth; p += block) {
      transpose_rows(d, b + j * ldb + p, ldb, out + p * panel + j, panel);
    }
  }
  for (; j + block <= cols; j += block) {
    for (int64_t p = 0; p < even_depth; p += block) {
      transpose_rows(narrow, b + j * ldb + p, ldb, out + p * panel + j, panel);
    }
  }
  for (int64_t p = 0; p < depth; ++p) {
    for (int64_t i = p < even_depth ? j : 0; i < cols; ++i) out[p * panel + i] = b[i * ldb + p];
  }
}
#endif

/// `vectors` independent chains of additions, so that none waits for another.
template <typename T, int vectors>
HWY_INLINE void row_stripe(int64_t k, const T* a, int64_t a_step, const T* b, int64_t ldb, T* c) {
  const Lanes<T> d;
  constexpr int64_t lanes = static_cast<int64_t>(hn::MaxLanes(Lanes<T>()));
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
  constexpr int64_t lanes = static_cast<int64_t>(hn::MaxLanes(Lanes<T>()));
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

/// The dot products of one vector with `rows` others. `ahead`: as many follow, which are fetched meanwhile.
template <typename T, int rows, bool ahead>
HWY_INLINE void dot_rows(int64_t k, const T* a, const T* b, int64_t ldb, T* c) {
  const Lanes<T> d;
  constexpr int64_t lanes = static_cast<int64_t>(hn::MaxLanes(Lanes<T>()));
  hn::Vec<Lanes<T>> even[rows];
  hn::Vec<Lanes<T>> odd[rows];
  HWY_UNROLL(4)
  for (int i = 0; i < rows; ++i) even[i] = odd[i] = hn::Zero(d);
  int64_t p = 0;
  for (; p + 2 * lanes <= k; p += 2 * lanes) {
    const auto a0 = hn::LoadU(d, a + p);
    const auto a1 = hn::LoadU(d, a + p + lanes);
    HWY_UNROLL(4)
    for (int i = 0; i < rows; ++i) {
      if constexpr (ahead) {
        __builtin_prefetch(b + (i + rows) * ldb + p);
        __builtin_prefetch(b + (i + rows) * ldb + p + lanes);
      }
      even[i] = hn::MulAdd(a0, hn::LoadU(d, b + i * ldb + p), even[i]);
      odd[i] = hn::MulAdd(a1, hn::LoadU(d, b + i * ldb + p + lanes), odd[i]);
    }
  }
  if (p + lanes <= k) {
    const auto a0 = hn::LoadU(d, a + p);
    HWY_UNROLL(4)
    for (int i = 0; i < rows; ++i) even[i] = hn::MulAdd(a0, hn::LoadU(d, b + i * ldb + p), even[i]);
    p += lanes;
  }
#if CHAINRULE_MASKED
  if (p < k) {
    const auto a1 = load(d, a + p, k - p);
    HWY_UNROLL(4)
    for (int i = 0; i < rows; ++i) odd[i] = hn::MulAdd(a1, load(d, b + i * ldb + p, k - p), odd[i]);
    p = k;
  }
#endif
  for (int i = 0; i < rows; ++i) {
    T sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even[i], odd[i])));
    for (int64_t q = p; q < k; ++q) sum += a[q] * b[i * ldb + q];
    c[i] = sum;
  }
}

template <typename T>
void row_times_transposed(int64_t n, int64_t k, const T* a, const T* b, int64_t ldb, T* c) {
  int64_t j = 0;
  // Short rows end before the processor sees the next ones coming; long ones would push each other out of the
  // first cache level.
  constexpr int64_t short_rows = 24 * 1024;
  if (4 * k <= short_rows / static_cast<int64_t>(sizeof(T))) {
    for (; j + 8 <= n; j += 4) dot_rows<T, 4, true>(k, a, b + j * ldb, ldb, c + j);
  }
  for (; j + 4 <= n; j += 4) dot_rows<T, 4, false>(k, a, b + j * ldb, ldb, c + j);
  for (; j < n; ++j) dot_rows<T, 1, false>(k, a, b + j * ldb, ldb, c + j);
}

template <typename T>
GemmKernels<T> kernels_of() {
  return {panel_width<T>(),    panel_width<T>() / gemm_vectors, gemm_rows,
          gemm_block<T>,       pack_transposed_panel<T>,        pack_panel<T>,
          row_times_matrix<T>, row_times_transposed<T>};
}

GemmKernels<float> float_kernels() { return kernels_of<float>(); }
GemmKernels<double> double_kernels() { return kernels_of<double>(); }

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::kernels
HWY_AFTER_NAMESPACE();

#endif
