#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

#include "kernels/cpu/lane_families.hpp"
#include "kernels/cpu/math_coefficients.hpp"
#include "kernels/subnormals.hpp"

// Lane by lane: functions whose vector form would cost more in accuracy or code than it is worth so far. The
// C library's scale subnormal arguments by multiplying them, and are wrong where that makes zero of them; so
// these functions compute with subnormal numbers, whoever calls.

namespace chainrule::kernels {
namespace {

template <class T, T (*f)(T)>
void each(const void* const* inputs, void* output, std::int64_t n) {
  const auto* a = static_cast<const T*>(inputs[0]);
  auto* out = static_cast<T*>(output);
  const SubnormalsScope exact(false);
  for (std::int64_t i = 0; i < n; ++i) out[i] = f(a[i]);
}

template <class T, T (*f)(T, T)>
void each2(const void* const* inputs, void* output, std::int64_t n) {
  const auto* a = static_cast<const T*>(inputs[0]);
  const auto* b = static_cast<const T*>(inputs[1]);
  auto* out = static_cast<T*>(output);
  const SubnormalsScope exact(false);
  for (std::int64_t i = 0; i < n; ++i) out[i] = f(a[i], b[i]);
}

double libm_cbrt(double x) { return std::cbrt(x); }
double libm_pow(double x, double y) { return std::pow(x, y); }

template <class T>
T libm_fmod(T a, T b) {
  return std::fmod(a, b);
}

/// a - b floor(a / b) without the rounding of the quotient: the sign of b, also for zeros (Python's
/// float.__mod__). NaN where b is 0.
template <class T>
T remainder(T a, T b) {
  const T rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(T{0}, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

/// floor(a / b), computed from the exact remainder so that a quotient just below an integer is not
/// rounded up to it (Python's float.__floordiv__); a / b where b is 0.
template <class T>
T floor_divide(T a, T b) {
  if (b == 0) return a / b;
  const T rest = std::fmod(a, b);
  T quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(T{0}, a / b);
  const T whole = std::floor(quotient);
  return quotient - whole > T{0.5} ? whole + 1 : whole;
}

/// log |gamma(x)|. The C library's lgamma writes a global variable, which lgamma_r leaves alone.
double log_gamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

float log_gamma_float(float x) { return static_cast<float>(log_gamma(static_cast<double>(x))); }

/// sum_{k=1} B_2k / (2k) x^-2k, the tail of digamma's asymptotic series (Abramowitz & Stegun 6.3.18).
double digamma_tail(double x) {
  constexpr double terms[] = {1.0 / 12,  -1.0 / 120,     1.0 / 252, -1.0 / 240,
                              1.0 / 132, -691.0 / 32760, 1.0 / 12,  -3617.0 / 8160};
  const double z = 1 / (x * x);
  double sum = 0;
  for (int i = 7; i >= 0; --i) sum = (sum + terms[i]) * z;
  return sum;
}

/// digamma(x) for x > 0: near its root by its series there, which keeps the relative error small;
/// elsewhere by recurrence up to 10 and the asymptotic series.
double digamma_positive(double x) {
  using C = Coefficients<double>;
  const double from_root = (x - C::digamma_root_high) - C::digamma_root_low;
  if (std::abs(from_root) < 0.4) {
    double sum = 0;
    for (auto i = static_cast<int>(std::size(C::digamma_series)) - 1; i >= 0; --i) {
      sum = sum * from_root + C::digamma_series[i];
    }
    return sum * from_root;
  }
  double below = 0;
  for (; x < 10; x += 1) below += 1 / x;
  return std::log(x) - 0.5 / x - digamma_tail(x) - below;
}

/// The logarithmic derivative of gamma. Poles: -inf at +0, inf at -0, NaN at the negative integers; left
/// of 0 by reflection, digamma(1 - x) - pi / tan(pi x). Close to its negative roots the error is a few
/// roundings of those two terms, not of their small difference.
double digamma(double x) {
  if (std::isnan(x) || x == std::numeric_limits<double>::infinity()) return x;
  if (x == 0) return std::copysign(std::numeric_limits<double>::infinity(), -x);
  if (x > 0) return digamma_positive(x);
  const double fraction = x - std::round(x);  // exact
  if (fraction == 0 || std::isinf(x)) return std::numeric_limits<double>::quiet_NaN();
  return digamma_positive(1 - x) - std::numbers::pi / std::tan(std::numbers::pi * fraction);
}

float digamma_float(float x) { return static_cast<float>(digamma(static_cast<double>(x))); }

// The C library's own functions have its documented bounds. digamma's and lgamma's hold for x > 0: beyond,
// both have zeros between the poles, where the absolute error is what stays small.
constexpr LaneEntry scalar_entries[] = {
    {"pow", DType::float64, &each2<double, libm_pow>, 1},
    {"cbrt", DType::float64, &each<double, libm_cbrt>, 4},
    {"fmod", DType::float32, &each2<float, libm_fmod<float>>, 0},
    {"fmod", DType::float64, &each2<double, libm_fmod<double>>, 0},
    {"remainder", DType::float32, &each2<float, remainder<float>>, 0.5},
    {"remainder", DType::float64, &each2<double, remainder<double>>, 0.5},
    {"floor_divide", DType::float32, &each2<float, floor_divide<float>>, 0.5},
    {"floor_divide", DType::float64, &each2<double, floor_divide<double>>, 0.5},
    {"lgamma", DType::float32, &each<float, log_gamma_float>, 0.6},
    {"lgamma", DType::float64, &each<double, log_gamma>, 6},
    {"digamma", DType::float32, &each<float, digamma_float>, 0.6},
    {"digamma", DType::float64, &each<double, digamma>, 8},
};

}  // namespace

LaneTable scalar_lanes() { return scalar_entries; }

}  // namespace chainrule::kernels
