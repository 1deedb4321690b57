// Logarithms, and the inverse hyperbolic functions, powers and roots made of them. Special values as in
// C's <math.h>, over the whole domain.

#if defined(CHAINRULE_MATH_LOG_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_MATH_LOG_INL
#undef CHAINRULE_MATH_LOG_INL
#else
#define CHAINRULE_MATH_LOG_INL
#endif

#include "kernels/cpu/math_base-inl.h"
#include "kernels/cpu/math_exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

/// The bits of x with the exponent field of 2^n for sqrt(1/2) <= x 2^-n < sqrt(2).
template <class D, class V>
HWY_INLINE IntVector<D> centred_bits(D, V x) {
  using C = FloatConstants<Lane<D>>;
  const IntTag<D> di;
  const auto offset = hn::Set(di, (C::exponent_bias << C::mantissa_bits) - C::root_half_bits);
  return hn::Add(hn::BitCast(di, x), offset);
}

/// n plus the bias, nonnegative also where x is not positive (the sign counts as an exponent bit).
template <class D, class VI>
HWY_INLINE IntVector<D> biased_exponent(D, VI centred) {
  const hn::RebindToUnsigned<D> du;
  const auto shifted = hn::ShiftRight<FloatConstants<Lane<D>>::mantissa_bits>(hn::BitCast(du, centred));
  return hn::BitCast(IntTag<D>(), shifted);
}

/// A small nonnegative integer as a float, without an int64 conversion, which AVX2 lacks.
template <class D, class VI>
HWY_INLINE Vector<D> small_integer(D d, VI n) {
  const IntTag<D> di;
  const auto base = hn::Set(d, FloatConstants<Lane<D>>::all_integers_from);
  return hn::Sub(hn::BitCast(d, hn::Or(n, hn::BitCast(di, base))), base);
}

/// x = 2^exponent (1 + f), sqrt(1/2) <= 1 + f < sqrt(2).
template <class D>
struct LogReduced {
  Vector<D> exponent;
  Vector<D> f;
};

/// For positive x, denormals included (where they don't count as zero); anything else gives some finite pair.
template <class D, class V>
HWY_INLINE LogReduced<D> log_reduce(D d, V x) {
  using T = Lane<D>;
  using C = FloatConstants<T>;
  const auto denormal = hn::Lt(x, hn::Set(d, C::smallest_normal));
  const V normal = hn::IfThenElse(denormal, hn::Mul(x, hn::Set(d, C::denormal_scale)), x);
  const V bias = hn::IfThenElse(denormal, hn::Set(d, static_cast<T>(C::exponent_bias + C::denormal_exponent)),
                                hn::Set(d, static_cast<T>(C::exponent_bias)));
  const IntTag<D> di;
  const auto centred = centred_bits(d, normal);
  const auto mantissa =
      hn::Add(hn::And(centred, hn::Set(di, C::mantissa_mask)), hn::Set(di, C::root_half_bits));
  const auto biased = biased_exponent(d, centred);
  return {hn::Sub(small_integer(d, biased), bias), hn::Sub(hn::BitCast(d, mantissa), hn::Set(d, 1))};
}

/// log(1 + f) - f for sqrt(1/2) <= 1 + f <= sqrt(2). float: a polynomial. double: fdlibm's
/// (e_log.c) 2 atanh(s), s = f/(2 + f), whose series needs half as many terms.
template <class D, class V>
HWY_INLINE V log_tail(D d, V f) {
  using T = Lane<D>;
  const V half_square = hn::Mul(hn::Mul(f, hn::Set(d, T(0.5))), f);
  if constexpr (sizeof(T) == 4) {
    const V cube = hn::Mul(hn::Mul(f, f), f);
    return hn::MulSub(cube, polynomial(d, f, Coefficients<T>::log_tail), half_square);
  } else {
    const V s = hn::Div(f, hn::Add(hn::Set(d, 2), f));
    const V z = hn::Mul(s, s);
    const V series = hn::Mul(z, polynomial(d, z, Coefficients<T>::log_atanh));
    return hn::MulSub(s, hn::Add(half_square, series), half_square);
  }
}

/// exponent log(2) + log(1 + f).
template <class D, class V>
HWY_INLINE V log_assemble(D d, V exponent, V f) {
  using C = FloatConstants<Lane<D>>;
  const V low = hn::MulAdd(exponent, hn::Set(d, C::ln2_low), log_tail(d, f));
  return hn::MulAdd(exponent, hn::Set(d, C::ln2_high), hn::Add(f, low));
}

/// Puts in log(0) = -inf, log(inf) = inf, and NaN for negative x and NaN; `border` is where log is -inf.
template <class D, class V>
HWY_INLINE V log_special(D d, V x, V y, Lane<D> border = 0) {
  const V zero = hn::Set(d, border);
  const V inf = infinity(d);
  y = hn::IfThenElse(hn::Eq(x, zero), hn::Neg(inf), y);
  y = hn::IfThenElse(hn::Eq(x, inf), inf, y);
  return hn::IfThenElse(hn::Ge(x, zero), y, not_a_number(d));
}

template <class D, class V = Vector<D>>
HWY_INLINE V log(D d, V x) {
  const auto [exponent, f] = log_reduce(d, x);
  return log_special(d, x, log_assemble(d, exponent, f));
}

/// exponent + log(1 + f) / log(2), the last product in two parts; exact for powers of two.
template <class D, class V = Vector<D>>
HWY_INLINE V log2(D d, V x) {
  using C = FloatConstants<Lane<D>>;
  const auto [exponent, f] = log_reduce(d, x);
  const V scale_high = hn::Set(d, C::log2_e);
  const V low = hn::MulAdd(log_tail(d, f), scale_high, hn::Mul(f, hn::Set(d, C::log2_e_low)));
  const V fraction = hn::MulAdd(f, scale_high, low);
  return log_special(d, x, hn::Add(exponent, fraction));
}

template <class D, class V = Vector<D>>
HWY_INLINE V log10(D d, V x) {
  using C = FloatConstants<Lane<D>>;
  const auto [exponent, f] = log_reduce(d, x);
  const V scale_high = hn::Set(d, C::log10_e);
  V low = hn::MulAdd(log_tail(d, f), scale_high, hn::Mul(f, hn::Set(d, C::log10_e_low)));
  low = hn::MulAdd(exponent, hn::Set(d, C::log10_2_low), low);
  const V fraction = hn::MulAdd(f, scale_high, low);
  return log_special(d, x, hn::MulAdd(exponent, hn::Set(d, C::log10_2_high), fraction));
}

/// 1 + x = 2^n (1 + f) with f = x 2^-n + (2^-n - 1): one rounding, where 1 + x itself would lose x's
/// low bits (the step is SLEEF's).
template <class D, class V = Vector<D>>
HWY_INLINE V log1p(D d, V x) {
  using C = FloatConstants<Lane<D>>;
  const IntTag<D> di;
  // Above `huge` 2^-n has no normal representation any more: there 1 + x = x, scaled by 1/4 exactly.
  const auto large = hn::Ge(x, hn::Set(d, C::huge));
  const V quarter = hn::Set(d, Lane<D>(0.25));
  const V argument = hn::IfThenElse(large, hn::Mul(x, quarter), x);
  const auto biased = biased_exponent(d, centred_bits(d, hn::Add(argument, hn::Set(d, 1))));
  const auto bias = hn::Set(di, C::exponent_bias);
  const V inverse = power_of_two(d, hn::Sub(bias, biased));
  const V f = hn::MulAdd(argument, inverse, hn::Sub(inverse, hn::Set(d, 1)));
  V exponent = hn::Sub(small_integer(d, biased), hn::Set(d, static_cast<Lane<D>>(C::exponent_bias)));
  exponent = hn::Add(exponent, hn::IfThenElseZero(large, hn::Set(d, 2)));
  const V y = log_special(d, x, log_assemble(d, exponent, f), -1);
  return hn::IfThenElse(hn::Eq(x, hn::Zero(d)), x, y);  // -0
}

/// log1p(t) + log(2) where `large`, log1p(u) elsewhere.
template <class D, class V, class M>
HWY_INLINE V log_doubled(D d, M large, V t, V u) {
  const V y = log1p(d, hn::IfThenElse(large, t, u));
  return hn::Add(y, hn::IfThenElseZero(large, hn::Set(d, FloatConstants<Lane<D>>::ln2)));
}

/// log(|x| + sqrt(x^2 + 1)) = log1p(|x| + x^2 / (1 + sqrt(x^2 + 1))), and the sign of x.
template <class D, class V = Vector<D>>
HWY_INLINE V asinh(D d, V x) {
  const V one = hn::Set(d, 1);
  const V magnitude = hn::Abs(x);
  const V square = hn::Mul(x, x);
  const V u = hn::Add(magnitude, hn::Div(square, hn::Add(one, hn::Sqrt(hn::Add(square, one)))));
  const auto large = hn::Gt(magnitude, hn::Set(d, FloatConstants<Lane<D>>::asinh_large));
  // There the square root is |x|, and asinh log(2|x|).
  return hn::CopySign(log_doubled(d, large, hn::Sub(magnitude, one), u), x);
}

/// log(x + sqrt(x^2 - 1)) = log1p(t + sqrt(t^2 + 2t)) with t = x - 1.
template <class D, class V = Vector<D>>
HWY_INLINE V acosh(D d, V x) {
  const V one = hn::Set(d, 1);
  const V t = hn::Sub(x, one);
  const V u = hn::Add(t, hn::Sqrt(hn::MulAdd(t, t, hn::Add(t, t))));
  const auto large = hn::Gt(x, hn::Set(d, FloatConstants<Lane<D>>::asinh_large));
  return hn::IfThenElse(hn::Ge(x, one), log_doubled(d, large, t, u), not_a_number(d));
}

/// log1p(2|x| / (1 - |x|)) / 2, and the sign of x.
template <class D, class V = Vector<D>>
HWY_INLINE V atanh(D d, V x) {
  const V magnitude = hn::Abs(x);
  const V u = hn::Div(hn::Add(magnitude, magnitude), hn::Sub(hn::Set(d, 1), magnitude));
  return hn::CopySign(hn::Mul(hn::Set(d, Lane<D>(0.5)), log1p(d, u)), x);
}

/// C's cases of pow(x, y) that |x|^y alone does not give.
template <class D, class V>
HWY_INLINE V pow_special(D d, V x, V y, V magnitude_power) {
  const V zero = hn::Zero(d);
  const V one = hn::Set(d, 1);
  const V half_y = hn::Mul(y, hn::Set(d, Lane<D>(0.5)));
  const auto integer = hn::Eq(trunc(d, y), y);
  const auto odd = hn::AndNot(hn::Eq(trunc(d, half_y), half_y), integer);
  V result = hn::IfThenElse(odd, hn::CopySign(magnitude_power, x), magnitude_power);
  const auto finite_negative = hn::And(hn::Lt(x, zero), hn::Gt(x, hn::Neg(infinity(d))));
  result = hn::IfThenElse(hn::AndNot(integer, finite_negative), not_a_number(d), result);
  result = hn::IfThenElse(hn::Or(hn::IsNaN(x), hn::IsNaN(y)), not_a_number(d), result);
  const auto minus_one = hn::And(hn::Eq(x, hn::Set(d, -1)), hn::Eq(hn::Abs(y), infinity(d)));
  const auto is_one = hn::Or(hn::Or(hn::Eq(y, zero), hn::Eq(x, one)), minus_one);
  return hn::IfThenElse(is_one, one, result);
}

/// x^y in float, through double: 2^(y log2 |x|) needs 8 bits more than the result has.
template <class D, class V = Vector<D>>
HWY_INLINE V pow(D d, V x, V y) {
  static_assert(sizeof(Lane<D>) == 4);
  const WideTag<D> dw;
  const V magnitude = hn::Abs(x);
  const auto lower = exp2(dw, hn::Mul(widen_lower(d, y), log2(dw, widen_lower(d, magnitude))));
  const auto upper = exp2(dw, hn::Mul(widen_upper(d, y), log2(dw, widen_upper(d, magnitude))));
  return pow_special(d, x, y, narrow(d, lower, upper));
}

/// Float, through double: 2^(log2|x| / 3), and the sign of x.
template <class D, class V = Vector<D>>
HWY_INLINE V cbrt(D d, V x) {
  static_assert(sizeof(Lane<D>) == 4);
  const WideTag<D> dw;
  const auto third = hn::Set(dw, 1.0 / 3.0);
  const V magnitude = hn::Abs(x);
  const auto lower = exp2(dw, hn::Mul(third, log2(dw, widen_lower(d, magnitude))));
  const auto upper = exp2(dw, hn::Mul(third, log2(dw, widen_upper(d, magnitude))));
  return hn::CopySign(narrow(d, lower, upper), x);
}

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
