#pragma once

#include <string>
#include <utility>
#include <vector>

#include <chainrule/expression.hpp>

#include "graph/op.hpp"

namespace chainrule {

namespace expression {
/// The attributes that a formula names, each by its place among the op's.
using GivenAttributes = std::vector<std::pair<std::size_t, Attribute>>;
}  // namespace expression

/// A formula in postfix order: evaluation is a loop over a stack, however deep the formula nests.
struct Expression::Program {
  enum class Kind : std::uint8_t { number, variable, call, slice };
  struct Instruction {
    Kind kind = Kind::number;
    double number = 0;
    std::size_t variable = 0;
    const OpDef* op = nullptr;
    std::size_t arguments = 0;
    expression::GivenAttributes attributes;
    std::size_t output = 0;     ///< which one, of ops with several
    std::vector<Slice> ranges;  ///< of a slice, axis by axis: x[:, 2:]
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
/// An op that takes its shapes and lists from attributes in the formula: null for leaves and unknown names.
const OpDef* find_declared(std::string_view name);
/// The op's attributes: those given, and for the others all axes, the last axis, no kept axes, and else the
/// number of the op's first sample. Throws ArgumentError for one that has to be given.
Attributes complete_attributes(const OpDef& op, std::span<const Tensor> inputs, const GivenAttributes& given);
/// The op on these inputs.
Tensor call_function(const OpDef& op, std::span<const Tensor> inputs, Attributes attributes);
inline Tensor call_function(const OpDef& op, std::span<const Tensor> inputs) {
  return call_function(op, inputs, complete_attributes(op, inputs, {}));
}

}  // namespace expression
}  // namespace chainrule
