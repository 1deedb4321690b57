#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/streaming.hpp"

/// Transposes of blocks of one cache line a side: in 128-bit registers, which every target has, and in those
/// of a whole line.
namespace chainrule::kernels {

/// The unsigned integer of `Size` bytes that stands for any element of that size: `type` may alias
/// memory of another type, `vector` is a register full of them.
template <std::size_t Size>
struct Word;
template <>
struct Word<1> {
  typedef std::uint8_t plain;
  typedef std::uint8_t __attribute__((may_alias)) type;
  typedef std::uint8_t __attribute__((vector_size(16))) vector;
};
template <>
struct Word<2> {
  typedef std::uint16_t plain;
  typedef std::uint16_t __attribute__((may_alias)) type;
  typedef std::uint16_t __attribute__((vector_size(16))) vector;
};
template <>
struct Word<4> {
  typedef std::uint32_t plain;
  typedef std::uint32_t __attribute__((may_alias)) type;
  typedef std::uint32_t __attribute__((vector_size(16))) vector;
};
template <>
struct Word<8> {
  typedef std::uint64_t plain;
  typedef std::uint64_t __attribute__((may_alias)) type;
  typedef std::uint64_t __attribute__((vector_size(16))) vector;
};

/// Elements of a cache line: the side of a block.
template <std::size_t Size>
inline constexpr std::int64_t block_side = 64 / static_cast<std::int64_t>(Size);

/// a0 b0 a1 b1 …: the lower halves of two registers, interleaved.
template <std::size_t Size, typename V>
inline V interleave_lower(V a, V b) {
  if constexpr (Size == 8) return __builtin_shufflevector(a, b, 0, 2);
  if constexpr (Size == 4) return __builtin_shufflevector(a, b, 0, 4, 1, 5);
  if constexpr (Size == 2) return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  if constexpr (Size == 1) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  }
}

/// The upper halves of two registers, interleaved.
template <std::size_t Size, typename V>
inline V interleave_upper(V a, V b) {
  if constexpr (Size == 8) return __builtin_shufflevector(a, b, 1, 3);
  if constexpr (Size == 4) return __builtin_shufflevector(a, b, 2, 6, 3, 7);
  if constexpr (Size == 2) return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  if constexpr (Size == 1) {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  }
}

/// Transposes an L×L square, L = 16 / Size, from `in` to `out`, both dense with `side` elements a row.
/// log2(L) rounds of interleaving row i with row i + L/2 move each element from (i, j) to (j, i).
template <std::size_t Size>
inline void transpose_square(const typename Word<Size>::plain* in, typename Word<Size>::plain* out) {
  using V = typename Word<Size>::vector;
  constexpr std::size_t lanes = 16 / Size;
  constexpr std::size_t side = 64 / Size;
  V rows[lanes];
  for (std::size_t i = 0; i < lanes; ++i) std::memcpy(&rows[i], in + i * side, sizeof(V));
  for (std::size_t round = 1; round < lanes; round *= 2) {
    V next[lanes];
    for (std::size_t i = 0; i < lanes / 2; ++i) {
      next[2 * i] = interleave_lower<Size>(rows[i], rows[i + lanes / 2]);
      next[2 * i + 1] = interleave_upper<Size>(rows[i], rows[i + lanes / 2]);
    }
    for (std::size_t i = 0; i < lanes; ++i) rows[i] = next[i];
  }
  for (std::size_t i = 0; i < lanes; ++i) std::memcpy(out + i * side, &rows[i], sizeof(V));
}

/// How a transpose writes.
enum class Lines : std::uint8_t {
  near,     ///< into a cache that has the lines
  far,      ///< into lines that are fetched ahead of it
  streamed  ///< past the caches
};

/// Fetches what the next blocks of a transpose read and write, for one row of this block.
template <std::size_t Size>
inline void fetch_for_transpose(const std::byte* src, std::int64_t src_stride_bytes, const std::byte* dst,
                                std::int64_t dst_stride_bytes, std::int64_t row, Lines lines) {
  // Rows are read block by block: measured, twice as fast from DRAM. Not into the first cache, where rows a
  // power of two apart would drive each other out.
  __builtin_prefetch(src + row * src_stride_bytes + 64 * 4, 0, 2);
  if (lines == Lines::far) __builtin_prefetch(dst + (block_side<Size> + row) * dst_stride_bytes, 1);
}

/// dst[r · dst_stride + c] = src[c · src_stride + r] for one block of cache-line-long rows. Both sides are
/// touched a whole line at a time, so that a power-of-two stride costs no cache conflicts.
template <std::size_t Size>
void transpose_block(const std::byte* src, std::int64_t src_stride_bytes, std::byte* dst,
                     std::int64_t dst_stride_bytes, Lines lines) {
  using T = typename Word<Size>::plain;
  constexpr std::size_t side = 64 / Size;
  constexpr std::size_t lanes = 16 / Size;
  alignas(64) T in[side * side];
  alignas(64) T out[side * side];
  for (std::size_t c = 0; c < side; ++c) {
    const auto row = static_cast<std::int64_t>(c);
    fetch_for_transpose<Size>(src, src_stride_bytes, dst, dst_stride_bytes, row, lines);
    std::memcpy(in + c * side, src + row * src_stride_bytes, 64);
  }
  for (std::size_t r = 0; r < side; r += lanes) {
    for (std::size_t c = 0; c < side; c += lanes) {
      transpose_square<Size>(in + c * side + r, out + r * side + c);
    }
  }
  for (std::size_t r = 0; r < side; ++r) {
    store_line(out + r * side, dst + static_cast<std::int64_t>(r) * dst_stride_bytes,
               lines == Lines::streamed);
  }
}

/// transpose_block, or, for elements of four and eight bytes, what does the same in registers of a whole line
/// where the instruction set in use has them.
using TransposeBlock = void (*)(const std::byte* src, std::int64_t src_stride_bytes, std::byte* dst,
                                std::int64_t dst_stride_bytes, Lines lines);
template <std::size_t Size>
TransposeBlock best_transpose_block();

}  // namespace chainrule::kernels
