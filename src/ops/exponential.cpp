#include <cmath>
#include <numbers>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace ops {

const OpDef exp = {
    .name = "exp",
    .arguments = {"x"},
    .text = {.formula = "exp({x})", .latex = "e^{{x}}", .summary = "The exponential function, its own derivative.",
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
    .text = {.formula = "exp2({x})", .latex = "2^{{x}}", .summary = "Two to the power of x."},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node&, const Tensor& output, int) { return scalar_of(std::numbers::ln2, output.dtype()) * output; },
    .reference = [](const double* x) { return std::exp2(x[0]); },
    .ranges = {{-3, 3}},
};

const OpDef expm1 = {
    .name = "expm1",
    .arguments = {"x"},
    .text = {.formula = "expm1({x})", .latex = "e^{{x}} - 1", .summary = "exp(x) - 1, exact near 0."},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node&, const Tensor& output, int) { return output + scalar_of(1, output.dtype()); },
    .reference = [](const double* x) { return std::expm1(x[0]); },
    .ranges = {{-3, 3}},
};

const OpDef log = {
    .name = "log",
    .arguments = {"x"},
    .text = {.formula = "log({x})", .latex = "\\ln {x}", .summary = "The natural logarithm; -inf at 0, NaN below.",
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
    .text = {.formula = "log2({x})", .latex = "\\log_2 {x}", .summary = "The logarithm to base 2."},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor& output, int) { return scalar_of(1 / std::numbers::ln2, output.dtype()) / node.inputs[0]; },
    .reference = [](const double* x) { return std::log2(x[0]); },
    .ranges = {{0.2, 4}},
};

const OpDef log10 = {
    .name = "log10",
    .arguments = {"x"},
    .text = {.formula = "log10({x})", .latex = "\\log_{10} {x}", .summary = "The logarithm to base 10."},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor& output, int) { return scalar_of(1 / std::numbers::ln10, output.dtype()) / node.inputs[0]; },
    .reference = [](const double* x) { return std::log10(x[0]); },
    .ranges = {{0.2, 4}},
};

const OpDef log1p = {
    .name = "log1p",
    .arguments = {"x"},
    .text = {.formula = "log1p({x})", .latex = "\\ln(1 + {x})", .summary = "log(1 + x), exact near 0."},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor& output, int) { return chainrule::reciprocal(scalar_of(1, output.dtype()) + node.inputs[0]); },
    .reference = [](const double* x) { return std::log1p(x[0]); },
    .ranges = {{-0.7, 3}},
};

}  // namespace ops

Tensor exp(const Tensor& x) { return elementwise(ops::exp, {x}); }
Tensor exp2(const Tensor& x) { return elementwise(ops::exp2, {x}); }
Tensor expm1(const Tensor& x) { return elementwise(ops::expm1, {x}); }
Tensor log(const Tensor& x) { return elementwise(ops::log, {x}); }
Tensor log2(const Tensor& x) { return elementwise(ops::log2, {x}); }
Tensor log10(const Tensor& x) { return elementwise(ops::log10, {x}); }
Tensor log1p(const Tensor& x) { return elementwise(ops::log1p, {x}); }

}  // namespace chainrule
