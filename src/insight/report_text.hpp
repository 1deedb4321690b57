#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Text for the report: escaping, numbers as people write them, tables to download.
namespace chainrule::report {

/// `text` for HTML content and quoted attributes: the five special characters as entities, bytes that
/// are not UTF-8 as U+FFFD, control characters (but newline and tab) and those that reverse the
/// direction of writing left out, at most `limit` characters, then an ellipsis.
std::string escape(std::string_view text, std::size_t limit = 160);

/// A layer's path, escaped, that may break after its dots.
std::string escape_path(std::string_view path, std::size_t limit = 160);

/// Four significant digits or as many as asked for: `0.3421`, `−12.5`, `3.2·10⁻⁵`, `NaN`, `∞`.
std::string number(double value, int significant = 4);

/// `3.2·10⁻⁵`, `10⁴`; of a finite number that is not 0.
std::string scientific(double value, int significant);

/// `number` without the zeros at its end: `2`, `0.01`.
std::string trimmed(double value, int significant = 3);

/// A fixed number of decimals, with a typographic minus.
std::string fixed(double value, int decimals);

/// `60,000`
std::string grouped(std::int64_t value);

/// The nearest whole number, kept within 64 bits; 0 for NaN.
std::int64_t whole(double value);

/// `87.3 %` of a share of 0.873, with a space that does not break.
std::string percent(double share, int decimals = 1);

/// `12.3 k`, `4.56 M`; an em dash for a negative, that is unknown, count. `unit` follows the prefix.
std::string with_prefix(std::int64_t value, std::string_view unit = "");

/// `8.2 s`, `4 min 12 s`, `2 h 5 min`
std::string duration(double seconds);

/// `87.3 ± 0.3`: as many decimals as the standard error's first digit asks for.
std::string with_error(double value, double standard_error);

/// Whether a number can be drawn: finite, and not so large that a difference of two overflows.
bool drawable(double value);

/// A table of numbers as comma-separated values (RFC 4180) behind a link that needs no server.
class Csv {
 public:
  explicit Csv(std::initializer_list<std::string_view> header);
  Csv& cell(double value);
  Csv& cell(std::int64_t value);
  /// Quoted where needed; a leading = + - @ is disarmed, which a spreadsheet would run as a formula.
  Csv& cell(std::string_view text);
  void end_row();
  const std::string& text() const { return text_; }
  /// `<a download="file_name" href="data:text/csv,…">label</a>`
  std::string link(std::string_view file_name, std::string_view label = "Download numbers") const;

 private:
  void separate();
  std::string text_;
  bool row_begun_ = false;
};

}  // namespace chainrule::report
