// Smooth activations, and the exponential linear units.

#include <cmath>
#include <numbers>

#include <chainrule/error.hpp>
#include <chainrule/text.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

// Klambauer et al., section 2: the fixed point of mean 0 and variance 1.
constexpr double selu_alpha = 1.6732632423543772848170429916717;
constexpr double selu_scale = 1.0507009873554804934193349852946;
// sqrt(2 / pi).
constexpr double gelu_tanh_scale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;

}  // namespace

namespace ops {

const OpDef sigmoid = {
    .name = "sigmoid",
    .arguments = {"x"},
    .text = {.formula = "1 / (1 + exp(-{x}))",
             .latex = "\\frac{1}{1 + e^{-{x}}}",
             .precedence = 30,
             .summary = "Turns a logit into a probability.",
             .domain = "ℝ → (0, 1), smooth",
             .source = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 3.10"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node&, const Tensor& output,
                  int) { return output * (scalar_of(1, output.dtype()) - output); },
    .reference =
        [](const double* x) {
          return x[0] >= 0 ? 1 / (1 + std::exp(-x[0])) : std::exp(x[0]) / (1 + std::exp(x[0]));
        },
    .ranges = {{-3, 3}},
};

const OpDef tanh = {
    .name = "tanh",
    .arguments = {"x"},
    .text = {.formula = "tanh({x})",
             .latex = "\\tanh {x}",
             .summary = "The hyperbolic tangent.",
             .domain = "ℝ → (-1, 1), smooth",
             .source = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.3.2"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node&, const Tensor& output,
                  int) { return scalar_of(1, output.dtype()) - chainrule::square(output); },
    .reference = [](const double* x) { return std::tanh(x[0]); },
    .ranges = {{-3, 3}},
};

// The smaller of x and 0 keeps the branch that is not taken from overflowing.
const OpDef elu = {
    .name = "elu",
    .arguments = {"x"},
    .attributes = {"alpha"},
    .text = {.formula = "elu({x})",
             .latex = "\\max(0, {x}) + \\min(0, \\alpha (e^{{x}} - 1))",
             .summary = "x where it is positive, alpha (exp(x) - 1) elsewhere; the derivative at 0 is alpha.",
             .domain = "ℝ → (-alpha, ∞)",
             .source = "Clevert, Unterthiner and Hochreiter, Fast and accurate deep network learning by "
                       "exponential linear units, ICLR 2016"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor& output,
                  int) { return chainrule::where(node.inputs[0] > 0.0, 1.0, output + node.get<double>(0)); },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {
          chainrule::where(x > 0.0, x, chainrule::expm1(chainrule::minimum(x, 0.0)) * node.get<double>(0))};
    },
    .bound = {BoundKind::ulp, 16},
    .samples = []() -> std::vector<Sample> {
      return {{{activation_inputs()}, {1.0}, "default"}, {{activation_inputs()}, {0.4}, "lower"}};
    },
};

const OpDef selu = {
    .name = "selu",
    .arguments = {"x"},
    .text =
        {.formula = "selu({x})",
         .latex = "\\lambda \\, \\operatorname{elu}_\\alpha({x})",
         .summary = "elu scaled so that layers keep mean 0 and variance 1.",
         .domain = "ℝ → (-1.7581, ∞)",
         .source =
             "Klambauer, Unterthiner, Mayr and Hochreiter, Self-normalizing neural networks, NeurIPS 2017"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {chainrule::elu(node.inputs[0], selu_alpha) * selu_scale};
    },
    .reference =
        [](const double* x) { return selu_scale * (x[0] > 0 ? x[0] : selu_alpha * std::expm1(x[0])); },
    .bound = {BoundKind::ulp, 16},
    .ranges = {{-3, 3}},
    .kinks = {0},
};

const OpDef celu = {
    .name = "celu",
    .arguments = {"x"},
    .attributes = {"alpha"},
    .text = {.formula = "celu({x})",
             .latex = "\\max(0, {x}) + \\min(0, \\alpha (e^{{x} / \\alpha} - 1))",
             .summary = "elu with a continuous derivative for every alpha.",
             .domain = "ℝ → (-alpha, ∞)",
             .source = "Barron, Continuously differentiable exponential linear units, 2017"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const double alpha = node.get<double>(0);
      return {chainrule::elu(node.inputs[0] / alpha, 1) * alpha};
    },
    .bound = {BoundKind::ulp, 16},
    .samples = []() -> std::vector<Sample> {
      return {{{activation_inputs()}, {1.0}, "default"}, {{activation_inputs()}, {2.5}, "wider"}};
    },
};

// erfc, not 1 + erf: exact far to the left, where the sum would cancel.
const OpDef gelu = {
    .name = "gelu",
    .arguments = {"x"},
    .text = {.formula = "gelu({x})",
             .latex = "{x} \\, \\Phi({x})",
             .summary = "x times the probability that a standard normal number is below it.",
             .domain = "ℝ → (-0.17, ∞), smooth",
             .source = "Hendrycks and Gimpel, Gaussian error linear units, 2016"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {x * 0.5 * chainrule::erfc(x * (-1 / std::numbers::sqrt2))};
    },
    .reference = [](const double* x) { return 0.5 * x[0] * std::erfc(-x[0] / std::numbers::sqrt2); },
    .bound = {BoundKind::ulp, 16},
    .ranges = {{-3, 3}},
};

// (1 + tanh u) / 2 = sigmoid(2u), without the cancellation.
const OpDef gelu_tanh = {
    .name = "gelu_tanh",
    .arguments = {"x"},
    .text = {.formula = "gelu_tanh({x})",
             .latex = "\\frac{{x}}{2} \\left(1 + \\tanh\\left(\\sqrt{2/\\pi}\\,({x} + "
                      "0.044715\\,{x}^3)\\right)\\right)",
             .summary = "gelu approximated with tanh.",
             .domain = "ℝ → (-0.17, ∞), smooth",
             .source = "Hendrycks and Gimpel, Gaussian error linear units, 2016"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {x * chainrule::sigmoid((x + chainrule::square(x) * x * 0.044715) * (2 * gelu_tanh_scale))};
    },
    .reference =
        [](const double* x) {
          return x[0] / (1 + std::exp(-2 * gelu_tanh_scale * (x[0] + 0.044715 * x[0] * x[0] * x[0])));
        },
    .bound = {BoundKind::ulp, 48},
    .ranges = {{-3, 3}},
};

const OpDef silu = {
    .name = "silu",
    .arguments = {"x"},
    .text = {.formula = "{x} / (1 + exp(-{x}))",
             .latex = "{x} \\, \\sigma({x})",
             .precedence = 30,
             .summary = "x times its sigmoid; also known as swish.",
             .domain = "ℝ → (-0.28, ∞), smooth",
             .source = "Elfwing, Uchibe and Doya, Sigmoid-weighted linear units for neural network function "
                       "approximation, 2017"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {x * chainrule::sigmoid(x)};
    },
    .reference = [](const double* x) { return x[0] / (1 + std::exp(-x[0])); },
    .bound = {BoundKind::ulp, 4},
    .ranges = {{-3, 3}},
};

const OpDef mish = {
    .name = "mish",
    .arguments = {"x"},
    .text = {.formula = "{x} * tanh(log1p(exp({x})))",
             .latex = "{x} \\tanh(\\ln(1 + e^{{x}}))",
             .precedence = 30,
             .summary = "x times the tanh of its softplus.",
             .domain = "ℝ → (-0.31, ∞), smooth",
             .source = "Misra, Mish: a self regularized non-monotonic activation function, BMVC 2020"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {x * chainrule::tanh(chainrule::softplus(x))};
    },
    .reference = [](const double* x) { return x[0] * std::tanh(std::log1p(std::exp(x[0]))); },
    .bound = {BoundKind::ulp, 16},
    .ranges = {{-3, 3}},
};

// The form that never overflows; its derivative is smooth where its terms have kinks.
const OpDef softplus = {
    .name = "softplus",
    .arguments = {"x"},
    .text = {.formula = "log1p(exp({x}))",
             .latex = "\\ln(1 + e^{{x}})",
             .summary = "A smooth relu, the integral of the sigmoid.",
             .domain = "ℝ → (0, ∞), smooth",
             .source = "Dugas et al., Incorporating second-order functional knowledge for better option "
                       "pricing, NeurIPS 2000"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&, int) { return chainrule::sigmoid(node.inputs[0]); },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {chainrule::relu(x) + chainrule::log1p(chainrule::exp(-chainrule::abs(x)))};
    },
    .reference = [](const double* x) { return std::fmax(x[0], 0) + std::log1p(std::exp(-std::fabs(x[0]))); },
    .bound = {BoundKind::ulp, 4},
    .ranges = {{-3, 3}},
};

const OpDef log_sigmoid = {
    .name = "log_sigmoid",
    .arguments = {"x"},
    .text = {.formula = "-log1p(exp(-{x}))",
             .latex = "-\\ln(1 + e^{-{x}})",
             .precedence = 40,
             .summary = "The logarithm of the sigmoid without overflow.",
             .domain = "ℝ → (-∞, 0), smooth",
             .source = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 3.10"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {-chainrule::softplus(-node.inputs[0])};
    },
    .reference = [](const double* x) { return std::fmin(x[0], 0) - std::log1p(std::exp(-std::fabs(x[0]))); },
    .bound = {BoundKind::ulp, 4},
    .ranges = {{-3, 3}},
};

const OpDef softsign = {
    .name = "softsign",
    .arguments = {"x"},
    .text = {.formula = "{x} / (1 + abs({x}))",
             .latex = "\\frac{{x}}{1 + |{x}|}",
             .precedence = 30,
             .summary = "A sigmoid that approaches its ends as 1/x.",
             .domain = "ℝ → (-1, 1)",
             .source = "Turian, Bergstra and Bengio, Quadratic features and deep architectures for chunking, "
                       "NAACL 2009"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial =
        [](const Node& node, const Tensor&, int) {
          return chainrule::reciprocal(chainrule::square(1.0 + chainrule::abs(node.inputs[0])));
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {x / (1.0 + chainrule::abs(x))};
    },
    .reference = [](const double* x) { return x[0] / (1 + std::fabs(x[0])); },
    .bound = {BoundKind::ulp, 2},
    .ranges = {{-3, 3}},
    .kinks = {0},
};

const OpDef tanhshrink = {
    .name = "tanhshrink",
    .arguments = {"x"},
    .text = {.formula = "{x} - tanh({x})",
             .latex = "{x} - \\tanh {x}",
             .precedence = 20,
             .summary = "What tanh takes away.",
             .domain = "ℝ → ℝ, smooth"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial = [](const Node& node, const Tensor&,
                  int) { return chainrule::square(chainrule::tanh(node.inputs[0])); },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {x - chainrule::tanh(x)};
    },
    .reference = [](const double* x) { return x[0] - std::tanh(x[0]); },
    .bound = {BoundKind::ulp, 16},
    .ranges = {{0.5, 3}},
};

const OpDef glu = {
    .name = "glu",
    .arguments = {"x"},
    .attributes = {"axis"},
    .text = {.formula = "glu({x})",
             .latex = "{x}_1 \\odot \\sigma({x}_2)",
             .summary = "The first half of x along an axis times the sigmoid of the second half.",
             .domain = "ℝ²ⁿ → ℝⁿ, smooth",
             .source = "Dauphin et al., Language modeling with gated convolutional networks, ICML 2017"},
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          Shape shape = node.inputs[0].shape();
          std::int64_t& length = shape[static_cast<int>(node.get<std::int64_t>(0))];
          if (length % 2 != 0 || length == 0) {
            throw ShapeError({.function = "glu",
                              .argument = "x",
                              .problem = "the axis can't be halved",
                              .got = to_string(shape),
                              .wanted = "an even length"});
          }
          length /= 2;
          outputs.push_back({shape, floating_dtype(node.inputs[0].dtype())});
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const auto axis = static_cast<int>(node.get<std::int64_t>(0));
      const std::vector<Tensor> halves = chainrule::chunk(node.inputs[0], 2, axis);
      return {halves[0] * chainrule::sigmoid(halves[1])};
    },
    .flops_per_element = 10,
    .samples = []() -> std::vector<Sample> {
      return {{{activation_inputs()}, {std::int64_t{1}}, "columns"},
              {{activation_inputs()}, {std::int64_t{0}}, "rows"}};
    },
};

}  // namespace ops

Tensor sigmoid(const Tensor& x) { return elementwise(ops::sigmoid, {x}); }
Tensor tanh(const Tensor& x) { return elementwise(ops::tanh, {x}); }
Tensor elu(const Tensor& x, double alpha) { return elementwise(ops::elu, {x}, {alpha}); }
Tensor selu(const Tensor& x) { return elementwise(ops::selu, {x}); }
Tensor celu(const Tensor& x, double alpha) {
  if (alpha == 0)
    throw ArgumentError({.function = "celu",
                         .argument = "alpha",
                         .problem = "x is divided by alpha",
                         .got = "0",
                         .wanted = "not 0"});
  return elementwise(ops::celu, {x}, {alpha});
}
Tensor gelu(const Tensor& x, std::string_view approximate) {
  if (approximate == "none") return elementwise(ops::gelu, {x});
  if (approximate == "tanh") return elementwise(ops::gelu_tanh, {x});
  throw ArgumentError({.function = "gelu",
                       .argument = "approximate",
                       .problem = "there is no such approximation",
                       .got = "\"" + std::string(approximate) + "\"",
                       .wanted = "\"none\" or \"tanh\""});
}
Tensor silu(const Tensor& x) { return elementwise(ops::silu, {x}); }
Tensor mish(const Tensor& x) { return elementwise(ops::mish, {x}); }
Tensor softplus(const Tensor& x, double beta) {
  if (beta == 1) return elementwise(ops::softplus, {x});
  if (beta == 0)
    throw ArgumentError({.function = "softplus",
                         .argument = "beta",
                         .problem = "the result is divided by beta",
                         .got = "0",
                         .wanted = "not 0"});
  return elementwise(ops::softplus, {x * beta}) / beta;
}
Tensor log_sigmoid(const Tensor& x) { return elementwise(ops::log_sigmoid, {x}); }
Tensor softsign(const Tensor& x) { return elementwise(ops::softsign, {x}); }
Tensor tanhshrink(const Tensor& x) { return elementwise(ops::tanhshrink, {x}); }

Tensor glu(const Tensor& x, int axis) {
  return make_node(ops::glu, {x}, {std::int64_t{normalize_axis(axis, x.rank(), "glu")}});
}

}  // namespace chainrule
