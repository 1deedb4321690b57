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
/// four or five steps deep.
template <typename T, typename Step>
double ten_chains(std::int64_t steps, T start, const Step& step) {
  const hn::ScalableTag<T> d;
  // Read anew for each chain: the compiler must not see that the chains are one, or what they come to.
  const volatile T opaque = start;
  auto a = hn::Set(d, opaque), b = hn::Set(d, opaque), c = hn::Set(d, opaque), e = hn::Set(d, opaque);
  auto f = hn::Set(d, opaque), g = hn::Set(d, opaque), h = hn::Set(d, opaque), i = hn::Set(d, opaque);
  auto j = hn::Set(d, opaque), k = hn::Set(d, opaque);
  for (std::int64_t s = 0; s < steps; ++s) {
    a = step(a), b = step(b), c = step(c), e = step(e), f = step(f);
    g = step(g), h = step(h), i = step(i), j = step(j), k = step(k);
  }
  const auto sum = hn::Add(hn::Add(hn::Add(a, b), hn::Add(c, e)),
                           hn::Add(hn::Add(f, g), hn::Add(hn::Add(h, i), hn::Add(j, k))));
  return static_cast<double>(hn::GetLane(sum));
}

template <typename T>
double multiply_add_chain(std::int64_t steps) {
  const auto half = hn::Set(hn::ScalableTag<T>(), T(0.5));
  return ten_chains<T>(steps, T(1), [half](auto x) HWY_ATTR { return hn::MulAdd(x, half, half); });
}

double multiply_adds_float(std::int64_t steps) { return multiply_add_chain<float>(steps); }
double multiply_adds_double(std::int64_t steps) { return multiply_add_chain<double>(steps); }
double divisions(std::int64_t steps) {
  const auto half = hn::Set(hn::ScalableTag<float>(), 1.5F);
  return ten_chains<float>(steps, 1.25F, [half](auto x) HWY_ATTR { return hn::Div(half, x); });
}
double roots(std::int64_t steps) {
  return ten_chains<float>(steps, 1.25F, [](auto x) HWY_ATTR { return hn::Sqrt(x); });
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
          .multiply_adds_float = multiply_adds_float,
          .multiply_adds_double = multiply_adds_double,
          .divisions = divisions,
          .roots = roots,
          .read = read,
          .update = update};
}

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
