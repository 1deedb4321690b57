#include <cstdint>
#include <limits>

#include "kernels/cpu/lane_families.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lanes_comparison.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

#include "kernels/cpu/lane_loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

using std::int32_t;
using std::int64_t;
using std::uint8_t;

template <class T>
HWY_INLINE uint8_t equal(T a, T b) {
  return a == b;
}

template <class T>
HWY_INLINE uint8_t not_equal(T a, T b) {
  return a != b;
}

template <class T>
HWY_INLINE uint8_t less(T a, T b) {
  return a < b;
}

template <class T>
HWY_INLINE uint8_t less_equal(T a, T b) {
  return a <= b;
}

template <class T>
HWY_INLINE uint8_t greater(T a, T b) {
  return a > b;
}

template <class T>
HWY_INLINE uint8_t greater_equal(T a, T b) {
  return a >= b;
}

// Bools are read as bytes, of which every nonzero one is true.
HWY_INLINE bool truth(uint8_t a) { return a != 0; }

template <uint8_t (*compare)(int32_t, int32_t)>
HWY_INLINE uint8_t of_truth(uint8_t a, uint8_t b) {
  return compare(truth(a), truth(b));
}

HWY_INLINE uint8_t logical_and(uint8_t a, uint8_t b) { return truth(a) && truth(b); }
HWY_INLINE uint8_t logical_or(uint8_t a, uint8_t b) { return truth(a) || truth(b); }
HWY_INLINE uint8_t logical_xor(uint8_t a, uint8_t b) { return truth(a) != truth(b); }
HWY_INLINE uint8_t logical_not(uint8_t a) { return a == 0; }

template <class T>
HWY_INLINE uint8_t isnan(T a) {
  return a != a;
}

template <class T>
HWY_INLINE uint8_t isinf(T a) {
  return (a < 0 ? -a : a) == std::numeric_limits<T>::infinity();
}

template <class T>
HWY_INLINE uint8_t isfinite(T a) {
  return (a < 0 ? -a : a) < std::numeric_limits<T>::infinity();
}

constexpr LaneEntry comparison_entries[] = {
    {"equal", DType::boolean, &map2<uint8_t, uint8_t, of_truth<equal<int32_t>>>, 0},
    {"equal", DType::uint8, &map2<uint8_t, uint8_t, equal<uint8_t>>, 0},
    {"equal", DType::int32, &map2<int32_t, uint8_t, equal<int32_t>>, 0},
    {"equal", DType::int64, &map2<int64_t, uint8_t, equal<int64_t>>, 0},
    {"equal", DType::float32, &map2<float, uint8_t, equal<float>>, 0},
    {"equal", DType::float64, &map2<double, uint8_t, equal<double>>, 0},
    {"not_equal", DType::boolean, &map2<uint8_t, uint8_t, of_truth<not_equal<int32_t>>>, 0},
    {"not_equal", DType::uint8, &map2<uint8_t, uint8_t, not_equal<uint8_t>>, 0},
    {"not_equal", DType::int32, &map2<int32_t, uint8_t, not_equal<int32_t>>, 0},
    {"not_equal", DType::int64, &map2<int64_t, uint8_t, not_equal<int64_t>>, 0},
    {"not_equal", DType::float32, &map2<float, uint8_t, not_equal<float>>, 0},
    {"not_equal", DType::float64, &map2<double, uint8_t, not_equal<double>>, 0},
    {"less", DType::boolean, &map2<uint8_t, uint8_t, of_truth<less<int32_t>>>, 0},
    {"less", DType::uint8, &map2<uint8_t, uint8_t, less<uint8_t>>, 0},
    {"less", DType::int32, &map2<int32_t, uint8_t, less<int32_t>>, 0},
    {"less", DType::int64, &map2<int64_t, uint8_t, less<int64_t>>, 0},
    {"less", DType::float32, &map2<float, uint8_t, less<float>>, 0},
    {"less", DType::float64, &map2<double, uint8_t, less<double>>, 0},
    {"less_equal", DType::boolean, &map2<uint8_t, uint8_t, of_truth<less_equal<int32_t>>>, 0},
    {"less_equal", DType::uint8, &map2<uint8_t, uint8_t, less_equal<uint8_t>>, 0},
    {"less_equal", DType::int32, &map2<int32_t, uint8_t, less_equal<int32_t>>, 0},
    {"less_equal", DType::int64, &map2<int64_t, uint8_t, less_equal<int64_t>>, 0},
    {"less_equal", DType::float32, &map2<float, uint8_t, less_equal<float>>, 0},
    {"less_equal", DType::float64, &map2<double, uint8_t, less_equal<double>>, 0},
    {"greater", DType::boolean, &map2<uint8_t, uint8_t, of_truth<greater<int32_t>>>, 0},
    {"greater", DType::uint8, &map2<uint8_t, uint8_t, greater<uint8_t>>, 0},
    {"greater", DType::int32, &map2<int32_t, uint8_t, greater<int32_t>>, 0},
    {"greater", DType::int64, &map2<int64_t, uint8_t, greater<int64_t>>, 0},
    {"greater", DType::float32, &map2<float, uint8_t, greater<float>>, 0},
    {"greater", DType::float64, &map2<double, uint8_t, greater<double>>, 0},
    {"greater_equal", DType::boolean, &map2<uint8_t, uint8_t, of_truth<greater_equal<int32_t>>>, 0},
    {"greater_equal", DType::uint8, &map2<uint8_t, uint8_t, greater_equal<uint8_t>>, 0},
    {"greater_equal", DType::int32, &map2<int32_t, uint8_t, greater_equal<int32_t>>, 0},
    {"greater_equal", DType::int64, &map2<int64_t, uint8_t, greater_equal<int64_t>>, 0},
    {"greater_equal", DType::float32, &map2<float, uint8_t, greater_equal<float>>, 0},
    {"greater_equal", DType::float64, &map2<double, uint8_t, greater_equal<double>>, 0},
    {"logical_and", DType::boolean, &map2<uint8_t, uint8_t, logical_and>, 0},
    {"logical_or", DType::boolean, &map2<uint8_t, uint8_t, logical_or>, 0},
    {"logical_xor", DType::boolean, &map2<uint8_t, uint8_t, logical_xor>, 0},
    {"logical_not", DType::boolean, &map<uint8_t, uint8_t, logical_not>, 0},
    {"isnan", DType::float32, &map<float, uint8_t, isnan<float>>, 0},
    {"isnan", DType::float64, &map<double, uint8_t, isnan<double>>, 0},
    {"isinf", DType::float32, &map<float, uint8_t, isinf<float>>, 0},
    {"isinf", DType::float64, &map<double, uint8_t, isinf<double>>, 0},
    {"isfinite", DType::float32, &map<float, uint8_t, isfinite<float>>, 0},
    {"isfinite", DType::float64, &map<double, uint8_t, isfinite<double>>, 0},
    {"where", DType::boolean, &select<std::uint8_t>, 0},
    {"where", DType::uint8, &select<std::uint8_t>, 0},
    {"where", DType::int32, &select<std::uint32_t>, 0},
    {"where", DType::int64, &select<std::uint64_t>, 0},
    {"where", DType::bfloat16, &select<std::uint16_t>, 0},
    {"where", DType::float32, &select<std::uint32_t>, 0},
    {"where", DType::float64, &select<std::uint64_t>, 0},
};

LaneTable comparison_table() { return comparison_entries; }

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(comparison_table);

LaneTable comparison_lanes() { return HWY_DYNAMIC_DISPATCH(comparison_table)(); }

}  // namespace chainrule::kernels
#endif
