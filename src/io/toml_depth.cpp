#include <algorithm>

#include "io/toml.hpp"

namespace chainrule::io {
namespace {

constexpr int most_parts = 32;

// Just enough of TOML's grammar to know which dots separate the parts of a key: strings and comments.
class DepthScanner {
 public:
  explicit DepthScanner(std::string_view text) : text_(text) {}

  std::uint64_t run() {
    int dots = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == '"' || c == '\'') {
        skip_string(c);
      } else {
        if (c == '.' && ++dots >= most_parts) return line();
        if (std::string_view("=,[]{}\n").find(c) != std::string_view::npos) dots = 0;
        ++at_;
      }
    }
    return 0;
  }

 private:
  std::uint64_t line() const {
    return 1 + static_cast<std::uint64_t>(
                   std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at_), '\n'));
  }
  void skip_string(char mark) {
    const std::string triple(3, mark);
    const bool multi_line = text_.substr(at_, 3) == triple;
    const std::string_view close =
        multi_line ? std::string_view(triple) : std::string_view(triple).substr(0, 1);
    at_ += close.size();
    while (at_ < text_.size() && text_.substr(at_, close.size()) != close) {
      if (!multi_line && text_[at_] == '\n') return;  // never closed, which the parser will say
      at_ += mark == '"' && text_[at_] == '\\' ? 2 : 1;
    }
    at_ = std::min(at_ + close.size(), text_.size());
    // A multi-line string may end in up to two quotes of its own.
    for (int i = 0; multi_line && i < 2 && at_ < text_.size() && text_[at_] == mark; ++i) ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::uint64_t line_of_deep_key(std::string_view text) { return DepthScanner(text).run(); }

}  // namespace chainrule::io
