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

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using std::int64_t;

// The accumulators have to stay in registers: 24 of 32, or 12 of 16.
#if HWY_TARGET <= HWY_AVX3
inline constexpr int accumulators = 24;
inline constexpr int max_vectors = 4;
#else
inline constexpr int accumulators = 12;
inline constexpr int max_vectors = 3;
#endif
inline constexpr int max_rows = accumulators / 2;
/// Vectors of a panel where there are many: eight rows (or four) of three need the fewest loads for each
/// multiply-add, from memory that the first cache level can't hold.
inline constexpr int panel_vectors = 3;

/// Rows of the micro tile over so many vectors.
constexpr int rows_over(int vectors) { return vectors == 1 ? max_rows : accumulators / vectors; }
/// Rows of a tile of A that is packed for any panel.
inline constexpr int64_t packed_rows = rows_over(panel_vectors);

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
    int64_t j = 0;
    for (; j + lanes <= to.cols; j += lanes) {
      auto value = hn::LoadU(d, sums + j);
      if (to.accumulate) value = hn::Add(hn::LoadU(d, c + j), value);
      if (to.bias != nullptr) value = hn::Add(value, hn::LoadU(d, to.bias + j));
      if (to.relu) value = hn::IfThenElse(hn::Lt(value, zero), zero, value);
      hn::StoreU(value, d, c + j);
    }
    for (; j < to.cols; ++j) {
      T value = to.accumulate ? c[j] + sums[j] : sums[j];
      if (to.bias != nullptr) value += to.bias[j];
      c[j] = to.relu && value < T{0} ? T{0} : value;
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
/// per vector and step. A tile of each height is an instantiation of its own, and so is one
/// whose elements of A for a step are adjacent: these need no computed addresses, which weighs where another
/// hyperthread takes half of the instructions.
template <typename T, int rows, int vectors, bool adjacent>
HWY_NOINLINE void micro_tile(const Factors<T>& of, const Target<T>& to, Fetching<T>& fetching) {
  const Lanes<T> d;
  constexpr int64_t lanes = lanes_of<T>();
  hn::Vec<Lanes<T>> sum[rows][vectors];
  HWY_UNROLL(12)
  for (int i = 0; i < rows; ++i) {
    HWY_UNROLL(4)
    for (int v = 0; v < vectors; ++v) sum[i][v] = hn::Zero(d);
  }
  const int64_t a_row = adjacent ? 1 : of.a_row;
  const T* HWY_RESTRICT a = of.a;
  const T* HWY_RESTRICT b = of.b;
  int64_t c_row = 0;
  for (int64_t p = 0; p < of.depth;) {
    fetch_lines(fetching.ahead, fetching.at);
    // The rows of C, one at a time, so that they are at hand when the sums are complete.
    if (c_row < rows) {
      for (int v = 0; v < vectors; ++v) __builtin_prefetch(to.c + c_row * to.ldc + v * lanes, 1, 3);
      ++c_row;
    }
    const int64_t end = p + steps_per_fetch < of.depth ? p + steps_per_fetch : of.depth;
    for (; p < end; ++p) {
      hn::Vec<Lanes<T>> column[vectors];
      HWY_UNROLL(4)
      for (int v = 0; v < vectors; ++v) {
        column[v] = hn::LoadU(d, b + v * lanes);
        __builtin_prefetch(b + steps_ahead * of.b_step + v * lanes);
      }
      HWY_UNROLL(12)
      for (int i = 0; i < rows; ++i) {
        const auto broadcast = hn::Set(d, a[i * a_row]);
        HWY_UNROLL(4)
        for (int v = 0; v < vectors; ++v) sum[i][v] = hn::MulAdd(broadcast, column[v], sum[i][v]);
      }
      a += of.a_step;
      b += of.b_step;
    }
  }
  constexpr int64_t width = vectors * lanes;
  const bool direct = to.cols == width && to.bias == nullptr && !to.relu;
  HWY_ALIGN T tile[static_cast<std::size_t>(rows * width)];
  T* const out = direct ? to.c : tile;
  const int64_t step = direct ? to.ldc : width;
  HWY_UNROLL(12)
  for (int i = 0; i < rows; ++i) {
    HWY_UNROLL(4)
    for (int v = 0; v < vectors; ++v) {
      T* const at = out + i * step + v * lanes;
      if (direct && to.accumulate) sum[i][v] = hn::Add(hn::LoadU(d, at), sum[i][v]);
      hn::StoreU(sum[i][v], d, at);
    }
  }
  if (!direct) store_tile<T>(tile, rows, width, to);
}

template <typename T>
using TileFunction = void (*)(const Factors<T>&, const Target<T>&, Fetching<T>&);

/// The micro tile; null where its sums would not fit in registers.
template <typename T, int rows, int vectors, bool adjacent>
constexpr TileFunction<T> tile_function() {
  if constexpr (rows <= rows_over(vectors)) {
    return micro_tile<T, rows, vectors, adjacent>;
  } else {
    return nullptr;
  }
}

template <typename T, int vectors, bool adjacent, std::size_t... i>
TileFunction<T> tile_over(int64_t rows, std::index_sequence<i...>) {
  static constexpr TileFunction<T> by_height[] = {
      tile_function<T, static_cast<int>(i) + 1, vectors, adjacent>()...};
  return by_height[rows - 1];
}

template <typename T, bool adjacent, std::size_t... v>
TileFunction<T> choose_tile(int64_t rows, int64_t vectors, std::index_sequence<v...>) {
  using Choose = TileFunction<T> (*)(int64_t, std::make_index_sequence<max_rows>);
  static constexpr Choose by_width[] = {tile_over<T, static_cast<int>(v) + 1, adjacent>...};
  return by_width[vectors - 1](rows, {});
}

/// Rows of the next of `tiles` tiles that `rows` are left for. They are of nearly equal height: a last tile
/// of one row would wait for its own additions.
inline int64_t tile_height(int64_t rows, int64_t tiles) { return (rows - 1) / tiles + 1; }

/// A panel of B times all rows of the block: the panel stays at hand while A passes by.
template <typename T>
void gemm_panel(const GemmBlock<T>& block, int64_t column, int64_t vectors, Fetching<T>& fetching) {
  const int64_t width = vectors * lanes_of<T>();
  const int64_t most = block.a_tile != 0 ? packed_rows : rows_over(static_cast<int>(vectors));
  const int64_t tiles = (block.rows - 1) / most + 1;
  Factors<T> factors{block.depth,
                     nullptr,
                     block.a_row,
                     block.a_step,
                     block.b_packed ? block.b + column * block.depth : block.b + column,
                     block.b_packed ? width : block.ldb};
  Target<T> to{nullptr,
               block.ldc,
               block.cols - column < width ? block.cols - column : width,
               block.accumulate,
               block.bias == nullptr ? nullptr : block.bias + column,
               block.relu};
  constexpr std::make_index_sequence<max_vectors> widths;
  for (int64_t tile = 0, row = 0; tile < tiles; ++tile) {
    const int64_t rows = tile_height(block.rows - row, tiles - tile);
    const auto run = block.a_row == 1 ? choose_tile<T, true>(rows, vectors, widths)
                                      : choose_tile<T, false>(rows, vectors, widths);
    factors.a = block.a + (block.a_tile != 0 ? tile * block.a_tile : row * block.a_row);
    to.c = block.c + row * block.ldc + column;
    run(factors, to, fetching);
    row += rows;
  }
}

template <typename T>
void gemm_block(const GemmBlock<T>& block) {
  Fetching<T> fetching{block.next_a};
  for (int64_t column = 0; column < block.cols;) {
    const int64_t width = panel_columns(block.cols - column, block.panel, lanes_of<T>());
    gemm_panel(block, column, width / lanes_of<T>(), fetching);
    column += width;
  }
}

template <typename T>
void pack_panel(const T* b, int64_t ldb, int64_t depth, int64_t cols, int64_t width, T* out) {
  const Lanes<T> d;
  constexpr int64_t lanes = lanes_of<T>();
  for (int64_t p = 0; p < depth; ++p, b += ldb, out += width) {
    int64_t j = 0;
    for (; j + lanes <= cols; j += lanes) hn::StoreU(hn::LoadU(d, b + j), d, out + j);
    if (j == width) continue;
    hn::StoreU(hn::Zero(d), d, out + j);
    for (; j < cols; ++j) out[j] = b[j];
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

template <typename T>
void pack_tile(const T* a, int64_t lda, int64_t rows, int64_t depth, T* out) {
  constexpr int64_t block = 16 / static_cast<int64_t>(sizeof(T));
  constexpr int64_t lanes = lanes_of<T>();
  const hn::FixedTag<T, static_cast<std::size_t>(block)> narrow;
  const hn::FixedTag<T, static_cast<std::size_t>(lanes < 2 * block ? lanes : 2 * block)> wide;
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

/// The same from rows that are stored transposed: those of a step are adjacent.
template <typename T>
void pack_stored_tile(const T* a, int64_t lda, int64_t rows, int64_t depth, T* out) {
  for (int64_t p = 0; p < depth; ++p, a += lda, out += packed_rows) {
    if (rows == packed_rows) {
      std::memcpy(out, a, sizeof(T) * packed_rows);  // a size that the compiler knows
    } else {
      for (int64_t i = 0; i < rows; ++i) out[i] = a[i];
    }
  }
}

template <typename T>
void pack_rows(const ARows<T>& from, T* out) {
  const int64_t tiles = (from.rows - 1) / packed_rows + 1;
  const auto pack = from.transposed ? pack_stored_tile<T> : pack_tile<T>;
  for (int64_t tile = 0, row = 0; tile < tiles; ++tile, out += packed_rows * from.depth) {
    const int64_t height = tile_height(from.rows - row, tiles - tile);
    pack(from.a + row * (from.transposed ? 1 : from.lda), from.lda, height, from.depth, out);
    row += height;
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
}

/// The dot products of one vector with `rows` others. `ahead`: as many follow, which are fetched meanwhile.
template <typename T, int rows, bool ahead>
HWY_INLINE void dot_rows(int64_t k, const T* a, const T* b, int64_t ldb, T* c) {
  const Lanes<T> d;
  constexpr int64_t lanes = lanes_of<T>();
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
  return {lanes_of<T>(),
          panel_vectors * lanes_of<T>(),
          max_vectors * lanes_of<T>(),
          packed_rows,
          gemm_block<T>,
          pack_columns<T>,
          pack_rows<T>,
          row_times_matrix<T>,
          row_times_transposed<T>};
}

GemmKernels<float> float_kernels() { return kernels_of<float>(); }
GemmKernels<double> double_kernels() { return kernels_of<double>(); }

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::kernels
HWY_AFTER_NAMESPACE();

#endif
