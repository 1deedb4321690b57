#include <cmath>
#include <numbers>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace ops {

const OpDef exp = {
    .name = "exp",
    .arguments = {"x"},
    .text = {.formula = "exp({x})",
             .latex = "e^{{x}}",
             .summary = "The exponential function, its own derivative.",
             .domain = "ℝ → (0, ∞), smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node&, const Tensor& output, int) { return output; },
    .reference = [](const double* x) { return std::exp(x[0]); },
    .ranges = {{-3, 3}},
};

const OpDef exp2 = {
    .name = "exp2",
    .arguments = {"x"},
    .text = {.formula = "exp2({x})",
             .latex = "2^{{x}}",
             .summary = "Two to the power of x.",
             .domain = "ℝ → (0, ∞), smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node&, const Tensor& output,
                  int) { return scalar_of(std::numbers::ln2, output.dtype()) * output; },
    .reference = [](const double* x) { return std::exp2(x[0]); },
    .ranges = {{-3, 3}},
};

const OpDef expm1 = {
    .name = "expm1",
    .arguments = {"x"},
    .text = {.formula = "expm1({x})",
             .latex = "e^{{x}} - 1",
             .summary = "exp(x) - 1, exact near 0.",
             .domain = "ℝ → (-1, ∞), smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node&, const Tensor& output, int) { return output + scalar_of(1, output.dtype()); },
    .reference = [](const double* x) { return std::expm1(x[0]); },
    .ranges = {{-3, 3}},
};

const OpDef log = {
    .name = "log",
    .arguments = {"x"},
    .text = {.formula = "log({x})",
             .latex = "\\ln {x}",
             .summary = "The natural logarithm; -inf at 0, NaN below.",
             .domain = "(0, ∞) → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&, int) { return chainrule::reciprocal(node.inputs[0]); },
    .reference = [](const double* x) { return std::log(x[0]); },
    .ranges = {{0.2, 4}},
};

const OpDef log2 = {
    .name = "log2",
    .arguments = {"x"},
    .text = {.formula = "log2({x})",
             .latex = "\\log_2 {x}",
             .summary = "The logarithm to base 2.",
             .domain = "(0, ∞) → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor& output,
                  int) { return scalar_of(1 / std::numbers::ln2, output.dtype()) / node.inputs[0]; },
    .reference = [](const double* x) { return std::log2(x[0]); },
    .ranges = {{0.2, 4}},
};

const OpDef log10 = {
    .name = "log10",
    .arguments = {"x"},
    .text = {.formula = "log10({x})",
             .latex = "\\log_{10} {x}",
             .summary = "The logarithm to base 10.",
             .domain = "(0, ∞) → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor& output,
                  int) { return scalar_of(1 / std::numbers::ln10, output.dtype()) / node.inputs[0]; },
    .reference = [](const double* x) { return std::log10(x[0]); },
    .ranges = {{0.2, 4}},
};

const OpDef log1p = {
    .name = "log1p",
    .arguments = {"x"},
    .text = {.formula = "log1p({x})",
             .latex = "\\ln(1 + {x})",
             .summary = "log(1 + x), exact near 0.",
             .domain = "(-1, ∞) → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor& output,
                  int) { return chainrule::reciprocal(scalar_of(1, output.dtype()) + node.inputs[0]); },
    .reference = [](const double* x) { return std::log1p(x[0]); },
    .ranges = {{-0.7, 3}},
};

const OpDef logaddexp = {
    .name = "logaddexp",
    .arguments = {"x", "y"},
    .text = {.formula = "log(exp({x}) + exp({y}))",
             .latex = "\\ln(e^{{x}} + e^{{y}})",
             .summary = "The logarithm of a sum of exponentials without overflow.",
             .domain = "ℝ² → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial =
        [](const Node& node, const Tensor&, int i) {
          return chainrule::sigmoid(node.inputs[static_cast<std::size_t>(i)] -
                                    node.inputs[static_cast<std::size_t>(1 - i)]);
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      const Tensor& y = node.inputs[1];
      // The case of equal numbers keeps inf - inf out.
      return {chainrule::where(
          chainrule::equal(x, y), x + std::numbers::ln2,
          chainrule::maximum(x, y) + chainrule::log1p(chainrule::exp(-chainrule::abs(x - y))))};
    },
    .reference =
        [](const double* x) {
          return x[0] == x[1] ? x[0] + std::numbers::ln2
                              : std::fmax(x[0], x[1]) + std::log1p(std::exp(-std::fabs(x[0] - x[1])));
        },
    .bound = {BoundKind::sum, 4},
    .ranges = {{-3, 3}, {-3, 3}},
};

}  // namespace ops

Tensor exp(const Tensor& x) { return elementwise(ops::exp, {x}); }
Tensor exp2(const Tensor& x) { return elementwise(ops::exp2, {x}); }
Tensor expm1(const Tensor& x) { return elementwise(ops::expm1, {x}); }
Tensor log(const Tensor& x) { return elementwise(ops::log, {x}); }
Tensor log2(const Tensor& x) { return elementwise(ops::log2, {x}); }
Tensor log10(const Tensor& x) { return elementwise(ops::log10, {x}); }
Tensor log1p(const Tensor& x) { return elementwise(ops::log1p, {x}); }
Tensor logaddexp(const Tensor& x, const Tensor& y) { return elementwise(ops::logaddexp, {x, y}); }

}  // namespace chainrule
