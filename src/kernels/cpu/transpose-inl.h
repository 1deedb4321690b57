// Transposes of small squares in registers, compiled once per instruction set.

#if defined(CHAINRULE_KERNELS_CPU_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_KERNELS_CPU_TRANSPOSE_INL_H_
#undef CHAINRULE_KERNELS_CPU_TRANSPOSE_INL_H_
#else
#define CHAINRULE_KERNELS_CPU_TRANSPOSE_INL_H_
#endif

#include <hwy/highway.h>

#if HWY_TARGET != HWY_SCALAR
HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Transposes the squares that the 16-byte blocks of vectors make, of four rows of four elements or of two of
/// two: block j of out[q] is row q of the square whose rows are block j of each in[i].
template <class D, class V = hn::Vec<D>>
HWY_INLINE void transpose_squares(D d, const V (&in)[4], V (&out)[4]) {
  const hn::RepartitionToWide<D> wide;
  const auto low01 = hn::BitCast(wide, hn::InterleaveLower(d, in[0], in[1]));
  const auto low23 = hn::BitCast(wide, hn::InterleaveLower(d, in[2], in[3]));
  const auto high01 = hn::BitCast(wide, hn::InterleaveUpper(d, in[0], in[1]));
  const auto high23 = hn::BitCast(wide, hn::InterleaveUpper(d, in[2], in[3]));
  out[0] = hn::BitCast(d, hn::InterleaveLower(wide, low01, low23));
  out[1] = hn::BitCast(d, hn::InterleaveUpper(wide, low01, low23));
  out[2] = hn::BitCast(d, hn::InterleaveLower(wide, high01, high23));
  out[3] = hn::BitCast(d, hn::InterleaveUpper(wide, high01, high23));
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE void transpose_squares(D d, const V (&in)[2], V (&out)[2]) {
  out[0] = hn::InterleaveLower(d, in[0], in[1]);
  out[1] = hn::InterleaveUpper(d, in[0], in[1]);
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::kernels
HWY_AFTER_NAMESPACE();
#endif

#endif
