#include "expression/terms.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "ops/declarations.hpp"

namespace chainrule::expression {
namespace {

constexpr std::int64_t size_limit = 1'000'000'000;

std::string key_of(double value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return "n" + std::string(text, end);
}

std::string key_of(const Term& term) {
  std::string key =
      "a" + std::string(term.op->name) + "#" + std::to_string(term.output) + "#" + term.attributes;
  for (const TermId argument : term.arguments) key += "," + std::to_string(argument);
  return key;
}

}  // namespace

TermId Terms::intern(Term term, const std::string& key) {
  const auto [entry, is_new] = known_.try_emplace(key, static_cast<TermId>(terms_.size()));
  if (!is_new) return entry->second;
  std::int64_t size = 1;
  for (const TermId argument : term.arguments) size = std::min(size + written_size(argument), size_limit);
  sizes_.push_back(size);
  terms_.push_back(std::move(term));
  return entry->second;
}

TermId Terms::plain_number(double value) {
  Term term;
  term.number = value;
  return intern(std::move(term), key_of(value));
}

TermId Terms::number(double value) {
  using namespace std::numbers;
  if (value < 0) return apply(ops::neg, {number(-value)});
  if (value == pi) return symbol("pi");
  if (value == ln2) return apply(ops::log, {plain_number(2)});
  if (value == ln10) return apply(ops::log, {plain_number(10)});
  if (value == sqrt2) return apply(ops::sqrt, {plain_number(2)});
  if (value == 1 / sqrt2 || value == std::sqrt(0.5)) return apply(ops::div, {plain_number(1), number(sqrt2)});
  if (value == 1 / ln2) return apply(ops::div, {plain_number(1), number(ln2)});
  if (value == 1 / ln10) return apply(ops::div, {plain_number(1), number(ln10)});
  if (value == std::sqrt(pi)) return apply(ops::sqrt, {symbol("pi")});
  if (value == 2 / std::sqrt(pi) || value == 2 * inv_sqrtpi) {
    return apply(ops::div, {plain_number(2), number(std::sqrt(pi))});
  }
  if (value == std::sqrt(2 / pi)) {
    return apply(ops::sqrt, {apply(ops::div, {plain_number(2), symbol("pi")})});
  }
  return plain_number(value);
}

TermId Terms::symbol(const std::string& name) {
  Term term;
  term.kind = TermKind::symbol;
  term.name = name;
  return intern(std::move(term), "s" + name);
}

TermId Terms::apply(const OpDef& op, std::vector<TermId> arguments, std::string attributes, int output) {
  Term term;
  term.kind = TermKind::apply;
  term.op = &op;
  term.output = output;
  term.attributes = std::move(attributes);
  term.arguments = std::move(arguments);
  const std::string key = key_of(term);
  return intern(std::move(term), key);
}

bool Terms::is_number(TermId id, double value) const { return is_number(id) && (*this)[id].number == value; }

}  // namespace chainrule::expression
