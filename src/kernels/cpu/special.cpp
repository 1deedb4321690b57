#include "kernels/cpu/special.hpp"

#include <cmath>
#include <limits>

#include "kernels/parallel.hpp"
#include "kernels/subnormals.hpp"

namespace chainrule::kernels {
namespace {

// B_2j / (2j)!, j = 1 … 10: the coefficients of the Euler–Maclaurin formula.
constexpr double bernoulli[] = {8.333333333333333e-02,  -1.388888888888889e-03, 3.306878306878307e-05,
                                -8.267195767195767e-07, 2.087675698786810e-08,  -5.284190138687493e-10,
                                1.338253653068468e-11,  -3.389680296322583e-13, 8.586062056277845e-15,
                                -2.174868698558062e-16};

// Hurwitz's ζ(s, x) = Σ (x + k)⁻ˢ for a whole s ≥ 2 (DLMF 25.11.1). Negative x are summed until the terms
// have passed 0; what remains follows from the Euler–Maclaurin formula (DLMF 25.11.5).
double hurwitz_zeta(double s, double x) {
  if (std::isnan(x)) return x;
  if (x <= 0 && x == std::floor(x)) {
    return std::fmod(s, 2) == 0 ? std::numeric_limits<double>::infinity()
                                : std::numeric_limits<double>::quiet_NaN();
  }
  // Far left the sum would not end in reasonable time.
  if (x < -1e6) return std::numeric_limits<double>::quiet_NaN();
  if (std::isinf(x)) return 0;
  // The larger the exponent, the later the asymptotic series becomes accurate.
  const double enough = 10 + s / 2;
  double sum = 0;
  for (; x < enough; ++x) sum += std::pow(x, -s);
  const double power = std::pow(x, -s);
  sum += power * x / (s - 1) + power / 2;
  double term = power * s / x;
  for (int j = 0; j < 10; ++j) {
    sum += term * bernoulli[j];
    const double k = 2 * j + 1;
    term *= (s + k) * (s + k + 1) / (x * x);
  }
  return sum;
}

template <typename T>
void each_polygamma(std::int64_t order, const T* x, std::int64_t n, T* out) {
  const auto s = static_cast<double>(order) + 1;
  const double scale = (order % 2 == 0 ? -1 : 1) * std::tgamma(s);
  const SubnormalsScope exact(false);  // a zeta that is subnormal counts, times a gamma that is huge
  parallel_for(n, 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      out[i] = static_cast<T>(scale * hurwitz_zeta(s, static_cast<double>(x[i])));
  });
}

}  // namespace

void polygamma(std::int64_t order, const float* x, std::int64_t n, float* out) {
  each_polygamma(order, x, n, out);
}
void polygamma(std::int64_t order, const double* x, std::int64_t n, double* out) {
  each_polygamma(order, x, n, out);
}

}  // namespace chainrule::kernels
