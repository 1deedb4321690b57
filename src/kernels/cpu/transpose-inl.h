// Transposes of small blocks in 128-bit registers. Include only inside kernels; the code below stands in
// Highway's region, as code on vectors must.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::transpose_detail {

namespace hn = hwy::HWY_NAMESPACE;

/// The unsigned integer of `Size` bytes that stands for any element of that size.
template <std::size_t Size>
struct Word;
template <>
struct Word<1> {
  typedef std::uint8_t plain;
  typedef std::uint8_t __attribute__((may_alias)) type;
};
template <>
struct Word<2> {
  typedef std::uint16_t plain;
  typedef std::uint16_t __attribute__((may_alias)) type;
};
template <>
struct Word<4> {
  typedef std::uint32_t plain;
  typedef std::uint32_t __attribute__((may_alias)) type;
};
template <>
struct Word<8> {
  typedef std::uint64_t plain;
  typedef std::uint64_t __attribute__((may_alias)) type;
};

/// Elements of a cache line: the side of a block.
template <std::size_t Size>
inline constexpr std::int64_t block_side = 64 / static_cast<std::int64_t>(Size);

/// Transposes an L×L square, L = 16 / Size, from `in` to `out`, both dense with `side` elements a row.
/// log2(L) rounds of interleaving row i with row i + L/2 move each element from (i, j) to (j, i).
template <std::size_t Size>
HWY_INLINE void transpose_square(const typename Word<Size>::plain* in, typename Word<Size>::plain* out) {
  using T = typename Word<Size>::plain;
  constexpr std::size_t lanes = 16 / Size;
  constexpr std::size_t side = 64 / Size;
  const hn::FixedTag<T, lanes> d;
  using V = hn::Vec<decltype(d)>;
  V rows[lanes];
  for (std::size_t i = 0; i < lanes; ++i) rows[i] = hn::Load(d, in + i * side);
  for (std::size_t round = 1; round < lanes; round *= 2) {
    V next[lanes];
    for (std::size_t i = 0; i < lanes / 2; ++i) {
      next[2 * i] = hn::InterleaveLower(d, rows[i], rows[i + lanes / 2]);
      next[2 * i + 1] = hn::InterleaveUpper(d, rows[i], rows[i + lanes / 2]);
    }
    for (std::size_t i = 0; i < lanes; ++i) rows[i] = next[i];
  }
  for (std::size_t i = 0; i < lanes; ++i) hn::Store(rows[i], d, out + i * side);
}

/// dst[r · dst_stride + c] = src[c · src_stride + r] for one block of cache-line-long rows. Both sides are
/// touched a whole line at a time, so that a power-of-two stride costs no cache conflicts.
template <std::size_t Size>
void transpose_block(const std::byte* src, std::int64_t src_stride_bytes, std::byte* dst,
                     std::int64_t dst_stride_bytes) {
  using T = typename Word<Size>::plain;
  constexpr std::size_t side = 64 / Size;
  constexpr std::size_t lanes = 16 / Size;
  alignas(64) T in[side * side];
  alignas(64) T out[side * side];
  for (std::size_t c = 0; c < side; ++c) {
    std::memcpy(in + c * side, src + static_cast<std::int64_t>(c) * src_stride_bytes, 64);
  }
  for (std::size_t r = 0; r < side; r += lanes) {
    for (std::size_t c = 0; c < side; c += lanes) {
      transpose_square<Size>(in + c * side + r, out + r * side + c);
    }
  }
  for (std::size_t r = 0; r < side; ++r) {
    std::memcpy(dst + static_cast<std::int64_t>(r) * dst_stride_bytes, out + r * side, 64);
  }
}

}  // namespace chainrule::kernels::transpose_detail
HWY_AFTER_NAMESPACE();
