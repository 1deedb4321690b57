// The loops of the lane kernels, written once: each takes the formula of one lane as a template argument.
// See math_base-inl.h for how to include it.

#if defined(CHAINRULE_LANE_LOOPS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_LANE_LOOPS_INL
#undef CHAINRULE_LANE_LOOPS_INL
#else
#define CHAINRULE_LANE_LOOPS_INL
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// output = f(d, inputs...) on SIMD vectors. The last elements go through vectors of their own, padded with
/// zeros, so that nothing beyond the arrays is touched.
template <class T, class F, std::size_t... i>
HWY_INLINE void over_vectors(const F& f, const void* const* inputs, void* output, std::int64_t n,
                             std::index_sequence<i...>) {
  const hn::ScalableTag<T> d;
  const auto width = static_cast<std::int64_t>(hn::Lanes(d));
  const T* const in[] = {static_cast<const T*>(inputs[i])...};
  auto* out = static_cast<T*>(output);
  std::int64_t at = 0;
  for (; at + width <= n; at += width) hn::StoreU(f(d, hn::LoadU(d, in[i] + at)...), d, out + at);
  if (at >= n) return;
  const auto bytes = static_cast<std::size_t>(n - at) * sizeof(T);
  HWY_ALIGN T rest[sizeof...(i)][hn::MaxLanes(hn::ScalableTag<T>())] = {};
  (std::memcpy(rest[i], in[i] + at, bytes), ...);
  hn::StoreU(f(d, hn::LoadU(d, rest[i])...), d, rest[0]);
  std::memcpy(out + at, rest[0], bytes);
}

template <class T, auto f>
void unary(const void* const* inputs, void* output, std::int64_t n) {
  over_vectors<T>(f, inputs, output, n, std::make_index_sequence<1>());
}

template <class T, auto f>
void binary(const void* const* inputs, void* output, std::int64_t n) {
  over_vectors<T>(f, inputs, output, n, std::make_index_sequence<2>());
}

// Plain loops, which the compiler vectorizes for the target: comparisons, integers, conversions. The
// pragma says that iterations are independent, which holds in place too.
#if HWY_COMPILER_CLANG
#define CHAINRULE_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define CHAINRULE_INDEPENDENT _Pragma("GCC ivdep")
#endif

template <class In, class Out, auto f>
void map(const void* const* inputs, void* output, std::int64_t n) {
  const auto* a = static_cast<const In*>(inputs[0]);
  auto* out = static_cast<Out*>(output);
  CHAINRULE_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) out[i] = f(a[i]);
}

template <class In, class Out, auto f>
void map2(const void* const* inputs, void* output, std::int64_t n) {
  const auto* a = static_cast<const In*>(inputs[0]);
  const auto* b = static_cast<const In*>(inputs[1]);
  auto* out = static_cast<Out*>(output);
  CHAINRULE_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) out[i] = f(a[i], b[i]);
}

/// output = condition ? a : b, moving `Bits`, an unsigned type of the elements' size.
template <class Bits>
void select(const void* const* inputs, void* output, std::int64_t n) {
  const auto* condition = static_cast<const std::uint8_t*>(inputs[0]);
  const auto* a = static_cast<const Bits*>(inputs[1]);
  const auto* b = static_cast<const Bits*>(inputs[2]);
  auto* out = static_cast<Bits*>(output);
  CHAINRULE_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) {
    const Bits yes = a[i];
    const Bits no = b[i];
    out[i] = condition[i] != 0 ? yes : no;
  }
}

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
