#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <chainrule/io.hpp>

#include "io/file.hpp"

namespace chainrule::io {

/// The fields of a CSV file, row by row; every row has `columns` of them. The views point into the text
/// that was parsed.
struct CsvCells {
  std::vector<std::string_view> fields;
  std::vector<std::uint64_t> lines;  ///< the line on which each row begins, counted from 1
  std::size_t columns = 0;

  std::size_t rows() const { return lines.size(); }
  std::string_view at(std::size_t row, std::size_t column) const { return fields[row * columns + column]; }
};

/// Splits `text` into fields. Doubled quotes are undone inside of `text`, which must outlive the result.
CsvCells parse_csv_cells(const FileContext& context, std::string& text, char delimiter, char quote_mark);

}  // namespace chainrule::io
