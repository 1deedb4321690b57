#include "kernels/cpu/transpose.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/transpose.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

#include "kernels/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

#if HWY_TARGET <= HWY_AVX3
namespace hn = hwy::HWY_NAMESPACE;

/// Block i of out[j] is block j of in[i].
template <class D, class V = hn::Vec<D>>
HWY_INLINE void transpose_blocks_of_four(D d, const V (&in)[4], V (&out)[4]) {
  const V even01 = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(in[1]), in[0]);
  const V odd01 = hn::OddEvenBlocks(in[1], hn::SwapAdjacentBlocks(in[0]));
  const V even23 = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(in[3]), in[2]);
  const V odd23 = hn::OddEvenBlocks(in[3], hn::SwapAdjacentBlocks(in[2]));
  out[0] = hn::ConcatLowerLower(d, even23, even01);
  out[1] = hn::ConcatLowerLower(d, odd23, odd01);
  out[2] = hn::ConcatUpperUpper(d, even23, even01);
  out[3] = hn::ConcatUpperUpper(d, odd23, odd01);
}

/// transpose_block in registers of a whole line: no copies, and half of the shuffles.
template <typename T>
void transpose_lines(const std::byte* src, std::int64_t src_stride_bytes, std::byte* dst,
                     std::int64_t dst_stride_bytes, Lines lines) {
  const hn::FixedTag<T, 64 / sizeof(T)> d;
  using V = hn::Vec<decltype(d)>;
  constexpr std::int64_t side = block_side<sizeof(T)>, square = 16 / static_cast<std::int64_t>(sizeof(T));
  const bool aligned =
      (reinterpret_cast<std::uintptr_t>(dst) | static_cast<std::uintptr_t>(dst_stride_bytes)) % 64 == 0;
  if (lines == Lines::streamed && !aligned) {
    return transpose_block<sizeof(T)>(src, src_stride_bytes, dst, dst_stride_bytes, lines);
  }
  V squares[square][4];
  HWY_UNROLL(4)
  for (std::int64_t group = 0; group < 4; ++group) {
    V in[square], out[square];
    HWY_UNROLL(4)
    for (std::int64_t i = 0; i < square; ++i) {
      const std::int64_t row = group * square + i;
      fetch_for_transpose<sizeof(T)>(src, src_stride_bytes, dst, dst_stride_bytes, row, lines);
      in[i] = hn::LoadU(d, reinterpret_cast<const T*>(src + row * src_stride_bytes));
    }
    transpose_squares(d, in, out);
    HWY_UNROLL(4)
    for (std::int64_t i = 0; i < square; ++i) squares[i][group] = out[i];
  }
  HWY_UNROLL(4)
  for (std::int64_t i = 0; i < square; ++i) {
    V out[4];
    transpose_blocks_of_four(d, squares[i], out);
    HWY_UNROLL(4)
    for (std::int64_t block = 0; block < 4; ++block) {
      T* const to = reinterpret_cast<T*>(dst + (block * square + i) * dst_stride_bytes);
      if (lines == Lines::streamed) {
        hn::Stream(out[block], d, to);
      } else {
        hn::StoreU(out[block], d, to);
      }
    }
  }
  static_assert(side == 4 * square);
}

TransposeBlock transpose_of_4() { return transpose_lines<std::uint32_t>; }
TransposeBlock transpose_of_8() { return transpose_lines<std::uint64_t>; }
#else
TransposeBlock transpose_of_4() { return transpose_block<4>; }
TransposeBlock transpose_of_8() { return transpose_block<8>; }
#endif

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(transpose_of_4);
HWY_EXPORT(transpose_of_8);

template <>
TransposeBlock best_transpose_block<1>() {
  return transpose_block<1>;
}
template <>
TransposeBlock best_transpose_block<2>() {
  return transpose_block<2>;
}
template <>
TransposeBlock best_transpose_block<4>() {
  return HWY_DYNAMIC_DISPATCH(transpose_of_4)();
}
template <>
TransposeBlock best_transpose_block<8>() {
  return HWY_DYNAMIC_DISPATCH(transpose_of_8)();
}

}  // namespace chainrule::kernels
#endif
