// Vectors of which only the first lanes are in memory, the end of a row; and those that are narrower there.

#if defined(CHAINRULE_PARTIAL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_PARTIAL_INL_H_
#undef CHAINRULE_PARTIAL_INL_H_
#else
#define CHAINRULE_PARTIAL_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include <hwy/highway.h>

#include <chainrule/dtype.hpp>

// Where masked loads and stores leave memory outside of the mask alone (AVX2 and later, and what
// Highway says so of), a row's last vector needs no detour through a buffer.
#undef CHAINRULE_MASKED
#if !HWY_MEM_OPS_MIGHT_FAULT || (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2)
#define CHAINRULE_MASKED 1
#else
#define CHAINRULE_MASKED 0
#endif

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels {
namespace HWY_NAMESPACE {

/// `count` elements; `pad` in the lanes beyond.
template <class D, typename T = hwy::HWY_NAMESPACE::TFromD<D>>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> load(D d, const T* p, std::int64_t count, T pad = T(0)) {
  namespace hn = hwy::HWY_NAMESPACE;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  if (count == lanes) return hn::LoadU(d, p);
#if CHAINRULE_MASKED
  const auto mask = hn::FirstN(d, static_cast<std::size_t>(count));
  return hn::IfThenElse(mask, hn::MaskedLoad(mask, d, p), hn::Set(d, pad));
#else
  HWY_ALIGN T buffer[HWY_MAX_BYTES / sizeof(T)];
  for (std::int64_t i = 0; i < lanes; ++i) buffer[i] = i < count ? p[i] : pad;
  return hn::Load(d, buffer);
#endif
}

template <class D, typename T = hwy::HWY_NAMESPACE::TFromD<D>>
HWY_INLINE void store(hwy::HWY_NAMESPACE::Vec<D> v, D d, T* p, std::int64_t count) {
  namespace hn = hwy::HWY_NAMESPACE;
  if (count == static_cast<std::int64_t>(hn::Lanes(d))) return hn::StoreU(v, d, p);
#if CHAINRULE_MASKED
  hn::BlendedStore(v, hn::FirstN(d, static_cast<std::size_t>(count)), d, p);
#else
  HWY_ALIGN T buffer[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(v, d, buffer);
  for (std::int64_t i = 0; i < count; ++i) p[i] = buffer[i];
#endif
}

/// As many bfloat16 as D has lanes, as float32.
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> load_widened(D d, const bfloat16* p) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::Rebind<std::uint16_t, D> narrow;
  const hn::RebindToUnsigned<D> wide;
  const auto bits = hn::PromoteTo(wide, hn::LoadU(narrow, reinterpret_cast<const std::uint16_t*>(p)));
  return hn::BitCast(d, hn::ShiftLeft<16>(bits));
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::kernels
HWY_AFTER_NAMESPACE();

#endif
