// Dot products of few rows with many, compiled once per instruction set.

#if defined(CHAINRULE_KERNELS_CPU_DOTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_KERNELS_CPU_DOTS_INL_H_
#undef CHAINRULE_KERNELS_CPU_DOTS_INL_H_
#else
#define CHAINRULE_KERNELS_CPU_DOTS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/cpu/dots.hpp"
#include "kernels/cpu/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using std::int64_t;

// The sums of a tile and, for a step, the vectors of its shorter side have to stay in registers, of which
// there are 32 or 16.
#if HWY_TARGET <= HWY_AVX3
inline constexpr int dot_rows_of_tile = 6;
inline constexpr int dot_sums = 24;
#else
inline constexpr int dot_rows_of_tile = 3;
inline constexpr int dot_sums = 12;
#endif

/// Rows of B that a tile of so many rows of A takes at a time; more than eight would be more streams than the
/// processor follows.
constexpr int dot_columns(int rows) { return HWY_MIN(8, dot_sums / rows); }

template <typename T>
using DotLanes = hn::ScalableTag<T>;

#if HWY_TARGET == HWY_SCALAR
template <typename T, int count>
HWY_INLINE void add_lanes(const hn::Vec<DotLanes<T>> (&sum)[count], T* out) {
  for (int i = 0; i < count; ++i) out[i] = hn::GetLane(sum[i]);
}
#else
/// The four blocks of 16 bytes (or two, or the one) of a vector, added up.
template <class D>
HWY_INLINE auto add_blocks([[maybe_unused]] D d, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(D()) * sizeof(hn::TFromD<D>) <= 16) {
    return v;
  } else {
    const hn::Half<D> half;
    return add_blocks(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

/// The sums of four vectors' lanes, side by side.
template <class D>
HWY_INLINE void add_lanes_of_block(D d, const hn::Vec<D>* v, float* out) {
  const auto even = hn::Add(hn::InterleaveLower(d, v[0], v[2]), hn::InterleaveUpper(d, v[0], v[2]));
  const auto odd = hn::Add(hn::InterleaveLower(d, v[1], v[3]), hn::InterleaveUpper(d, v[1], v[3]));
  const auto all = hn::Add(hn::InterleaveLower(d, even, odd), hn::InterleaveUpper(d, even, odd));
  hn::StoreU(add_blocks(d, all), hn::FixedTag<float, 4>(), out);
}

/// Of two.
template <class D>
HWY_INLINE void add_lanes_of_block(D d, const hn::Vec<D>* v, double* out) {
  const auto all = hn::Add(hn::InterleaveLower(d, v[0], v[1]), hn::InterleaveUpper(d, v[0], v[1]));
  hn::StoreU(add_blocks(d, all), hn::FixedTag<double, 2>(), out);
}

/// out[i] = the sum of the lanes of sum[i]; `out` has room for whole blocks of 16 bytes.
template <typename T, int count>
HWY_INLINE void add_lanes(const hn::Vec<DotLanes<T>> (&sum)[count], T* out) {
  const DotLanes<T> d;
  constexpr int block = static_cast<int>(16 / sizeof(T));
  HWY_UNROLL(12)
  for (int i = 0; i < count; i += block) {
    hn::Vec<DotLanes<T>> group[block];
    HWY_UNROLL(4)
    for (int g = 0; g < block; ++g) group[g] = sum[HWY_MIN(i + g, count - 1)];
    add_lanes_of_block(d, group, out + i);
  }
}
#endif

/// So many elements of a row, as lanes of T; zeros in the lanes beyond.
template <typename T>
HWY_INLINE hn::Vec<DotLanes<T>> load_lanes(const T* at, int64_t count) {
  return load(DotLanes<T>(), at, count);
}
HWY_INLINE hn::Vec<DotLanes<float>> load_lanes(const bfloat16* at, int64_t count) {
  const DotLanes<float> d;
  if (count == static_cast<int64_t>(hn::MaxLanes(d))) return load_widened(d, at);
  bfloat16 part[hn::MaxLanes(DotLanes<float>())] = {};  // 16-bit lanes have no masks on AVX2
  std::memcpy(part, at, static_cast<std::size_t>(count) * sizeof(bfloat16));
  return load_widened(d, part);
}

/// What a tile multiplies and where it goes: A and the sums are of T, B is of E.
template <typename T, typename E>
struct DotTile {
  int64_t k;
  const T* a;
  int64_t lda;
  const E* b;
  int64_t ldb;
  T* c;
  int64_t ldc;
};

/// rows x columns dot products at once. `chains` of sums for each, so that none waits for the one before it
/// where there are few.
template <typename T, typename E, int rows, int columns, int chains>
HWY_NOINLINE void dot_tile(const DotTile<T, E>& tile) {
  const DotLanes<T> d;
  constexpr int64_t lanes = static_cast<int64_t>(hn::MaxLanes(DotLanes<T>()));
  constexpr int count = rows * columns;
  hn::Vec<DotLanes<T>> sum[chains][count];
  HWY_UNROLL(2)
  for (int chain = 0; chain < chains; ++chain) {
    HWY_UNROLL(24)
    for (int i = 0; i < count; ++i) sum[chain][i] = hn::Zero(d);
  }
  const auto step = [&](int64_t p, hn::Vec<DotLanes<T>>(&to)[count], auto number) HWY_ATTR {
    if constexpr (rows <= columns) {
      hn::Vec<DotLanes<T>> left[rows];
      HWY_UNROLL(8)
      for (int i = 0; i < rows; ++i) left[i] = load_lanes(tile.a + i * tile.lda + p, number);
      HWY_UNROLL(8)
      for (int j = 0; j < columns; ++j) {
        const auto right = load_lanes(tile.b + j * tile.ldb + p, number);
        HWY_UNROLL(8)
        for (int i = 0; i < rows; ++i) to[i * columns + j] = hn::MulAdd(left[i], right, to[i * columns + j]);
      }
    } else {
      hn::Vec<DotLanes<T>> right[columns];
      HWY_UNROLL(8)
      for (int j = 0; j < columns; ++j) right[j] = load_lanes(tile.b + j * tile.ldb + p, number);
      HWY_UNROLL(8)
      for (int i = 0; i < rows; ++i) {
        const auto left = load_lanes(tile.a + i * tile.lda + p, number);
        HWY_UNROLL(8)
        for (int j = 0; j < columns; ++j)
          to[i * columns + j] = hn::MulAdd(left, right[j], to[i * columns + j]);
      }
    }
  };
  const std::integral_constant<int64_t, lanes> whole;
  int64_t p = 0;
  for (; p + chains * lanes <= tile.k; p += chains * lanes) {
    HWY_UNROLL(2)
    for (int chain = 0; chain < chains; ++chain) step(p + chain * lanes, sum[chain], whole);
  }
  for (; p + lanes <= tile.k; p += lanes) step(p, sum[0], whole);
  if (p < tile.k) step(p, sum[chains - 1], tile.k - p);
  if constexpr (chains == 2) {
    HWY_UNROLL(24)
    for (int i = 0; i < count; ++i) sum[0][i] = hn::Add(sum[0][i], sum[1][i]);
  }
  T all[static_cast<std::size_t>(count + 3)];
  add_lanes<T, count>(sum[0], all);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) tile.c[i * tile.ldc + j] = all[i * columns + j];
  }
}

/// So many rows of A times all rows of B.
template <typename T, typename E, int rows>
void dot_rows(DotTile<T, E> tile, int64_t n) {
  constexpr int columns = rows == 1 ? 4 : dot_columns(rows);
  constexpr int chains = rows == 1 ? 2 : 1;
  const E* const b = tile.b;
  T* const c = tile.c;
  for (int64_t j = 0; j < n;) {
    tile.b = b + j * tile.ldb;
    tile.c = c + j;
    if (n - j < columns) {
      dot_tile<T, E, rows, 1, chains>(tile);
      j += 1;
    } else {
      dot_tile<T, E, rows, columns, chains>(tile);
      j += columns;
    }
  }
}

template <typename T, typename E, std::size_t... i>
void dot_rows_by_number(int64_t rows, const DotTile<T, E>& tile, int64_t n, std::index_sequence<i...>) {
  using Rows = void (*)(DotTile<T, E>, int64_t);
  static constexpr Rows by_number[] = {dot_rows<T, E, static_cast<int>(i) + 1>...};
  by_number[rows - 1](tile, n);
}

template <typename T, typename E>
void rows_times_transposed(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const E* b, int64_t ldb,
                           T* c, int64_t ldc) {
  // Of nearly equal height: a single row's sums are in another order.
  const int64_t tiles = (m - 1) / dot_rows_of_tile + 1;
  for (int64_t tile = 0, row = 0; tile < tiles; ++tile) {
    const int64_t rows = (m - row) / (tiles - tile);
    dot_rows_by_number<T, E>(rows, {k, a + row * lda, lda, b, ldb, c + row * ldc, ldc}, n,
                             std::make_index_sequence<dot_rows_of_tile>());
    row += rows;
  }
}

template <typename E>
DotKernels<E> dots_of() {
  using T = DotSum<E>;
  return {static_cast<int64_t>(hn::MaxLanes(DotLanes<T>())), dot_rows_of_tile, rows_times_transposed<T, E>};
}

DotKernels<float> float_dots() { return dots_of<float>(); }
DotKernels<double> double_dots() { return dots_of<double>(); }
DotKernels<bfloat16> bfloat16_dots() { return dots_of<bfloat16>(); }

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::kernels
HWY_AFTER_NAMESPACE();

#endif
