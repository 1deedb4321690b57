// One row at a time: the loops of rows.hpp, compiled once for each instruction set.
// Letters as in rows.hpp; D a vector tag of T, V its vectors, N its lanes.

#if defined(CHAINRULE_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_ROWS_INL_H_
#undef CHAINRULE_ROWS_INL_H_
#else
#define CHAINRULE_ROWS_INL_H_
#endif

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <hwy/highway.h>

#include "kernels/cpu/partial-inl.h"
#include "kernels/cpu/row_kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
using Tag = hn::ScalableTag<T>;
template <class D>
using Lane = hn::TFromD<D>;

/// 1/0!, 1/1!, …, 1/degree!
template <typename T, int degree>
constexpr std::array<T, degree + 1> inverse_factorials() {
  std::array<T, degree + 1> values{};
  double factorial = 1;  // exact up to 18!
  for (int i = 0; i <= degree; ++i) {
    if (i > 0) factorial *= i;
    values[static_cast<std::size_t>(i)] = static_cast<T>(1 / factorial);
  }
  return values;
}

/// e^x for x ≤ 1, and −∞ and NaN: x = k·ln 2 + r, |r| ≤ ½·ln 2, a polynomial for e^r and 2^k in two factors,
/// so that results below the normal range are right too.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_below_one(D d, V x) {
  using T = Lane<D>;
  constexpr bool single = std::is_same_v<T, float>;
  constexpr T lowest = single ? T(-104.0) : T(-746.0);  // e^lowest rounds to 0
  constexpr T ln2_high = single ? T(0.693359375) : T(6.93145751953125e-1);
  constexpr T ln2_low = single ? T(-2.12194440e-4) : T(1.42860682030941723212e-6);
  constexpr int mantissa = single ? 23 : 52;
  constexpr int bias = single ? 127 : 1023;
  constexpr int lift = single ? 64 : 512;  // 2^(k + lift) is normal for all k
  constexpr int degree = single ? 7 : 13;  // of the Taylor polynomial: error below ½ ULP
  // Added to a small number, it leaves the nearest integer in the last bits of the sum.
  constexpr T rounder = single ? T(0x1.8p23) : T(0x1.8p52);
  const hn::RebindToSigned<D> di;
  using I = Lane<decltype(di)>;
  // Multiplying down to a zero would take the processor's slow path for underflow: −∞ from a mask is common.
  const auto vanishes = hn::Lt(x, hn::Set(d, lowest));
  const V clamped = hn::IfThenZeroElse(vanishes, x);
  const V rounded = hn::MulAdd(clamped, hn::Set(d, T(1.44269504088896340736)), hn::Set(d, rounder));
  const V k = hn::Sub(rounded, hn::Set(d, rounder));
  V r = hn::NegMulAdd(k, hn::Set(d, ln2_high), clamped);
  r = hn::NegMulAdd(k, hn::Set(d, ln2_low), r);
  constexpr std::array<T, degree + 1> coefficients = inverse_factorials<T, degree>();
  V p = hn::Set(d, coefficients[degree]);
  for (std::size_t i = degree; i-- > 0;) p = hn::MulAdd(p, r, hn::Set(d, coefficients[i]));
  const auto exponent = hn::Add(hn::BitCast(di, rounded), hn::Set(di, static_cast<I>(bias + lift)));
  const V scale = hn::BitCast(d, hn::ShiftLeft<mantissa>(exponent));
  const V lowered = hn::Set(d, single ? T(0x1p-64) : T(0x1p-512));
  return hn::IfThenZeroElse(vanishes, hn::Mul(hn::Mul(p, scale), lowered));
}

/// Rows up to this many bytes are fetched while the row before them is worked on. The processor's own
/// prefetching stops at the end of a page, which is where many rows end.
inline constexpr std::int64_t longest_fetched_row = 16 << 10;

/// The line at `i` of the row behind the one that starts at `row`.
template <typename T>
HWY_INLINE void fetch_next_row(const T* row, std::int64_t n, std::int64_t i) {
  if (n * static_cast<std::int64_t>(sizeof(T)) <= longest_fetched_row) __builtin_prefetch(row + n + i);
}

/// Calls f(i, count) for i = 0, N, 2N, …: count is N, and less only for the last one.
template <class D, class F>
HWY_INLINE void over_row(D d, std::int64_t begin, std::int64_t end, F&& f) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = begin;
  for (; i + lanes <= end; i += lanes) f(i, lanes);
  if (i < end) f(i, end - i);
}

/// term(i, count) of the elements [begin, end), joined lane by lane from `start` on. Four at a time: one
/// would wait for each result of `join`.
template <class D, class Term, class Join, class V = hn::Vec<D>>
HWY_INLINE V join_over(D d, std::int64_t begin, std::int64_t end, V start, Term&& term, Join&& join) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V a = start;
  V b = start;
  V c = start;
  V e = start;
  std::int64_t i = begin;
  for (; i + 4 * lanes <= end; i += 4 * lanes) {
    a = join(a, term(i, lanes));
    b = join(b, term(i + lanes, lanes));
    c = join(c, term(i + 2 * lanes, lanes));
    e = join(e, term(i + 3 * lanes, lanes));
  }
  over_row(d, i, end, [&](std::int64_t at, std::int64_t count) HWY_ATTR { a = join(a, term(at, count)); });
  return join(join(a, b), join(c, e));
}

/// Σ term(i, count): lanes within 1,024 elements, float64 across. Lanes beyond the end must be 0.
template <class D, class F>
HWY_INLINE double sum_over(D d, std::int64_t n, F&& term) {
  constexpr std::int64_t chunk = 1024;
  double total = 0;
  for (std::int64_t begin = 0; begin < n; begin += chunk) {
    const auto sum = join_over(d, begin, HWY_MIN(n, begin + chunk), hn::Zero(d), term,
                               [](auto x, auto y) HWY_ATTR { return hn::Add(x, y); });
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
  return total;
}

template <typename T>
HWY_INLINE T max_of_row(const T* x, std::int64_t n) {
  const Tag<T> d;
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  const auto best = join_over(
      d, 0, n, hn::Set(d, lowest),
      [&](std::int64_t i, std::int64_t count) HWY_ATTR { return load(d, x + i, count, lowest); },
      [](auto a, auto b) HWY_ATTR { return hn::Max(a, b); });
  return hn::GetLane(hn::MaxOfLanes(d, best));
}

/// Σ exp(x − m), and the terms in `y` unless it is null.
template <typename T>
HWY_INLINE double sum_of_exp(const T* x, std::int64_t n, T m, T* y) {
  const Tag<T> d;
  const auto shift = hn::Set(d, m);
  return sum_over(d, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    constexpr T lowest = -std::numeric_limits<T>::infinity();
    fetch_next_row(x, n, i);
    const auto e = exp_below_one(d, hn::Sub(load(d, x + i, count, lowest), shift));
    if (y != nullptr) store(e, d, y + i, count);
    return e;
  });
}

/// ln Σ exp x in float64.
template <typename T>
double logsumexp_row(const T* x, std::int64_t n) {
  const T m = max_of_row(x, n);
  if (m == std::numeric_limits<T>::infinity()) {
    for (std::int64_t i = 0; i < n; ++i) {
      if (x[i] != x[i]) return static_cast<double>(x[i]);
    }
    return static_cast<double>(m);
  }
  const T shift = std::isfinite(m) ? m : T(0);  // a row of −∞: ln 0
  return static_cast<double>(shift) + std::log(sum_of_exp(x, n, shift, static_cast<T*>(nullptr)));
}

template <typename T>
void softmax_row(const T* x, std::int64_t n, T* y) {
  const Tag<T> d;
  const double sum = sum_of_exp(x, n, max_of_row(x, n), y);
  const auto factor = hn::Set(d, static_cast<T>(1 / sum));
  over_row(d, 0, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    store(hn::Mul(load(d, y + i, count), factor), d, y + i, count);
  });
}

template <typename T>
void softmax_backward_row(const T* y, const T* dy, std::int64_t n, T* dx) {
  const Tag<T> d;
  const double dot = sum_over(d, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    return hn::Mul(load(d, y + i, count), load(d, dy + i, count));
  });
  const auto mean = hn::Set(d, static_cast<T>(dot));
  over_row(d, 0, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    fetch_next_row(y, n, i);
    fetch_next_row(dy, n, i);
    const auto value = hn::Mul(load(d, y + i, count), hn::Sub(load(d, dy + i, count), mean));
    store(value, d, dx + i, count);
  });
}

template <typename T>
void log_softmax_row(const T* x, std::int64_t n, T* y) {
  const Tag<T> d;
  const T m = max_of_row(x, n);
  const auto shift = hn::Set(d, m);
  const auto log_sum = hn::Set(d, static_cast<T>(std::log(sum_of_exp(x, n, m, static_cast<T*>(nullptr)))));
  over_row(d, 0, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    store(hn::Sub(hn::Sub(load(d, x + i, count), shift), log_sum), d, y + i, count);
  });
}

template <typename T>
void log_softmax_backward_row(const T* y, const T* dy, std::int64_t n, T* dx) {
  const Tag<T> d;
  const double total =
      sum_over(d, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR { return load(d, dy + i, count); });
  const auto factor = hn::Set(d, static_cast<T>(total));
  over_row(d, 0, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    const auto p = exp_below_one(d, load(d, y + i, count));
    store(hn::NegMulAdd(p, factor, load(d, dy + i, count)), d, dx + i, count);
  });
}

/// dx = exp(x − lse)·factor.
template <typename T>
void exp_scaled_row(const T* x, T lse, T factor, std::int64_t n, T* dx) {
  const Tag<T> d;
  const auto shift = hn::Set(d, lse);
  const auto scale = hn::Set(d, factor);
  over_row(d, 0, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    const auto p = exp_below_one(d, hn::Sub(load(d, x + i, count), shift));
    store(hn::Mul(p, scale), d, dx + i, count);
  });
}

/// Layer normalization, or RMS normalization, whose mean is 0 and is not written.
template <bool centred, typename T>
void layer_norm_row(const T* x, const T* scale, const T* shift, double epsilon, std::int64_t n, T* y, T* mean,
                    T* rstd) {
  const Tag<T> d;
  T mu = 0;
  if constexpr (centred) {
    mu = static_cast<T>(
        sum_over(d, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR { return load(d, x + i, count); }) /
        static_cast<double>(n));
    *mean = mu;
  }
  const auto centre = hn::Set(d, mu);
  const double squares = sum_over(d, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    const auto c = hn::Sub(load(d, x + i, count, mu), centre);
    return hn::Mul(c, c);
  });
  *rstd = static_cast<T>(1 / std::sqrt(squares / static_cast<double>(n) + epsilon));
  const auto factor = hn::Set(d, *rstd);
  over_row(d, 0, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    fetch_next_row(x, n, i);
    auto value = hn::Mul(hn::Sub(load(d, x + i, count), centre), factor);
    if (scale != nullptr) value = hn::Mul(value, load(d, scale + i, count));
    if (shift != nullptr) value = hn::Add(value, load(d, shift + i, count));
    store(value, d, y + i, count);
  });
}

template <bool centred, typename T>
void layer_norm_backward_row(const T* dy, const T* x, const T* scale, T mean, T rstd, std::int64_t n, T* dx) {
  const Tag<T> d;
  const auto centre = hn::Set(d, mean);
  const auto factor = hn::Set(d, rstd);
  const auto gradient = [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    const auto g = load(d, dy + i, count);
    return scale != nullptr ? hn::Mul(g, load(d, scale + i, count)) : g;
  };
  const auto normalized = [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    return hn::Mul(hn::Sub(load(d, x + i, count, mean), centre), factor);
  };
  const double sum = centred ? sum_over(d, n, gradient) : 0;
  const double dot = sum_over(d, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    return hn::Mul(gradient(i, count), normalized(i, count));
  });
  const auto mean_g = hn::Set(d, static_cast<T>(sum / static_cast<double>(n)));
  const auto mean_gx = hn::Set(d, static_cast<T>(dot / static_cast<double>(n)));
  over_row(d, 0, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    fetch_next_row(x, n, i);
    fetch_next_row(dy, n, i);
    const auto rest = hn::NegMulAdd(normalized(i, count), mean_gx, hn::Sub(gradient(i, count), mean_g));
    store(hn::Mul(rest, factor), d, dx + i, count);
  });
}

/// dscale += dy·x̂ and dshift += dy, in float64.
template <typename T>
void layer_norm_parameters_row(const T* HWY_RESTRICT dy, const T* HWY_RESTRICT x, T mean, T rstd,
                               std::int64_t n, double* HWY_RESTRICT dscale, double* HWY_RESTRICT dshift) {
  for (std::int64_t i = 0; i < n; ++i) {
    dscale[i] += static_cast<double>(dy[i] * ((x[i] - mean) * rstd));
    dshift[i] += static_cast<double>(dy[i]);
  }
}

template <typename T>
inline constexpr RowKernels<T> row_kernels_table{softmax_row<T>,
                                                 softmax_backward_row<T>,
                                                 log_softmax_row<T>,
                                                 log_softmax_backward_row<T>,
                                                 logsumexp_row<T>,
                                                 exp_scaled_row<T>,
                                                 layer_norm_row<true, T>,
                                                 layer_norm_backward_row<true, T>,
                                                 layer_norm_row<false, T>,
                                                 layer_norm_backward_row<false, T>,
                                                 layer_norm_parameters_row<T>};

inline const RowKernels<float>* float_row_kernels() { return &row_kernels_table<float>; }
inline const RowKernels<double>* double_row_kernels() { return &row_kernels_table<double>; }

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::kernels
HWY_AFTER_NAMESPACE();

#endif
