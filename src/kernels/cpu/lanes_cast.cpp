#include <array>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <chainrule/dtype.hpp>

#include "kernels/cpu/lane_families.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lanes_cast.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

#include "kernels/cpu/lane_loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

// Bools as bytes; bfloat16 as its bits.
struct Bool {
  std::uint8_t byte;
};

template <class T>
HWY_INLINE T load_as_number(T value) {
  return value;
}

HWY_INLINE std::int32_t load_as_number(Bool value) { return value.byte != 0 ? 1 : 0; }

HWY_INLINE float load_as_number(bfloat16 value) { return static_cast<float>(value); }

/// Truncates towards zero; what does not fit becomes the nearest end of the type, NaN becomes 0. The
/// clamping comes first, so that the conversion itself is defined for every lane and can be vectorized.
template <class Int, class Float>
HWY_INLINE Int saturate(Float value) {
  constexpr auto low = static_cast<Float>(std::numeric_limits<Int>::min());
  // The first value beyond the type, a power of two; and the largest float below it.
  constexpr auto beyond = static_cast<Float>(std::uint64_t{1} << std::numeric_limits<Int>::digits);
  constexpr Float spacing = std::numeric_limits<Float>::epsilon() / 2;
  constexpr Float high = beyond - beyond * spacing;
  const bool too_large = value >= beyond;
  value = value == value ? value : Float{0};
  value = value < low ? low : value;
  value = value > high ? high : value;
  const auto inside = static_cast<Int>(value);
  return too_large ? std::numeric_limits<Int>::max() : inside;
}

template <class To, class From>
HWY_INLINE To convert_number(From value) {
  if constexpr (std::is_same_v<To, Bool>) {
    return Bool{static_cast<std::uint8_t>(value != From{0})};
  } else if constexpr (std::is_same_v<To, bfloat16>) {
    return bfloat16(static_cast<float>(value));
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return saturate<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

template <class From, class To>
HWY_INLINE To convert(From value) {
  return convert_number<To>(load_as_number(value));
}

template <class From>
constexpr std::array<LaneKernel, dtype_count> casts_from() {
  using std::int32_t;
  using std::int64_t;
  using std::uint8_t;
  return {&map<From, Bool, convert<From, Bool>>,         &map<From, uint8_t, convert<From, uint8_t>>,
          &map<From, int32_t, convert<From, int32_t>>,   &map<From, int64_t, convert<From, int64_t>>,
          &map<From, bfloat16, convert<From, bfloat16>>, &map<From, float, convert<From, float>>,
          &map<From, double, convert<From, double>>};
}

constexpr CastTable cast_entries = {casts_from<Bool>(),         casts_from<std::uint8_t>(),
                                    casts_from<std::int32_t>(), casts_from<std::int64_t>(),
                                    casts_from<bfloat16>(),     casts_from<float>(),
                                    casts_from<double>()};

const CastTable& cast_table() { return cast_entries; }

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(cast_table);

const CastTable& cast_lanes() { return HWY_DYNAMIC_DISPATCH(cast_table)(); }

}  // namespace chainrule::kernels
#endif
