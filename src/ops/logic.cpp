#include <cmath>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace ops {
namespace {

constexpr const char* no_derivative = "its result is a bool, which has no neighbourhood";

// Comparisons differ in name, sign and formula alone.
OpDef comparison(std::string_view name, const char* formula, const char* latex, const char* summary,
                 ReferenceFn reference) {
  return {.name = name,
          .arguments = {"x", "y"},
          .text = {.formula = formula,
                   .latex = latex,
                   .precedence = 10,
                   .summary = summary,
                   .domain = "ℝ² → {false, true}"},
          .kind = OpKind::elementwise,
          .element_rule = ElementRule::predicate,
          .not_differentiable = no_derivative,
          .reference = reference,
          .bound = {BoundKind::exact, 0},
          .ranges = {{-2, 2}, {-2, 2}}};
}

OpDef connective(std::string_view name, const char* formula, const char* latex, int precedence,
                 const char* summary, std::vector<std::string_view> arguments, ReferenceFn reference) {
  const std::vector<Range> ranges(arguments.size());
  return {.name = name,
          .arguments = std::move(arguments),
          .text = {.formula = formula,
                   .latex = latex,
                   .precedence = precedence,
                   .summary = summary,
                   .domain = "bools; of numbers whether they are not 0"},
          .kind = OpKind::elementwise,
          .element_rule = ElementRule::logical,
          .not_differentiable = no_derivative,
          .reference = reference,
          .bound = {BoundKind::exact, 0},
          .ranges = ranges};
}

OpDef classification(std::string_view name, const char* formula, const char* summary, ReferenceFn reference) {
  return {.name = name,
          .arguments = {"x"},
          .text = {.formula = formula,
                   .latex = formula,
                   .summary = summary,
                   .domain = "every number, NaN and infinities too"},
          .kind = OpKind::elementwise,
          .element_rule = ElementRule::predicate,
          .not_differentiable = no_derivative,
          .reference = reference,
          .bound = {BoundKind::exact, 0},
          .ranges = {{-2, 2}}};
}

}  // namespace

const OpDef equal = comparison("equal", "{x} == {y}", "{x} = {y}", "Elementwise equality.",
                               [](const double* x) { return double(x[0] == x[1]); });
const OpDef not_equal = comparison("not_equal", "{x} != {y}", "{x} \\ne {y}", "Elementwise inequality.",
                                   [](const double* x) { return double(x[0] != x[1]); });
const OpDef less = comparison("less", "{x} < {y}", "{x} < {y}", "Where x is below y.",
                              [](const double* x) { return double(x[0] < x[1]); });
const OpDef less_equal = comparison("less_equal", "{x} <= {y}", "{x} \\le {y}", "Where x is at most y.",
                                    [](const double* x) { return double(x[0] <= x[1]); });
const OpDef greater = comparison("greater", "{x} > {y}", "{x} > {y}", "Where x is above y.",
                                 [](const double* x) { return double(x[0] > x[1]); });
const OpDef greater_equal =
    comparison("greater_equal", "{x} >= {y}", "{x} \\ge {y}", "Where x is at least y.",
               [](const double* x) { return double(x[0] >= x[1]); });

const OpDef logical_and =
    connective("logical_and", "logical_and({x}, {y})", "{x} \\land {y}", 100, "Both are true.", {"x", "y"},
               [](const double* x) { return double(x[0] != 0 && x[1] != 0); });
const OpDef logical_or =
    connective("logical_or", "logical_or({x}, {y})", "{x} \\lor {y}", 100, "At least one is true.",
               {"x", "y"}, [](const double* x) { return double(x[0] != 0 || x[1] != 0); });
const OpDef logical_xor =
    connective("logical_xor", "logical_xor({x}, {y})", "{x} \\oplus {y}", 100, "Exactly one is true.",
               {"x", "y"}, [](const double* x) { return double((x[0] != 0) != (x[1] != 0)); });
const OpDef logical_not =
    connective("logical_not", "logical_not({x})", "\\lnot {x}", 100, "False becomes true.", {"x"},
               [](const double* x) { return double(x[0] == 0); });

const OpDef isnan = classification("isnan", "isnan({x})", "Where x is not a number.",
                                   [](const double* x) { return double(std::isnan(x[0])); });
const OpDef isinf = classification("isinf", "isinf({x})", "Where x is infinite, of either sign.",
                                   [](const double* x) { return double(std::isinf(x[0])); });
const OpDef isfinite = classification("isfinite", "isfinite({x})", "Where x is neither infinite nor NaN.",
                                      [](const double* x) { return double(std::isfinite(x[0])); });

const OpDef where = {
    .name = "where",
    .arguments = {"condition", "x", "y"},
    .text = {.formula = "where({condition}, {x}, {y})",
             .latex = "\\begin{cases} {x} & {condition} \\\\ {y} & \\text{otherwise} \\end{cases}",
             .summary = "x where the condition holds, y elsewhere.",
             .domain = "linear in x and y; no derivative by the condition"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::select,
    .partial =
        [](const Node& node, const Tensor& output, int i) {
          if (i == 0) return Tensor();
          const Tensor one = scalar_of(1, output.dtype());
          const Tensor zero = scalar_of(0, output.dtype());
          return i == 1 ? chainrule::where(node.inputs[0], one, zero)
                        : chainrule::where(node.inputs[0], zero, one);
        },
    .reference = [](const double* x) { return x[0] != 0 ? x[1] : x[2]; },
    .bound = {BoundKind::exact, 0},
    .ranges = {{0, 1}, {-2, 2}, {-2, 2}},
};

}  // namespace ops

Tensor equal(const Tensor& x, const Tensor& y) { return elementwise(ops::equal, {x, y}); }
Tensor not_equal(const Tensor& x, const Tensor& y) { return elementwise(ops::not_equal, {x, y}); }
Tensor less(const Tensor& x, const Tensor& y) { return elementwise(ops::less, {x, y}); }
Tensor less_equal(const Tensor& x, const Tensor& y) { return elementwise(ops::less_equal, {x, y}); }
Tensor greater(const Tensor& x, const Tensor& y) { return elementwise(ops::greater, {x, y}); }
Tensor greater_equal(const Tensor& x, const Tensor& y) { return elementwise(ops::greater_equal, {x, y}); }
Tensor logical_and(const Tensor& x, const Tensor& y) { return elementwise(ops::logical_and, {x, y}); }
Tensor logical_or(const Tensor& x, const Tensor& y) { return elementwise(ops::logical_or, {x, y}); }
Tensor logical_xor(const Tensor& x, const Tensor& y) { return elementwise(ops::logical_xor, {x, y}); }
Tensor logical_not(const Tensor& x) { return elementwise(ops::logical_not, {x}); }
Tensor isnan(const Tensor& x) { return elementwise(ops::isnan, {x}); }
Tensor isinf(const Tensor& x) { return elementwise(ops::isinf, {x}); }
Tensor isfinite(const Tensor& x) { return elementwise(ops::isfinite, {x}); }
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  return elementwise(ops::where, {condition, a, b});
}

}  // namespace chainrule
