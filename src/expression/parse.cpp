// Formulas from text, by recursive descent:
//
//   comparison = sum [("<" | "<=" | ">" | ">=" | "==" | "!=") sum]
//   sum        = product {("+" | "-") product}
//   product    = unary {("*" | "/" | nothing, before a name or a parenthesis) unary}
//   unary      = ("-" | "+") unary | power
//   power      = atom ["^" unary]                 so that 2^-x and a^b^c = a^(b^c) read as usual
//   atom       = (number | name | call | "(" comparison ")") {"[" range {"," range} "]"}   as in x[:, 2:]
//   range      = [number] ":" [number] [":" number]               as NumPy's
//   call       = function "(" argument {"," argument} ")" ["[" number "]"]
//                                                                 an index chooses one of several outputs
//   argument   = comparison | name "=" value      the latter for an op's attributes, after its inputs
//   value      = ["-"] number | "true" | "false" | dtype | text in quotes | "[" [number {"," number}] "]"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include <chainrule/error.hpp>
#include <chainrule/text.hpp>

#include "expression/program.hpp"
#include "ops/declarations.hpp"

namespace chainrule {
namespace {

constexpr int deepest = 200;

enum class TokenKind : std::uint8_t { end, number, name, symbol, quoted };

struct Token {
  TokenKind kind = TokenKind::end;
  std::string_view text;
  std::size_t position = 0;
  double number = 0;
  bool spaced = false;  // white space in front of it
};

[[noreturn]] void fail(const std::string& problem, const Token& at, const std::string& wanted,
                       const std::string& hint = {}) {
  const std::string what = at.kind == TokenKind::end ? "the end of the text" : quote(at.text);
  throw ArgumentError({.function = "parse_expression",
                       .argument = "text",
                       .problem = problem,
                       .got = what + " at position " + std::to_string(at.position + 1),
                       .wanted = wanted,
                       .hint = hint});
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

// Signs that formulas use and ASCII does not have.
struct Sign {
  std::string_view utf8;
  std::string_view meaning;
};
constexpr Sign signs[] = {{"·", "*"}, {"×", "*"}, {"−", "-"}, {"≤", "<="}, {"≥", ">="}, {"≠", "!="}};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Token next() {
    const std::size_t before = at_;
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
    Token token;
    token.spaced = at_ > before;
    token.position = at_;
    if (at_ == text_.size()) return token;
    const char c = text_[at_];
    if (const Sign* sign = find_sign()) {
      token.kind = TokenKind::symbol;
      token.text = sign->meaning;
      at_ += sign->utf8.size();
    } else if (is_digit(c) || (c == '.' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1]))) {
      read_number(token);
    } else if (begins_name(c)) {
      token.kind = TokenKind::name;
      while (at_ < text_.size() && (begins_name(text_[at_]) || is_digit(text_[at_])) &&
             find_sign() == nullptr)
        ++at_;
      token.text = text_.substr(token.position, at_ - token.position);
    } else if (c == '"' && text_.find('"', at_ + 1) != std::string_view::npos) {
      token.kind = TokenKind::quoted;
      const std::size_t end = text_.find('"', at_ + 1);
      token.text = text_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
    } else {
      read_symbol(token);
    }
    return token;
  }

 private:
  const Sign* find_sign() const {
    for (const Sign& sign : signs) {
      if (text_.substr(at_).starts_with(sign.utf8)) return &sign;
    }
    return nullptr;
  }
  void read_number(Token& token) {
    const auto result = std::from_chars(text_.data() + at_, text_.data() + text_.size(), token.number);
    token.kind = TokenKind::number;
    const auto end = static_cast<std::size_t>(result.ptr - text_.data());
    token.text = text_.substr(at_, end - at_);
    at_ = end;
    if (result.ec != std::errc()) fail("this number is out of range", token, "a number that float64 holds");
  }
  void read_symbol(Token& token) {
    static constexpr std::string_view doubles[] = {"<=", ">=", "==", "!=", "**"};
    token.kind = TokenKind::symbol;
    const bool is_double =
        std::find(std::begin(doubles), std::end(doubles), text_.substr(at_, 2)) != std::end(doubles);
    token.text = text_.substr(at_, is_double ? 2 : 1);
    if (!is_double && std::string_view("+-*/^(),<>=[]:").find(token.text[0]) == std::string_view::npos) {
      fail("this sign has no meaning in a formula", token, "numbers, names, + - * / ^ ( ) , and comparisons");
    }
    at_ += token.text.size();
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

class ExpressionParser {
 public:
  ExpressionParser(std::string_view text, std::vector<std::string> variables)
      : program_(std::make_shared<Expression::Program>()), lexer_(text), any_variable_(variables.empty()) {
    program_->text = std::string(text);
    program_->variables = std::move(variables);
    advance();
  }

  Expression parse() {
    comparison();
    if (token_.kind != TokenKind::end) fail("the formula should end here", token_, "an operator or the end");
    return Expression(program_);
  }

 private:
  using Kind = Expression::Program::Kind;

  void advance() { token_ = lexer_.next(); }
  bool at(std::string_view symbol) const { return token_.kind == TokenKind::symbol && token_.text == symbol; }
  bool accept(std::string_view symbol) {
    if (!at(symbol)) return false;
    advance();
    return true;
  }
  void expect(std::string_view symbol) {
    if (!accept(symbol)) fail("a parenthesis is not closed", token_, quote(symbol));
  }

  void call(const OpDef& op, std::size_t arguments) {
    program_->instructions.push_back({.kind = Kind::call, .op = &op, .arguments = arguments});
  }

  void comparison() {
    if (++depth_ > deepest)
      fail("the formula nests too deep", token_, "at most " + std::to_string(deepest) + " levels");
    sum();
    static const std::pair<std::string_view, const OpDef*> comparisons[] = {
        {"<", &ops::less},           {"<=", &ops::less_equal}, {">", &ops::greater},
        {">=", &ops::greater_equal}, {"==", &ops::equal},      {"!=", &ops::not_equal}};
    for (const auto& [symbol, op] : comparisons) {
      if (!accept(symbol)) continue;
      sum();
      call(*op, 2);
      break;
    }
    --depth_;
  }

  void sum() {
    product();
    while (at("+") || at("-")) {
      const OpDef& op = at("+") ? ops::add : ops::sub;
      advance();
      product();
      call(op, 2);
    }
  }

  void product() {
    unary();
    for (;;) {
      const bool silent = token_.kind == TokenKind::name || at("(");
      if (!silent && !at("*") && !at("/")) return;
      const OpDef& op = at("/") ? ops::div : ops::mul;
      if (!silent) advance();
      unary();
      call(op, 2);
    }
  }

  void unary() {
    if (++depth_ > deepest)
      fail("the formula nests too deep", token_, "at most " + std::to_string(deepest) + " levels");
    if (accept("-")) {
      unary();
      call(ops::neg, 1);
    } else if (accept("+")) {
      unary();
    } else {
      atom();
      while (accept("[")) slice();
      if (accept("^") || accept("**")) {
        unary();
        call(ops::pow, 2);
      }
    }
    --depth_;
  }

  void atom() {
    const Token token = token_;
    if (accept("(")) {
      comparison();
      expect(")");
    } else if (token.kind == TokenKind::number) {
      advance();
      program_->instructions.push_back({.kind = Kind::number, .number = token.number});
    } else if (token.kind == TokenKind::name) {
      advance();
      name(token);
    } else {
      fail("something is missing", token, "a number, a variable, a function or a parenthesis");
    }
  }

  // Behind the opening bracket.
  void slice() {
    std::vector<Slice> ranges;
    do {
      if (ranges.size() == max_rank)
        fail("the index is too long", token_, "at most " + std::to_string(max_rank) + " ranges");
      ranges.push_back(range());
    } while (accept(","));
    expect("]");
    program_->instructions.push_back({.kind = Kind::slice, .ranges = std::move(ranges)});
  }

  Slice range() {
    Slice part;
    const auto ends = [&] { return at(":") || at(",") || at("]"); };
    if (!at(":")) part.start = whole_number();
    if (!accept(":")) fail("an index is a range", token_, "a range of positions, as in x[:, 2:]");
    if (!ends()) part.stop = whole_number();
    if (!accept(":")) return part;
    const Token token = token_;
    part.step = whole_number();
    if (part.step == 0) fail("a step of 0 goes nowhere", token, "a step that is not 0");
    return part;
  }

  // An output's number in brackets, not a range.
  bool at_output() const {
    Lexer ahead = lexer_;
    if (!at("[") || ahead.next().kind != TokenKind::number) return false;
    const Token next = ahead.next();
    return next.kind == TokenKind::symbol && next.text == "]";
  }

  void name(const Token& token) {
    if (variable(token, false)) return;
    const OpDef* function = expression::find_function(token.text);
    if (function != nullptr && at("(")) return arguments(token, *function);
    if (function != nullptr)
      fail("a function needs its argument", token_, quote("(") + " after " + std::string(token.text));
    if (token.text == "pi" || token.text == "π") return constant(std::numbers::pi);
    if (token.text == "e") return constant(std::numbers::e);
    if (token.text == "inf") return constant(HUGE_VAL);
    const bool looks_called = at("(") && !token_.spaced;
    const OpDef* declared = expression::find_declared(token.text);
    if (declared != nullptr && looks_called) return arguments(token, *declared);
    if (any_variable_ && !looks_called) {
      variable(token, true);
      return;
    }
    std::vector<std::string> known = expression_functions();
    if (!looks_called) known = program_->variables;
    fail(looks_called ? "no function has this name" : "no variable has this name", token,
         looks_called ? "a function" : "a variable", suggest(token.text, known));
  }

  void constant(double value) { program_->instructions.push_back({.kind = Kind::number, .number = value}); }

  bool variable(const Token& token, bool add) {
    auto& variables = program_->variables;
    const auto found = std::find(variables.begin(), variables.end(), token.text);
    if (found == variables.end() && !add) return false;
    const auto index = static_cast<std::size_t>(found - variables.begin());
    if (found == variables.end()) variables.emplace_back(token.text);
    program_->instructions.push_back({.kind = Kind::variable, .variable = index});
    return true;
  }

  void arguments(const Token& token, const OpDef& named) {
    const OpDef* op = &named;
    expect("(");
    std::size_t count = 0;
    expression::GivenAttributes attributes;
    do {
      if (at_attribute()) {
        attributes.push_back(attribute(named));
      } else {
        comparison();
        ++count;
      }
    } while (accept(","));
    expect(")");
    // max(a, b) of two numbers is what people write for the larger one.
    if (count == 2 && op == &ops::max) op = &ops::maximum;
    if (count == 2 && op == &ops::min) op = &ops::minimum;
    const std::size_t wanted = op->arguments.size();
    const bool fits = op->arguments.back().ends_with("...") ? count >= wanted : count == wanted;
    if (!fits) {
      fail(std::string(token.text) + " takes " + std::to_string(wanted) + " arguments, not " +
               std::to_string(count),
           token, std::to_string(wanted) + " arguments");
    }
    call(*op, count);
    program_->instructions.back().attributes = std::move(attributes);
    if (at_output()) {
      advance();
      program_->instructions.back().output = static_cast<std::size_t>(whole_number());
      expect("]");
    }
  }

  bool at_attribute() const {
    Lexer ahead = lexer_;
    if (token_.kind != TokenKind::name) return false;
    const Token next = ahead.next();
    return next.kind == TokenKind::symbol && next.text == "=";
  }

  std::pair<std::size_t, Attribute> attribute(const OpDef& op) {
    const auto found = std::find(op.attributes.begin(), op.attributes.end(), token_.text);
    const std::vector<std::string> names(op.attributes.begin(), op.attributes.end());
    if (found == op.attributes.end()) {
      fail(std::string(op.name) + " has no such attribute", token_, "an attribute",
           suggest(token_.text, names));
    }
    const auto place = static_cast<std::size_t>(found - op.attributes.begin());
    advance();
    expect("=");
    // Whether a number is a whole one is known from what the op is tried with.
    const std::vector<Sample> samples = op.samples == nullptr ? std::vector<Sample>() : op.samples();
    const bool whole = !samples.empty() && place < samples.front().attributes.size() &&
                       std::holds_alternative<std::int64_t>(samples.front().attributes[place]);
    return {place, attribute_value(whole)};
  }

  Attribute attribute_value(bool whole) {
    if (whole) return whole_number();
    if (accept("[")) return list();
    const bool negative = accept("-");
    const Token token = token_;
    advance();
    if (token.kind == TokenKind::quoted) return std::string(token.text);
    if (token.text == "true" || token.text == "false") return token.text == "true";
    if (token.text == "inf") return negative ? -HUGE_VAL : HUGE_VAL;
    for (const DType dtype : {DType::boolean, DType::uint8, DType::int32, DType::int64, DType::bfloat16,
                              DType::float32, DType::float64}) {
      if (token.text == dtype_name(dtype)) return dtype;
    }
    if (token.kind != TokenKind::number)
      fail("an attribute needs a value", token, "a number, true or false, a dtype, a text or a list");
    return negative ? -token.number : token.number;
  }

  std::int64_t whole_number() {
    const bool negative = accept("-");
    if (token_.kind != TokenKind::number) fail("an attribute needs a value", token_, "a whole number");
    if (token_.number > 1e15 || token_.number != std::floor(token_.number))
      fail("this is no whole number", token_, "a whole number");
    const auto value = static_cast<std::int64_t>(token_.number);
    advance();
    return negative ? -value : value;
  }

  Dims list() {
    Dims values;
    if (accept("]")) return values;
    do {
      if (values.size() == max_rank)
        fail("the list is too long", token_, "at most " + std::to_string(max_rank) + " numbers");
      values.push_back(whole_number());
    } while (accept(","));
    expect("]");
    return values;
  }

  std::shared_ptr<Expression::Program> program_;
  Lexer lexer_;
  Token token_;
  bool any_variable_;
  int depth_ = 0;
};

Expression parse_expression(std::string_view text, std::vector<std::string> variables) {
  return ExpressionParser(text, std::move(variables)).parse();
}

}  // namespace chainrule
