#include "kernels/cpu/finite.hpp"

#include <atomic>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/parallel.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/finite.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// The largest of the numbers' bits without their signs, which are in the order of the numbers, infinity
/// and NaN at the end. Integers cost no subnormal number's penalty.
template <typename T>
auto largest_bits(const T* x, std::int64_t count) {
  const hn::ScalableTag<T> d;
  const hn::RebindToSigned<decltype(d)> bits;
  using Bits = hn::TFromD<decltype(bits)>;
  constexpr auto no_sign = std::numeric_limits<Bits>::max();
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto mask = hn::Set(bits, no_sign);
  hn::Vec<decltype(bits)> most[4] = {hn::Zero(bits), hn::Zero(bits), hn::Zero(bits), hn::Zero(bits)};
  std::int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    HWY_UNROLL(4)
    for (int j = 0; j < 4; ++j) {
      const auto number = hn::BitCast(bits, hn::LoadU(d, x + i + j * lanes));
      most[j] = hn::Max(most[j], hn::And(number, mask));
    }
  }
  for (; i + lanes <= count; i += lanes)
    most[0] = hn::Max(most[0], hn::And(hn::BitCast(bits, hn::LoadU(d, x + i)), mask));
  const auto all = hn::Max(hn::Max(most[0], most[1]), hn::Max(most[2], most[3]));
  HWY_ALIGN Bits each[hn::MaxLanes(hn::ScalableTag<T>())];
  hn::Store(all, bits, each);
  Bits largest = 0;
  for (std::int64_t j = 0; j < lanes; ++j) largest = HWY_MAX(largest, each[j]);
  for (; i < count; ++i) {
    const auto number = static_cast<Bits>(std::bit_cast<Bits>(x[i]) & no_sign);
    largest = HWY_MAX(largest, number);
  }
  return largest;
}

// Dispatch wants one name per type.
std::int16_t largest_bits_16(const std::uint16_t* x, std::int64_t count) { return largest_bits(x, count); }
std::int32_t largest_bits_32(const float* x, std::int64_t count) { return largest_bits(x, count); }
std::int64_t largest_bits_64(const double* x, std::int64_t count) { return largest_bits(x, count); }

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(largest_bits_16);
HWY_EXPORT(largest_bits_32);
HWY_EXPORT(largest_bits_64);

namespace {

bool finite_range(const float* x, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(largest_bits_32)(x, count) < std::bit_cast<std::int32_t>(HUGE_VALF);
}
bool finite_range(const double* x, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(largest_bits_64)(x, count) < std::bit_cast<std::int64_t>(HUGE_VAL);
}
bool finite_range(const bfloat16* x, std::int64_t count) {
  constexpr std::int16_t infinity = 0x7f80;
  return HWY_DYNAMIC_DISPATCH(largest_bits_16)(&x->bits, count) < infinity;
}

template <typename T>
bool finite(const Array& array) {
  constexpr std::int64_t grain = 65536;
  const std::int64_t count = array.size();
  if (count == 0) return true;  // data may be null
  if (count <= grain) return finite_range(array.as<T>(), count);
  std::atomic<bool> all{true};
  parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
    if (!finite_range(array.as<T>() + begin, end - begin)) all.store(false, std::memory_order_relaxed);
  });
  return all.load();
}

}  // namespace

bool all_finite(const Array& array) {
  switch (array.dtype) {
    case DType::float32:
      return finite<float>(array);
    case DType::float64:
      return finite<double>(array);
    case DType::bfloat16:
      return finite<bfloat16>(array);
    default:
      return true;
  }
}

}  // namespace chainrule::kernels
#endif
