// Loops that do nothing but keep one unit of the processor busy. Once per instruction set.

#if defined(CHAINRULE_MACHINE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_MACHINE_INL_H
#undef CHAINRULE_MACHINE_INL_H
#else
#define CHAINRULE_MACHINE_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "kernels/cpu/machine.hpp"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Sixteen vectors fit every instruction set's registers; ten chains of multiply-adds fill two pipes that are
/// four or five steps deep. Each chain has a start of its own, or a compiler would see that the ten are one.
template <typename T, typename Step>
double ten_chains(const T* starts, std::int64_t steps, const Step& step) {
  const hn::ScalableTag<T> d;
  const auto start = [&](int chain) HWY_ATTR { return hn::Set(d, starts[chain]); };
  auto a = start(0), b = start(1), c = start(2), e = start(3), f = start(4);
  auto g = start(5), h = start(6), i = start(7), j = start(8), k = start(9);
  for (std::int64_t s = 0; s < steps; ++s) {
    a = step(a), b = step(b), c = step(c), e = step(e), f = step(f);
    g = step(g), h = step(h), i = step(i), j = step(j), k = step(k);
  }
  const auto sum = hn::Add(hn::Add(hn::Add(a, b), hn::Add(c, e)),
                           hn::Add(hn::Add(f, g), hn::Add(hn::Add(h, i), hn::Add(j, k))));
  return static_cast<double>(hn::GetLane(sum));
}

template <typename T>
double multiply_adds(const T* starts, std::int64_t steps) {
  const auto half = hn::Set(hn::ScalableTag<T>(), T(0.5));
  return ten_chains(starts, steps, [half](auto x) HWY_ATTR { return hn::MulAdd(x, half, half); });
}

double divisions(const float* starts, std::int64_t steps) {
  const auto three_halves = hn::Set(hn::ScalableTag<float>(), 1.5F);
  return ten_chains(starts, steps, [three_halves](auto x) HWY_ATTR { return hn::Div(three_halves, x); });
}
double roots(const float* starts, std::int64_t steps) {
  return ten_chains(starts, steps, [](auto x) HWY_ATTR { return hn::Sqrt(x); });
}

double read(const float* x, std::int64_t count) {
  const hn::ScalableTag<float> d;
  const auto n = static_cast<std::int64_t>(hn::Lanes(d));
  auto a = hn::Zero(d), b = a, c = a, e = a;
  for (std::int64_t i = 0; i + 4 * n <= count; i += 4 * n) {
    a = hn::Add(a, hn::LoadU(d, x + i));
    b = hn::Add(b, hn::LoadU(d, x + i + n));
    c = hn::Add(c, hn::LoadU(d, x + i + 2 * n));
    e = hn::Add(e, hn::LoadU(d, x + i + 3 * n));
  }
  return static_cast<double>(hn::GetLane(hn::Add(hn::Add(a, b), hn::Add(c, e))));
}

void update(float* x, std::int64_t count) {
  const hn::ScalableTag<float> d;
  const auto n = static_cast<std::int64_t>(hn::Lanes(d));
  const auto one = hn::Set(d, 1.0F);
  for (std::int64_t i = 0; i + n <= count; i += n) hn::StoreU(hn::Add(hn::LoadU(d, x + i), one), d, x + i);
}

LimitLoops limit_loops() {
  return {.float_lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<float>())),
          .multiply_adds_float = multiply_adds<float>,
          .multiply_adds_double = multiply_adds<double>,
          .divisions = divisions,
          .roots = roots,
          .read = read,
          .update = update};
}

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
