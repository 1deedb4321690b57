// The loops of the lane kernels, written once: each takes the formula of one lane as a template argument.
// See math_base-inl.h for how to include it.

#if defined(CHAINRULE_LANE_LOOPS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_LANE_LOOPS_INL
#undef CHAINRULE_LANE_LOOPS_INL
#else
#define CHAINRULE_LANE_LOOPS_INL
#endif

#include <cstdint>
#include <cstring>

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// output = f(d, a) on SIMD vectors. The last elements go through a vector of their own, padded with
/// zeros, so that nothing beyond the arrays is touched.
template <class T, auto f>
void unary(const void* const* inputs, void* output, std::int64_t n) {
  const hn::ScalableTag<T> d;
  const auto width = static_cast<std::int64_t>(hn::Lanes(d));
  const auto* a = static_cast<const T*>(inputs[0]);
  auto* out = static_cast<T*>(output);
  std::int64_t i = 0;
  for (; i + width <= n; i += width) hn::StoreU(f(d, hn::LoadU(d, a + i)), d, out + i);
  if (i >= n) return;
  const auto bytes = static_cast<std::size_t>(n - i) * sizeof(T);
  HWY_ALIGN T rest[hn::MaxLanes(hn::ScalableTag<T>())] = {};
  std::memcpy(rest, a + i, bytes);
  hn::Store(f(d, hn::Load(d, rest)), d, rest);
  std::memcpy(out + i, rest, bytes);
}

/// output = f(d, a, b) on SIMD vectors.
template <class T, auto f>
void binary(const void* const* inputs, void* output, std::int64_t n) {
  const hn::ScalableTag<T> d;
  const auto width = static_cast<std::int64_t>(hn::Lanes(d));
  const auto* a = static_cast<const T*>(inputs[0]);
  const auto* b = static_cast<const T*>(inputs[1]);
  auto* out = static_cast<T*>(output);
  std::int64_t i = 0;
  for (; i + width <= n; i += width) {
    hn::StoreU(f(d, hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i);
  }
  if (i >= n) return;
  const auto bytes = static_cast<std::size_t>(n - i) * sizeof(T);
  HWY_ALIGN T rest_a[hn::MaxLanes(hn::ScalableTag<T>())] = {};
  HWY_ALIGN T rest_b[hn::MaxLanes(hn::ScalableTag<T>())] = {};
  std::memcpy(rest_a, a + i, bytes);
  std::memcpy(rest_b, b + i, bytes);
  hn::Store(f(d, hn::Load(d, rest_a), hn::Load(d, rest_b)), d, rest_a);
  std::memcpy(out + i, rest_a, bytes);
}

/// output = g(d, f(d, a, b), c), or g(d, c, f(d, a, b)) where f's result is the `second_operand`.
template <class T, auto f, auto g, bool second_operand>
void pair(const void* const* inputs, void* output, std::int64_t n) {
  const hn::ScalableTag<T> d;
  const auto width = static_cast<std::int64_t>(hn::Lanes(d));
  const auto* a = static_cast<const T*>(inputs[0]);
  const auto* b = static_cast<const T*>(inputs[1]);
  const auto* c = static_cast<const T*>(inputs[2]);
  auto* out = static_cast<T*>(output);
  const auto both = [&](auto x, auto y, auto z) {
    const auto between = f(d, x, y);
    return second_operand ? g(d, z, between) : g(d, between, z);
  };
  std::int64_t i = 0;
  for (; i + width <= n; i += width) {
    hn::StoreU(both(hn::LoadU(d, a + i), hn::LoadU(d, b + i), hn::LoadU(d, c + i)), d, out + i);
  }
  if (i >= n) return;
  const auto bytes = static_cast<std::size_t>(n - i) * sizeof(T);
  HWY_ALIGN T rest_a[hn::MaxLanes(hn::ScalableTag<T>())] = {};
  HWY_ALIGN T rest_b[hn::MaxLanes(hn::ScalableTag<T>())] = {};
  HWY_ALIGN T rest_c[hn::MaxLanes(hn::ScalableTag<T>())] = {};
  std::memcpy(rest_a, a + i, bytes);
  std::memcpy(rest_b, b + i, bytes);
  std::memcpy(rest_c, c + i, bytes);
  hn::Store(both(hn::Load(d, rest_a), hn::Load(d, rest_b), hn::Load(d, rest_c)), d, rest_a);
  std::memcpy(out + i, rest_a, bytes);
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
