// The error function and its complement. Special values as in C's <math.h>, over the whole domain.

#if defined(CHAINRULE_MATH_ERF_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_MATH_ERF_INL
#undef CHAINRULE_MATH_ERF_INL
#else
#define CHAINRULE_MATH_ERF_INL
#endif

#include "kernels/cpu/math_base-inl.h"
#include "kernels/cpu/math_exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

/// exp(-x^2) for 0 <= x <= erfc_zero. With h = x cut to half its bits, x^2 = h^2 + (x - h)(x + h), h^2
/// exact; the second part joins after the reduction.
template <class D, class V>
HWY_INLINE ExpReduced<D> exp_minus_square(D d, V x) {
  using C = FloatConstants<Lane<D>>;
  const IntTag<D> di;
  const V h = hn::BitCast(d, hn::And(hn::BitCast(di, x), hn::Set(di, C::upper_half_bits)));
  const V square = hn::Mul(h, h);
  const V rest = hn::Mul(hn::Sub(x, h), hn::Add(x, h));
  const auto n = round_small(d, hn::Mul(hn::Add(square, rest), hn::Set(d, -C::log2_e)));
  const V main = hn::NegMulAdd(n.real, hn::Set(d, C::ln2_high), hn::Neg(square));
  return {n.integer, hn::Sub(hn::NegMulAdd(n.real, hn::Set(d, C::ln2_low), main), rest)};
}

/// erfc(x) for 0 <= x <= erfc_zero: exp(-x^2) / (1 + 2x) times a polynomial in t = (x - K)/(x + K)
/// (M. M. Shepherd, J. G. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x",
/// Mathematics of Computation 36 (1981) 249-253).
template <class D, class V>
HWY_INLINE V erfc_nonnegative(D d, V x) {
  using T = Lane<D>;
  const V centre = hn::Set(d, Coefficients<T>::erfc_centre);
  const V t = hn::Div(hn::Sub(x, centre), hn::Add(x, centre));
  const V scaled = polynomial(d, t, Coefficients<T>::erfcx_scaled);
  const auto [n, r] = exp_minus_square(d, x);
  const V quotient = hn::Div(hn::Mul(scaled, exp_reduced(d, r)), hn::MulAdd(x, hn::Set(d, 2), hn::Set(d, 1)));
  return scale(d, quotient, n);
}

/// 1 - erfc(x) for x >= 1. float: erfc is exp of a polynomial, whose error 1 hides.
template <class D, class V>
HWY_INLINE V erf_large(D d, V x) {
  using T = Lane<D>;
  const V one = hn::Set(d, 1);
  if constexpr (sizeof(T) == 4) {
    const V log_erfc = polynomial(d, at_most(d, x, 4), Coefficients<T>::log_erfc);
    const auto [n, r] = exp_reduce(d, log_erfc);
    return hn::NegMulAdd(exp_reduced(d, r), power_of_two(d, n), one);
  } else {
    return hn::Sub(one, erfc_nonnegative(d, at_most(d, x, 7)));
  }
}

/// erf(x) for |x| <= 1.
template <class D, class V>
HWY_INLINE V erf_small(D d, V x) {
  return hn::MulAdd(x, polynomial(d, hn::Mul(x, x), Coefficients<Lane<D>>::erf_tail), x);
}

template <class D, class V = Vector<D>>
HWY_INLINE V erf(D d, V x) {
  const V magnitude = hn::Abs(x);
  const auto is_large = hn::Gt(magnitude, hn::Set(d, 1));
  return hn::CopySign(hn::IfThenElse(is_large, erf_large(d, magnitude), erf_small(d, magnitude)), x);
}

template <class D, class V = Vector<D>>
HWY_INLINE V erfc(D d, V x) {
  using C = FloatConstants<Lane<D>>;
  const V magnitude = hn::Abs(x);
  const V y = erfc_nonnegative(d, at_most(d, magnitude, C::erfc_zero));
  const V far = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Sub(hn::Set(d, 2), y), y);
  // Below 1/2 nothing cancels, and the difference from 1 is more accurate.
  const auto near = hn::Lt(magnitude, hn::Set(d, Lane<D>(0.5)));
  return hn::IfThenElse(near, hn::Sub(hn::Set(d, 1), erf_small(d, x)), far);
}

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
