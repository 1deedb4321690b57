#include "kernels/cpu/update.hpp"

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/parallel.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/update.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// The constants of one step, as vectors.
template <class T>
struct Adam {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;

  explicit Adam(const AdamConstants& c)
      : shrink(number(1 - c.lr * c.weight_decay)),
        l2(number(c.l2)),
        new_m(number(1 - c.beta1)),
        old_v(number(c.beta2)),
        new_v(number(1 - c.beta2)),
        // PyTorch divides by sqrt(bias2); the product costs a rounding and saves a division.
        inverse_root_bias2(number(1 / std::sqrt(c.bias2))),
        eps(number(c.eps)),
        step(number(-c.lr / c.bias1)) {}

  static HWY_INLINE V number(double value) { return hn::Set(D(), static_cast<T>(value)); }

  HWY_INLINE void apply(V& p, V& m, V& v, V g) const {
    g = hn::MulAdd(l2, p, g);
    p = hn::Mul(p, shrink);
    m = without_subnormals(hn::MulAdd(new_m, hn::Sub(g, m), m));
    v = hn::MulAdd(hn::Mul(new_v, g), g, hn::Mul(v, old_v));
    const V root = hn::MulAdd(hn::Sqrt(v), inverse_root_bias2, eps);
    p = hn::MulAdd(step, hn::Div(m, root), p);
  }

  // A mean whose gradient is gone for good (a dead unit, a pixel that stays black) decays to a subnormal
  // number and, rounded to even, no further. A processor that computes with those, and does not take them for
  // zero, needs some hundred cycles. Not so v: its root may be far above eps where v itself is subnormal.
  static HWY_INLINE V without_subnormals(V x) {
    return hn::IfThenZeroElse(hn::Lt(hn::Abs(x), number(std::numeric_limits<T>::min())), x);
  }
  V shrink, l2, new_m, old_v, new_v, inverse_root_bias2, eps, step;
};

template <class T>
void adam(const AdamState<const T>& old, const T* g, std::int64_t n, const AdamConstants& c,
          const AdamState<T>& next) {
  const hn::ScalableTag<T> d;
  const auto width = static_cast<std::int64_t>(hn::Lanes(d));
  const Adam<T> rule(c);
  std::int64_t i = 0;
  for (; i + width <= n; i += width) {
    auto pi = hn::LoadU(d, old.p + i);
    auto mi = hn::LoadU(d, old.m + i);
    auto vi = hn::LoadU(d, old.v + i);
    rule.apply(pi, mi, vi, hn::LoadU(d, g + i));
    hn::StoreU(pi, d, next.p + i);
    hn::StoreU(mi, d, next.m + i);
    hn::StoreU(vi, d, next.v + i);
  }
  if (i >= n) return;
  const auto bytes = static_cast<std::size_t>(n - i) * sizeof(T);
  HWY_ALIGN T rest[4][hn::MaxLanes(hn::ScalableTag<T>())] = {};
  const T* const sources[] = {old.p + i, old.m + i, old.v + i, g + i};
  for (int k = 0; k < 4; ++k) std::memcpy(rest[k], sources[k], bytes);
  auto pi = hn::Load(d, rest[0]);
  auto mi = hn::Load(d, rest[1]);
  auto vi = hn::Load(d, rest[2]);
  rule.apply(pi, mi, vi, hn::Load(d, rest[3]));
  hn::Store(pi, d, rest[0]);
  hn::Store(mi, d, rest[1]);
  hn::Store(vi, d, rest[2]);
  T* const targets[] = {next.p + i, next.m + i, next.v + i};
  for (int k = 0; k < 3; ++k) std::memcpy(targets[k], rest[k], bytes);
}

// Dispatch wants one name per type.
void adam_float(const AdamState<const float>& old, const float* g, std::int64_t n, const AdamConstants& c,
                const AdamState<float>& next) {
  adam(old, g, n, c, next);
}
void adam_double(const AdamState<const double>& old, const double* g, std::int64_t n, const AdamConstants& c,
                 const AdamState<double>& next) {
  adam(old, g, n, c, next);
}

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(adam_float);
HWY_EXPORT(adam_double);

namespace {

// Elements worth waking a thread for: a few microseconds' work.
constexpr std::int64_t adam_grain = 8192;

template <class T, class Kernel>
void adam_in_parallel(const AdamState<const T>& old, const T* g, std::int64_t n, const AdamState<T>& next,
                      const Kernel& kernel) {
  if (n <= 0) return;
  parallel_for(n, adam_grain, [&](std::int64_t begin, std::int64_t end) {
    kernel(AdamState<const T>{old.p + begin, old.m + begin, old.v + begin}, g + begin, end - begin,
           AdamState<T>{next.p + begin, next.m + begin, next.v + begin});
  });
}

}  // namespace

void adam_update(const AdamState<const float>& old, const float* g, std::int64_t n, const AdamConstants& c,
                 const AdamState<float>& next) {
  adam_in_parallel(old, g, n, next,
                   [&](const auto& from, const float* gradient, std::int64_t count, const auto& to) {
                     HWY_DYNAMIC_DISPATCH(adam_float)(from, gradient, count, c, to);
                   });
}

void adam_update(const AdamState<const double>& old, const double* g, std::int64_t n, const AdamConstants& c,
                 const AdamState<double>& next) {
  adam_in_parallel(old, g, n, next,
                   [&](const auto& from, const double* gradient, std::int64_t count, const auto& to) {
                     HWY_DYNAMIC_DISPATCH(adam_double)(from, gradient, count, c, to);
                   });
}

}  // namespace chainrule::kernels
#endif
