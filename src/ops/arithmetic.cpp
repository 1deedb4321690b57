#include <cmath>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace ops {

const OpDef add = {
    .name = "add",
    .arguments = {"x", "y"},
    .text = {.formula = "{x} + {y}",
             .latex = "{x} + {y}",
             .precedence = 20,
             .summary = "Sum of two tensors.",
             .domain = "ℝ² → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .partial = [](const Node&, const Tensor& output, int) { return scalar_of(1, output.dtype()); },
    .reference = [](const double* x) { return x[0] + x[1]; },
    .bound = {BoundKind::ulp, 0.5},
    .ranges = {{-2, 2}, {-2, 2}},
};

const OpDef sub = {
    .name = "sub",
    .arguments = {"x", "y"},
    .text = {.formula = "{x} - {y}",
             .latex = "{x} - {y}",
             .precedence = 20,
             .summary = "Difference of two tensors.",
             .domain = "ℝ² → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::signed_same,
    .partial = [](const Node&, const Tensor& output,
                  int i) { return scalar_of(i == 0 ? 1 : -1, output.dtype()); },
    .reference = [](const double* x) { return x[0] - x[1]; },
    .bound = {BoundKind::ulp, 0.5},
    .ranges = {{-2, 2}, {-2, 2}},
};

const OpDef mul = {
    .name = "mul",
    .arguments = {"x", "y"},
    .text = {.formula = "{x} * {y}",
             .latex = "{x} \\, {y}",
             .precedence = 30,
             .summary = "Elementwise product.",
             .domain = "ℝ² → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .partial = [](const Node& node, const Tensor&, int i) { return node.inputs[i == 0 ? 1 : 0]; },
    .reference = [](const double* x) { return x[0] * x[1]; },
    .bound = {BoundKind::ulp, 0.5},
    .ranges = {{-2, 2}, {-2, 2}},
};

const OpDef div = {
    .name = "div",
    .arguments = {"x", "y"},
    .text = {.formula = "{x} / {y}",
             .latex = "\\frac{{x}}{{y}}",
             .precedence = 30,
             .summary = "Elementwise quotient; integers are divided as float32.",
             .domain = "y ≠ 0, smooth there"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial =
        [](const Node& node, const Tensor& output, int i) {
          const Tensor& y = node.inputs[1];
          return i == 0 ? chainrule::reciprocal(y) : chainrule::neg(output / y);
        },
    .reference = [](const double* x) { return x[0] / x[1]; },
    .bound = {BoundKind::ulp, 0.5},
    .divisions_per_element = 1,
    .ranges = {{-2, 2}, {0.5, 3}},
};

const OpDef floor_divide = {
    .name = "floor_divide",
    .arguments = {"x", "y"},
    .text = {.formula = "floor_divide({x}, {y})",
             .latex = "\\lfloor {x} / {y} \\rfloor",
             .summary = "Quotient rounded down; an integer divided by zero gives 0.",
             .domain = "y ≠ 0; whole numbers, constant between jumps"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::signed_same,
    .partial = [](const Node&, const Tensor&, int) { return Tensor(); },
    // As Python: infinity has no remainder, and so no whole quotient.
    .reference =
        [](const double* x) { return std::isinf(x[0]) && x[1] != 0 ? NAN : std::floor(x[0] / x[1]); },
    .bound = {BoundKind::ulp, 1},
    .ranges = {{0.1, 0.9}, {1, 2}},
};

const OpDef remainder = {
    .name = "remainder",
    .arguments = {"x", "y"},
    .text = {.formula = "remainder({x}, {y})",
             .latex = "{x} \\bmod {y}",
             .summary = "x - y floor(x / y): has the sign of y. An integer modulo zero gives 0.",
             .domain = "y ≠ 0, jumps where x is a multiple of y"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::signed_same,
    .partial =
        [](const Node& node, const Tensor& output, int i) {
          return i == 0 ? scalar_of(1, output.dtype())
                        : chainrule::neg(chainrule::floor_divide(node.inputs[0], node.inputs[1]));
        },
    .reference =
        [](const double* x) {
          const double r = std::fmod(x[0], x[1]);
          return r != 0 && (r < 0) != (x[1] < 0) ? r + x[1] : r;
        },
    .ranges = {{2.2, 2.6}, {0.9, 1.05}},
};

const OpDef pow = {
    .name = "pow",
    .arguments = {"x", "y"},
    .text = {.formula = "{x} ^ {y}",
             .latex = "{x}^{{y}}",
             .precedence = 50,
             .summary = "Power.",
             .domain = "x > 0; x < 0 with a whole y; smooth there"},
    .kind = OpKind::elementwise,
    .partial =
        [](const Node& node, const Tensor& output, int i) {
          const Tensor& x = node.inputs[0];
          const Tensor& y = node.inputs[1];
          if (i == 0) {
            if (is_constant(y, 2)) return x * scalar_of(2, x.dtype());
            return y * chainrule::pow(x, y - scalar_of(1, y.dtype()));
          }
          // 0^y has the derivative 0 for y > 0, not 0 · (−inf).
          const Tensor zero = scalar_of(0, x.dtype());
          return chainrule::where(chainrule::equal(x, zero), zero, output * chainrule::log(x));
        },
    .reference = [](const double* x) { return std::pow(x[0], x[1]); },
    .ranges = {{0.5, 2}, {-2, 2}},
};

const OpDef maximum = {
    .name = "maximum",
    .arguments = {"x", "y"},
    .text = {.formula = "maximum({x}, {y})",
             .latex = "\\max({x}, {y})",
             .summary = "The larger of two; NaN if either is. At a tie each side gets half of the gradient.",
             .domain = "ℝ² → ℝ, kinks where x = y"},
    .kind = OpKind::elementwise,
    .partial =
        [](const Node& node, const Tensor& output, int i) {
          const Tensor& mine = node.inputs[static_cast<std::size_t>(i)];
          const Tensor& other = node.inputs[static_cast<std::size_t>(1 - i)];
          const DType dtype = output.dtype();
          return chainrule::where(mine > other, scalar_of(1, dtype),
                                  chainrule::where(mine < other, scalar_of(0, dtype), scalar_of(0.5, dtype)));
        },
    .reference =
        [](const double* x) { return std::isnan(x[0]) || std::isnan(x[1]) ? NAN : std::fmax(x[0], x[1]); },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-2, -0.1}, {0.1, 2}},
};

const OpDef minimum = {
    .name = "minimum",
    .arguments = {"x", "y"},
    .text = {.formula = "minimum({x}, {y})",
             .latex = "\\min({x}, {y})",
             .summary = "The smaller of two; NaN if either is. At a tie each side gets half of the gradient.",
             .domain = "ℝ² → ℝ, kinks where x = y"},
    .kind = OpKind::elementwise,
    .partial = [](const Node& node, const Tensor& output,
                  int i) { return maximum.partial(node, output, 1 - i); },
    .reference =
        [](const double* x) { return std::isnan(x[0]) || std::isnan(x[1]) ? NAN : std::fmin(x[0], x[1]); },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-2, -0.1}, {0.1, 2}},
};

const OpDef neg = {
    .name = "neg",
    .arguments = {"x"},
    .text = {.formula = "-{x}",
             .latex = "-{x}",
             .precedence = 40,
             .summary = "Negation.",
             .domain = "ℝ → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::signed_same,
    .partial = [](const Node&, const Tensor& output, int) { return scalar_of(-1, output.dtype()); },
    .reference = [](const double* x) { return -x[0]; },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-2, 2}},
};

const OpDef abs = {
    .name = "abs",
    .arguments = {"x"},
    .text = {.formula = "abs({x})",
             .latex = "|{x}|",
             .summary = "Absolute value; its derivative at 0 is taken as 0.",
             .domain = "ℝ → [0, ∞), kink at 0"},
    .kind = OpKind::elementwise,
    .partial = [](const Node& node, const Tensor&, int) { return chainrule::sign(node.inputs[0]); },
    .reference = [](const double* x) { return std::fabs(x[0]); },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-2, 2}},
    .kinks = {0},
};

const OpDef sign = {
    .name = "sign",
    .arguments = {"x"},
    .text = {.formula = "sign({x})",
             .latex = "\\operatorname{sign}({x})",
             .summary = "-1, 0 or 1; NaN for NaN.",
             .domain = "ℝ → {-1, 0, 1}, jumps at 0"},
    .kind = OpKind::elementwise,
    .partial = [](const Node&, const Tensor&, int) { return Tensor(); },
    .reference = [](const double* x) { return std::isnan(x[0]) ? x[0] : double((x[0] > 0) - (x[0] < 0)); },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-2, 2}},
    .kinks = {0},
};

const OpDef square = {
    .name = "square",
    .arguments = {"x"},
    .text = {.formula = "square({x})",
             .latex = "{x}^2",
             .summary = "x times x.",
             .domain = "ℝ → [0, ∞), smooth"},
    .kind = OpKind::elementwise,
    .partial = [](const Node& node, const Tensor& output,
                  int) { return scalar_of(2, output.dtype()) * node.inputs[0]; },
    .reference = [](const double* x) { return x[0] * x[0]; },
    .bound = {BoundKind::ulp, 0.5},
    .ranges = {{-2, 2}},
};

const OpDef sqrt = {
    .name = "sqrt",
    .arguments = {"x"},
    .text = {.formula = "sqrt({x})",
             .latex = "\\sqrt{{x}}",
             .summary = "Square root; NaN below 0.",
             .domain = "[0, ∞) → [0, ∞), smooth for x > 0"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node&, const Tensor& output, int) { return scalar_of(0.5, output.dtype()) / output; },
    .reference = [](const double* x) { return std::sqrt(x[0]); },
    .bound = {BoundKind::ulp, 0.5},
    .roots_per_element = 1,
    .ranges = {{0.2, 4}},
};

const OpDef rsqrt = {
    .name = "rsqrt",
    .arguments = {"x"},
    .text = {.formula = "rsqrt({x})",
             .latex = "\\frac{1}{\\sqrt{{x}}}",
             .summary = "1 / sqrt(x).",
             .domain = "(0, ∞) → (0, ∞), smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor& output,
                  int) { return scalar_of(-0.5, output.dtype()) * output / node.inputs[0]; },
    .reference = [](const double* x) { return 1 / std::sqrt(x[0]); },
    .divisions_per_element = 1,
    .roots_per_element = 1,
    .ranges = {{0.2, 4}},
};

const OpDef cbrt = {
    .name = "cbrt",
    .arguments = {"x"},
    .text = {.formula = "cbrt({x})",
             .latex = "\\sqrt[3]{{x}}",
             .summary = "Cube root, for negative numbers too.",
             .domain = "ℝ → ℝ, smooth but at 0"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial =
        [](const Node&, const Tensor& output, int) {
          return scalar_of(1, output.dtype()) / (scalar_of(3, output.dtype()) * chainrule::square(output));
        },
    .reference = [](const double* x) { return std::cbrt(x[0]); },
    .ranges = {{0.2, 4}},
};

const OpDef reciprocal = {
    .name = "reciprocal",
    .arguments = {"x"},
    .text = {.formula = "1 / {x}",
             .latex = "\\frac{1}{{x}}",
             .precedence = 30,
             .summary = "One divided by x.",
             .domain = "x ≠ 0, smooth there"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node&, const Tensor& output,
                  int) { return chainrule::neg(chainrule::square(output)); },
    .reference = [](const double* x) { return 1 / x[0]; },
    .bound = {BoundKind::ulp, 0.5},
    .divisions_per_element = 1,
    .ranges = {{0.5, 3}},
};

const OpDef clamp = {
    .name = "clamp",
    .arguments = {"x", "low", "high"},
    .text = {.formula = "clamp({x}, {low}, {high})",
             .latex = "\\min(\\max({x}, {low}), {high})",
             .summary = "x between two bounds, the bound beyond them. At a bound the gradient goes to x.",
             .domain = "ℝ → [low, high], kinks at both"},
    .kind = OpKind::elementwise,
    .partial =
        [](const Node& node, const Tensor& output, int i) {
          const Tensor& x = node.inputs[0];
          const Tensor& low = node.inputs[1];
          const Tensor& high = node.inputs[2];
          // Where the bounds are in the wrong order the upper one decides.
          const Tensor over = chainrule::logical_or(x > high, low > high);
          const Tensor under = chainrule::logical_and(x < low, chainrule::logical_not(over));
          const Tensor chosen = i == 0   ? chainrule::logical_not(chainrule::logical_or(over, under))
                                : i == 1 ? under
                                         : over;
          return chainrule::where(chosen, scalar_of(1, output.dtype()), scalar_of(0, output.dtype()));
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {chainrule::minimum(chainrule::maximum(node.inputs[0], node.inputs[1]), node.inputs[2])};
    },
    .reference =
        [](const double* x) {
          return std::isnan(x[0]) || std::isnan(x[1]) || std::isnan(x[2])
                     ? NAN
                     : std::fmin(std::fmax(x[0], x[1]), x[2]);
        },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-1, 1}, {-0.6, -0.4}, {0.4, 0.6}},
};

const OpDef hypot = {
    .name = "hypot",
    .arguments = {"x", "y"},
    .text = {.formula = "hypot({x}, {y})",
             .latex = "\\sqrt{{x}^2 + {y}^2}",
             .summary =
                 "The length of the vector (x, y) without overflow; its derivative at 0 is taken as 0.",
             .domain = "ℝ² → [0, ∞), smooth but at (0, 0)"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial =
        [](const Node& node, const Tensor& output, int i) {
          const Tensor at_zero = chainrule::equal(output, 0.0);
          return chainrule::where(
              at_zero, 0.0,
              node.inputs[static_cast<std::size_t>(i)] / chainrule::where(at_zero, 1.0, output));
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor x = chainrule::abs(node.inputs[0]);
      const Tensor y = chainrule::abs(node.inputs[1]);
      const Tensor larger = chainrule::maximum(x, y);
      // Neither 0 / 0 nor inf / inf: at both ends the larger one is the answer.
      const Tensor plain = chainrule::logical_and(larger > 0.0, chainrule::isfinite(larger));
      const Tensor ratio = chainrule::minimum(x, y) / chainrule::where(plain, larger, 1.0);
      return {chainrule::where(plain, larger * chainrule::sqrt(1.0 + chainrule::square(ratio)), larger)};
    },
    .reference =
        [](const double* x) { return std::isnan(x[0]) || std::isnan(x[1]) ? NAN : std::hypot(x[0], x[1]); },
    .ranges = {{0.2, 2}, {-2, -0.2}},
};

}  // namespace ops

Tensor add(const Tensor& x, const Tensor& y) { return elementwise(ops::add, {x, y}); }
Tensor sub(const Tensor& x, const Tensor& y) { return elementwise(ops::sub, {x, y}); }
Tensor mul(const Tensor& x, const Tensor& y) { return elementwise(ops::mul, {x, y}); }
Tensor div(const Tensor& x, const Tensor& y) { return elementwise(ops::div, {x, y}); }
Tensor floor_divide(const Tensor& x, const Tensor& y) { return elementwise(ops::floor_divide, {x, y}); }
Tensor remainder(const Tensor& x, const Tensor& y) { return elementwise(ops::remainder, {x, y}); }
Tensor maximum(const Tensor& x, const Tensor& y) { return elementwise(ops::maximum, {x, y}); }
Tensor minimum(const Tensor& x, const Tensor& y) { return elementwise(ops::minimum, {x, y}); }
Tensor neg(const Tensor& x) { return elementwise(ops::neg, {x}); }
Tensor abs(const Tensor& x) { return elementwise(ops::abs, {x}); }
Tensor sign(const Tensor& x) { return elementwise(ops::sign, {x}); }
Tensor square(const Tensor& x) { return elementwise(ops::square, {x}); }
Tensor sqrt(const Tensor& x) { return elementwise(ops::sqrt, {x}); }
Tensor rsqrt(const Tensor& x) { return elementwise(ops::rsqrt, {x}); }
Tensor cbrt(const Tensor& x) { return elementwise(ops::cbrt, {x}); }
Tensor reciprocal(const Tensor& x) { return elementwise(ops::reciprocal, {x}); }

Tensor clamp(const Tensor& x, const Tensor& low, const Tensor& high) {
  return elementwise(ops::clamp, {x, low, high});
}
Tensor hypot(const Tensor& x, const Tensor& y) { return elementwise(ops::hypot, {x, y}); }

Tensor pow(const Tensor& x, const Tensor& y) {
  // Small whole powers are exact products; the general power is not.
  if (is_constant(y, 1)) return x;
  if (is_constant(y, 2)) return square(x);
  return elementwise(ops::pow, {x, y});
}

}  // namespace chainrule
