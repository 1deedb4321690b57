#pragma once

#include <string>
#include <vector>

#include <chainrule/expression.hpp>

#include "graph/op.hpp"

namespace chainrule {

/// A formula in postfix order: evaluation is a loop over a stack, however deep the formula nests.
struct Expression::Program {
  enum class Kind : std::uint8_t { number, variable, call };
  struct Instruction {
    Kind kind = Kind::number;
    double number = 0;
    std::size_t variable = 0;
    const OpDef* op = nullptr;
    std::size_t arguments = 0;
    Attributes attributes;
  };
  std::string text;
  std::vector<std::string> variables;
  std::vector<Instruction> instructions;
};

namespace expression {

/// The op that a formula calls by this name or alias; null if there is none.
const OpDef* find_function(std::string_view name);
/// Whether a formula can call this op: elementwise, or one tensor and nothing but axes to choose.
bool is_callable(const OpDef& op);
/// What an elementwise op's attributes are where a formula does not say: those of its first sample.
Attributes default_attributes(const OpDef& op);
/// The op on these inputs. Axes that a formula can't name are all axes.
Tensor call_function(const OpDef& op, std::span<const Tensor> inputs, Attributes attributes);
inline Tensor call_function(const OpDef& op, std::span<const Tensor> inputs) {
  return call_function(op, inputs, default_attributes(op));
}

}  // namespace expression
}  // namespace chainrule
