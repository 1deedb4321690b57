// Terms as text. Infix ops are printed by the pattern of their declaration, all others as calls: a formula
// such as sigmoid's 1 / (1 + exp(-x)) explains the op; inside of an expression its name says more.

#include "expression/print.hpp"

#include <cctype>
#include <charconv>

#include "ops/declarations.hpp"

namespace chainrule::expression {
namespace {

constexpr int sum_precedence = 20;
constexpr int product_precedence = 30;
constexpr int negation_precedence = 40;
constexpr int power_precedence = 50;
constexpr int atom_precedence = 100;

struct Printed {
  std::string text;
  int precedence = atom_precedence;
};

struct Placeholder {
  std::size_t begin;  // of its opening brace
  std::size_t end;    // past its closing brace
  std::size_t argument;
};

// The shortest decimal that reads back as the same number; or, where 15 digits make it much shorter, those:
// the decimal that rounding has moved by a few units in the last place, such as 0.1 for what 1 - 0.9 gives.
std::string shortest_decimal(double value) {
  constexpr int sure_digits = 15;  // of a decimal, these survive the way into a double and back
  constexpr std::ptrdiff_t saved = 5;
  char exact[40];
  char rounded[40];
  const auto exact_end = std::to_chars(exact, exact + sizeof exact, value).ptr;
  const auto end =
      std::to_chars(rounded, rounded + sizeof rounded, value, std::chars_format::general, sure_digits).ptr;
  const bool is_moved = exact_end - exact >= (end - rounded) + saved;
  return is_moved ? std::string(rounded, end) : std::string(exact, exact_end);
}

std::string number_text(double value, TextStyle style) {
  std::string text = shortest_decimal(value);
  if (style == TextStyle::plain) return text;
  if (text == "inf") return "\\infty";
  const auto exponent = text.find('e');
  if (exponent == std::string::npos) return text;
  return text.substr(0, exponent) + " \\cdot 10^{" + std::to_string(std::stoi(text.substr(exponent + 1))) +
         "}";
}

// The next "{argument}" of a pattern from `start` on. Braces around anything else are LaTeX's own.
bool next_placeholder(std::string_view pattern, const OpDef& op, std::size_t start, Placeholder& found) {
  for (std::size_t i = pattern.find('{', start); i != std::string_view::npos; i = pattern.find('{', i + 1)) {
    for (std::size_t argument = 0; argument < op.arguments.size(); ++argument) {
      const std::string_view name = op.arguments[argument].substr(0, op.arguments[argument].find("..."));
      if (pattern.substr(i + 1, name.size()) != name || pattern.substr(i + 1 + name.size(), 1) != "}")
        continue;
      found = {i, i + name.size() + 2, argument};
      return true;
    }
  }
  return false;
}

// How tightly a LaTeX pattern holds together, from the loosest operator outside of any brackets.
int latex_precedence(std::string_view pattern, const OpDef& op) {
  if (op.text.precedence < atom_precedence && op.text.precedence != product_precedence)
    return op.text.precedence;
  int depth = 0;
  int precedence = atom_precedence;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    depth += (c == '{' || c == '(') - (c == '}' || c == ')');
    if (depth > 0) continue;
    if ((c == '+' || c == '-') && i > 0) return sum_precedence;
    if (c == '^') precedence = std::min(precedence, power_precedence);
    const bool is_product =
        pattern.substr(i, 2) == "\\," || pattern.substr(i, 5) == "\\bmod" || pattern.substr(i, 3) == "} {";
    if (is_product) precedence = product_precedence;
  }
  // \ln x: a power after it would seem to be the argument's.
  const bool open_ended = precedence == atom_precedence && pattern.starts_with('\\') && pattern.size() > 3 &&
                          pattern.substr(pattern.size() - 4, 1) == " " && pattern.ends_with('}');
  return open_ended ? negation_precedence : precedence;
}

class Printer {
 public:
  Printer(const Terms& terms, TextStyle style) : terms_(terms), style_(style) {}

  Printed print(TermId id) const {
    const Term& term = terms_[id];
    switch (term.kind) {
      case TermKind::number:
        return {number_text(term.number, style_)};
      case TermKind::symbol:
        return {symbol_text(term.name)};
      case TermKind::apply:
        break;
    }
    Printed result = print_application(term);
    if (term.output >= 0)
      result = {enclosed(result, atom_precedence).text + "[" + std::to_string(term.output) + "]"};
    return result;
  }

 private:
  bool latex() const { return style_ == TextStyle::latex; }

  std::string symbol_text(const std::string& name) const {
    if (!latex()) return name;
    if (name == "pi") return "\\pi";
    const bool is_word = name.size() > 1 && std::isalpha(static_cast<unsigned char>(name[0])) != 0 &&
                         name.find('{') == std::string::npos;
    return is_word ? "\\mathrm{" + name + "}" : name;
  }

  // In parentheses where it would come apart in a place that holds `needed` together.
  Printed enclosed(Printed inner, int needed) const {
    if (inner.precedence >= needed) return inner;
    return {latex() ? "\\left(" + inner.text + "\\right)" : "(" + inner.text + ")"};
  }

  Printed print_application(const Term& term) const {
    const OpDef& op = *term.op;
    if (&op == &ops::neg) return print_negation(term);
    if (&op == &ops::mul) return print_product(term);
    if (&op == &ops::slice) return print_slice(term);
    if (latex()) return print_latex(term);
    const std::string_view pattern = op.text.formula;
    const bool infix = op.text.precedence < atom_precedence && pattern.find('(') == std::string_view::npos &&
                       term.attributes.empty();
    return infix ? print_infix(term, pattern) : print_call(term);
  }

  // A minus in front of a product is the product's: −a b, no parentheses.
  Printed print_negation(const Term& term) const {
    const Printed inner = enclosed(print(term.arguments[0]), product_precedence);
    if (inner.text.starts_with('-'))
      return {"-" + enclosed(inner, atom_precedence + 1).text, negation_precedence};
    return {"-" + inner.text, std::min(inner.precedence, negation_precedence)};
  }

  // Factors side by side; a sign where two numbers would meet, or a fraction ends.
  Printed print_product(const Term& term) const {
    const Printed left = enclosed(print(term.arguments[0]), product_precedence);
    Printed right = enclosed(print(term.arguments[1]), product_precedence + 1);
    if (right.text.starts_with('-')) right = enclosed(right, atom_precedence + 1);
    const bool digit = std::isdigit(static_cast<unsigned char>(right.text[0])) != 0;
    const bool after_fraction = !latex() && terms_.is(term.arguments[0], ops::div);
    const char* sign = digit || after_fraction ? (latex() ? " \\cdot " : " * ") : (latex() ? " \\, " : " ");
    return {left.text + sign + right.text, product_precedence};
  }

  // What stands on the left of an operator that groups from the left may be as loose as itself. Powers are
  // written without spaces.
  Printed print_infix(const Term& term, std::string_view pattern) const {
    const int precedence = term.op->text.precedence;
    const bool groups_left = precedence == sum_precedence || precedence == product_precedence;
    std::string text;
    std::size_t at = 0;
    for (Placeholder place{}; next_placeholder(pattern, *term.op, at, place); at = place.end) {
      text += term.op == &ops::pow && at > 0 ? "^" : pattern.substr(at, place.begin - at);
      const bool first = place.begin == 0;
      const bool associative = first || term.op == &ops::add;
      Printed inner = enclosed(print(term.arguments[place.argument]),
                               groups_left && associative ? precedence : precedence + 1);
      if (!first && inner.text.starts_with('-')) inner = enclosed(inner, atom_precedence + 1);
      text += inner.text;
    }
    return {text + std::string(pattern.substr(at)), precedence};
  }

  // x[:, 2:], in LaTeX as an index below.
  Printed print_slice(const Term& term) const {
    const std::string inner = enclosed(print(term.arguments[0]), atom_precedence).text;
    if (!latex()) return {inner + term.attributes};
    std::string index;
    for (const char c : term.attributes.substr(1, term.attributes.size() - 2))
      index += c == ',' ? ",\\" : std::string(1, c);
    return {"{" + inner + "}_{" + index + "}"};
  }

  Printed print_call(const Term& term) const {
    const bool is_transpose = term.op == &ops::permute && term.attributes.empty();
    const std::string_view name = is_transpose ? "transpose" : term.op->name;
    std::string text = latex() ? "\\operatorname{" + escaped(name) + "}\\left(" : std::string(name) + "(";
    bool first = true;
    for (const TermId argument : term.arguments) {
      if (!std::exchange(first, false)) text += ", ";
      text += print(argument).text;
    }
    if (!term.attributes.empty())
      text += (first ? "" : ", ") + (latex() ? "\\text{" + escaped(term.attributes) + "}" : term.attributes);
    return {text + (latex() ? "\\right)" : ")")};
  }

  static std::string escaped(std::string_view name) {
    std::string text;
    for (const char c : name) text += c == '_' ? std::string("\\_") : std::string(1, c);
    return text;
  }

  // Between brackets an argument needs no parentheses of its own; after a function's name it does, unless it
  // is one symbol.
  Printed print_latex(const Term& term) const {
    const std::string_view pattern = term.op->text.latex;
    const int precedence = latex_precedence(pattern, *term.op);
    const bool composite = term.op->text.precedence < atom_precedence &&
                           std::string_view(term.op->text.formula).find('(') != std::string_view::npos;
    if (pattern.empty() || composite || !term.attributes.empty()) return print_call(term);
    std::string text;
    std::size_t at = 0;
    for (Placeholder place{}; next_placeholder(pattern, *term.op, at, place); at = place.end) {
      text += pattern.substr(at, place.begin - at);
      text += latex_argument(term, pattern, place, precedence).text;
    }
    return {text + std::string(pattern.substr(at)), precedence};
  }

  Printed latex_argument(const Term& term, std::string_view pattern, const Placeholder& place,
                         int precedence) const {
    const Printed inner = print(term.arguments[place.argument]);
    const char before = place.begin == 0 ? ' ' : pattern[place.begin - 1];
    const char after = place.end == pattern.size() ? ' ' : pattern[place.end];
    const bool in_table = pattern.find('&') != std::string_view::npos;
    const bool bracketed = in_table || (before == '{' && after == '}') || before == '(' || after == ')' ||
                           (before == '|' && after == '|') || before == '[';
    if (bracketed) return inner;
    const bool first = place.begin == 0;
    if (after == '^') return enclosed(inner, atom_precedence);
    if (precedence <= product_precedence) {
      const bool loose = first || term.op == &ops::add;
      const Printed shown = enclosed(inner, loose ? precedence : precedence + 1);
      return !first && shown.text.starts_with('-') ? enclosed(shown, atom_precedence + 1) : shown;
    }
    return enclosed(inner, atom_precedence);
  }

  const Terms& terms_;
  TextStyle style_;
};

}  // namespace

std::string print(const Terms& terms, TermId id, TextStyle style) {
  return Printer(terms, style).print(id).text;
}

}  // namespace chainrule::expression
