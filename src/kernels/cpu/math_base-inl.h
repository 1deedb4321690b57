// What the vector functions of math_*-inl.h share: constants by type, polynomials, reductions of the
// argument, and repairs of Highway's operations where they differ from IEEE on one target.
//
// Included once per SIMD target, between the others' HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE: a
// function on SIMD vectors that stands outside such a region is compiled for the baseline and returns
// wrong numbers. All arithmetic here is exact as written, so the folder is compiled with
// -ffp-contract=off: a compiler that fuses a product into a sum on its own breaks the error-free ones.

#if defined(CHAINRULE_MATH_BASE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_MATH_BASE_INL
#undef CHAINRULE_MATH_BASE_INL
#else
#define CHAINRULE_MATH_BASE_INL
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include <hwy/highway.h>

#include "kernels/cpu/math_coefficients.hpp"
#include "kernels/cpu/math_constants.hpp"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using F64 = hn::ScalableTag<double>;
template <class D>
using Lane = hn::TFromD<D>;
template <class D>
using Vector = hn::Vec<D>;
template <class D>
using MaskOf = hn::Mask<D>;
template <class D>
using IntTag = hn::RebindToSigned<D>;
template <class D>
using IntVector = hn::Vec<IntTag<D>>;

template <class D>
HWY_INLINE Vector<D> constant(D d, Lane<D> value) {
  return hn::Set(d, value);
}

template <class D>
HWY_INLINE Vector<D> infinity(D d) {
  return hn::Set(d, std::numeric_limits<Lane<D>>::infinity());
}

template <class D>
HWY_INLINE Vector<D> not_a_number(D d) {
  return hn::Set(d, std::numeric_limits<Lane<D>>::quiet_NaN());
}

/// c[0] + x (c[1] + x (c[2] + ...)). Horner's form: fewest instructions, and the latency of one vector
/// hides behind the next ones.
template <std::size_t I = 0, class D, class V, std::size_t N>
HWY_INLINE V polynomial(D d, V x, const Lane<D> (&c)[N]) {
  if constexpr (I + 1 == N) {
    return hn::Set(d, c[I]);
  } else {
    return hn::MulAdd(polynomial<I + 1>(d, x, c), x, hn::Set(d, c[I]));
  }
}

/// min(x, high) and max(x, low) that let a NaN pass.
template <class D, class V>
HWY_INLINE V at_most(D d, V x, Lane<D> high) {
  const V limit = hn::Set(d, high);
  return hn::IfThenElse(hn::Gt(x, limit), limit, x);
}

template <class D, class V>
HWY_INLINE V at_least(D d, V x, Lane<D> low) {
  const V limit = hn::Set(d, low);
  return hn::IfThenElse(hn::Lt(x, limit), limit, x);
}

template <class V>
struct TwoParts {
  V high;
  V low;
};

/// a + b = high + low exactly (Knuth).
template <class V>
HWY_INLINE TwoParts<V> two_sum(V a, V b) {
  const V sum = hn::Add(a, b);
  const V b_part = hn::Sub(sum, a);
  const V a_part = hn::Sub(sum, b_part);
  return {sum, hn::Add(hn::Sub(a, a_part), hn::Sub(b, b_part))};
}

/// The nearest integer, as a float and as an int: adding 1.5 * 2^mantissa_bits leaves the integer in the
/// low bits. Right for |x| < 2^(mantissa_bits - 1).
template <class D>
struct Rounded {
  Vector<D> real;
  IntVector<D> integer;
};

template <class D, class V>
HWY_INLINE Rounded<D> round_small(D d, V x) {
  const V magic = hn::Set(d, FloatConstants<Lane<D>>::round_magic);
  const V shifted = hn::Add(x, magic);
  const IntTag<D> di;
  return {hn::Sub(shifted, magic), hn::Sub(hn::BitCast(di, shifted), hn::BitCast(di, magic))};
}

/// 2^n for n within the exponents of normal numbers.
template <class D, class VI>
HWY_INLINE Vector<D> power_of_two(D d, VI n) {
  using C = FloatConstants<Lane<D>>;
  const IntTag<D> di;
  return hn::BitCast(d, hn::ShiftLeft<C::mantissa_bits>(hn::Add(n, hn::Set(di, C::exponent_bias))));
}

/// y 2^n for n up to twice the exponents' range: two exact-but-for-the-last products reach denormals
/// and infinity.
template <class D, class V, class VI>
HWY_INLINE V scale(D d, V y, VI n) {
  const VI half = hn::ShiftRight<1>(n);
  return hn::Mul(hn::Mul(y, power_of_two(d, half)), power_of_two(d, hn::Sub(n, half)));
}

// Highway's targets without SIMD round -0.2 to +0 and 0.49999997 to 1, and stop at the largest float
// where a double overflows: they get their own versions.
inline constexpr bool emulated = HWY_TARGET == HWY_EMU128 || HWY_TARGET == HWY_SCALAR;

/// The nearest integer, ties to even; keeps the sign of zero.
template <class D, class V = Vector<D>>
HWY_INLINE V round(D d, V x) {
  if constexpr (emulated) {
    const V exact_from = hn::Set(d, FloatConstants<Lane<D>>::all_integers_from);
    const V magnitude = hn::Abs(x);
    const V rounded = hn::Sub(hn::Add(magnitude, exact_from), exact_from);
    return hn::IfThenElse(hn::Lt(magnitude, exact_from), hn::CopySign(rounded, x), x);
  } else {
    return hn::Round(x);
  }
}

template <class D, class V = Vector<D>>
HWY_INLINE V floor(D d, V x) {
  if constexpr (emulated) {
    const V rounded = round(d, x);
    const V below = hn::IfThenElse(hn::Gt(rounded, x), hn::Sub(rounded, hn::Set(d, 1)), rounded);
    return hn::IfThenElse(hn::IsNaN(x), x, hn::CopySign(below, x));
  } else {
    return hn::Floor(x);
  }
}

template <class D, class V = Vector<D>>
HWY_INLINE V ceil(D d, V x) {
  if constexpr (emulated) {
    return hn::Neg(floor(d, hn::Neg(x)));
  } else {
    return hn::Ceil(x);
  }
}

template <class D, class V = Vector<D>>
HWY_INLINE V trunc(D d, V x) {
  if constexpr (emulated) {
    return hn::CopySign(floor(d, hn::Abs(x)), x);
  } else {
    return hn::Trunc(x);
  }
}

// The double vectors that hold half as many lanes, or, where a vector is one lane, the same one twice.
#if HWY_TARGET == HWY_SCALAR
template <class D>
using WideTag = hn::Rebind<double, D>;

template <class D, class V>
HWY_INLINE Vector<WideTag<D>> widen_lower(D, V x) {
  return hn::PromoteTo(WideTag<D>(), x);
}

template <class D, class V>
HWY_INLINE Vector<WideTag<D>> widen_upper(D d, V x) {
  return widen_lower(d, x);
}

template <class D, class VW>
HWY_INLINE Vector<D> demote_both(D d, VW lower, VW) {
  return hn::DemoteTo(d, lower);
}
#else
template <class D>
using WideTag = hn::Rebind<double, hn::Half<D>>;

template <class D, class V>
HWY_INLINE Vector<WideTag<D>> widen_lower(D, V x) {
  return hn::PromoteTo(WideTag<D>(), hn::LowerHalf(hn::Half<D>(), x));
}

template <class D, class V>
HWY_INLINE Vector<WideTag<D>> widen_upper(D, V x) {
  return hn::PromoteTo(WideTag<D>(), hn::UpperHalf(hn::Half<D>(), x));
}

template <class D, class VW>
HWY_INLINE Vector<D> demote_both(D d, VW lower, VW upper) {
  const hn::Half<D> dh;
  return hn::Combine(d, hn::DemoteTo(dh, upper), hn::DemoteTo(dh, lower));
}
#endif

/// Rounds two double vectors to one float vector, lower half first; what overflows is infinite.
template <class D, class VW>
HWY_INLINE Vector<D> narrow(D d, VW lower, VW upper) {
  const auto result = demote_both(d, lower, upper);
  if constexpr (emulated) {
    const WideTag<D> dw;
    const auto border = hn::Set(dw, 0x1.ffffffp127);  // halfway from the largest float to 2^128
    const auto one = hn::Set(dw, 1);
    const auto flags = demote_both(d, hn::IfThenElseZero(hn::Ge(hn::Abs(lower), border), one),
                                   hn::IfThenElseZero(hn::Ge(hn::Abs(upper), border), one));
    const auto overflowed = hn::Gt(flags, hn::Zero(d));
    return hn::IfThenElse(overflowed, hn::CopySign(infinity(d), result), result);
  } else {
    return result;
  }
}

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
