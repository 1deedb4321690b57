#include "insight/units.hpp"

#include <fmt/format.h>

#include "insight/explain_text.hpp"

namespace chainrule::insight {

std::string scaled(double value, const char* unit) {
  static constexpr const char* prefixes[] = {"", "k", "M", "G", "T"};
  std::size_t i = 0;
  for (; value >= 1000 && i + 1 < std::size(prefixes); ++i) value /= 1000;
  return fmt::format("{:.3g} {}{}", value, prefixes[i], unit);
}

std::string short_duration(double seconds) {
  if (seconds < 1e-3) return fmt::format("{:.4g} µs", seconds * 1e6);
  return seconds < 1 ? fmt::format("{:.4g} ms", seconds * 1e3) : fmt::format("{:.4g} s", seconds);
}

std::string right_aligned(const std::string& text, std::size_t width) {
  const std::size_t used = columns(text);
  return std::string(used < width ? width - used : 0, ' ') + text;
}

}  // namespace chainrule::insight
