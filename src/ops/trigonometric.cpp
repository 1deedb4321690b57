#include <cmath>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace ops {

const OpDef sin = {
    .name = "sin",
    .arguments = {"x"},
    .text = {.formula = "sin({x})",
             .latex = "\\sin {x}",
             .summary = "The sine of an angle in radians.",
             .domain = "ℝ → [-1, 1], smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&, int) { return chainrule::cos(node.inputs[0]); },
    .reference = [](const double* x) { return std::sin(x[0]); },
    .ranges = {{-6, 6}},
};

const OpDef cos = {
    .name = "cos",
    .arguments = {"x"},
    .text = {.formula = "cos({x})",
             .latex = "\\cos {x}",
             .summary = "The cosine of an angle in radians.",
             .domain = "ℝ → [-1, 1], smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&, int) { return -chainrule::sin(node.inputs[0]); },
    .reference = [](const double* x) { return std::cos(x[0]); },
    .ranges = {{-6, 6}},
};

const OpDef tan = {
    .name = "tan",
    .arguments = {"x"},
    .text = {.formula = "tan({x})",
             .latex = "\\tan {x}",
             .summary = "The tangent of an angle in radians.",
             .domain = "poles at odd multiples of π/2"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node&, const Tensor& output, int) { return 1.0 + chainrule::square(output); },
    .reference = [](const double* x) { return std::tan(x[0]); },
    .ranges = {{-1.2, 1.2}},
};

const OpDef asin = {
    .name = "asin",
    .arguments = {"x"},
    .text = {.formula = "asin({x})",
             .latex = "\\arcsin {x}",
             .summary = "The inverse of sin; NaN outside of [-1, 1].",
             .domain = "[-1, 1] → [-π/2, π/2]"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&,
                  int) { return chainrule::rsqrt(1.0 - chainrule::square(node.inputs[0])); },
    .reference = [](const double* x) { return std::asin(x[0]); },
    .ranges = {{-0.9, 0.9}},
};

const OpDef acos = {
    .name = "acos",
    .arguments = {"x"},
    .text = {.formula = "acos({x})",
             .latex = "\\arccos {x}",
             .summary = "The inverse of cos; NaN outside of [-1, 1].",
             .domain = "[-1, 1] → [0, π]"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&,
                  int) { return -chainrule::rsqrt(1.0 - chainrule::square(node.inputs[0])); },
    .reference = [](const double* x) { return std::acos(x[0]); },
    .ranges = {{-0.9, 0.9}},
};

const OpDef atan = {
    .name = "atan",
    .arguments = {"x"},
    .text = {.formula = "atan({x})",
             .latex = "\\arctan {x}",
             .summary = "The inverse of tan.",
             .domain = "ℝ → (-π/2, π/2), smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&,
                  int) { return chainrule::reciprocal(1.0 + chainrule::square(node.inputs[0])); },
    .reference = [](const double* x) { return std::atan(x[0]); },
    .ranges = {{-3, 3}},
};

const OpDef atan2 = {
    .name = "atan2",
    .arguments = {"y", "x"},
    .text = {.formula = "atan2({y}, {x})",
             .latex = "\\operatorname{atan2}({y}, {x})",
             .summary = "The angle of the point (x, y) with the positive x axis.",
             .domain = "(-π, π], cut along x < 0"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial =
        [](const Node& node, const Tensor&, int i) {
          const Tensor& y = node.inputs[0];
          const Tensor& x = node.inputs[1];
          const Tensor squared_length = chainrule::square(x) + chainrule::square(y);
          return i == 0 ? x / squared_length : -y / squared_length;
        },
    .reference = [](const double* x) { return std::atan2(x[0], x[1]); },
    .ranges = {{0.2, 2}, {-2, 2}},
};

const OpDef sinh = {
    .name = "sinh",
    .arguments = {"x"},
    .text = {.formula = "sinh({x})",
             .latex = "\\sinh {x}",
             .summary = "The hyperbolic sine, (exp(x) - exp(-x)) / 2.",
             .domain = "ℝ → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&, int) { return chainrule::cosh(node.inputs[0]); },
    .reference = [](const double* x) { return std::sinh(x[0]); },
    .ranges = {{-3, 3}},
};

const OpDef cosh = {
    .name = "cosh",
    .arguments = {"x"},
    .text = {.formula = "cosh({x})",
             .latex = "\\cosh {x}",
             .summary = "The hyperbolic cosine, (exp(x) + exp(-x)) / 2.",
             .domain = "ℝ → [1, ∞), smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&, int) { return chainrule::sinh(node.inputs[0]); },
    .reference = [](const double* x) { return std::cosh(x[0]); },
    .ranges = {{-3, 3}},
};

const OpDef asinh = {
    .name = "asinh",
    .arguments = {"x"},
    .text = {.formula = "asinh({x})",
             .latex = "\\operatorname{arsinh} {x}",
             .summary = "The inverse of sinh.",
             .domain = "ℝ → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&,
                  int) { return chainrule::rsqrt(1.0 + chainrule::square(node.inputs[0])); },
    .reference = [](const double* x) { return std::asinh(x[0]); },
    .ranges = {{-3, 3}},
};

const OpDef acosh = {
    .name = "acosh",
    .arguments = {"x"},
    .text = {.formula = "acosh({x})",
             .latex = "\\operatorname{arcosh} {x}",
             .summary = "The inverse of cosh; NaN below 1.",
             .domain = "[1, ∞) → [0, ∞)"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    // Two roots keep the difference next to 1 exact.
    .partial =
        [](const Node& node, const Tensor&, int) {
          return chainrule::rsqrt(node.inputs[0] - 1.0) * chainrule::rsqrt(node.inputs[0] + 1.0);
        },
    .reference = [](const double* x) { return std::acosh(x[0]); },
    .ranges = {{1.2, 4}},
};

const OpDef atanh = {
    .name = "atanh",
    .arguments = {"x"},
    .text = {.formula = "atanh({x})",
             .latex = "\\operatorname{artanh} {x}",
             .summary = "The inverse of tanh; NaN outside of [-1, 1].",
             .domain = "(-1, 1) → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&,
                  int) { return chainrule::reciprocal(1.0 - chainrule::square(node.inputs[0])); },
    .reference = [](const double* x) { return std::atanh(x[0]); },
    .ranges = {{-0.9, 0.9}},
};

}  // namespace ops

Tensor sin(const Tensor& x) { return elementwise(ops::sin, {x}); }
Tensor cos(const Tensor& x) { return elementwise(ops::cos, {x}); }
Tensor tan(const Tensor& x) { return elementwise(ops::tan, {x}); }
Tensor asin(const Tensor& x) { return elementwise(ops::asin, {x}); }
Tensor acos(const Tensor& x) { return elementwise(ops::acos, {x}); }
Tensor atan(const Tensor& x) { return elementwise(ops::atan, {x}); }
Tensor atan2(const Tensor& y, const Tensor& x) { return elementwise(ops::atan2, {y, x}); }
Tensor sinh(const Tensor& x) { return elementwise(ops::sinh, {x}); }
Tensor cosh(const Tensor& x) { return elementwise(ops::cosh, {x}); }
Tensor asinh(const Tensor& x) { return elementwise(ops::asinh, {x}); }
Tensor acosh(const Tensor& x) { return elementwise(ops::acosh, {x}); }
Tensor atanh(const Tensor& x) { return elementwise(ops::atanh, {x}); }

}  // namespace chainrule
