#pragma once

#include <string>

/// Times and rates as the terminal shows them.
namespace chainrule::insight {

/// "2.6 GFLOP/s", "812 kB": three digits and a prefix.
std::string scaled(double value, const char* unit);
/// "6.412 µs", "1.23 ms", "2 s": four digits.
std::string short_duration(double seconds);
/// Text at the right of so many columns; at the left: padded().
std::string right_aligned(const std::string& text, std::size_t width);

}  // namespace chainrule::insight
