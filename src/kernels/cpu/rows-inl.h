// The loops of rows.hpp, one row at a time, compiled once for each instruction set.
// Letters as in rows.hpp; D a vector tag of T, V its vectors, N its lanes.
//
// Short rows, of up to most_vectors vectors, go through the same code with that number known to the compiler:
// no loops, and so many rows under way at once as the processor can hold.

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

#include "kernels/cpu/math_log-inl.h"
#include "kernels/cpu/partial-inl.h"
#include "kernels/cpu/row_kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
using Tag = hn::ScalableTag<T>;

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
/// so that results below the normal range are right too, where they don't count as zero.
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

/// A row's length n, which is that of so many vectors, the last of them maybe in part; 0 for any length.
template <int vectors>
struct Length {
  std::int64_t n;
};
inline constexpr int most_vectors = 4;

/// Calls f(r, length) for each row.
template <typename T, class F>
HWY_INLINE void for_rows(std::int64_t rows, std::int64_t n, F&& f) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(Tag<T>()));
  const auto all = [&]<int vectors>(Length<vectors> length) HWY_ATTR {
    for (std::int64_t r = 0; r < rows; ++r) f(r, length);
  };
  if (n < 1 || n > most_vectors * lanes) return all(Length<0>{n});
  if (n <= lanes) return all(Length<1>{n});
  if (n <= 2 * lanes) return all(Length<2>{n});
  if (n <= 3 * lanes) return all(Length<3>{n});
  all(Length<4>{n});
}

/// Rows up to this many bytes are fetched while the row before them is worked on. The processor's own
/// prefetching stops at the end of a page, which is where many rows end; it follows short rows by itself.
inline constexpr std::int64_t longest_fetched_row = 16 << 10;

/// The line at `i` of the row behind the one that starts at `row`.
template <typename T, int vectors>
HWY_INLINE void fetch_next_row(const T* row, Length<vectors> length, std::int64_t i) {
  if constexpr (vectors == 0) {
    if (length.n * static_cast<std::int64_t>(sizeof(T)) <= longest_fetched_row)
      __builtin_prefetch(row + length.n + i);
  }
}

/// Calls f(i, count) for i = begin, begin + N, begin + 2N, …: count is N, and less only for the last one.
template <class D, class F>
HWY_INLINE void over_range(D d, std::int64_t begin, std::int64_t end, F&& f) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = begin;
  for (; i + lanes <= end; i += lanes) f(i, lanes);
  if (i < end) f(i, end - i);
}

/// The same over a row.
template <class D, class F, int vectors>
HWY_INLINE void over_row(D d, Length<vectors> length, F&& f) {
  if constexpr (vectors == 0) {
    over_range(d, 0, length.n, f);
  } else {
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    HWY_UNROLL(most_vectors)
    for (int v = 0; v + 1 < vectors; ++v) f(v * lanes, lanes);
    f((vectors - 1) * lanes, length.n - (vectors - 1) * lanes);
  }
}

/// term(i, count) of the elements [begin, end), joined lane by lane from `start` on. Four at a time: one
/// would wait for each result of `join`.
template <class D, class Term, class Join, class V = hn::Vec<D>>
HWY_INLINE V join_range(D d, std::int64_t begin, std::int64_t end, V start, Term&& term, Join&& join) {
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
  over_range(d, i, end, [&](std::int64_t at, std::int64_t count) HWY_ATTR { a = join(a, term(at, count)); });
  return join(join(a, b), join(c, e));
}

/// The same over a row, which may be known to be short.
template <class D, class Term, class Join, int vectors, class V = hn::Vec<D>>
HWY_INLINE V join_row(D d, Length<vectors> length, V start, Term&& term, Join&& join) {
  if constexpr (vectors == 0) {
    return join_range(d, 0, length.n, start, term, join);
  } else {
    V all = start;
    over_row(d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
      all = i == 0 ? term(i, count) : join(all, term(i, count));
    });
    return all;
  }
}

/// Σ term(i, count): lanes within 1,024 elements, float64 across. Lanes beyond the end must be 0.
template <class D, class F, int vectors>
HWY_INLINE double sum_over(D d, Length<vectors> length, F&& term) {
  const auto add = [](auto x, auto y) HWY_ATTR { return hn::Add(x, y); };
  if constexpr (vectors > 0) {
    return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, join_row(d, length, hn::Zero(d), term, add))));
  }
  constexpr std::int64_t chunk = 1024;
  double total = 0;
  for (std::int64_t begin = 0; begin < length.n; begin += chunk) {
    const auto sum = join_range(d, begin, HWY_MIN(length.n, begin + chunk), hn::Zero(d), term, add);
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
  return total;
}

template <typename T, int vectors>
HWY_INLINE T max_of_row(const T* x, Length<vectors> length) {
  const Tag<T> d;
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  const auto best = join_row(
      d, length, hn::Set(d, lowest),
      [&](std::int64_t i, std::int64_t count) HWY_ATTR { return load(d, x + i, count, lowest); },
      [](auto a, auto b) HWY_ATTR { return hn::Max(a, b); });
  return hn::GetLane(hn::MaxOfLanes(d, best));
}

/// Σ exp(x − m), and the terms in `y` unless it is null.
template <typename T, int vectors>
HWY_INLINE double sum_of_exp(const T* x, Length<vectors> length, T m, T* y) {
  const Tag<T> d;
  const auto shift = hn::Set(d, m);
  return sum_over(d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    constexpr T lowest = -std::numeric_limits<T>::infinity();
    fetch_next_row(x, length, i);
    const auto e = exp_below_one(d, hn::Sub(load(d, x + i, count, lowest), shift));
    if (y != nullptr) store(e, d, y + i, count);
    return e;
  });
}

/// ln Σ exp x = shift + ln sum.
struct ExpSum {
  double shift;
  double sum;
};
template <typename T, int vectors>
HWY_INLINE ExpSum exp_sum_row(const T* x, Length<vectors> length) {
  const T m = max_of_row(x, length);
  if (m == std::numeric_limits<T>::infinity()) {
    for (std::int64_t i = 0; i < length.n; ++i) {
      if (x[i] != x[i]) return {static_cast<double>(x[i]), 1};
    }
    return {static_cast<double>(m), 1};
  }
  const T shift = std::isfinite(m) ? m : T(0);  // a row of −∞: ln 0
  return {static_cast<double>(shift), sum_of_exp(x, length, shift, static_cast<T*>(nullptr))};
}

/// Each of `n` numbers replaced by its logarithm.
HWY_INLINE void take_logarithms(double* x, std::int64_t n) {
  const F64 d;
  over_range(d, 0, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    store(log(d, load(d, x + i, count, 1.0)), d, x + i, count);
  });
}

/// ln Σ exp x of each row in float64.
template <typename T>
void logsumexp_rows(const T* x, std::int64_t rows, std::int64_t n, double* out) {
  double shifts[logarithms_together];
  for_rows<T>(rows, n, [&](std::int64_t r, auto length) HWY_ATTR {
    const ExpSum row = exp_sum_row(x + r * n, length);
    shifts[r] = row.shift;
    out[r] = row.sum;
  });
  take_logarithms(out, rows);
  for (std::int64_t r = 0; r < rows; ++r) out[r] += shifts[r];
}

template <typename T, int vectors>
HWY_INLINE void softmax_row(const T* x, Length<vectors> length, T* y) {
  const Tag<T> d;
  const double sum = sum_of_exp(x, length, max_of_row(x, length), y);
  const auto factor = hn::Set(d, static_cast<T>(1 / sum));
  over_row(d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    store(hn::Mul(load(d, y + i, count), factor), d, y + i, count);
  });
}

/// One vector is not stored and loaded again in between.
template <typename T>
HWY_INLINE void softmax_row(const T* x, Length<1> length, T* y) {
  const Tag<T> d;
  const auto all = load(d, x, length.n, -std::numeric_limits<T>::infinity());
  const auto e = exp_below_one(d, hn::Sub(all, hn::MaxOfLanes(d, all)));
  const double sum = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, e)));
  store(hn::Mul(e, hn::Set(d, static_cast<T>(1 / sum))), d, y, length.n);
}

template <typename T, int vectors>
HWY_INLINE void softmax_backward_row(const T* y, const T* dy, Length<vectors> length, T* dx) {
  const Tag<T> d;
  const double dot = sum_over(d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    return hn::Mul(load(d, y + i, count), load(d, dy + i, count));
  });
  const auto mean = hn::Set(d, static_cast<T>(dot));
  over_row(d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    fetch_next_row(y, length, i);
    fetch_next_row(dy, length, i);
    const auto value = hn::Mul(load(d, y + i, count), hn::Sub(load(d, dy + i, count), mean));
    store(value, d, dx + i, count);
  });
}

/// y = x − shift − log_sum.
template <typename T, int vectors>
HWY_INLINE void shift_row(const T* x, Length<vectors> length, T shift, T log_sum, T* y) {
  const Tag<T> d;
  over_row(d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    store(hn::Sub(hn::Sub(load(d, x + i, count), hn::Set(d, shift)), hn::Set(d, log_sum)), d, y + i, count);
  });
}

template <typename T>
void log_softmax_rows(const T* x, std::int64_t rows, std::int64_t n, T* y) {
  // Long rows would have left the nearest caches before their logarithms are known.
  const std::int64_t together = n * static_cast<std::int64_t>(sizeof(T)) <= 512 ? logarithms_together : 1;
  for (std::int64_t first = 0; first < rows; first += together) {
    const std::int64_t count = HWY_MIN(together, rows - first);
    T shifts[logarithms_together];
    double sums[logarithms_together];
    for_rows<T>(count, n, [&](std::int64_t r, auto length) HWY_ATTR {
      const T* const row = x + (first + r) * n;
      shifts[r] = max_of_row(row, length);
      sums[r] = sum_of_exp(row, length, shifts[r], static_cast<T*>(nullptr));
    });
    take_logarithms(sums, count);
    for_rows<T>(count, n, [&](std::int64_t r, auto length) HWY_ATTR {
      const std::int64_t at = (first + r) * n;
      shift_row(x + at, length, shifts[r], static_cast<T>(sums[r]), y + at);
    });
  }
}

template <typename T, int vectors>
HWY_INLINE void log_softmax_backward_row(const T* y, const T* dy, Length<vectors> length, T* dx) {
  const Tag<T> d;
  const double total = sum_over(
      d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR { return load(d, dy + i, count); });
  const auto factor = hn::Set(d, static_cast<T>(total));
  over_row(d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    const auto p = exp_below_one(d, load(d, y + i, count));
    store(hn::NegMulAdd(p, factor, load(d, dy + i, count)), d, dx + i, count);
  });
}

/// dx = exp(x − lse)·factor.
template <typename T, int vectors>
HWY_INLINE void exp_scaled_row(const T* x, T lse, T factor, Length<vectors> length, T* dx) {
  const Tag<T> d;
  const auto shift = hn::Set(d, lse);
  const auto scale = hn::Set(d, factor);
  over_row(d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    const auto p = exp_below_one(d, hn::Sub(load(d, x + i, count), shift));
    store(hn::Mul(p, scale), d, dx + i, count);
  });
}

/// Layer normalization, or RMS normalization, whose mean is 0 and is not written.
template <bool centred, typename T, int vectors>
HWY_INLINE void layer_norm_row(const T* x, const T* scale, const T* shift, double epsilon,
                               Length<vectors> length, T* y, T* mean, T* rstd) {
  const Tag<T> d;
  T mu = 0;
  if constexpr (centred) {
    mu = static_cast<T>(sum_over(d, length,
                                 [&](std::int64_t i, std::int64_t count)
                                     HWY_ATTR { return load(d, x + i, count); }) /
                        static_cast<double>(length.n));
    *mean = mu;
  }
  const auto centre = hn::Set(d, mu);
  const double squares = sum_over(d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    const auto c = hn::Sub(load(d, x + i, count, mu), centre);
    return hn::Mul(c, c);
  });
  *rstd = static_cast<T>(1 / std::sqrt(squares / static_cast<double>(length.n) + epsilon));
  const auto factor = hn::Set(d, *rstd);
  over_row(d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    fetch_next_row(x, length, i);
    auto value = hn::Mul(hn::Sub(load(d, x + i, count), centre), factor);
    if (scale != nullptr) value = hn::Mul(value, load(d, scale + i, count));
    if (shift != nullptr) value = hn::Add(value, load(d, shift + i, count));
    store(value, d, y + i, count);
  });
}

template <bool centred, typename T, int vectors>
HWY_INLINE void layer_norm_backward_row(const T* dy, const T* x, const T* scale, T mean, T rstd,
                                        Length<vectors> length, T* dx) {
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
  const double sum = centred ? sum_over(d, length, gradient) : 0;
  const double dot = sum_over(d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    return hn::Mul(gradient(i, count), normalized(i, count));
  });
  const auto mean_g = hn::Set(d, static_cast<T>(sum / static_cast<double>(length.n)));
  const auto mean_gx = hn::Set(d, static_cast<T>(dot / static_cast<double>(length.n)));
  over_row(d, length, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    fetch_next_row(x, length, i);
    fetch_next_row(dy, length, i);
    const auto rest = hn::NegMulAdd(normalized(i, count), mean_gx, hn::Sub(gradient(i, count), mean_g));
    store(hn::Mul(rest, factor), d, dx + i, count);
  });
}

/// dscale += Σ dy·x̂ and dshift += Σ dy over the rows, in float64. Without means (null) these are 0.
template <typename T>
void layer_norm_parameters_rows(const T* dy, const T* x, const T* mean, const T* rstd, std::int64_t stride,
                                std::int64_t rows, std::int64_t n, double* dscale, double* dshift) {
  const F64 d;
  const hn::Rebind<T, F64> half;
  const auto widened = [&](auto v) HWY_ATTR {
    if constexpr (std::is_same_v<T, double>) {
      return v;
    } else {
      return hn::PromoteTo(d, v);
    }
  };
  over_range(d, 0, n, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    auto scale = load(d, dscale + i, count);
    auto shift = load(d, dshift + i, count);
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto g = load(half, dy + r * stride + i, count);
      const auto centred =
          hn::Sub(load(half, x + r * stride + i, count), hn::Set(half, mean == nullptr ? T(0) : mean[r]));
      scale = hn::Add(scale, widened(hn::Mul(g, hn::Mul(centred, hn::Set(half, rstd[r])))));
      shift = hn::Add(shift, widened(g));
    }
    store(scale, d, dscale + i, count);
    store(shift, d, dshift + i, count);
  });
}

/// The kernels: each goes through its rows.
template <typename T>
struct RowLoops {
  static void softmax(const T* x, std::int64_t rows, std::int64_t n, T* y) {
    for_rows<T>(rows, n,
                [&](std::int64_t r, auto length) HWY_ATTR { softmax_row(x + r * n, length, y + r * n); });
  }
  static void softmax_backward(const T* y, const T* dy, std::int64_t rows, std::int64_t n, T* dx) {
    for_rows<T>(rows, n, [&](std::int64_t r, auto length) HWY_ATTR {
      softmax_backward_row(y + r * n, dy + r * n, length, dx + r * n);
    });
  }
  static void log_softmax_backward(const T* y, const T* dy, std::int64_t rows, std::int64_t n, T* dx) {
    for_rows<T>(rows, n, [&](std::int64_t r, auto length) HWY_ATTR {
      log_softmax_backward_row(y + r * n, dy + r * n, length, dx + r * n);
    });
  }
  static void exp_scaled(const T* x, const T* lse, const T* factor, std::int64_t rows, std::int64_t n,
                         T* dx) {
    for_rows<T>(rows, n, [&](std::int64_t r, auto length) HWY_ATTR {
      exp_scaled_row(x + r * n, lse[r], factor[r], length, dx + r * n);
    });
  }
  template <bool centred>
  static void normalize(const T* x, const T* scale, const T* shift, double epsilon, std::int64_t rows,
                        std::int64_t n, T* y, T* mean, T* rstd) {
    for_rows<T>(rows, n, [&](std::int64_t r, auto length) HWY_ATTR {
      layer_norm_row<centred>(x + r * n, scale, shift, epsilon, length, y + r * n,
                              centred ? mean + r : nullptr, rstd + r);
    });
  }
  template <bool centred>
  static void normalize_backward(const T* dy, const T* x, const T* scale, const T* mean, const T* rstd,
                                 std::int64_t rows, std::int64_t n, T* dx) {
    for_rows<T>(rows, n, [&](std::int64_t r, auto length) HWY_ATTR {
      layer_norm_backward_row<centred>(dy + r * n, x + r * n, scale, centred ? mean[r] : T(0), rstd[r],
                                       length, dx + r * n);
    });
  }
  static constexpr RowKernels<T> table{softmax,
                                       softmax_backward,
                                       log_softmax_rows<T>,
                                       log_softmax_backward,
                                       logsumexp_rows<T>,
                                       exp_scaled,
                                       normalize<true>,
                                       normalize_backward<true>,
                                       normalize<false>,
                                       normalize_backward<false>,
                                       layer_norm_parameters_rows<T>};
};

inline const RowKernels<float>* float_row_kernels() { return &RowLoops<float>::table; }
inline const RowKernels<double>* double_row_kernels() { return &RowLoops<double>::table; }

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::kernels
HWY_AFTER_NAMESPACE();

#endif
