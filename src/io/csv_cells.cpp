#include "io/csv_cells.hpp"

#include <chainrule/text.hpp>

namespace chainrule::io {
namespace {

class CellParser {
 public:
  CellParser(const FileContext& context, std::string& text, char delimiter, char quote_mark)
      : context_(context), text_(text), delimiter_(delimiter), quote_(quote_mark) {}

  CsvCells parse();

 private:
  void skip_byte_order_mark();
  void check_no_nul() const;
  bool at_end() const { return at_ >= text_.size(); }
  // Bytes of the line end at `at_`: 0 where there is none.
  std::size_t line_end() const;
  bool skip_empty_line();
  void parse_row();
  std::string_view parse_field();
  std::string_view parse_quoted();
  std::string_view parse_plain();

  const FileContext& context_;
  std::string& text_;
  char delimiter_;
  char quote_;
  std::size_t at_ = 0;
  std::uint64_t line_ = 1;
  CsvCells cells_;
};

void CellParser::skip_byte_order_mark() {
  if (std::string_view(text_).starts_with("\xef\xbb\xbf")) at_ = 3;
}

void CellParser::check_no_nul() const {
  const std::size_t nul = text_.find('\0');
  if (nul == std::string::npos) return;
  context_.fail(nul, "a NUL byte: the file is not text, or text of 16 bits", {}, "text in UTF-8 or ASCII");
}

std::size_t CellParser::line_end() const {
  if (at_end()) return 0;
  if (text_[at_] == '\n') return 1;
  return text_.compare(at_, 2, "\r\n") == 0 ? 2 : 0;
}

bool CellParser::skip_empty_line() {
  const std::size_t bytes = line_end();
  at_ += bytes;
  if (bytes > 0) ++line_;
  return bytes > 0;
}

std::string_view CellParser::parse_plain() {
  const std::size_t begin = at_;
  while (!at_end() && text_[at_] != delimiter_ && line_end() == 0) {
    // RFC 4180 allows a quote at the beginning of a field only. Taken as it is, a forgotten one would
    // move all that follows by a column.
    if (text_[at_] == quote_) {
      context_.fail_at_line(line_, "a quote inside of a field that is not quoted",
                            quote(std::string_view(text_).substr(begin, at_ - begin + 1)),
                            "the whole field in quotes and the quote inside doubled");
    }
    ++at_;
  }
  return std::string_view(text_).substr(begin, at_ - begin);
}

std::string_view CellParser::parse_quoted() {
  const std::uint64_t first_line = line_;
  const std::size_t begin = ++at_;
  std::size_t end = begin;  // the content without doubled quotes ends here
  while (!at_end()) {
    if (text_[at_] == quote_) {
      const bool doubled = at_ + 1 < text_.size() && text_[at_ + 1] == quote_;
      if (!doubled) break;
      ++at_;
    } else if (text_[at_] == '\n') {
      ++line_;
    }
    text_[end++] = text_[at_++];
  }
  if (at_end()) context_.fail_at_line(first_line, "a quoted field is never closed", {}, "a closing quote");
  ++at_;
  if (!at_end() && text_[at_] != delimiter_ && line_end() == 0) {
    context_.fail_at_line(line_, "text follows the closing quote of a field",
                          quote(std::string_view(text_).substr(at_, 1)),
                          "a delimiter or the end of the line");
  }
  return std::string_view(text_).substr(begin, end - begin);
}

std::string_view CellParser::parse_field() {
  return !at_end() && text_[at_] == quote_ ? parse_quoted() : parse_plain();
}

void CellParser::parse_row() {
  const std::uint64_t first_line = line_;
  const std::size_t before = cells_.fields.size();
  cells_.fields.push_back(parse_field());
  while (!at_end() && text_[at_] == delimiter_) {
    ++at_;
    cells_.fields.push_back(parse_field());
  }
  skip_empty_line();
  const std::size_t count = cells_.fields.size() - before;
  if (cells_.columns == 0) cells_.columns = count;
  if (count != cells_.columns) {
    context_.fail_at_line(first_line, "a row has another length than the first",
                          std::to_string(count) + " fields", std::to_string(cells_.columns) + " fields");
  }
  cells_.lines.push_back(first_line);
}

CsvCells CellParser::parse() {
  check_no_nul();
  skip_byte_order_mark();
  while (!at_end()) {
    if (!skip_empty_line()) parse_row();
  }
  return std::move(cells_);
}

}  // namespace

CsvCells parse_csv_cells(const FileContext& context, std::string& text, char delimiter, char quote_mark) {
  return CellParser(context, text, delimiter, quote_mark).parse();
}

}  // namespace chainrule::io
