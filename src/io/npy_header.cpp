#include "io/npy_header.hpp"

#include <charconv>
#include <set>
#include <string>

#include <chainrule/text.hpp>

namespace chainrule::io {
namespace {

struct TypeCode {
  std::string_view code;  // without the byte order
  WireType type;
};
constexpr TypeCode type_codes[] = {
    {"b1", WireType::boolean}, {"u1", WireType::uint8},   {"i1", WireType::int8},   {"u2", WireType::uint16},
    {"i2", WireType::int16},   {"u4", WireType::uint32},  {"i4", WireType::int32},  {"i8", WireType::int64},
    {"f2", WireType::float16}, {"f4", WireType::float32}, {"f8", WireType::float64}};

class HeaderParser {
 public:
  HeaderParser(const FileContext& context, std::string_view text, std::uint64_t begin)
      : context_(context), text_(text), begin_(begin) {}

  NpyHeader parse();

 private:
  [[noreturn]] void fail(const char* problem, const std::string& wanted) const {
    context_.fail(begin_ + at_, problem, quote(text_.substr(at_)), wanted);
  }
  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  // Skips spaces, then `symbol` if it comes next.
  bool accept(std::string_view symbol) {
    skip_spaces();
    if (text_.substr(at_, symbol.size()) != symbol) return false;
    at_ += symbol.size();
    return true;
  }
  void expect(std::string_view symbol) {
    if (!accept(symbol)) fail("the NPY header is malformed", quote(symbol));
  }
  std::string_view parse_string();
  bool parse_bool();
  ElementFormat parse_descr();
  std::int64_t parse_length();
  Shape parse_shape();

  const FileContext& context_;
  std::string_view text_;
  std::uint64_t begin_;
  std::size_t at_ = 0;
};

std::string_view HeaderParser::parse_string() {
  skip_spaces();
  const char delimiter = at_ < text_.size() ? text_[at_] : '\0';
  if (delimiter != '\'' && delimiter != '"') fail("the NPY header is malformed", "a string");
  const std::size_t end = text_.find(delimiter, at_ + 1);
  if (end == std::string_view::npos) fail("the NPY header is malformed", "the end of the string");
  const std::string_view content = text_.substr(at_ + 1, end - at_ - 1);
  at_ = end + 1;
  return content;
}

bool HeaderParser::parse_bool() {
  if (accept("True")) return true;
  if (accept("False")) return false;
  fail("the NPY header is malformed", "True or False");
}

ElementFormat HeaderParser::parse_descr() {
  static const char* const readable = "bool, int8 to int64, uint8 to uint32, float16 to float64";
  skip_spaces();
  const std::size_t start = at_;
  if (start < text_.size() && text_[start] == '[') fail("records can't be read as an array", readable);
  const std::string_view descr = parse_string();
  const char order = descr.empty() ? '\0' : descr.front();
  const bool has_order = order == '<' || order == '>' || order == '|' || order == '=';
  for (const TypeCode& known : type_codes) {
    if (descr.substr(has_order ? 1 : 0) == known.code) return {known.type, order == '>'};
  }
  at_ = start;
  fail(descr == "|O" ? "pickled Python objects are never read" : "an NPY dtype that can't be read", readable);
}

std::int64_t HeaderParser::parse_length() {
  skip_spaces();
  std::int64_t value = 0;
  const char* end = text_.data() + text_.size();
  const auto [stop, status] = std::from_chars(text_.data() + at_, end, value);
  if (status != std::errc() || value < 0) fail("the NPY shape is malformed", "a length from 0 to 2^63 - 1");
  at_ = static_cast<std::size_t>(stop - text_.data());
  accept("L");  // Python 2 wrote long integers so
  return value;
}

Shape HeaderParser::parse_shape() {
  Shape shape;
  expect("(");
  while (!accept(")")) {
    if (shape.size() == max_rank) fail("an array has too many dimensions", "at most 8");
    shape.push_back(parse_length());
    if (accept(",")) continue;
    expect(")");
    // (3) is a number in Python, not a tuple of one.
    if (shape.size() == 1) fail("the NPY shape is malformed", "a comma after a single length");
    break;
  }
  return shape;
}

NpyHeader HeaderParser::parse() {
  NpyHeader header;
  std::set<std::string_view> seen;
  expect("{");
  while (!accept("}")) {
    const std::size_t start = at_;
    const std::string_view key = parse_string();
    expect(":");
    if (key == "descr") {
      header.format = parse_descr();
    } else if (key == "fortran_order") {
      header.fortran_order = parse_bool();
    } else if (key == "shape") {
      header.shape = parse_shape();
    } else {
      at_ = start;
      fail("the NPY header has an unknown key", "'descr', 'fortran_order' and 'shape'");
    }
    if (!seen.insert(key).second) fail("a key of the NPY header comes twice", "each key once");
    if (accept(",")) continue;
    expect("}");
    break;
  }
  skip_spaces();
  if (at_ != text_.size()) fail("text follows the NPY header's dict", "spaces");
  if (seen.size() != 3) fail("the NPY header is incomplete", "'descr', 'fortran_order' and 'shape'");
  return header;
}

}  // namespace

NpyHeader parse_npy_header(const FileContext& context, std::string_view text, std::uint64_t begin) {
  return HeaderParser(context, text, begin).parse();
}

}  // namespace chainrule::io
