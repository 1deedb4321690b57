#include <cstdint>
#include <type_traits>

#include "kernels/cpu/lane_families.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lanes_integer.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

#include "kernels/cpu/lane_loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

using std::int32_t;
using std::int64_t;
using std::uint8_t;

// Arithmetic modulo 2^bits, through the unsigned type: signed overflow would be undefined.
template <class T>
HWY_INLINE T wrap(std::uint64_t value) {
  return static_cast<T>(value);
}

template <class T>
HWY_INLINE std::uint64_t bits(T value) {
  return static_cast<std::uint64_t>(value);
}

template <class T>
HWY_INLINE T add(T a, T b) {
  return wrap<T>(bits(a) + bits(b));
}

template <class T>
HWY_INLINE T sub(T a, T b) {
  return wrap<T>(bits(a) - bits(b));
}

template <class T>
HWY_INLINE T mul(T a, T b) {
  return wrap<T>(bits(a) * bits(b));
}

template <class T>
HWY_INLINE T maximum(T a, T b) {
  return a > b ? a : b;
}

template <class T>
HWY_INLINE T minimum(T a, T b) {
  return a < b ? a : b;
}

template <class T>
HWY_INLINE T neg(T a) {
  return wrap<T>(0 - bits(a));
}

/// The smallest integer is its own absolute value, as in NumPy.
template <class T>
HWY_INLINE T abs(T a) {
  return a < T{0} ? neg(a) : a;
}

template <class T>
HWY_INLINE T sign(T a) {
  return static_cast<T>((a > T{0}) - (a < T{0}));
}

template <class T>
HWY_INLINE T square(T a) {
  return mul(a, a);
}

/// Rounds towards -inf. Division by zero gives 0; the smallest integer over -1 wraps to itself.
template <class T>
HWY_INLINE T floor_divide(T a, T b) {
  if (b == T{0}) return T{0};
  if constexpr (std::is_signed_v<T>) {
    if (b == T{-1}) return neg(a);
  }
  const T quotient = static_cast<T>(a / b);
  const bool inexact = a % b != T{0};
  return static_cast<T>(quotient - static_cast<T>(inexact && (a < T{0}) != (b < T{0})));
}

/// a - b floor(a / b): the sign of b, as in Python. Division by zero gives 0.
template <class T>
HWY_INLINE T remainder(T a, T b) {
  if (b == T{0}) return T{0};
  if constexpr (std::is_signed_v<T>) {
    if (b == T{-1}) return T{0};
  }
  const T rest = static_cast<T>(a % b);
  return rest != T{0} && (rest < T{0}) != (b < T{0}) ? static_cast<T>(rest + b) : rest;
}

/// a - b trunc(a / b): the sign of a, as in C. Division by zero gives 0.
template <class T>
HWY_INLINE T fmod(T a, T b) {
  if (b == T{0}) return T{0};
  if constexpr (std::is_signed_v<T>) {
    if (b == T{-1}) return T{0};
  }
  return static_cast<T>(a % b);
}

constexpr LaneEntry integer_entries[] = {
    {"add", DType::uint8, &map2<uint8_t, uint8_t, add<uint8_t>>, 0},
    {"add", DType::int32, &map2<int32_t, int32_t, add<int32_t>>, 0},
    {"add", DType::int64, &map2<int64_t, int64_t, add<int64_t>>, 0},
    {"sub", DType::uint8, &map2<uint8_t, uint8_t, sub<uint8_t>>, 0},
    {"sub", DType::int32, &map2<int32_t, int32_t, sub<int32_t>>, 0},
    {"sub", DType::int64, &map2<int64_t, int64_t, sub<int64_t>>, 0},
    {"mul", DType::uint8, &map2<uint8_t, uint8_t, mul<uint8_t>>, 0},
    {"mul", DType::int32, &map2<int32_t, int32_t, mul<int32_t>>, 0},
    {"mul", DType::int64, &map2<int64_t, int64_t, mul<int64_t>>, 0},
    {"maximum", DType::uint8, &map2<uint8_t, uint8_t, maximum<uint8_t>>, 0},
    {"maximum", DType::int32, &map2<int32_t, int32_t, maximum<int32_t>>, 0},
    {"maximum", DType::int64, &map2<int64_t, int64_t, maximum<int64_t>>, 0},
    {"minimum", DType::uint8, &map2<uint8_t, uint8_t, minimum<uint8_t>>, 0},
    {"minimum", DType::int32, &map2<int32_t, int32_t, minimum<int32_t>>, 0},
    {"minimum", DType::int64, &map2<int64_t, int64_t, minimum<int64_t>>, 0},
    {"floor_divide", DType::uint8, &map2<uint8_t, uint8_t, floor_divide<uint8_t>>, 0},
    {"floor_divide", DType::int32, &map2<int32_t, int32_t, floor_divide<int32_t>>, 0},
    {"floor_divide", DType::int64, &map2<int64_t, int64_t, floor_divide<int64_t>>, 0},
    {"remainder", DType::uint8, &map2<uint8_t, uint8_t, remainder<uint8_t>>, 0},
    {"remainder", DType::int32, &map2<int32_t, int32_t, remainder<int32_t>>, 0},
    {"remainder", DType::int64, &map2<int64_t, int64_t, remainder<int64_t>>, 0},
    {"fmod", DType::uint8, &map2<uint8_t, uint8_t, fmod<uint8_t>>, 0},
    {"fmod", DType::int32, &map2<int32_t, int32_t, fmod<int32_t>>, 0},
    {"fmod", DType::int64, &map2<int64_t, int64_t, fmod<int64_t>>, 0},
    {"neg", DType::uint8, &map<uint8_t, uint8_t, neg<uint8_t>>, 0},
    {"neg", DType::int32, &map<int32_t, int32_t, neg<int32_t>>, 0},
    {"neg", DType::int64, &map<int64_t, int64_t, neg<int64_t>>, 0},
    {"abs", DType::uint8, &map<uint8_t, uint8_t, abs<uint8_t>>, 0},
    {"abs", DType::int32, &map<int32_t, int32_t, abs<int32_t>>, 0},
    {"abs", DType::int64, &map<int64_t, int64_t, abs<int64_t>>, 0},
    {"sign", DType::uint8, &map<uint8_t, uint8_t, sign<uint8_t>>, 0},
    {"sign", DType::int32, &map<int32_t, int32_t, sign<int32_t>>, 0},
    {"sign", DType::int64, &map<int64_t, int64_t, sign<int64_t>>, 0},
    {"square", DType::uint8, &map<uint8_t, uint8_t, square<uint8_t>>, 0},
    {"square", DType::int32, &map<int32_t, int32_t, square<int32_t>>, 0},
    {"square", DType::int64, &map<int64_t, int64_t, square<int64_t>>, 0},
};

LaneTable integer_table() { return integer_entries; }

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(integer_table);

LaneTable integer_lanes() { return HWY_DYNAMIC_DISPATCH(integer_table)(); }

}  // namespace chainrule::kernels
#endif
