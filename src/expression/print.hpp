#pragma once

#include <chainrule/expression.hpp>

#include "expression/terms.hpp"

namespace chainrule::expression {

/// A term as text, from the patterns of its ops' declarations, with no more parentheses than it needs.
std::string print(const Terms& terms, TermId id, TextStyle style);

/// Builds terms from the expressions behind tensors.
class TermBuilder {
 public:
  TermBuilder(Terms& terms, std::span<const NamedTensor> names, bool simplify);
  TermId term_of(const Tensor& x);

 private:
  TermId build_node(const Node& node, int output);
  TermId build_leaf(const Node& node, int output);
  TermId build_padded(const Node& node);
  std::vector<TermId> arguments_of(const Node& node);

  Terms& terms_;
  bool simplify_;
  std::vector<NamedTensor> names_;
  std::unordered_map<const Node*, std::vector<TermId>> built_;  // per output
};

/// The attributes that are not at their default: "axes=[0], keepdims=true"; a slice's index: "[:, 2:]".
std::string attributes_text(const Node& node);

}  // namespace chainrule::expression
