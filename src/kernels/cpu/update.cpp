#include "kernels/cpu/update.hpp"

#include <cmath>
#include <cstring>

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
    p = hn::Mul(p, shrink);
    g = hn::MulAdd(l2, p, g);
    m = hn::MulAdd(new_m, hn::Sub(g, m), m);
    v = hn::MulAdd(hn::Mul(new_v, g), g, hn::Mul(v, old_v));
    const V root = hn::MulAdd(hn::Sqrt(v), inverse_root_bias2, eps);
    p = hn::Add(p, hn::Div(hn::Mul(step, m), root));
  }

  V shrink, l2, new_m, old_v, new_v, inverse_root_bias2, eps, step;
};

template <class T>
void adam(T* p, T* m, T* v, const T* g, std::int64_t n, const AdamConstants& c) {
  const hn::ScalableTag<T> d;
  const auto width = static_cast<std::int64_t>(hn::Lanes(d));
  const Adam<T> rule(c);
  std::int64_t i = 0;
  for (; i + width <= n; i += width) {
    auto pi = hn::LoadU(d, p + i);
    auto mi = hn::LoadU(d, m + i);
    auto vi = hn::LoadU(d, v + i);
    rule.apply(pi, mi, vi, hn::LoadU(d, g + i));
    hn::StoreU(pi, d, p + i);
    hn::StoreU(mi, d, m + i);
    hn::StoreU(vi, d, v + i);
  }
  if (i >= n) return;
  const auto bytes = static_cast<std::size_t>(n - i) * sizeof(T);
  HWY_ALIGN T rest[4][hn::MaxLanes(hn::ScalableTag<T>())] = {};
  const T* const sources[] = {p + i, m + i, v + i, g + i};
  for (int k = 0; k < 4; ++k) std::memcpy(rest[k], sources[k], bytes);
  auto pi = hn::Load(d, rest[0]);
  auto mi = hn::Load(d, rest[1]);
  auto vi = hn::Load(d, rest[2]);
  rule.apply(pi, mi, vi, hn::Load(d, rest[3]));
  hn::Store(pi, d, rest[0]);
  hn::Store(mi, d, rest[1]);
  hn::Store(vi, d, rest[2]);
  T* const targets[] = {p + i, m + i, v + i};
  for (int k = 0; k < 3; ++k) std::memcpy(targets[k], rest[k], bytes);
}

template <class T>
struct Sgd {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;

  explicit Sgd(const SgdConstants& c)
      : l2(number(c.l2)),
        old_u(number(c.first ? 0 : c.momentum)),
        new_u(number(c.first ? 1 : 1 - c.dampening)),
        momentum(number(c.momentum)),
        step(number(-c.lr)),
        nesterov(c.nesterov) {}

  static HWY_INLINE V number(double value) { return hn::Set(D(), static_cast<T>(value)); }

  HWY_INLINE void apply(V& p, V& u, V g) const {
    g = hn::MulAdd(l2, p, g);
    u = hn::MulAdd(new_u, g, hn::Mul(old_u, u));
    p = hn::MulAdd(step, nesterov ? hn::MulAdd(momentum, u, g) : u, p);
  }

  HWY_INLINE void apply(V& p, V g) const { p = hn::MulAdd(step, hn::MulAdd(l2, p, g), p); }

  V l2, old_u, new_u, momentum, step;
  bool nesterov;
};

/// The first step does not read the velocity: a NaN there would survive the factor 0.
template <class T>
void sgd_with_momentum(T* p, T* u, const T* g, std::int64_t n, const SgdConstants& c) {
  const hn::ScalableTag<T> d;
  const auto width = static_cast<std::int64_t>(hn::Lanes(d));
  const Sgd<T> rule(c);
  std::int64_t i = 0;
  for (; i + width <= n; i += width) {
    auto pi = hn::LoadU(d, p + i);
    auto ui = c.first ? hn::Zero(d) : hn::LoadU(d, u + i);
    rule.apply(pi, ui, hn::LoadU(d, g + i));
    hn::StoreU(pi, d, p + i);
    hn::StoreU(ui, d, u + i);
  }
  if (i >= n) return;
  const auto bytes = static_cast<std::size_t>(n - i) * sizeof(T);
  HWY_ALIGN T rest[3][hn::MaxLanes(hn::ScalableTag<T>())] = {};
  std::memcpy(rest[0], p + i, bytes);
  if (!c.first) std::memcpy(rest[1], u + i, bytes);
  std::memcpy(rest[2], g + i, bytes);
  auto pi = hn::Load(d, rest[0]);
  auto ui = hn::Load(d, rest[1]);
  rule.apply(pi, ui, hn::Load(d, rest[2]));
  hn::Store(pi, d, rest[0]);
  hn::Store(ui, d, rest[1]);
  std::memcpy(p + i, rest[0], bytes);
  std::memcpy(u + i, rest[1], bytes);
}

template <class T>
void sgd_plain(T* p, const T* g, std::int64_t n, const SgdConstants& c) {
  const hn::ScalableTag<T> d;
  const auto width = static_cast<std::int64_t>(hn::Lanes(d));
  const Sgd<T> rule(c);
  std::int64_t i = 0;
  for (; i + width <= n; i += width) {
    auto pi = hn::LoadU(d, p + i);
    rule.apply(pi, hn::LoadU(d, g + i));
    hn::StoreU(pi, d, p + i);
  }
  if (i >= n) return;
  const auto bytes = static_cast<std::size_t>(n - i) * sizeof(T);
  HWY_ALIGN T rest[2][hn::MaxLanes(hn::ScalableTag<T>())] = {};
  std::memcpy(rest[0], p + i, bytes);
  std::memcpy(rest[1], g + i, bytes);
  auto pi = hn::Load(d, rest[0]);
  rule.apply(pi, hn::Load(d, rest[1]));
  hn::Store(pi, d, rest[0]);
  std::memcpy(p + i, rest[0], bytes);
}

template <class T>
void sgd(T* p, T* velocity, const T* g, std::int64_t n, const SgdConstants& c) {
  if (velocity == nullptr) {
    sgd_plain(p, g, n, c);
  } else {
    sgd_with_momentum(p, velocity, g, n, c);
  }
}

// Dispatch wants one name per type.
void adam_float(float* p, float* m, float* v, const float* g, std::int64_t n, const AdamConstants& c) {
  adam(p, m, v, g, n, c);
}
void adam_double(double* p, double* m, double* v, const double* g, std::int64_t n, const AdamConstants& c) {
  adam(p, m, v, g, n, c);
}
void sgd_float(float* p, float* u, const float* g, std::int64_t n, const SgdConstants& c) {
  sgd(p, u, g, n, c);
}
void sgd_double(double* p, double* u, const double* g, std::int64_t n, const SgdConstants& c) {
  sgd(p, u, g, n, c);
}

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(adam_float);
HWY_EXPORT(adam_double);
HWY_EXPORT(sgd_float);
HWY_EXPORT(sgd_double);

void adam_update(float* p, float* m, float* v, const float* g, std::int64_t n, const AdamConstants& c) {
  HWY_DYNAMIC_DISPATCH(adam_float)(p, m, v, g, n, c);
}

void adam_update(double* p, double* m, double* v, const double* g, std::int64_t n, const AdamConstants& c) {
  HWY_DYNAMIC_DISPATCH(adam_double)(p, m, v, g, n, c);
}

void sgd_update(float* p, float* velocity, const float* g, std::int64_t n, const SgdConstants& c) {
  HWY_DYNAMIC_DISPATCH(sgd_float)(p, velocity, g, n, c);
}

void sgd_update(double* p, double* velocity, const double* g, std::int64_t n, const SgdConstants& c) {
  HWY_DYNAMIC_DISPATCH(sgd_double)(p, velocity, g, n, c);
}

}  // namespace chainrule::kernels
#endif
