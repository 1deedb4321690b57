// Sorting networks over R vectors, compiled once for each instruction set. The columns (one lane of every
// vector) are sorted first, then neighbouring groups of columns are merged until one group is all lanes; as
// in Blacher, Giesen and Kühne, Fast and robust vectorized in-place sorting of primitive types, SEA 2021. D a
// vector tag of the signed keys, V its vectors, T their type.

#if defined(CHAINRULE_SORT_NETWORK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_SORT_NETWORK_INL_H_
#undef CHAINRULE_SORT_NETWORK_INL_H_
#else
#define CHAINRULE_SORT_NETWORK_INL_H_
#endif

#include <array>
#include <bit>
#include <cstddef>
#include <utility>

#include <hwy/highway.h>

#if HWY_TARGET != HWY_SCALAR
HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class D>
inline constexpr std::size_t lanes_of = hn::MaxLanes(D());
template <class D>
inline constexpr std::size_t lane_bytes = sizeof(hn::TFromD<D>);

/// Every group of `width` lanes reversed.
template <std::size_t width, class D, class V = hn::Vec<D>>
HWY_INLINE V reverse_groups(D d, V v) {
  if constexpr (width == lanes_of<D>) {
    return hn::Reverse(d, v);
  } else if constexpr (width == 2) {
    return hn::Reverse2(d, v);
  } else if constexpr (width == 4) {
    return hn::Reverse4(d, v);
  } else {
    static_assert(width == 8);
    return hn::Reverse8(d, v);
  }
}

/// Every lane's neighbour so many lanes away, on the other side of a border of 2·distance.
template <std::size_t distance, class D, class V = hn::Vec<D>>
HWY_INLINE V swap_groups(D d, V v) {
  if constexpr (distance == 1) {
    return hn::Reverse2(d, v);
  } else if constexpr (distance * lane_bytes<D> == 8) {
    return hn::Shuffle1032(v);
  } else if constexpr (distance * lane_bytes<D> == 16) {
    return hn::SwapAdjacentBlocks(v);
  } else {
    static_assert(distance * lane_bytes<D> == 32);
    return hn::ConcatLowerUpper(d, v, v);
  }
}

/// Of every 2·distance lanes the lower half from `low`, the upper from `high`.
template <std::size_t distance, class D, class V = hn::Vec<D>>
HWY_INLINE V choose_groups(D d, V low, V high) {
  if constexpr (distance == 1) {
    return hn::OddEven(high, low);
  } else if constexpr (distance * lane_bytes<D> == 8) {
    const hn::RepartitionToWide<D> wide;
    return hn::BitCast(d, hn::OddEven(hn::BitCast(wide, high), hn::BitCast(wide, low)));
  } else if constexpr (distance * lane_bytes<D> == 16) {
    return hn::OddEvenBlocks(high, low);
  } else {
    static_assert(distance * lane_bytes<D> == 32);
    return hn::ConcatUpperLower(d, high, low);
  }
}

/// The distances `distance`, distance/2, …, 1 of a bitonic merge within groups of lanes.
template <std::size_t distance, class D, class V = hn::Vec<D>>
HWY_INLINE void merge_lanes(D d, V& v) {
  if constexpr (distance > 0) {
    const V other = swap_groups<distance>(d, v);
    v = choose_groups<distance>(d, hn::Min(v, other), hn::Max(v, other));
    merge_lanes<distance / 2>(d, v);
  }
}

template <class V>
HWY_INLINE void exchange(V& a, V& b) {
  const V low = hn::Min(a, b);
  b = hn::Max(a, b);
  a = low;
}

struct Exchange {
  std::size_t low = 0;
  std::size_t high = 0;
};

/// Batcher's odd-even merge sort of `rows` elements: the exchanges, in order, and how many there are.
template <std::size_t rows>
constexpr auto column_exchanges() {
  struct {
    std::array<Exchange, 64> list{};
    std::size_t count = 0;
  } result;
  for (std::size_t p = 1; p < rows; p *= 2) {
    for (std::size_t k = p; k >= 1; k /= 2) {
      for (std::size_t j = k % p; j + k < rows; j += 2 * k) {
        for (std::size_t i = j; i < j + k && i + k < rows; ++i) {
          if (i / (2 * p) == (i + k) / (2 * p)) result.list[result.count++] = {i, i + k};
        }
      }
    }
  }
  return result;
}

template <std::size_t rows, class V, std::size_t... i>
HWY_INLINE void sort_columns(V (&v)[rows], std::index_sequence<i...>) {
  [[maybe_unused]] constexpr auto exchanges = column_exchanges<rows>();  // a single row has none
  (exchange(v[exchanges.list[i].low], v[exchanges.list[i].high]), ...);
}

/// One row's part in merging groups of `width` columns, in blocks of so many rows: compared with the row that
/// mirrors it in its block. Rows from `rows` on would hold the largest keys: they neither give nor take.
template <std::size_t width, std::size_t block, std::size_t row, std::size_t rows, class D,
          class V = hn::Vec<D>>
HWY_INLINE void exchange_rows(D d, V (&v)[rows]) {
  constexpr std::size_t mirror = row / block * block + block - 1 - row % block;
  if constexpr (mirror < rows && row < mirror) {
    v[mirror] = reverse_groups<width>(d, v[mirror]);
    exchange(v[row], v[mirror]);
  } else if constexpr (mirror < row) {
    static_assert(mirror < rows);
  }
}

template <std::size_t width, std::size_t block, std::size_t rows, class D, class V, std::size_t... row>
HWY_INLINE void merge_rows(D d, V (&v)[rows], std::index_sequence<row...> all) {
  if constexpr (block > 1) {
    (exchange_rows<width, block, row>(d, v), ...);
    merge_rows<width, block / 2>(d, v, all);
  }
}

template <std::size_t width, class D, class V = hn::Vec<D>>
HWY_INLINE void merge_row(D d, V& v) {
  const V other = reverse_groups<width>(d, v);
  v = choose_groups<width / 2>(d, hn::Min(v, other), hn::Max(v, other));
  merge_lanes<width / 4>(d, v);
}

template <std::size_t width, std::size_t rows, class D, class V, std::size_t... row>
HWY_INLINE void merge_groups(D d, V (&v)[rows], std::index_sequence<row...> all) {
  if constexpr (width <= lanes_of<D>) {
    merge_rows<width, std::bit_ceil(rows)>(d, v, all);
    (merge_row<width>(d, v[row]), ...);
    merge_groups<2 * width>(d, v, all);
  }
}

/// All keys of the vectors in order, the first vector's lanes first.
template <std::size_t rows, class D, class V = hn::Vec<D>>
HWY_INLINE void sort_vectors(D d, V (&v)[rows]) {
  sort_columns(v, std::make_index_sequence<column_exchanges<rows>().count>());
  merge_groups<2>(d, v, std::make_index_sequence<rows>());
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::kernels
HWY_AFTER_NAMESPACE();
#endif

#endif
