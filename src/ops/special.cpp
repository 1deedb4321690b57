#include <cmath>
#include <limits>
#include <numbers>

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

// d/dx erf(x) = 2/√π · exp(−x²).
Tensor erf_slope(const Tensor& x) { return chainrule::exp(-square(x)) * (2 * std::numbers::inv_sqrtpi); }

// Giles' two polynomials in w = −log(1 − y²), each for one range of w: good to float32's precision.
constexpr double central[] = {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                              -0.00125372503, -0.00417768164, 0.246640727,    1.50140941};
constexpr double tail[] = {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                           -0.0076224613,   0.00943887047,  1.00167406,    2.83297682};

Tensor polynomial(const double (&coefficients)[9], const Tensor& w) {
  Tensor p = w * coefficients[0] + coefficients[1];
  for (std::size_t i = 2; i < 9; ++i) p = p * w + coefficients[i];
  return p;
}

// Two steps of Halley's method on erf make double precision of Giles' start.
Tensor inverse_erf(const Tensor& y) {
  const Tensor inside = logical_and(y > -1.0, y < 1.0);
  const Tensor safe = where(inside, y, 0.0);
  const Tensor w = -chainrule::log1p(-square(safe));
  Tensor x = safe * where(w < 5.0, polynomial(central, w - 2.5),
                          polynomial(tail, chainrule::sqrt(maximum(w, 5.0)) - 3.0));
  for (int step = 0; step < 2; ++step) {
    const Tensor correction = (chainrule::erf(x) - safe) / erf_slope(x);
    x = x - correction / (1.0 + x * correction);
  }
  const Tensor at_end = equal(chainrule::abs(y), 1.0);
  return where(
      inside, x,
      where(at_end, y * std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()));
}

double inverse_erf(double y) {
  if (!(y > -1 && y < 1)) return std::fabs(y) == 1 ? std::copysign(INFINITY, y) : NAN;
  double low = -6;
  double high = 6;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (std::erf(middle) < y ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

namespace ops {

const OpDef erf = {
    .name = "erf",
    .arguments = {"x"},
    .text = {.formula = "erf({x})",
             .latex = "\\operatorname{erf}({x})",
             .summary = "The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x.",
             .domain = "ℝ → (-1, 1), smooth",
             .source = "NIST Digital Library of Mathematical Functions, 7.2.1"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&, int) { return erf_slope(node.inputs[0]); },
    .reference = [](const double* x) { return std::erf(x[0]); },
    .ranges = {{-3, 3}},
};

const OpDef erfc = {
    .name = "erfc",
    .arguments = {"x"},
    .text = {.formula = "erfc({x})",
             .latex = "\\operatorname{erfc}({x})",
             .summary = "1 - erf(x), exact for large x.",
             .domain = "ℝ → (0, 2), smooth",
             .source = "NIST Digital Library of Mathematical Functions, 7.2.2"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&, int) { return -erf_slope(node.inputs[0]); },
    .reference = [](const double* x) { return std::erfc(x[0]); },
    .ranges = {{-3, 3}},
};

const OpDef erfinv = {
    .name = "erfinv",
    .arguments = {"y"},
    .text = {.formula = "erfinv({y})",
             .latex = "\\operatorname{erf}^{-1}({y})",
             .summary = "The inverse of erf; -inf at -1, inf at 1, NaN beyond.",
             .domain = "(-1, 1) → ℝ, smooth",
             .source = "Giles, Approximating the erfinv function, GPU Computing Gems, 2011"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial =
        [](const Node&, const Tensor& output, int) {
          return chainrule::exp(chainrule::square(output)) * (0.5 / std::numbers::inv_sqrtpi);
        },
    .definition = [](const Node& node) -> std::vector<Tensor> { return {inverse_erf(node.inputs[0])}; },
    .reference = [](const double* x) { return inverse_erf(x[0]); },
    .bound = {BoundKind::ulp, 32},
    .flops_per_element = 60,
    .ranges = {{-0.9, 0.9}},
};

const OpDef lgamma = {
    .name = "lgamma",
    .arguments = {"x"},
    .text = {.formula = "lgamma({x})",
             .latex = "\\ln |\\Gamma({x})|",
             .summary = "The logarithm of the absolute value of the gamma function.",
             .domain = "ℝ → ℝ, poles at 0, -1, -2, …",
             .source = "NIST Digital Library of Mathematical Functions, 5.2.1"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&, int) { return chainrule::digamma(node.inputs[0]); },
    .reference = [](const double* x) { return std::lgamma(x[0]); },
    .ranges = {{2.5, 9}},
};

const OpDef digamma = {
    .name = "digamma",
    .arguments = {"x"},
    .text = {.formula = "digamma({x})",
             .latex = "\\psi({x})",
             .summary = "The derivative of lgamma.",
             .domain = "ℝ → ℝ, poles at 0, -1, -2, …",
             .source = "NIST Digital Library of Mathematical Functions, 5.2.2"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&, int) { return chainrule::polygamma(1, node.inputs[0]); },
    // The recurrence ψ(x) = ψ(x + 1) − 1/x up to 10, then the asymptotic series (DLMF 5.11.2).
    .reference =
        [](const double* in) {
          double x = in[0];
          double shift = 0;
          // A pole has no sign, but at 0, where the sign of zero tells the side. Far left the recurrence is
          // long.
          if (x < -1e3 || (x < 0 && x == std::floor(x))) return std::numeric_limits<double>::quiet_NaN();
          for (; x < 10; ++x) shift -= 1 / x;
          const double r = 1 / (x * x);
          const double tail =
              r * (1. / 12 -
                   r * (1. / 120 - r * (1. / 252 - r * (1. / 240 - r * (1. / 132 - r * (691. / 32760))))));
          return shift + std::log(x) - 0.5 / x - tail;
        },
    .ranges = {{2.5, 9}},
};

const OpDef polygamma = {
    .name = "polygamma",
    .arguments = {"x"},
    .attributes = {"n"},
    .text = {.formula = "polygamma(n, {x})",
             .latex = "\\psi^{(n)}({x})",
             .summary = "The n-th derivative of digamma, n >= 1.",
             .domain = "ℝ → ℝ, poles at 0, -1, -2, …",
             .source = "NIST Digital Library of Mathematical Functions, 5.15.1"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&,
                  int) { return chainrule::polygamma(node.get<std::int64_t>(0) + 1, node.inputs[0]); },
    .bound = {BoundKind::ulp, 32},
    .flops_per_element = 60,
    .samples = []() -> std::vector<Sample> {
      const Tensor x = tensor({{0.4, 1, 2.5}, {7, 30, -1.4}}, DType::float64);
      return {{{x}, {std::int64_t{1}}, "trigamma"},
              {{chainrule::transpose(x)}, {std::int64_t{2}}, "tetragamma"}};
    },
};

}  // namespace ops

Tensor erf(const Tensor& x) { return elementwise(ops::erf, {x}); }
Tensor erfc(const Tensor& x) { return elementwise(ops::erfc, {x}); }
Tensor erfinv(const Tensor& y) { return elementwise(ops::erfinv, {y}); }
Tensor lgamma(const Tensor& x) { return elementwise(ops::lgamma, {x}); }
Tensor digamma(const Tensor& x) { return elementwise(ops::digamma, {x}); }

Tensor polygamma(std::int64_t n, const Tensor& x) {
  if (n < 0) {
    throw ArgumentError({.function = "polygamma",
                         .argument = "n",
                         .problem = "there is no derivative of negative order",
                         .got = std::to_string(n),
                         .wanted = "0 or more"});
  }
  if (n == 0) return digamma(x);
  // The kernel computes in the two wide dtypes alone.
  if (x.defined() && x.dtype() == DType::bfloat16)
    return astype(polygamma(n, astype(x, DType::float32)), DType::bfloat16);
  return elementwise(ops::polygamma, {x}, {n});
}

}  // namespace chainrule
