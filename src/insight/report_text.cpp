#include "insight/report_text.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include <chainrule/text.hpp>

namespace chainrule::report {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";
constexpr std::string_view minus = "−";
constexpr std::string_view narrow_space = "\u202F";

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

/// Bytes of the UTF-8 sequence that starts `text`, or 0 if it is none (RFC 3629: no overlong forms, no
/// surrogates, nothing past U+10FFFF).
std::size_t sequence_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(text[i])) return 0;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool outside = (first == 0xED && second > 0x9F) || (first == 0xF4 && second > 0x8F);
  return overlong || outside ? 0 : length;
}

/// Characters that no page should show: C0 and C1 controls, and the bidirectional overrides, with which
/// one name could rearrange the text around it.
bool is_hidden(std::string_view character) {
  if (character.size() == 1) {
    const auto c = static_cast<unsigned char>(character[0]);
    return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
  }
  if (character.size() == 2) return character[0] == '\xC2' && static_cast<unsigned char>(character[1]) < 0xA0;
  return (character >= "\u202A" && character <= "\u202E") || (character >= "\u2066" && character <= "\u2069");
}

void append_escaped(std::string& out, std::string_view character) {
  switch (character[0]) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    case '\'':
      out += "&#39;";
      break;
    default:
      out += character;
  }
}

std::string superscript(int exponent) {
  static constexpr std::array<std::string_view, 10> digits = {"⁰", "¹", "²", "³", "⁴",
                                                              "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string out = exponent < 0 ? "⁻" : "";
  for (const char c : fmt::format("{}", std::abs(exponent))) out += digits[static_cast<std::size_t>(c - '0')];
  return out;
}

std::string not_finite(double value) {
  if (std::isnan(value)) return "NaN";
  return value > 0 ? "∞" : "−∞";
}

std::string typographic(std::string text) {
  if (!text.empty() && text[0] == '-') text.replace(0, 1, minus);
  return text;
}

}  // namespace

std::string escape(std::string_view text, std::size_t limit) {
  std::string out;
  std::size_t characters = 0;
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    const std::string_view character = length == 0 ? replacement : text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
    if (is_hidden(character)) continue;
    if (characters++ == limit) return out + "…";
    append_escaped(out, character);
  }
  return out;
}

std::string escape_path(std::string_view path, std::size_t limit) {
  std::string out;
  for (const char c : escape(path, limit)) {
    out += c;
    if (c == '.') out += "<wbr>";
  }
  return out;
}

std::string scientific(double value, int significant) {
  const std::string text = fmt::format("{:.{}e}", value, significant - 1);
  const std::size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  std::string mantissa = text.substr(0, e);
  if (mantissa.find('.') != std::string::npos) {
    mantissa.erase(mantissa.find_last_not_of('0') + 1);
    if (mantissa.back() == '.') mantissa.pop_back();
  }
  if (mantissa == "1") return "10" + superscript(exponent);
  if (mantissa == "-1") return std::string(minus) + "10" + superscript(exponent);
  return typographic(mantissa) + "·10" + superscript(exponent);
}

std::string number(double value, int significant) {
  if (!std::isfinite(value)) return not_finite(value);
  if (value == 0) return "0";
  // The exponent after rounding: 9.9999 with three digits is 10.0.
  const std::string rounded = fmt::format("{:.{}e}", value, significant - 1);
  const int exponent = std::stoi(rounded.substr(rounded.find('e') + 1));
  if (exponent < -3 || exponent >= std::max(significant, 5)) return scientific(value, significant);
  if (exponent >= 4 && exponent + 1 >= significant) return grouped(std::llround(value));
  return typographic(fmt::format("{:.{}f}", value, std::max(0, significant - 1 - exponent)));
}

std::string trimmed(double value, int significant) {
  std::string text = number(value, significant);
  if (text.find('.') == std::string::npos || text.find("·") != std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string fixed(double value, int decimals) {
  if (!std::isfinite(value)) return not_finite(value);
  if (std::fabs(value) >= 1e9) return number(value);
  return typographic(fmt::format("{:.{}f}", value, decimals));
}

std::string grouped(std::int64_t value) { return typographic(chainrule::grouped(value)); }

std::int64_t whole(double value) {
  if (std::isnan(value)) return 0;
  return std::llround(std::clamp(value, -9e18, 9e18));
}

std::string percent(double share, int decimals) {
  return fixed(100 * share, decimals) + std::string(narrow_space) + "%";
}

std::string with_prefix(std::int64_t value, std::string_view unit) {
  if (value < 0) return "—";
  static constexpr std::array<std::string_view, 7> prefixes = {"", "k", "M", "G", "T", "P", "E"};
  auto scaled = static_cast<double>(value);
  std::size_t i = 0;
  for (; scaled >= 999.5 && i + 1 < prefixes.size(); ++i) scaled /= 1000;
  const int decimals = i == 0 || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2;
  std::string out = fmt::format("{:.{}f}", scaled, decimals);
  if (i > 0 || !unit.empty()) out += narrow_space;
  return out.append(prefixes[i]).append(unit);
}

std::string duration(double seconds) {
  if (!drawable(seconds) || seconds < 0) return "—";
  if (seconds < 0.9995) return number(1000 * seconds, 3) + std::string(narrow_space) + "ms";
  if (seconds < 59.95) return fixed(seconds, 1) + std::string(narrow_space) + "s";
  if (seconds >= 1e9) return number(seconds, 3) + std::string(narrow_space) + "s";
  const auto total = static_cast<std::int64_t>(std::llround(seconds));
  if (total < 3600) return fmt::format("{} min {} s", total / 60, total % 60);
  return fmt::format("{} h {} min", grouped(total / 3600), total % 3600 / 60);
}

std::string with_error(double value, double standard_error) {
  if (!drawable(standard_error) || standard_error <= 0) return number(value);
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(standard_error))), 0, 8);
  return fixed(value, decimals) + " ± " + fixed(standard_error, decimals);
}

bool drawable(double value) { return std::fabs(value) <= 1e150; }

Csv::Csv(std::initializer_list<std::string_view> header) {
  for (const std::string_view name : header) cell(name);
  end_row();
}

void Csv::separate() {
  if (row_begun_) text_ += ',';
  row_begun_ = true;
}

Csv& Csv::cell(double value) {
  separate();
  if (std::isfinite(value)) {
    text_ += fmt::format("{:.7g}", value);
  } else {
    text_ += std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
  }
  return *this;
}

Csv& Csv::cell(std::int64_t value) {
  separate();
  text_ += fmt::format("{}", value);
  return *this;
}

Csv& Csv::cell(std::string_view text) {
  separate();
  std::string cleaned;
  if (!text.empty() && std::string_view("=+-@\t\r").find(text[0]) != std::string_view::npos) cleaned += '\'';
  cleaned += text.substr(0, 400);
  if (cleaned.find_first_of(",\"\r\n") == std::string::npos) {
    text_ += cleaned;
    return *this;
  }
  text_ += '"';
  for (const char c : cleaned) {
    if (c == '"') text_ += '"';
    text_ += c;
  }
  text_ += '"';
  return *this;
}

void Csv::end_row() {
  text_ += '\n';
  row_begun_ = false;
}

std::string Csv::link(std::string_view file_name, std::string_view label) const {
  std::string href;
  href.reserve(text_.size() * 9 / 8);
  for (const char c : text_) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("-_.~,").find(c) != std::string_view::npos;
    if (plain) {
      href += c;
    } else {
      href += fmt::format("%{:02X}", byte);
    }
  }
  return fmt::format(R"(<a class="get" download="{}" href="data:text/csv;charset=utf-8,{}">{}</a>)",
                     escape(file_name), href, escape(label));
}

}  // namespace chainrule::report
