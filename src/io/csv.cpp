#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <chainrule/error.hpp>
#include <chainrule/io.hpp>
#include <chainrule/text.hpp>

#include "io/csv_cells.hpp"
#include "io/file.hpp"

namespace chainrule {
namespace {

using io::CsvCells;
using io::FileContext;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// std::from_chars takes no plus sign.
std::string_view without_plus(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+') text.remove_prefix(1);
  return text;
}

std::optional<std::int64_t> as_integer(std::string_view text) {
  text = without_plus(text);
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data(), end, value);
  if (status != std::errc() || stop != end) return std::nullopt;
  return value;
}

// A decimal number out of float64's range. Its order of magnitude decides between infinity and zero: the
// decimal exponent of its first digit that is not 0.
double beyond_range(std::string_view text) {
  const bool negative = text.front() == '-';
  const std::size_t exponent_mark = text.find_first_of("eE");
  const std::string_view mantissa = text.substr(0, exponent_mark);
  long long exponent = 0;
  if (exponent_mark != std::string_view::npos) {
    const std::string_view digits = without_plus(text.substr(exponent_mark + 1));
    const auto status = std::from_chars(digits.data(), digits.data() + digits.size(), exponent).ec;
    const long long most = std::numeric_limits<long long>::max() / 2;
    if (status == std::errc::result_out_of_range) exponent = digits.front() == '-' ? -most : most;
    exponent = std::clamp(exponent, -most, most);
  }
  const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
  const std::size_t leading = mantissa.find_first_of("123456789");
  const auto place = static_cast<long long>(point) - static_cast<long long>(leading);
  const double magnitude = exponent + place > 0 ? std::numeric_limits<double>::infinity() : 0.0;
  return negative ? -magnitude : magnitude;
}

std::optional<double> as_real(std::string_view text) {
  text = without_plus(text);
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data(), end, value);
  if (stop != end || status == std::errc::invalid_argument) return std::nullopt;
  return status == std::errc::result_out_of_range ? beyond_range(text) : value;
}

// What is common to all columns of a file that is being read.
struct Reading {
  const FileContext& context;
  const CsvCells& cells;
  std::size_t first_row;  // behind the header
  std::unordered_set<std::string_view> missing;

  std::size_t rows() const { return cells.rows() - first_row; }
  std::string_view field(std::size_t row, std::size_t column) const {
    return trimmed(cells.at(first_row + row, column));
  }
  bool is_missing(std::string_view field) const { return missing.contains(field); }
};

struct Survey {
  CsvType type = CsvType::integer;
  std::int64_t missing = 0;
};

Survey survey(const Reading& reading, std::size_t column) {
  Survey result;
  for (std::size_t row = 0; row < reading.rows(); ++row) {
    const std::string_view field = reading.field(row, column);
    if (reading.is_missing(field)) {
      ++result.missing;
    } else if (result.type == CsvType::integer && !as_integer(field)) {
      result.type = CsvType::real;
    }
    if (result.type == CsvType::real && !reading.is_missing(field) && !as_real(field)) {
      result.type = CsvType::categorical;
    }
  }
  // Integers have no value that means "missing".
  if (result.type == CsvType::integer && (result.missing > 0 || reading.rows() == 0))
    result.type = CsvType::real;
  return result;
}

void fill_categories(const Reading& reading, std::size_t column, CsvColumn& result) {
  std::set<std::string_view> names;
  for (std::size_t row = 0; row < reading.rows(); ++row) {
    const std::string_view field = reading.field(row, column);
    if (!reading.is_missing(field)) names.insert(field);
  }
  std::unordered_map<std::string_view, std::int64_t> codes;
  for (const std::string_view name : names) {
    codes.emplace(name, static_cast<std::int64_t>(result.categories.size()));
    result.categories.emplace_back(name);
  }
  auto* values = result.values.data<std::int64_t>();
  for (std::size_t row = 0; row < reading.rows(); ++row) {
    const auto code = codes.find(reading.field(row, column));
    values[row] = code == codes.end() ? -1 : code->second;
  }
}

CsvColumn read_column(const Reading& reading, std::size_t column, std::string name) {
  const Survey found = survey(reading, column);
  const DType dtype = found.type == CsvType::real ? DType::float64 : DType::int64;
  CsvColumn result{.name = std::move(name),
                   .type = found.type,
                   .values = HostArray::uninitialized(dtype, {static_cast<std::int64_t>(reading.rows())}),
                   .missing = found.missing};
  if (found.type == CsvType::categorical) {
    fill_categories(reading, column, result);
    return result;
  }
  for (std::size_t row = 0; row < reading.rows(); ++row) {
    const std::string_view field = reading.field(row, column);
    if (found.type == CsvType::integer) {
      result.values.data<std::int64_t>()[row] = as_integer(field).value_or(0);
    } else {
      const bool absent = reading.is_missing(field);
      result.values.data<double>()[row] = absent ? not_a_number : as_real(field).value_or(not_a_number);
    }
  }
  return result;
}

bool looks_like_header(const Reading& reading) {
  const CsvCells& cells = reading.cells;
  for (std::size_t column = 0; column < cells.columns; ++column) {
    const std::string_view field = trimmed(cells.at(0, column));
    if (reading.is_missing(field) || as_real(field)) return false;
  }
  if (cells.rows() == 1) return true;
  for (std::size_t column = 0; column < cells.columns; ++column) {
    if (as_real(trimmed(cells.at(1, column)))) return true;
  }
  return false;
}

// The first row's names; "column3" where there is no header or its field is empty.
std::vector<std::string> column_names(const Reading& reading, bool has_header) {
  std::vector<std::string> names;
  std::unordered_set<std::string> seen;
  for (std::size_t column = 0; column < reading.cells.columns; ++column) {
    std::string name(has_header ? trimmed(reading.cells.at(0, column)) : std::string_view());
    if (name.empty()) name = "column" + std::to_string(column);
    if (!seen.insert(name).second) {
      reading.context.fail_at_line(reading.cells.lines[0], "a column's name comes twice", quote(name),
                                   "each name once", name);
    }
    names.push_back(std::move(name));
  }
  return names;
}

void check_options(const CsvOptions& options) {
  const auto refuse = [](const char* argument, const std::string& came, const char* wanted) {
    throw ArgumentError({.function = "read_csv",
                         .argument = argument,
                         .problem = "an option that can't be used",
                         .got = came,
                         .wanted = wanted});
  };
  const auto unusable = [](char c) { return c == '\0' || c == '\n' || c == '\r'; };
  if (unusable(options.delimiter)) {
    refuse("delimiter", quote({&options.delimiter, 1}), "a character other than a line end");
  }
  if (unusable(options.quote) || options.quote == options.delimiter) {
    refuse("quote", quote({&options.quote, 1}), "a character other than a line end and the delimiter");
  }
}

}  // namespace

CsvTable::CsvTable(std::int64_t rows, std::vector<CsvColumn> columns, std::string path)
    : rows_(rows), columns_(std::move(columns)), path_(std::move(path)) {}

const CsvColumn& CsvTable::column(std::string_view name) const {
  std::vector<std::string> names;
  for (const CsvColumn& column : columns_) {
    if (column.name == name) return column;
    names.push_back(column.name);
  }
  throw ArgumentError({.function = "CsvTable::column",
                       .argument = "name",
                       .problem = "no column has this name",
                       .got = quote(name),
                       .wanted = "one of the " + std::to_string(names.size()) + " columns of " + path_,
                       .hint = suggest(name, names)});
}

CsvTable read_csv(const std::string& path, const CsvOptions& options) {
  check_options(options);
  const FileContext context{"read_csv", path};
  std::string text = io::read_text(context, std::numeric_limits<std::int64_t>::max());
  const CsvCells cells = io::parse_csv_cells(context, text, options.delimiter, options.quote);
  if (cells.rows() == 0) context.fail_at_line(1, "the file has no rows", {}, "at least one row");
  Reading reading{context, cells, 0, {options.missing.begin(), options.missing.end()}};
  const bool has_header = options.header == CsvHeader::yes ||
                          (options.header == CsvHeader::automatic && looks_like_header(reading));
  const std::vector<std::string> names = column_names(reading, has_header);
  reading.first_row = has_header ? 1 : 0;
  std::vector<CsvColumn> columns;
  for (std::size_t i = 0; i < names.size(); ++i) columns.push_back(read_column(reading, i, names[i]));
  return {static_cast<std::int64_t>(reading.rows()), std::move(columns), path};
}

}  // namespace chainrule
