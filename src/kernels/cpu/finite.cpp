#include "kernels/cpu/finite.hpp"

#include <atomic>
#include <bit>
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

std::int64_t largest_of_range(const float* x, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(largest_bits_32)(x, count);
}
std::int64_t largest_of_range(const double* x, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(largest_bits_64)(x, count);
}
std::int64_t largest_of_range(const bfloat16* x, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(largest_bits_16)(&x->bits, count);
}

// Of elements without gaps, in whichever order; 0 for none, whose data may be null.
template <typename T>
std::int64_t largest_of(const Array& array) {
  constexpr std::int64_t grain = 65536;
  const std::int64_t count = array.size();
  if (count == 0) return 0;
  if (count <= grain) return largest_of_range(array.as<T>(), count);
  std::atomic<std::int64_t> largest{0};
  parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t found = largest_of_range(array.as<T>() + begin, end - begin);
    std::int64_t known = largest.load(std::memory_order_relaxed);
    while (known < found && !largest.compare_exchange_weak(known, found, std::memory_order_relaxed)) {
    }
  });
  return largest.load();
}

// Where a number's exponent lies among its bits, and by how much it is too large there.
struct ExponentBits {
  int mantissa_bits;
  int bias;
  int infinite() const { return 2 * bias + 1; }  // what infinity and NaN have
};

ExponentBits exponent_bits(DType dtype) {
  if (dtype == DType::float64) return {52, 1023};
  return {dtype == DType::bfloat16 ? 7 : 23, 127};
}

int largest_exponent_bits(const Array& array) {
  const std::int64_t largest = array.dtype == DType::float64    ? largest_of<double>(array)
                               : array.dtype == DType::bfloat16 ? largest_of<bfloat16>(array)
                                                                : largest_of<float>(array);
  return static_cast<int>(largest >> exponent_bits(array.dtype).mantissa_bits);
}

}  // namespace

bool is_gapless(const Array& array) {
  if (array.size() == 0) return true;
  std::int64_t covered = 1;
  for (int pass = 0; pass < array.shape.size(); ++pass) {
    for (int axis = 0; axis < array.shape.size(); ++axis) {
      if (array.shape[axis] > 1 && array.strides[axis] == covered) covered *= array.shape[axis];
    }
  }
  return covered == array.size();
}

bool all_finite(const Array& array) {
  return !is_floating(array.dtype) || largest_exponent_bits(array) < exponent_bits(array.dtype).infinite();
}

std::optional<int> magnitude_exponent(const Array& array) {
  const ExponentBits bits = exponent_bits(array.dtype);
  const int largest = largest_exponent_bits(array);
  if (largest == bits.infinite()) return {};
  return largest - bits.bias + 1;
}

}  // namespace chainrule::kernels
#endif
