// exp and the functions made of it. Vector functions of a tag d and a vector x; special values as in
// C's <math.h>, over the whole domain.

#if defined(CHAINRULE_MATH_EXP_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_MATH_EXP_INL
#undef CHAINRULE_MATH_EXP_INL
#else
#define CHAINRULE_MATH_EXP_INL
#endif

#include "kernels/cpu/math_base-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

/// x = n log(2) + r with |r| <= log(2)/2.
template <class D>
struct ExpReduced {
  IntVector<D> n;
  Vector<D> r;
};

template <class D, class V>
HWY_INLINE ExpReduced<D> exp_reduce(D d, V x) {
  using C = FloatConstants<Lane<D>>;
  const auto n = round_small(d, hn::Mul(x, hn::Set(d, C::log2_e)));
  const V r = hn::NegMulAdd(n.real, hn::Set(d, C::ln2_high), x);
  return {n.integer, hn::NegMulAdd(n.real, hn::Set(d, C::ln2_low), r)};
}

/// exp(r) - 1 for |r| <= log(2)/2.
template <class D, class V>
HWY_INLINE V expm1_reduced(D d, V r) {
  return hn::MulAdd(hn::Mul(r, r), polynomial(d, r, Coefficients<Lane<D>>::exp_tail), r);
}

template <class D, class V>
HWY_INLINE V exp_reduced(D d, V r) {
  return hn::Add(hn::Set(d, 1), expm1_reduced(d, r));
}

/// exp(x) 2^shift for x between exp_low and exp_high, or NaN.
template <class D, class V>
HWY_INLINE V exp_clamped(D d, V x, int shift = 0) {
  const auto [n, r] = exp_reduce(d, x);
  const IntTag<D> di;
  return scale(d, exp_reduced(d, r), hn::Add(n, hn::Set(di, static_cast<hn::TFromD<IntTag<D>>>(shift))));
}

template <class D, class V = Vector<D>>
HWY_INLINE V exp(D d, V x) {
  using C = FloatConstants<Lane<D>>;
  return exp_clamped(d, at_least(d, at_most(d, x, C::exp_high), C::exp_low));
}

template <class D, class V = Vector<D>>
HWY_INLINE V exp2(D d, V x) {
  using C = FloatConstants<Lane<D>>;
  const V clamped = at_least(d, at_most(d, x, C::exp2_high), C::exp2_low);
  const auto n = round_small(d, clamped);
  const V r = hn::Mul(hn::Sub(clamped, n.real), hn::Set(d, C::ln2));
  return scale(d, exp_reduced(d, r), n.integer);
}

/// exp(x) - 1 for x in [expm1_low, 0], or NaN: 2^n (exp(r) - 1) + (2^n - 1) with n <= 0.
template <class D, class V>
HWY_INLINE V expm1_nonpositive(D d, V x) {
  const auto [n, r] = exp_reduce(d, x);
  const V power = power_of_two(d, n);
  return hn::MulAdd(expm1_reduced(d, r), power, hn::Sub(power, hn::Set(d, 1)));
}

template <class D, class V = Vector<D>>
HWY_INLINE V expm1(D d, V x) {
  using C = FloatConstants<Lane<D>>;
  const V clamped = at_least(d, at_most(d, x, C::expm1_overflow), C::expm1_low);
  const auto [n, r] = exp_reduce(d, clamped);
  // 2^n itself overflows a little before 2^n exp(r) does: take half of it and double at the end.
  const auto near_overflow = hn::Gt(clamped, hn::Set(d, C::last_exponent));
  const IntTag<D> di;
  const auto all_ones = hn::VecFromMask(di, hn::RebindMask(di, near_overflow));  // -1 where near
  const V power = power_of_two(d, hn::Add(n, all_ones));
  const V y = hn::MulAdd(expm1_reduced(d, r), power, hn::Sub(power, hn::Set(d, 1)));
  const V doubled = hn::IfThenElse(near_overflow, hn::Add(y, y), y);
  return hn::CopySign(doubled, x);  // -0
}

/// 1 / (1 + exp(-x)), from exp(-|x|) so that neither end overflows and the lower one keeps its digits.
template <class D, class V = Vector<D>>
HWY_INLINE V sigmoid(D d, V x) {
  const V e = exp_clamped(d, at_least(d, hn::Neg(hn::Abs(x)), FloatConstants<Lane<D>>::exp_low));
  const V one = hn::Set(d, 1);
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}

/// -t / (t + 2) with t = exp(-2|x|) - 1, and the sign of x.
template <class D, class V = Vector<D>>
HWY_INLINE V tanh(D d, V x) {
  const V magnitude = hn::Abs(x);
  const V t = expm1_nonpositive(
      d, at_least(d, hn::Mul(hn::Set(d, -2), magnitude), FloatConstants<Lane<D>>::expm1_low));
  return hn::CopySign(hn::Div(t, hn::Add(t, hn::Set(d, 2))), x);
}

/// A polynomial up to 1, then (exp(|x|) - exp(-|x|)) / 2.
template <class D, class V = Vector<D>>
HWY_INLINE V sinh(D d, V x) {
  const V magnitude = hn::Abs(x);
  const V half_exp = exp_clamped(d, at_most(d, magnitude, FloatConstants<Lane<D>>::exp_high), -1);
  const V large = hn::Sub(half_exp, hn::Div(hn::Set(d, Lane<D>(0.25)), half_exp));
  const V z = hn::Mul(x, x);
  const V small =
      hn::MulAdd(hn::Mul(magnitude, z), polynomial(d, z, Coefficients<Lane<D>>::sinh_tail), magnitude);
  return hn::CopySign(hn::IfThenElse(hn::Gt(magnitude, hn::Set(d, 1)), large, small), x);
}

template <class D, class V = Vector<D>>
HWY_INLINE V cosh(D d, V x) {
  const V half_exp = exp_clamped(d, at_most(d, hn::Abs(x), FloatConstants<Lane<D>>::exp_high), -1);
  return hn::Add(half_exp, hn::Div(hn::Set(d, Lane<D>(0.25)), half_exp));
}

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
