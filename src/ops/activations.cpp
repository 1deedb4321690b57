#include <cmath>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace ops {

const OpDef relu = {
    .name = "relu",
    .arguments = {"x"},
    .text = {.formula = "relu({x})", .latex = "\\max(0, {x})",
             .summary = "Passes positive numbers, stops negative ones; its derivative at 0 is taken as 0.",
             .domain = "ℝ → [0, ∞), kink at 0",
             .source = "Nair and Hinton, Rectified linear units improve restricted Boltzmann machines, ICML 2010"},
    .kind = OpKind::elementwise,
    .partial = [](const Node&, const Tensor& output, int) {
      // The output tells as much as the input and is kept anyway.
      return chainrule::where(output > scalar_of(0, output.dtype()), scalar_of(1, output.dtype()), scalar_of(0, output.dtype()));
    },
    .reference = [](const double* x) { return x[0] > 0 || std::isnan(x[0]) ? x[0] : 0; },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-2, 2}},
    .kinks = {0},
};

const OpDef sigmoid = {
    .name = "sigmoid",
    .arguments = {"x"},
    .text = {.formula = "1 / (1 + exp(-{x}))", .latex = "\\frac{1}{1 + e^{-{x}}}", .precedence = 30,
             .summary = "Turns a logit into a probability.", .domain = "ℝ → (0, 1), smooth",
             .source = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 3.10"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node&, const Tensor& output, int) { return output * (scalar_of(1, output.dtype()) - output); },
    .reference = [](const double* x) { return x[0] >= 0 ? 1 / (1 + std::exp(-x[0])) : std::exp(x[0]) / (1 + std::exp(x[0])); },
    .ranges = {{-3, 3}},
};

const OpDef tanh = {
    .name = "tanh",
    .arguments = {"x"},
    .text = {.formula = "tanh({x})", .latex = "\\tanh {x}", .summary = "The hyperbolic tangent.",
             .domain = "ℝ → (-1, 1), smooth",
             .source = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.3.2"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node&, const Tensor& output, int) { return scalar_of(1, output.dtype()) - chainrule::square(output); },
    .reference = [](const double* x) { return std::tanh(x[0]); },
    .ranges = {{-3, 3}},
};

}  // namespace ops

Tensor relu(const Tensor& x) { return elementwise(ops::relu, {x}); }
Tensor sigmoid(const Tensor& x) { return elementwise(ops::sigmoid, {x}); }
Tensor tanh(const Tensor& x) { return elementwise(ops::tanh, {x}); }

}  // namespace chainrule
