#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <chainrule/error.hpp>

#include "kernels/cpu/lanes.hpp"
#include "kernels/targets.hpp"

/// How the lane kernels' tests measure errors and make inputs.
namespace chainrule::kernels::checks {

/// The type in which the reference of a T result is computed: far more digits than T has.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, float>, double, long double>;

/// One unit in the last place of T at the size of `value`.
template <class T>
long double ulp_at(long double value) {
  using Limits = std::numeric_limits<T>;
  int exponent = 0;
  std::frexp(value, &exponent);
  return std::ldexp(1.0L, std::max(exponent, Limits::min_exponent) - Limits::digits);
}

/// The distance of `got` from the exact value, in ULPs. Infinity counts as the first power of two that
/// T cannot hold; infinite where one of the two is NaN, or the sign of a zero or infinity is wrong, or a
/// finite value came for an exact infinity.
template <class T>
double ulp_distance(T got, long double exact) {
  using Limits = std::numeric_limits<T>;
  const double wrong = std::numeric_limits<double>::infinity();
  if (std::isnan(exact) || std::isnan(got)) return std::isnan(exact) == std::isnan(got) ? 0 : wrong;
  const long double top = std::ldexp(1.0L, Limits::max_exponent);
  if (exact == 0) return got == 0 && std::signbit(got) == std::signbit(exact) ? 0 : wrong;
  if (std::abs(exact) >= top * 1.0001L) return std::isinf(got) && (got > 0) == (exact > 0) ? 0 : wrong;
  if (std::signbit(got) != std::signbit(exact)) return wrong;
  if (std::isinf(got)) exact = std::min(std::abs(exact), top);
  const long double value = std::isinf(got) ? top : static_cast<long double>(got);
  return static_cast<double>(std::abs(value - exact) / ulp_at<T>(std::min(std::abs(exact), top / 2)));
}

/// Zeros, infinities, NaN, the ends of the type, and the borders of the functions' domains and ranges.
template <class T>
std::vector<T> edges() {
  using Limits = std::numeric_limits<T>;
  std::vector<double> positive = {0,
                                  0.25,
                                  0.4142135623730951,
                                  0.4142136,
                                  0.5,
                                  0.70710678,
                                  0.99,
                                  1,
                                  1.5,
                                  2,
                                  2.4142135623730950,
                                  2.5,
                                  3,
                                  3.5,
                                  4,
                                  5,
                                  6,
                                  7,
                                  9,
                                  10,
                                  10.06,
                                  10.3,
                                  17.5,
                                  20,
                                  26.5,
                                  27.2,
                                  36,
                                  45,
                                  64,
                                  87.3,
                                  88,
                                  88.72,
                                  88.73,
                                  89.4,
                                  89.5,
                                  103.97,
                                  104,
                                  127,
                                  128,
                                  149,
                                  150,
                                  709,
                                  709.7,
                                  709.8,
                                  710.4,
                                  710.5,
                                  745.1,
                                  745.2,
                                  1023,
                                  1024,
                                  1074,
                                  1075,
                                  8192,
                                  1e6,
                                  1.0000001e6,
                                  268435456.0,
                                  1e9,
                                  1e15,
                                  4503599627370496.0,
                                  1e22,
                                  8388608,
                                  8388609,
                                  16777216,
                                  1e30,
                                  1.5707963267948966,
                                  3.141592653589793};
  std::vector<T> values = {Limits::infinity(), Limits::quiet_NaN(),  Limits::max(),
                           Limits::min(),      Limits::denorm_min(), Limits::epsilon(),
                           Limits::max() / 2,  Limits::max() / 8,    Limits::min() * T{0.75}};
  for (const double value : positive) values.push_back(static_cast<T>(value));
  const std::size_t count = values.size();
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(std::nextafter(values[i], Limits::infinity()));
    values.push_back(std::nextafter(values[i], -Limits::infinity()));
  }
  const std::size_t with_neighbours = values.size();
  for (std::size_t i = 0; i < with_neighbours; ++i) values.push_back(-values[i]);
  return values;
}

/// The edges, then random values: all bit patterns alike, and evenly in intervals around 0.
template <class T>
std::vector<T> samples(int per_kind, unsigned seed) {
  std::vector<T> values = edges<T>();
  std::mt19937_64 engine(seed);
  for (int i = 0; i < per_kind; ++i) {
    const std::uint64_t pattern = engine();
    T value;
    std::memcpy(&value, &pattern, sizeof value);
    values.push_back(value);
  }
  for (const double width : {1.0, 4.0, 30.0, 120.0, 800.0, 2e4, 1e6}) {
    std::uniform_real_distribution<double> uniform(-width, width);
    for (int i = 0; i < per_kind; ++i) values.push_back(static_cast<T>(uniform(engine)));
  }
  return values;
}

/// The kernel's entry in the table; throws where there is none.
template <class T>
const LaneEntry& entry_of(std::string_view op) {
  for (const LaneEntry& entry : lane_kernels()) {
    if (entry.op == op && entry.dtype == dtype_of<T>()) return entry;
  }
  throw std::runtime_error("no kernel " + std::string(op));
}

/// The kernel's result on dense arrays, one input or two.
template <class T>
std::vector<T> run(const LaneEntry& entry, const std::vector<T>& a) {
  std::vector<T> out(a.size());
  const void* inputs[] = {a.data()};
  entry.kernel(inputs, out.data(), static_cast<std::int64_t>(a.size()));
  return out;
}

template <class T>
std::vector<T> run(const LaneEntry& entry, const std::vector<T>& a, const std::vector<T>& b) {
  std::vector<T> out(a.size());
  const void* inputs[] = {a.data(), b.data()};
  entry.kernel(inputs, out.data(), static_cast<std::int64_t>(a.size()));
  return out;
}

/// Samples per kind: unoptimized kernels are several times slower.
#ifdef __OPTIMIZE__
inline constexpr int scale_down = 1;
#else
inline constexpr int scale_down = 5;
#endif

}  // namespace chainrule::kernels::checks
