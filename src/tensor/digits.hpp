#pragma once

#include <charconv>
#include <string>

/// Numbers in decimal digits, always with a point: what printf and std::to_string make of them follows the
/// locale of the host program.
namespace chainrule {

namespace detail {
inline std::string digits_of(double value, std::chars_format format, int precision) {
  // The widest: a sign, the 309 digits before the point of the largest double, a point and the decimals.
  std::string text(static_cast<std::size_t>(320 + precision), '\0');
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value, format, precision).ptr;
  text.resize(static_cast<std::size_t>(end - text.data()));
  return text;
}
}  // namespace detail

/// As printf's %.Nf, %.Ne and %.Ng in the C locale.
inline std::string fixed_digits(double value, int decimals) {
  return detail::digits_of(value, std::chars_format::fixed, decimals);
}
inline std::string scientific_digits(double value, int decimals) {
  return detail::digits_of(value, std::chars_format::scientific, decimals);
}
inline std::string general_digits(double value, int digits) {
  return detail::digits_of(value, std::chars_format::general, digits);
}

}  // namespace chainrule
