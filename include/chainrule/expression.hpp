#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <chainrule/tensor.hpp>

/// Expressions as text: what stands behind a Tensor, printed from the declarations of its ops; formulas
/// read back; and the derivative rule of an op, printed as it runs.
namespace chainrule {

enum class TextStyle : std::uint8_t {
  plain,  ///< `parse_expression` reads it back: "sin(x) exp(x) + x^2 / 2"
  latex   ///< "\sin x \, e^{x} + \frac{x^{2}}{2}"
};

/// What to call a tensor wherever it appears in an expression.
struct NamedTensor {
  Tensor tensor;
  std::string name;
};

struct ExpressionOptions {
  TextStyle style = TextStyle::plain;
  /// Whether to rewrite before printing: y·y as y², x·(1/y) as x/y, x + x as 2 x, no sums with 0 or
  /// products with 1. The value stays the same in exact arithmetic.
  bool simplify = true;
};

/// The expression behind `x`, as far as its history is still there: an evaluated tensor is its value.
/// Named tensors are printed by their names, others with one element by their value.
/// Throws ArgumentError for an expression of more than 4096 ops, or of more than 20,000 when what is
/// shared is written out.
CHAINRULE_API std::string format_expression(const Tensor& x, std::span<const NamedTensor> names = {},
                                            ExpressionOptions options = {});

/// A formula of named variables, made by `parse_expression`. A value; copying shares the formula.
class CHAINRULE_API Expression {
 public:
  /// The text it was read from.
  const std::string& text() const;
  /// The names of its variables, in the order in which `operator()` takes them.
  const std::vector<std::string>& variables() const;
  /// The formula with `values` in place of its variables, as an expression to evaluate and differentiate.
  /// Its numbers take the dtype of the first floating value, float64 when there is none. Throws
  /// ArgumentError for a wrong number of values, and what the ops throw.
  Tensor operator()(std::span<const Tensor> values) const;
  Tensor operator()(std::initializer_list<Tensor> values) const {
    return (*this)(std::span<const Tensor>(values.begin(), values.size()));
  }

 private:
  struct Program;
  explicit Expression(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
  friend class ExpressionParser;
  std::shared_ptr<const Program> program_;
};

/// Reads a formula: numbers, variables, `pi` and `e`, + - * / ^ (from the right), unary minus,
/// comparisons, parentheses, and every op by its name or a usual alias (ln, arctan, ...): "1 / (1 +
/// exp(-x))". A space or a parenthesis multiplies: "2 x (1 - x)". An op's attributes follow its inputs:
/// "sum(x, axes=[0])"; axes are all axes where nothing is said. Without `variables` every unknown name is
/// one, in order of appearance. Throws ArgumentError with the position and the nearest known name.
CHAINRULE_API Expression parse_expression(std::string_view text, std::vector<std::string> variables = {});

/// The names that `parse_expression` takes for functions, sorted.
CHAINRULE_API std::vector<std::string> expression_functions();

/// One derivative of an op: how its output changes with one of its inputs.
struct DerivativeText {
  std::string input;     ///< the argument's name: "x"
  std::string partial;   ///< ∂y/∂x for elementwise ops: "y (1 - y)"; empty for others
  std::string second;    ///< ∂²y/∂x² for elementwise ops of one argument, the rule differentiated again
  std::string backward;  ///< x̄ for the output's cotangent ȳ: "ȳ y (1 - y)"; "0" where none flows
};

/// An op's derivative rule as text. It is not stored anywhere: the rule runs on symbols, and what it builds
/// is printed.
struct DerivativeTexts {
  std::string output;  ///< what the output is called: "y", or "z" where an argument has that name
  std::string shapes;  ///< for ops that are not elementwise, the shapes of the example: "x [3, 4]"
  std::vector<DerivativeText> inputs;
};

/// The derivative rule of the op called `name`. Throws ArgumentError for an unknown name; an op without a
/// derivative has no inputs listed.
CHAINRULE_API DerivativeTexts derivative_text(std::string_view name, TextStyle style = TextStyle::plain);

/// The formula of an op in its argument names: "1 / (1 + exp(-x))". Throws ArgumentError for an unknown name.
CHAINRULE_API std::string formula_text(std::string_view name, TextStyle style = TextStyle::plain);

/// What an op is in other ops: "x sigmoid(x)" for silu, printed from the definition that runs; empty for an
/// op that has none. Throws ArgumentError for an unknown name.
CHAINRULE_API std::string definition_text(std::string_view name, TextStyle style = TextStyle::plain);

}  // namespace chainrule
