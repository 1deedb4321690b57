#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <chainrule/export.hpp>

namespace chainrule {

/// The upper half of an IEEE binary32: 8 exponent bits, 8 bits of precision. Stored, converted, never
/// computed with: arithmetic happens in float.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  /// Rounds to nearest, ties to even; a NaN stays a (quiet) NaN.
  explicit bfloat16(float value) {
    const auto wide = std::bit_cast<std::uint32_t>(value);
    const bool is_nan = (wide & 0x7fffffffU) > 0x7f800000U;
    const std::uint32_t rounded = wide + 0x7fffU + ((wide >> 16) & 1U);
    bits = static_cast<std::uint16_t>((is_nan ? (wide | 0x00400000U) : rounded) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

/// The type of a tensor's elements. The order is that of promotion within each category.
enum class DType : std::uint8_t { boolean, uint8, int32, int64, bfloat16, float32, float64 };

inline constexpr int dtype_count = 7;

/// bool < integer < floating: promotion looks at the category first.
enum class DTypeCategory : std::uint8_t { boolean, integer, floating };

/// "bool", "uint8", "int32", "int64", "bfloat16", "float32", "float64".
CHAINRULE_API std::string_view dtype_name(DType dtype);
/// Bytes of one element.
CHAINRULE_API std::size_t dtype_size(DType dtype);
CHAINRULE_API DTypeCategory dtype_category(DType dtype);
/// The dtype of a result of two operands: the higher category wins; within a category the wider one.
/// (PyTorch's rules for tensors with dimensions; bfloat16 with float32 is float32.)
CHAINRULE_API DType promote(DType a, DType b);
/// The dtype called `name`. Throws ArgumentError for an unknown one.
CHAINRULE_API DType dtype_from_name(std::string_view name);

inline bool is_floating(DType dtype) { return dtype_category(dtype) == DTypeCategory::floating; }

/// The C++ types that a tensor can hold.
template <typename T>
concept Element = std::same_as<T, bool> || std::same_as<T, std::uint8_t> || std::same_as<T, std::int32_t> ||
    std::same_as<T, std::int64_t> || std::same_as<T, bfloat16> || std::same_as<T, float> ||
    std::same_as<T, double>;

template <Element T>
constexpr DType dtype_of() {
  if constexpr (std::same_as<T, bool>) return DType::boolean;
  if constexpr (std::same_as<T, std::uint8_t>) return DType::uint8;
  if constexpr (std::same_as<T, std::int32_t>) return DType::int32;
  if constexpr (std::same_as<T, std::int64_t>) return DType::int64;
  if constexpr (std::same_as<T, bfloat16>) return DType::bfloat16;
  if constexpr (std::same_as<T, float>) return DType::float32;
  return DType::float64;
}

}  // namespace chainrule
