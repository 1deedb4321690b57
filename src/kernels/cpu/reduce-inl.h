// The inner loops of reductions, compiled once for each instruction set.
//
// A kernel class names its element T and accumulator A and has: start, run, columns, combine, finish,
// most_columns, and rows where many short rows gain from it.
// Letters: x elements, n their number, r rows; D the accumulator's vector tag, N its lanes.

#if defined(CHAINRULE_REDUCE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_REDUCE_INL_H_
#undef CHAINRULE_REDUCE_INL_H_
#else
#define CHAINRULE_REDUCE_INL_H_
#endif

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <hwy/highway.h>

#include "kernels/cpu/partial-inl.h"
#include "kernels/cpu/reduce_kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
inline constexpr bool is_float =
    std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, bfloat16>;

/// What max and min compare: bfloat16 as float, everything else as itself.
template <typename T>
using Comparable = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;

template <class D>
HWY_INLINE hn::Vec<D> load_as(D d, const float* p) {
  if constexpr (std::is_same_v<hn::TFromD<D>, float>)
    return hn::LoadU(d, p);
  else
    return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, D>(), p));
}
template <class D>
HWY_INLINE hn::Vec<D> load_as(D d, const double* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> load_as(D d, const bfloat16* p) {
  const auto value = load_widened(hn::Rebind<float, D>(), p);
  if constexpr (std::is_same_v<hn::TFromD<D>, float>)
    return value;
  else
    return hn::PromoteTo(d, value);
}

/// `count` floats or doubles; `pad` in the lanes beyond.
template <class D, typename T>
HWY_INLINE hn::Vec<D> load_part_as(D d, const T* p, std::int64_t count, T pad) {
  if constexpr (std::is_same_v<hn::TFromD<D>, T>)
    return load(d, p, count, pad);
  else
    return hn::PromoteTo(d, load(hn::Rebind<T, D>(), p, count, pad));
}

struct Add {
  static constexpr double identity = 0;
  template <class V>
  static HWY_INLINE V join(V a, V b) {
    return a + b;
  }
  template <class V>
  static HWY_INLINE V map(V x) {
    return x;
  }
};
struct Multiply : Add {
  static constexpr double identity = 1;
  template <class V>
  static HWY_INLINE V join(V a, V b) {
    return a * b;
  }
};
struct AddSquares : Add {
  template <class V>
  static HWY_INLINE V map(V x) {
    return x * x;
  }
};
// Highway's vectors have these operators only on some targets.
template <class V>
HWY_INLINE V join_lanes(Add, V a, V b) {
  return hn::Add(a, b);
}
template <class V>
HWY_INLINE V join_lanes(Multiply, V a, V b) {
  return hn::Mul(a, b);
}
template <class V>
HWY_INLINE V join_lanes(AddSquares, V a, V b) {
  return hn::Add(a, b);
}
template <class Op, class V>
HWY_INLINE V map_lanes(Op, V x) {
  if constexpr (std::is_same_v<Op, AddSquares>)
    return hn::Mul(x, x);
  else
    return x;
}

/// Sums and products of floating-point values, in float64.
template <typename Element, class Op>
struct FloatSum {
  using T = Element;
  using A = double;
  using D = hn::ScalableTag<double>;
  static constexpr std::int64_t most_columns = widest_column_block;

  static double widen(T x) {
    if constexpr (std::is_same_v<T, bfloat16>)
      return static_cast<float>(x);
    else
      return x;
  }
  static void start(A* a, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) a[i] = Op::identity;
  }
  /// All lanes together, in pairs, so that no addition waits for all before it.
  static HWY_INLINE double join_all(hn::Vec<D> value) {
    const D d;
    if constexpr (!std::is_same_v<Op, Multiply>) return hn::GetLane(hn::SumOfLanes(d, value));
    HWY_ALIGN double parts[HWY_MAX_BYTES / sizeof(double)];
    hn::Store(value, d, parts);
    for (std::int64_t half = static_cast<std::int64_t>(hn::Lanes(d)) / 2; half > 0; half /= 2) {
      for (std::int64_t k = 0; k < half; ++k) parts[k] = Op::join(parts[k], parts[k + half]);
    }
    return parts[0];
  }
  /// So many stretches of `length` elements at once, two lines of each at a time. Each is a stream for the
  /// processor's prefetching, which has only so many lines of one stream under way.
  template <int streams>
  static double stretches(const T* x, std::int64_t length) {
    const D d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    constexpr std::int64_t pair = 128 / static_cast<std::int64_t>(sizeof(T));
    hn::Vec<D> sums[streams];
    for (auto& sum : sums) sum = hn::Set(d, Op::identity);
    for (std::int64_t i = 0; i < length; i += pair) {
      // Near the end of a stretch, the beginning of what comes behind the last one.
      const std::int64_t ahead = 4 * pair + (i + 4 * pair < length ? 0 : (streams - 1) * length);
      HWY_UNROLL(8)
      for (int s = 0; s < streams; ++s) {
        const T* const from = x + s * length + i;
        __builtin_prefetch(from + ahead);
        for (std::int64_t k = 0; k < pair; k += lanes) {
          sums[s] = join_lanes(Op(), sums[s], map_lanes(Op(), load_as(d, from + k)));
        }
      }
    }
    for (int half = streams / 2; half > 0; half /= 2) {
      for (int s = 0; s < half; ++s) sums[s] = join_lanes(Op(), sums[s], sums[s + half]);
    }
    return join_all(sums[0]);
  }
  /// n elements, fewer than four vectors.
  static HWY_INLINE double short_run(const T* x, std::int64_t n) {
    const D d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    auto sum = hn::Set(d, Op::identity);
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) sum = join_lanes(Op(), sum, map_lanes(Op(), load_as(d, x + i)));
    if constexpr (!std::is_same_v<T, bfloat16>) {  // 16-bit lanes have no masks on AVX2
      if (i == n) return join_all(sum);
      const auto part = load_part_as(d, x + i, n - i, static_cast<T>(Op::identity));
      return join_all(join_lanes(Op(), sum, map_lanes(Op(), part)));
    }
    double total = join_all(sum);
    for (; i < n; ++i) total = Op::join(total, Op::map(widen(x[i])));
    return total;
  }
  static void run(const T* x, std::int64_t n, std::int64_t, A* a) {
    const D d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    constexpr std::int64_t page = 4096 / static_cast<std::int64_t>(sizeof(T));
    std::int64_t i = 0;
    double total = *a;
    for (; i + 16 * page <= n; i += 16 * page) total = Op::join(total, stretches<8>(x + i, 2 * page));
    for (; i + 4 * page <= n; i += 4 * page) total = Op::join(total, stretches<4>(x + i, page));
    if (n - i >= 4 * lanes) {
      auto a0 = hn::Set(d, Op::identity);
      auto a1 = a0;
      auto a2 = a0;
      auto a3 = a0;
      for (; i + 4 * lanes <= n; i += 4 * lanes) {
        __builtin_prefetch(x + i + page);  // the processor's own prefetching stops at the end of a page
        a0 = join_lanes(Op(), a0, map_lanes(Op(), load_as(d, x + i)));
        a1 = join_lanes(Op(), a1, map_lanes(Op(), load_as(d, x + i + lanes)));
        a2 = join_lanes(Op(), a2, map_lanes(Op(), load_as(d, x + i + 2 * lanes)));
        a3 = join_lanes(Op(), a3, map_lanes(Op(), load_as(d, x + i + 3 * lanes)));
      }
      total = Op::join(total, join_all(join_lanes(Op(), join_lanes(Op(), a0, a1), join_lanes(Op(), a2, a3))));
    }
    if (i < n) total = Op::join(total, short_run(x + i, n - i));
    *a = total;
  }
  static void rows(const T* x, std::int64_t stride, std::int64_t rows, std::int64_t n, A* a) {
    const bool are_short = n < 4 * static_cast<std::int64_t>(hn::Lanes(D()));
    for (std::int64_t r = 0; r < rows; ++r) {
      if (are_short) {
        a[r] = Op::join(a[r], short_run(x + r * stride, n));
      } else {
        run(x + r * stride, n, 0, a + r);
      }
    }
  }
  static void columns(const T* x, std::int64_t stride, std::int64_t rows, std::int64_t n, std::int64_t,
                      A* a) {
    // The processor's own prefetching follows long rows, the longer the more of them. Of short ones it loses
    // track, so that the rows below are fetched along.
    constexpr std::int64_t page = 4096 / static_cast<std::int64_t>(sizeof(T));
    if (n > page) {
      add_rows<16, false>(x, stride, rows, n, a);
    } else if (n >= page / 4 * 3) {
      add_rows<8, false>(x, stride, rows, n, a);
    } else {
      add_rows<8, true>(x, stride, rows, n, a);
    }
  }
  /// So many rows for each time that the accumulators are loaded.
  template <std::int64_t block, bool fetching>
  static void add_rows(const T* x, std::int64_t stride, std::int64_t rows, std::int64_t n, A* a) {
    const D d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    for (std::int64_t r = 0; r < rows; r += block) {
      const std::int64_t height = HWY_MIN(block, rows - r);
      const T* top = x + r * stride;
      std::int64_t j = 0;
      for (; j + 2 * lanes <= n; j += 2 * lanes) {
        auto low = hn::LoadU(d, a + j);
        auto high = hn::LoadU(d, a + j + lanes);
        for (std::int64_t k = 0; k < height; ++k) {
          const T* const from = top + k * stride + j;
          if constexpr (fetching) __builtin_prefetch(from + block * stride);
          low = join_lanes(Op(), low, map_lanes(Op(), load_as(d, from)));
          high = join_lanes(Op(), high, map_lanes(Op(), load_as(d, from + lanes)));
        }
        hn::StoreU(low, d, a + j);
        hn::StoreU(high, d, a + j + lanes);
      }
      for (; j + lanes <= n; j += lanes) {
        auto value = hn::LoadU(d, a + j);
        for (std::int64_t k = 0; k < height; ++k) {
          value = join_lanes(Op(), value, map_lanes(Op(), load_as(d, top + k * stride + j)));
        }
        hn::StoreU(value, d, a + j);
      }
      if (j == n) continue;
      for (std::int64_t k = 0; k < height; ++k) {
        for (std::int64_t i = j; i < n; ++i) a[i] = Op::join(a[i], Op::map(widen(top[k * stride + i])));
      }
    }
  }
  static void combine(A* a, const A* later, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) a[i] = Op::join(a[i], later[i]);
  }
  static void finish(const A* a, std::int64_t n, T* out) {
    for (std::int64_t i = 0; i < n; ++i) {
      if constexpr (std::is_same_v<T, bfloat16>)
        out[i] = bfloat16(static_cast<float>(a[i]));
      else
        out[i] = static_cast<T>(a[i]);
    }
  }
};

/// Reductions whose loops a compiler vectorizes by itself. Rule has: A, identity, add(A, T), join(A, A),
/// Out, result(A).
template <class Rule>
struct PlainReduction {
  using T = typename Rule::T;
  using A = typename Rule::A;
  static constexpr std::int64_t most_columns = column_block;

  static void start(A* a, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) a[i] = Rule::identity;
  }
  static void run(const T* x, std::int64_t n, std::int64_t, A* a) {
    A total = *a;
    for (std::int64_t i = 0; i < n; ++i) total = Rule::add(total, x[i]);
    *a = total;
  }
  static void columns(const T* HWY_RESTRICT x, std::int64_t stride, std::int64_t rows, std::int64_t n,
                      std::int64_t, A* HWY_RESTRICT a) {
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* HWY_RESTRICT row = x + r * stride;
      for (std::int64_t j = 0; j < n; ++j) a[j] = Rule::add(a[j], row[j]);
    }
  }
  static void combine(A* a, const A* later, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) a[i] = Rule::join(a[i], later[i]);
  }
  static void finish(const A* a, std::int64_t n, typename Rule::Out* out) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = Rule::result(a[i]);
  }
};

/// Sums and products of integers, modulo 2^64.
template <typename Element, class Op>
struct IntegerSum {
  using T = Element;
  using A = std::uint64_t;
  using Out = std::int64_t;
  static constexpr A identity = static_cast<A>(Op::identity);
  static A add(A a, T x) { return Op::join(a, Op::map(static_cast<A>(static_cast<std::int64_t>(x)))); }
  static A join(A a, A b) { return Op::join(a, b); }
  static Out result(A a) { return static_cast<Out>(a); }
};

template <typename Element, bool all>
struct Truth {
  using T = Element;
  using A = std::uint8_t;
  using Out = bool;
  static constexpr A identity = all ? 1 : 0;
  static bool is_true(T x) {
    if constexpr (std::is_same_v<T, bfloat16>)
      return (x.bits & 0x7fffU) != 0;
    else
      return x != T{0};
  }
  static A add(A a, T x) { return join(a, is_true(x) ? 1 : 0); }
  static A join(A a, A b) { return static_cast<A>(all ? (a & b) : (a | b)); }
  static Out result(A a) { return a != 0; }
};

template <typename Element, bool largest>
struct IntegerExtreme {
  using T = Element;
  using A = T;
  using Out = T;
  static constexpr A identity = largest ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max();
  static A add(A a, T x) { return join(a, x); }
  static A join(A a, A b) { return largest ? (a < b ? b : a) : (b < a ? b : a); }
  static Out result(A a) { return a; }
};

template <typename T>
HWY_INLINE Comparable<T> comparable(T x) {
  return static_cast<Comparable<T>>(x);
}

/// max or min of floating-point values; a NaN, once met, stays.
template <typename Element, bool largest>
struct FloatExtreme {
  using T = Element;
  using A = Comparable<T>;
  using D = hn::ScalableTag<A>;
  static constexpr A identity =
      largest ? -std::numeric_limits<A>::infinity() : std::numeric_limits<A>::infinity();
  static constexpr std::int64_t most_columns = column_block;

  static A join(A a, A b) {
    if (a != a) return a;
    if (b != b) return b;
    return largest ? (a < b ? b : a) : (b < a ? b : a);
  }
  template <class V>
  static HWY_INLINE V extreme(V a, V b) {
    if constexpr (largest)
      return hn::Max(a, b);
    else
      return hn::Min(a, b);
  }
  static void start(A* a, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) a[i] = identity;
  }
  static void run(const T* x, std::int64_t n, std::int64_t, A* a) {
    const D d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    std::int64_t i = 0;
    auto a0 = hn::Set(d, identity);
    auto a1 = a0;
    auto nans = hn::Zero(d);  // the bits of every NaN so far; Max and Min differ in what they make of one
    const auto add = [&](auto& sofar, auto value) HWY_ATTR {
      sofar = extreme(sofar, value);
      nans = hn::Or(nans, hn::IfThenElse(hn::Eq(value, value), hn::Zero(d), value));
    };
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
      add(a0, load_as(d, x + i));
      add(a1, load_as(d, x + i + lanes));
    }
    for (; i + lanes <= n; i += lanes) add(a0, load_as(d, x + i));
    if constexpr (!std::is_same_v<T, bfloat16>) {  // 16-bit lanes have no masks on AVX2
      if (i < n) add(a1, load_part_as(d, x + i, n - i, static_cast<T>(identity)));
      i = n;
    }
    A best = *a;
    if (!hn::AllTrue(d, hn::Eq(nans, nans))) {
      HWY_ALIGN A parts[HWY_MAX_BYTES / sizeof(A)];
      hn::Store(nans, d, parts);
      for (std::int64_t k = 0; k < lanes; ++k) best = join(best, parts[k] != parts[k] ? parts[k] : identity);
    }
    const auto all = extreme(a0, a1);
    best = join(best, hn::GetLane(largest ? hn::MaxOfLanes(d, all) : hn::MinOfLanes(d, all)));
    for (; i < n; ++i) best = join(best, comparable(x[i]));
    *a = best;
  }
  static void columns(const T* x, std::int64_t stride, std::int64_t rows, std::int64_t n, std::int64_t,
                      A* a) {
    const D d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* row = x + r * stride;
      std::int64_t j = 0;
      for (; j + lanes <= n; j += lanes) {
        const auto before = hn::LoadU(d, a + j);
        const auto value = load_as(d, row + j);
        auto best = extreme(before, value);
        best = hn::IfThenElse(hn::Eq(value, value), best, value);
        best = hn::IfThenElse(hn::Eq(before, before), best, before);
        hn::StoreU(best, d, a + j);
      }
      for (; j < n; ++j) a[j] = join(a[j], comparable(row[j]));
    }
  }
  static void combine(A* a, const A* later, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) a[i] = join(a[i], later[i]);
  }
  static void finish(const A* a, std::int64_t n, T* out) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(a[i]);
  }
};

/// The position of the first extreme; a NaN counts as more extreme than anything.
template <typename Element, bool largest>
struct ArgExtreme {
  using T = Element;
  using C = Comparable<T>;
  struct A {
    C value;
    std::int64_t index;
  };
  using Extreme =
      std::conditional_t<is_float<T>, FloatExtreme<T, largest>,
                         PlainReduction<IntegerExtreme<std::conditional_t<is_float<T>, int, T>, largest>>>;
  static constexpr std::int64_t most_columns = column_block;

  static bool is_nan(C x) { return x != x; }
  static bool better(C x, const A& a) {
    if (a.index < 0) return true;
    if (is_nan(a.value)) return false;
    return is_nan(x) || (largest ? x > a.value : x < a.value);
  }
  static void start(A* a, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) a[i] = A{C{}, -1};
  }
  static void run(const T* x, std::int64_t n, std::int64_t first, A* a) {
    constexpr std::int64_t chunk = 1024;  // small enough to be looked at twice from L1
    for (std::int64_t i = 0; i < n; i += chunk) {
      const std::int64_t length = HWY_MIN(chunk, n - i);
      C best;
      Extreme::start(&best, 1);
      Extreme::run(x + i, length, 0, &best);
      if (!better(best, *a)) continue;
      std::int64_t k = 0;
      while (is_nan(best) ? !is_nan(comparable(x[i + k])) : comparable(x[i + k]) != best) ++k;
      *a = A{best, first + i + k};
    }
  }
  static void columns(const T* x, std::int64_t stride, std::int64_t rows, std::int64_t n, std::int64_t first,
                      A* a) {
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* row = x + r * stride;
      for (std::int64_t j = 0; j < n; ++j) {
        const C value = comparable(row[j]);
        if (better(value, a[j])) a[j] = A{value, first + r};
      }
    }
  }
  static void combine(A* a, const A* later, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      if (later[i].index >= 0 && better(later[i].value, a[i])) a[i] = later[i];
    }
  }
  static void finish(const A* a, std::int64_t n, std::int64_t* out) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = a[i].index;
  }
};

/// The type-erased face of a kernel class.
template <class K>
struct Erased {
  using T = typename K::T;
  using A = typename K::A;
  static_assert(sizeof(A) <= max_accumulator_bytes);
  static void start(void* a, std::int64_t n) { K::start(static_cast<A*>(a), n); }
  static void run(const void* x, std::int64_t n, std::int64_t first, void* a) {
    K::run(static_cast<const T*>(x), n, first, static_cast<A*>(a));
  }
  static void rows(const void* x, std::int64_t stride, std::int64_t rows, std::int64_t n, void* a) {
    const auto* const from = static_cast<const T*>(x);
    auto* const to = static_cast<A*>(a);
    if constexpr (requires { K::rows(from, stride, rows, n, to); }) {
      K::rows(from, stride, rows, n, to);
    } else {
      for (std::int64_t r = 0; r < rows; ++r) K::run(from + r * stride, n, 0, to + r);
    }
  }
  static void columns(const void* x, std::int64_t stride, std::int64_t rows, std::int64_t n,
                      std::int64_t first, void* a) {
    K::columns(static_cast<const T*>(x), stride, rows, n, first, static_cast<A*>(a));
  }
  static void combine(void* a, const void* later, std::int64_t n) {
    K::combine(static_cast<A*>(a), static_cast<const A*>(later), n);
  }
  template <class Out>
  static void finish_into(const A* a, std::int64_t n, void* out,
                          void (*finish)(const A*, std::int64_t, Out*)) {
    finish(a, n, static_cast<Out*>(out));
  }
  static void finish(const void* a, std::int64_t n, void* out) {
    finish_into(static_cast<const A*>(a), n, out, &K::finish);
  }
  static constexpr ReduceKernels table{sizeof(A), start,   run,    rows,
                                       columns,   combine, finish, K::most_columns};
};

template <typename T>
const ReduceKernels* kernels_of(Reduction kind) {
  constexpr bool f = is_float<T>;
  // The class that does not apply is never named with T: IntegerSum<float> would not compile.
  using I = std::conditional_t<f, std::int32_t, T>;
  using F = std::conditional_t<f, T, float>;
  switch (kind) {
    case Reduction::sum:
      return f ? &Erased<FloatSum<F, Add>>::table : &Erased<PlainReduction<IntegerSum<I, Add>>>::table;
    case Reduction::prod:
      return f ? &Erased<FloatSum<F, Multiply>>::table
               : &Erased<PlainReduction<IntegerSum<I, Multiply>>>::table;
    case Reduction::sum_squares:
      return f ? &Erased<FloatSum<F, AddSquares>>::table
               : &Erased<PlainReduction<IntegerSum<I, AddSquares>>>::table;
    case Reduction::max:
      return f ? &Erased<FloatExtreme<F, true>>::table
               : &Erased<PlainReduction<IntegerExtreme<I, true>>>::table;
    case Reduction::min:
      return f ? &Erased<FloatExtreme<F, false>>::table
               : &Erased<PlainReduction<IntegerExtreme<I, false>>>::table;
    case Reduction::any:
      return &Erased<PlainReduction<Truth<T, false>>>::table;
    case Reduction::all:
      return &Erased<PlainReduction<Truth<T, true>>>::table;
    case Reduction::argmax:
      return &Erased<ArgExtreme<T, true>>::table;
    case Reduction::argmin:
      return &Erased<ArgExtreme<T, false>>::table;
  }
  return nullptr;
}

/// bool shares the kernels of uint8: its values are 0 and 1.
inline const ReduceKernels* find_kernels(Reduction kind, DType dtype) {
  switch (dtype) {
    case DType::boolean:
    case DType::uint8:
      return kernels_of<std::uint8_t>(kind);
    case DType::int32:
      return kernels_of<std::int32_t>(kind);
    case DType::int64:
      return kernels_of<std::int64_t>(kind);
    case DType::bfloat16:
      return kernels_of<bfloat16>(kind);
    case DType::float32:
      return kernels_of<float>(kind);
    case DType::float64:
      return kernels_of<double>(kind);
  }
  return nullptr;
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::kernels
HWY_AFTER_NAMESPACE();

#endif
