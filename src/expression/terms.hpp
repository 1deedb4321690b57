#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "graph/op.hpp"

/// Expressions as people write them: numbers, symbols and ops applied to terms. Equal terms are one term, so
/// that a rewrite compares two of them by their number.
namespace chainrule::expression {

using TermId = std::int32_t;

enum class TermKind : std::uint8_t { number, symbol, apply };

struct Term {
  TermKind kind = TermKind::number;
  double number = 0;
  std::string name;           ///< of a symbol
  const OpDef* op = nullptr;  ///< of an application
  int output = -1;            ///< which output, for ops with several
  std::string attributes;     ///< those that are not at their default: "axes=[0]"
  std::vector<TermId> arguments;
};

class Terms {
 public:
  /// A number; constants that people know by a name become it: log(2), sqrt(pi).
  TermId number(double value);
  TermId symbol(const std::string& name);
  /// An op applied to terms, as it stands.
  TermId apply(const OpDef& op, std::vector<TermId> arguments, std::string attributes = {}, int output = -1);

  const Term& operator[](TermId id) const { return terms_[static_cast<std::size_t>(id)]; }
  bool is_number(TermId id, double value) const;
  bool is_number(TermId id) const { return (*this)[id].kind == TermKind::number; }
  bool is(TermId id, const OpDef& op) const { return (*this)[id].op == &op; }
  /// How many terms are written for this one when shared ones are written out; stops growing at 10⁹.
  std::int64_t written_size(TermId id) const { return sizes_[static_cast<std::size_t>(id)]; }

 private:
  TermId intern(Term term, const std::string& key);
  TermId plain_number(double value);
  std::vector<Term> terms_;
  std::vector<std::int64_t> sizes_;
  std::unordered_map<std::string, TermId> known_;
};

/// `op` applied to simplified terms, simplified (simplify.cpp).
TermId simplified(Terms& terms, const OpDef& op, const std::vector<TermId>& arguments,
                  const std::string& attributes, int output);

}  // namespace chainrule::expression
