#include "insight/readable.hpp"

#include <algorithm>
#include <array>

#include "graph/op.hpp"

namespace chainrule::insight {
namespace {

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// The place of the parenthesis that closes the one at `open`; npos where none does.
std::size_t closing(const std::string& text, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
    if (depth == 0) return i;
  }
  return std::string::npos;
}

// `name(inside)` becomes `inside`, wherever it stands.
void unwrap(std::string& text, const std::string& opening) {
  for (std::size_t at = text.find(opening); at != std::string::npos; at = text.find(opening, at)) {
    const std::size_t close = closing(text, at + opening.size() - 1);
    if (close == std::string::npos) return;
    text.erase(close, 1);
    text.erase(at, opening.size());
  }
}

// `, axes=[1]` and the like, up to the parenthesis or comma after it.
void drop_attribute(std::string& text, std::string_view name) {
  const std::string begin = ", " + std::string(name) + "=";
  for (std::size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at)) {
    std::size_t end = at + begin.size();
    if (end < text.size() && text[end] == '[') end = std::min(text.find(']', end), text.size() - 1) + 1;
    while (end < text.size() && text[end] != ',' && text[end] != ')' && text[end] != '}') ++end;
    text.erase(at, end - at);
  }
}

// `where(isfinite(m), m, 0)` and `where(isinf(m), 0, m)` are m: infinities are not what a formula is read
// for.
void drop_guards(std::string& text, const std::string& begin, bool value_first) {
  for (std::size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at + 1)) {
    const std::size_t close = closing(text, at + 5);
    const std::size_t inner = closing(text, at + begin.size() - 1);
    if (close == std::string::npos || inner == std::string::npos) return;
    const std::string value = text.substr(at + begin.size(), inner - at - begin.size());
    const std::string guarded = value_first ? "), " + value + ", 0" : "), 0, " + value;
    if (text.substr(inner, close - inner) == guarded) text.replace(at, close + 1 - at, value);
  }
}

// What makes shapes fit says nothing about the mathematics: `reshape(ȳ, shape=[1, 4])` is ȳ, and
// `broadcast_to(0, shape=[3, 4])` is 0. An op whose gradient is such a change alone keeps it.
std::string without_shapes(std::string text) {
  for (const std::string opening : {"reshape(", "broadcast_to("}) {
    for (std::size_t at = text.find(opening); at != std::string::npos; at = text.find(opening, at + 1)) {
      const std::size_t close = closing(text, at + opening.size() - 1);
      if (close == std::string::npos || (at == 0 && close + 1 == text.size())) continue;
      std::string inner = text.substr(at + opening.size(), close - at - opening.size());
      const std::size_t shape = inner.rfind(", shape=[");
      if (shape == std::string::npos || inner.find(']', shape) + 1 != inner.size()) continue;
      inner.resize(shape);
      const bool is_sum =
          inner.find(' ') != std::string::npos && closing(inner, inner.find('(')) + 1 != inner.size();
      text.replace(at, close + 1 - at, is_sum ? "(" + inner + ")" : inner);
    }
  }
  drop_guards(text, "where(isinf(", false);
  return text;
}

}  // namespace

std::string readable_definition(std::string text) {
  unwrap(text, "stop_gradient(");
  unwrap(text, "\\operatorname{stop}(");
  // In LaTeX attributes stand in \text{}, all of them together.
  for (std::size_t at = text.find(", \\text{"); at != std::string::npos; at = text.find(", \\text{", at))
    text.erase(at, std::min(text.find('}', at), text.size() - 1) + 1 - at);
  for (const std::string_view name : {"axes", "axis", "keepdims", "shape"}) drop_attribute(text, name);
  unwrap(text, "reshape(");
  drop_guards(text, "where(isfinite(", true);
  for (const std::string largest : {"max(x)", "\\operatorname{max}\\left(x\\right)"}) {
    if (count_of(text, largest) < 2) continue;
    replace_all(text, largest, "m");
    text += (largest[0] == '\\' ? ",\\quad m = " : ",  m = ") + largest;
  }
  return text;
}

std::string readable_backward(const std::string& text, TextStyle style) {
  const std::size_t open = text.find('(');
  if (style == TextStyle::latex || open == std::string::npos) return text;
  const std::string name = text.substr(0, open);
  const OpDef* op = name.ends_with("_backward") ? find_op(name) : nullptr;
  if (op == nullptr || op->definition == nullptr || closing(text, open) + 1 != text.size())
    return without_shapes(text);
  std::string definition = readable_definition(definition_text(name));
  std::string same = name + "(";  // the call, where what is passed is named as the arguments are
  for (const std::string_view argument : op->arguments)
    same += (same.ends_with('(') ? "" : ", ") + std::string(argument);
  same += ")";
  for (std::string* shown : {&definition, &same}) replace_all(*shown, "y_bar", "y\u0304");
  return text == same ? definition : text + ",  where " + name + " is " + definition;
}

}  // namespace chainrule::insight
