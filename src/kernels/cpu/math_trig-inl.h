// Circular functions and their inverses. Special values as in C's <math.h>, over the whole domain.

#if defined(CHAINRULE_MATH_TRIG_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_MATH_TRIG_INL
#undef CHAINRULE_MATH_TRIG_INL
#else
#define CHAINRULE_MATH_TRIG_INL
#endif

#include "kernels/cpu/math_base-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

/// x = quadrant pi/2 + r + r_low, |r| <= pi/4 (and a little). r_low is of double alone: for float, r is
/// a rounded double already.
template <class D>
struct Angle {
  IntVector<D> quadrant;
  Vector<D> r;
  Vector<D> r_low;
};

/// x - n pi/2 in double, for float x: 33 bits of pi/2 times n are exact, the rest has 53 more.
template <class DW, class VW>
HWY_INLINE VW reduce_wide(DW dw, VW x, VW n) {
  const VW r = hn::NegMulAdd(n, hn::Set(dw, HalfPi::first), x);
  return hn::NegMulAdd(n, hn::Set(dw, HalfPi::after_first), r);
}

template <class D, class V>
HWY_INLINE Angle<D> reduce_angle(D d, V x) {
  const auto n = round_small(d, hn::Mul(x, hn::Set(d, static_cast<Lane<D>>(HalfPi::inverse))));
  if constexpr (sizeof(Lane<D>) == 4) {
    const WideTag<D> dw;
    const auto lower = reduce_wide(dw, widen_lower(d, x), widen_lower(d, n.real));
    const auto upper = reduce_wide(dw, widen_upper(d, x), widen_upper(d, n.real));
    const V r = narrow(d, lower, upper);
    return {n.integer, r, r};
  } else {
    // Near a multiple of pi/2 up to 62 bits cancel: keep every bit of the first three products.
    const V first = hn::NegMulAdd(n.real, hn::Set(d, HalfPi::first), x);
    const auto second = two_sum(first, hn::Neg(hn::Mul(n.real, hn::Set(d, HalfPi::second))));
    const auto third = two_sum(second.high, hn::Neg(hn::Mul(n.real, hn::Set(d, HalfPi::third))));
    const V low = hn::NegMulAdd(n.real, hn::Set(d, HalfPi::fourth), hn::Add(second.low, third.low));
    const auto r = two_sum(third.high, low);
    return {n.integer, r.high, r.low};
  }
}

/// sin(r + r_low) = r + (r^3 P(r^2) + r_low cos(r)).
template <class D>
HWY_INLINE Vector<D> sin_reduced(D d, const Angle<D>& a) {
  using T = Lane<D>;
  const auto z = hn::Mul(a.r, a.r);
  const auto tail = hn::Mul(hn::Mul(a.r, z), polynomial(d, z, Coefficients<T>::sin_tail));
  if constexpr (sizeof(T) == 4) return hn::Add(a.r, tail);
  const auto cosine = hn::NegMulAdd(z, hn::Set(d, T(0.5)), hn::Set(d, 1));
  return hn::Add(a.r, hn::MulAdd(a.r_low, cosine, tail));
}

/// cos(r + r_low) = 1 - r^2/2 + (r^4 P(r^2) - r r_low), with the rounding error of 1 - r^2/2 (fdlibm).
template <class D>
HWY_INLINE Vector<D> cos_reduced(D d, const Angle<D>& a) {
  using T = Lane<D>;
  const auto one = hn::Set(d, 1);
  const auto z = hn::Mul(a.r, a.r);
  const auto half = hn::Mul(z, hn::Set(d, T(0.5)));
  const auto main = hn::Sub(one, half);
  const auto error = hn::Sub(hn::Sub(one, main), half);
  auto tail = hn::MulAdd(hn::Mul(z, z), polynomial(d, z, Coefficients<T>::cos_tail), error);
  if constexpr (sizeof(T) == 8) tail = hn::NegMulAdd(a.r, a.r_low, tail);
  return hn::Add(main, tail);
}

/// Replaces the lanes whose argument is too large for the four parts of pi/2, infinite or NaN, by the C
/// library's value. Lane by lane, so that a result does not depend on its neighbours.
template <double (*reference)(double), class D, class V>
HWY_NOINLINE V replace_large(D d, V x, V y) {
  using T = Lane<D>;
  HWY_ALIGN T arguments[hn::MaxLanes(D())];
  HWY_ALIGN T results[hn::MaxLanes(D())];
  hn::Store(x, d, arguments);
  hn::Store(y, d, results);
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) {
    if (!(std::abs(arguments[i]) <= static_cast<T>(HalfPi::reducible))) {
      results[i] = static_cast<T>(reference(static_cast<double>(arguments[i])));
    }
  }
  return hn::Load(d, results);
}

template <double (*reference)(double), class D, class V>
HWY_INLINE V with_large(D d, V x, V y) {
  const auto reducible = hn::Le(hn::Abs(x), hn::Set(d, static_cast<Lane<D>>(HalfPi::reducible)));
  if (HWY_LIKELY(hn::AllTrue(d, reducible))) return y;
  return replace_large<reference>(d, x, y);
}

/// The sine of an angle whose quadrant counts `turn` quarter turns more.
template <class D>
HWY_INLINE Vector<D> sin_of(D d, const Angle<D>& a, int turn) {
  constexpr int sign_shift = sizeof(Lane<D>) * 8 - 2;
  const IntTag<D> di;
  const auto quadrant = hn::Add(a.quadrant, hn::Set(di, static_cast<hn::TFromD<IntTag<D>>>(turn)));
  const auto one = hn::Set(di, 1);
  const auto odd = hn::RebindMask(d, hn::Eq(hn::And(quadrant, one), one));
  const auto value = hn::IfThenElse(odd, cos_reduced(d, a), sin_reduced(d, a));
  const auto sign = hn::ShiftLeft<sign_shift>(hn::And(quadrant, hn::Set(di, 2)));
  return hn::Xor(value, hn::BitCast(d, sign));
}

inline double libm_sin(double x) { return std::sin(x); }
inline double libm_cos(double x) { return std::cos(x); }
inline double libm_tan(double x) { return std::tan(x); }

template <class D, class V = Vector<D>>
HWY_INLINE V sin(D d, V x) {
  const V y = sin_of(d, reduce_angle(d, x), 0);
  return with_large<libm_sin>(d, x, hn::IfThenElse(hn::Eq(x, hn::Zero(d)), x, y));  // -0
}

template <class D, class V = Vector<D>>
HWY_INLINE V cos(D d, V x) {
  return with_large<libm_cos>(d, x, sin_of(d, reduce_angle(d, x), 1));
}

template <class D, class V = Vector<D>>
HWY_INLINE V tan(D d, V x) {
  const auto angle = reduce_angle(d, x);
  const IntTag<D> di;
  const auto one = hn::Set(di, 1);
  const auto odd = hn::RebindMask(d, hn::Eq(hn::And(angle.quadrant, one), one));
  const V sine = sin_reduced(d, angle);
  const V cosine = cos_reduced(d, angle);
  const V y = hn::Div(hn::IfThenElse(odd, cosine, sine), hn::IfThenElse(odd, hn::Neg(sine), cosine));
  return with_large<libm_tan>(d, x, hn::IfThenElse(hn::Eq(x, hn::Zero(d)), x, y));
}

/// asin(s) - s for 0 <= s <= 1/2, z = s^2.
template <class D, class V>
HWY_INLINE V asin_tail(D d, V s, V z) {
  return hn::Mul(hn::Mul(s, z), polynomial(d, z, Coefficients<Lane<D>>::asin_tail));
}

/// Above 1/2: asin(x) = pi/2 - 2 asin(sqrt((1 - x)/2)).
template <class D>
struct ArcSine {
  MaskOf<D> large;
  Vector<D> s;     // |x|, or the square root
  Vector<D> tail;  // asin(s) - s
};

template <class D, class V>
HWY_INLINE ArcSine<D> arc_sine(D d, V magnitude) {
  const V half = hn::Set(d, Lane<D>(0.5));
  const auto large = hn::Gt(magnitude, half);
  const V z_large = hn::NegMulAdd(magnitude, half, half);
  const V z = hn::IfThenElse(large, z_large, hn::Mul(magnitude, magnitude));
  const V s = hn::IfThenElse(large, hn::Sqrt(z_large), magnitude);
  return {large, s, asin_tail(d, s, z)};
}

template <class D, class V = Vector<D>>
HWY_INLINE V asin(D d, V x) {
  using C = FloatConstants<Lane<D>>;
  const auto [large, s, tail] = arc_sine(d, hn::Abs(x));
  const V twice_tail = hn::Sub(hn::Add(tail, tail), hn::Set(d, C::half_pi_low));
  const V from_top = hn::Sub(hn::Sub(hn::Set(d, C::half_pi), hn::Add(s, s)), twice_tail);
  return hn::CopySign(hn::IfThenElse(large, from_top, hn::Add(s, tail)), x);
}

template <class D, class V = Vector<D>>
HWY_INLINE V acos(D d, V x) {
  using C = FloatConstants<Lane<D>>;
  const auto [large, s, tail] = arc_sine(d, hn::Abs(x));
  const auto negative = hn::Lt(x, hn::Zero(d));
  // |x| <= 1/2: pi/2 - asin(x).
  const V signed_s = hn::CopySign(s, x);
  const V signed_tail = hn::CopySign(tail, x);
  const V middle =
      hn::Sub(hn::Set(d, C::half_pi), hn::Add(signed_s, hn::Sub(signed_tail, hn::Set(d, C::half_pi_low))));
  // |x| > 1/2: 2 asin(s), or pi less that.
  const V twice = hn::Add(hn::Add(s, tail), hn::Add(s, tail));
  const V pi = hn::Set(d, 2 * C::half_pi);
  const V below = hn::Sub(pi, hn::Sub(twice, hn::Set(d, 2 * C::half_pi_low)));
  return hn::IfThenElse(large, hn::IfThenElse(negative, below, twice), middle);
}

/// The angle in [0, pi/2] of the point (x, y), both nonnegative and not both zero or infinite.
/// One division: above tan(pi/8) the point is turned back by pi/4, above pi/4 mirrored.
template <class D, class V>
HWY_INLINE V first_quadrant_angle(D d, V y, V x) {
  using T = Lane<D>;
  using C = FloatConstants<T>;
  const auto steep = hn::Gt(y, x);
  const V less = hn::IfThenElse(steep, x, y);
  const V more = hn::IfThenElse(steep, y, x);
  const auto turned = hn::Gt(less, hn::Mul(more, hn::Set(d, static_cast<T>(tan_eighth_pi))));
  const V top = hn::IfThenElse(turned, hn::Sub(less, more), less);
  const V bottom = hn::IfThenElse(turned, hn::Add(less, more), more);
  const V t = hn::Div(top, bottom);
  const V z = hn::Mul(t, t);
  const V tail = hn::Mul(hn::Mul(t, z), polynomial(d, z, Coefficients<T>::atan_tail));
  const V base = hn::IfThenElseZero(turned, hn::Set(d, C::half_pi / 2));
  const V base_low = hn::IfThenElseZero(turned, hn::Set(d, C::half_pi_low / 2));
  const V angle = hn::Add(base, hn::Add(t, hn::Add(tail, base_low)));
  const V mirrored = hn::Sub(hn::Set(d, C::half_pi), hn::Sub(angle, hn::Set(d, C::half_pi_low)));
  return hn::IfThenElse(steep, mirrored, angle);
}

template <class D, class V = Vector<D>>
HWY_INLINE V atan(D d, V x) {
  const V y = hn::CopySign(first_quadrant_angle(d, hn::Abs(x), hn::Set(d, 1)), x);
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

/// The angle of the point (x, y), in (-pi, pi]; the sign of a zero counts, as in C.
template <class D, class V = Vector<D>>
HWY_INLINE V atan2(D d, V y, V x) {
  using T = Lane<D>;
  using C = FloatConstants<T>;
  const V one = hn::Set(d, 1);
  V up = hn::Abs(y);
  V along = hn::Abs(x);
  const auto both_infinite = hn::And(hn::Eq(up, infinity(d)), hn::Eq(along, infinity(d)));
  up = hn::IfThenElse(both_infinite, one, up);
  // (0, 0) lies on the axis.
  along = hn::IfThenElse(hn::Or(both_infinite, hn::Eq(hn::Add(up, along), hn::Zero(d))), one, along);
  // Their sum must not overflow.
  const V large = hn::Set(d, C::huge);
  const V shrink =
      hn::IfThenElse(hn::Or(hn::Gt(up, large), hn::Gt(along, large)), hn::Set(d, T(0.0625)), one);
  const V angle = first_quadrant_angle(d, hn::Mul(up, shrink), hn::Mul(along, shrink));
  const V pi = hn::Set(d, 2 * C::half_pi);
  const V left = hn::Sub(pi, hn::Sub(angle, hn::Set(d, 2 * C::half_pi_low)));
  const auto negative_x = hn::Lt(hn::CopySign(one, x), hn::Zero(d));
  const V signed_angle = hn::CopySign(hn::IfThenElse(negative_x, left, angle), y);
  return hn::IfThenElse(hn::Or(hn::IsNaN(x), hn::IsNaN(y)), not_a_number(d), signed_angle);
}

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
