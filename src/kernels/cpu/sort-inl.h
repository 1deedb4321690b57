// Sorting signed keys, compiled once for each instruction set: a quicksort whose partitions compress vectors
// and whose short ends are sorted by networks. D a vector tag of the keys, T their type, N its lanes.

#if defined(CHAINRULE_SORT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_SORT_INL_H_
#undef CHAINRULE_SORT_INL_H_
#else
#define CHAINRULE_SORT_INL_H_
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include <hwy/highway.h>

#include "kernels/cpu/partial-inl.h"
#include "kernels/cpu/sort_kernels.hpp"
#include "kernels/cpu/sort_network-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

inline const SortKernels* sort_kernels_table() {
  static constexpr SortKernels none{};
  return &none;
}

#else

constexpr std::size_t most_rows = 16;  // of a network: with more the vectors no longer fit the registers

/// Sorts n keys, more than `before` vectors and at most `rows`. What lies behind them is read, not changed.
template <std::size_t before, std::size_t rows, class D, class T>
HWY_NOINLINE void sort_few(D d, T* keys, std::size_t n) {
  constexpr std::size_t N = lanes_of<D>;
  const auto last = hn::Set(d, std::numeric_limits<T>::max());
  hn::Vec<D> v[rows];
  const auto present = [&](std::size_t row) HWY_ATTR {
    return row * N < n ? hn::FirstN(d, std::min(N, n - row * N)) : hn::FirstN(d, 0);
  };
  HWY_UNROLL(16)
  for (std::size_t row = 0; row < rows; ++row) {
    if (row < before) {
      v[row] = hn::LoadU(d, keys + row * N);
    } else {
      v[row] = row * N < n ? hn::IfThenElse(present(row), hn::LoadU(d, keys + row * N), last) : last;
    }
  }
  sort_vectors(d, v);
  HWY_UNROLL(16)
  for (std::size_t row = 0; row < rows; ++row) {
    if (row < before) {
      hn::StoreU(v[row], d, keys + row * N);
    } else {
      hn::BlendedStore(v[row], present(row), d, keys + row * N);
    }
  }
}

template <class D, class T>
HWY_INLINE void sort_short(D d, T* keys, std::size_t n) {
  constexpr std::size_t N = lanes_of<D>;
  const std::size_t rows = (n + N - 1) / N;
  if (rows <= 1) return sort_few<0, 1>(d, keys, n);
  if (rows <= 2) return sort_few<1, 2>(d, keys, n);
  if (rows <= 4) return sort_few<2, 4>(d, keys, n);
  if (rows <= 6) return sort_few<4, 6>(d, keys, n);
  if (rows <= 8) return sort_few<6, 8>(d, keys, n);
  if (rows <= 12) return sort_few<8, 12>(d, keys, n);
  return sort_few<12, 16>(d, keys, n);
}

template <class V>
HWY_INLINE V median(V a, V b, V c) {
  return hn::Max(hn::Min(a, b), hn::Min(hn::Max(a, b), c));
}

/// A key from about the middle: of the medians of three or nine keys in each lane, the median.
template <class D, class T>
HWY_INLINE T choose_pivot(D d, const T* keys, std::size_t n) {
  constexpr std::size_t N = lanes_of<D>;
  const std::size_t step = (n - N) / 10;
  const auto of_three = [&](std::size_t first, std::size_t by) HWY_ATTR {
    return median(hn::LoadU(d, keys + first), hn::LoadU(d, keys + first + by),
                  hn::LoadU(d, keys + first + 2 * by));
  };
  hn::Vec<D> sample[1] = {
      n < 2048 ? of_three(2 * step, 3 * step)
               : median(of_three(step, step), of_three(4 * step, step), of_three(7 * step, step))};
  sort_vectors(d, sample);
  HWY_ALIGN T sorted[N];
  hn::Store(sample[0], d, sorted);
  return sorted[N / 2];
}

/// For every set of lanes, as bits: the lanes in it, then the others, both in order. Those of 64-bit keys in
/// half as many lanes are pairs. (Highway's own Compress has such a table on the stack, which GCC 12 fills
/// anew at every call.)
template <std::size_t lanes, std::size_t parts>
constexpr auto split_orders() {
  std::array<std::array<std::uint8_t, lanes * parts>, std::size_t{1} << lanes> orders{};
  for (std::size_t set = 0; set < orders.size(); ++set) {
    std::size_t at = 0;
    for (const std::size_t wanted : {1, 0}) {
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        if ((set >> lane & 1) != wanted) continue;
        for (std::size_t part = 0; part < parts; ++part)
          orders[set][at++] = static_cast<std::uint8_t>(lane * parts + part);
      }
    }
  }
  return orders;
}
template <std::size_t lanes, std::size_t parts>
inline constexpr auto split_orders_table = split_orders<lanes, parts>();

/// The lanes of a set first, then the others.
template <class D, class V = hn::Vec<D> >
HWY_INLINE V split_lanes(D d, V v, hn::Mask<D> set) {
  constexpr std::size_t N = lanes_of<D>;
  std::uint8_t bits[8];
  hn::StoreMaskBits(d, set, bits);
  if constexpr (lane_bytes<D> == 8 && N == 4) {
    const hn::Repartition<std::int32_t, D> parts;
    const hn::Rebind<std::uint8_t, decltype(parts)> bytes;
    const auto order = hn::PromoteTo(parts, hn::LoadU(bytes, split_orders_table<4, 2>[bits[0]].data()));
    return hn::BitCast(d, hn::TableLookupLanes(hn::BitCast(parts, v), hn::IndicesFromVec(parts, order)));
  } else {
    const hn::Rebind<std::uint8_t, D> bytes;
    const hn::Rebind<std::int32_t, D> words;
    const auto order = hn::PromoteTo(words, hn::LoadU(bytes, split_orders_table<N, 1>[bits[0]].data()));
    if constexpr (lane_bytes<D> == 8) {
      return hn::TableLookupLanes(v, hn::IndicesFromVec(d, hn::PromoteTo(d, order)));
    } else {
      return hn::TableLookupLanes(v, hn::IndicesFromVec(d, order));
    }
  }
}

/// Whether the lanes of a set are moved by table.
template <class D>
constexpr bool by_table = lanes_of<D> == 4 || lanes_of<D> == 8;

/// Moves the keys below `border` to the front, in their order, and returns their number.
template <class D, class T>
HWY_INLINE std::size_t partition(D d, T* HWY_RESTRICT keys, std::size_t n, T border, T* HWY_RESTRICT spare) {
  constexpr std::size_t N = lanes_of<D>;
  const auto limit = hn::Set(d, border);
  std::size_t below = 0;
  T* above = by_table<D> ? spare + n + N : spare;  // by table it grows downwards
  // What is written beside the keys that count is overwritten later; in `keys` it has been read already.
  std::size_t i = 0;
  for (; i + N <= n; i += N) {
    const auto v = hn::LoadU(d, keys + i);
    const auto less = hn::Lt(v, limit);
    const std::size_t count = hn::CountTrue(d, less);
    if constexpr (by_table<D>) {
      const auto split = split_lanes(d, v, less);
      hn::StoreU(split, d, keys + below);
      hn::StoreU(split, d, above - N);
      above -= N - count;
    } else {
      hn::StoreU(hn::Compress(v, less), d, keys + below);
      hn::StoreU(hn::CompressNot(v, less), d, above);
      above += N - count;
    }
    below += count;
  }
  for (; i < n; ++i) {
    const T key = keys[i];
    const bool less = key < border;
    keys[below] = key;
    below += less;
    if constexpr (by_table<D>) {
      above[-1] = key;
      above -= !less;
    } else {
      *above = key;
      above += !less;
    }
  }
  std::memcpy(keys + below, by_table<D> ? above : spare, (n - below) * sizeof(T));
  return below;
}

/// `depth`: so many more unlucky pivots are borne.
template <class D, class T>
void quicksort(D d, T* keys, std::size_t n, std::size_t k, T* spare, int depth) {
  constexpr std::size_t N = lanes_of<D>;
  while (n > most_rows * N && k > 0) {
    if (depth-- == 0) return std::sort(keys, keys + n);
    const T pivot = choose_pivot(d, keys, n);
    std::size_t below = partition(d, keys, n, pivot, spare);
    if (below == 0) {  // the pivot is the least key: those that equal it are in their place
      if (pivot == std::numeric_limits<T>::max()) return;
      below = partition(d, keys, n, static_cast<T>(pivot + 1), spare);
    } else {
      quicksort(d, keys, below, k, spare, depth);
    }
    keys += below;
    n -= below;
    k -= std::min(k, below);
  }
  if (n > 1 && k > 0) sort_short(d, keys, n);
}

constexpr std::size_t sieve_rows = 4;

/// Moves the keys that may be among the k least to the front, in their order, and returns their number: those
/// up to the k-th least of the columns' minima, of which there are 4·N. Usually hardly more than k.
template <class D, class T>
HWY_INLINE std::size_t sieve(D d, T* keys, std::size_t n, std::size_t k) {
  constexpr std::size_t N = lanes_of<D>;
  constexpr std::size_t step = sieve_rows * N;
  hn::Vec<D> least[sieve_rows];
  for (std::size_t row = 0; row < sieve_rows; ++row) least[row] = hn::LoadU(d, keys + row * N);
  for (std::size_t i = step; i + step <= n; i += step) {
    for (std::size_t row = 0; row < sieve_rows; ++row)
      least[row] = hn::Min(least[row], hn::LoadU(d, keys + i + row * N));
  }
  sort_vectors(d, least);
  HWY_ALIGN T sorted[step];
  for (std::size_t row = 0; row < sieve_rows; ++row) hn::Store(least[row], d, sorted + row * N);
  const T most = sorted[k - 1];
  const auto limit = hn::Set(d, most);
  std::size_t count = 0;
  std::size_t i = 0;
  for (; i + N <= n; i += N) {
    const auto v = hn::LoadU(d, keys + i);
    const auto passes = hn::Not(hn::Gt(v, limit));
    if (hn::AllFalse(d, passes)) continue;
    if constexpr (by_table<D>) {
      hn::StoreU(split_lanes(d, v, passes), d, keys + count);
    } else {
      hn::StoreU(hn::Compress(v, passes), d, keys + count);
    }
    count += hn::CountTrue(d, passes);
  }
  for (; i < n; ++i) {
    const T key = keys[i];
    keys[count] = key;
    count += key <= most;
  }
  return count;
}

template <typename T>
void sort_keys(T* keys, std::int64_t n, std::int64_t k, T* spare) {
  const hn::ScalableTag<T> d;
  constexpr std::size_t N = lanes_of<decltype(d)>;
  auto size = static_cast<std::size_t>(n);
  const auto wanted = static_cast<std::size_t>(k);
  if (wanted <= N && size > most_rows * N) size = sieve(d, keys, size, wanted);
  quicksort(d, keys, size, wanted, spare, 2 * static_cast<int>(std::bit_width(size)));
}

/// What a negative number's bits have to be xored with to be in order: all but the sign.
template <typename T>
HWY_INLINE auto order_bits(hn::Vec<hn::ScalableTag<T> > bits) {
  const hn::ScalableTag<T> d;
  return hn::And(hn::ShiftRight<sizeof(T) * 8 - 1>(bits), hn::Set(d, std::numeric_limits<T>::max()));
}

template <typename T, T infinity>
bool number_keys(const T* in, std::int64_t n, bool reverse, T* keys) {
  const hn::ScalableTag<T> d;
  constexpr auto N = static_cast<std::int64_t>(lanes_of<decltype(d)>);
  const auto flip = hn::Set(d, reverse ? T{-1} : T{0});
  const auto lowest = hn::Set(d, std::numeric_limits<T>::min());
  const auto magnitude = hn::Set(d, std::numeric_limits<T>::max());
  auto largest = hn::Zero(d);
  auto special = hn::Zero(d);
  const auto key_of = [&](hn::Vec<decltype(d)> bits) HWY_ATTR {
    largest = hn::Max(largest, hn::And(bits, magnitude));
    special = hn::Or(special, hn::VecFromMask(d, hn::Eq(bits, lowest)));
    return hn::Xor(hn::Xor(bits, order_bits<T>(bits)), flip);
  };
  std::int64_t i = 0;
  for (; i + N <= n; i += N) hn::StoreU(key_of(hn::LoadU(d, in + i)), d, keys + i);
  if (i < n) store(key_of(load(d, in + i, n - i)), d, keys + i, n - i);
  special = hn::Or(special, hn::VecFromMask(d, hn::Gt(largest, hn::Set(d, infinity))));
  return hn::AllTrue(d, hn::Eq(special, hn::Zero(d)));
}

template <typename T>
void number_bits(const T* keys, std::int64_t n, bool reverse, T* out) {
  const hn::ScalableTag<T> d;
  constexpr auto N = static_cast<std::int64_t>(lanes_of<decltype(d)>);
  const auto flip = hn::Set(d, reverse ? T{-1} : T{0});
  const auto bits_of = [&](hn::Vec<decltype(d)> keys_here) HWY_ATTR {
    const auto key = hn::Xor(keys_here, flip);
    return hn::Xor(key, order_bits<T>(key));
  };
  std::int64_t i = 0;
  for (; i + N <= n; i += N) hn::StoreU(bits_of(hn::LoadU(d, keys + i)), d, out + i);
  if (i < n) store(bits_of(load(d, keys + i, n - i)), d, out + i, n - i);
}

inline void pack_keys(const std::int32_t* keys, std::int64_t n, bool floating, bool reverse,
                      std::int64_t* packed) {
  const hn::ScalableTag<std::int64_t> d;
  const hn::Rebind<std::int32_t, decltype(d)> narrow;
  constexpr auto N = static_cast<std::int64_t>(lanes_of<decltype(d)>);
  constexpr std::int32_t infinity = 0x7f800000;
  const auto flip = hn::Set(narrow, reverse ? -1 : 0);
  const auto step = hn::Set(d, N);
  auto position = hn::Iota(d, 0);
  // The keys are read, and `packed` written, to a whole vector: both have room for it.
  for (std::int64_t i = 0; i < n; i += N) {
    auto key = hn::LoadU(narrow, keys + i);
    if (floating) {
      const auto nan =
          hn::Or(hn::Gt(key, hn::Set(narrow, infinity)), hn::Lt(key, hn::Set(narrow, ~infinity)));
      key = hn::IfThenElse(nan, hn::Set(narrow, std::numeric_limits<std::int32_t>::max()), key);
      key = hn::IfThenElse(hn::Eq(key, hn::Set(narrow, -1)), hn::Zero(narrow), key);
    }
    key = hn::Xor(key, flip);
    hn::StoreU(hn::Or(hn::ShiftLeft<32>(hn::PromoteTo(d, key)), position), d, packed + i);
    position = hn::Add(position, step);
  }
}

inline const SortKernels* sort_kernels_table() {
  static constexpr SortKernels table{number_keys<std::int32_t, 0x7f800000>,
                                     number_keys<std::int64_t, 0x7ff0000000000000>,
                                     number_bits<std::int32_t>,
                                     number_bits<std::int64_t>,
                                     pack_keys,
                                     sort_keys<std::int32_t>,
                                     sort_keys<std::int64_t>,
                                     hn::MaxLanes(hn::ScalableTag<std::int64_t>()) >= 8};
  return &table;
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::kernels
HWY_AFTER_NAMESPACE();

#endif
