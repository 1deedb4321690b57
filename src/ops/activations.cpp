#include <cmath>
#include <numbers>

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

// Klambauer et al., section 2: the fixed point of mean 0 and variance 1.
constexpr double selu_alpha = 1.6732632423543772848170429916717;
constexpr double selu_scale = 1.0507009873554804934193349852946;
// sqrt(2 / pi).
constexpr double gelu_tanh_scale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;

// 1 where the condition holds, 0 elsewhere: as a factor of a cotangent it becomes a choice.
Tensor gate(const Tensor& open, DType dtype) { return where(open, scalar_of(1, dtype), scalar_of(0, dtype)); }

// Away from the kinks of every activation that is tried with it.
Tensor sample_inputs() { return tensor({{-2.6, -1.3, -0.85, -0.2}, {0.3, 0.8, 1.7, 2.9}}, DType::float64); }

}  // namespace

namespace ops {

const OpDef relu = {
    .name = "relu",
    .arguments = {"x"},
    .text = {.formula = "relu({x})",
             .latex = "\\max(0, {x})",
             .summary = "Passes positive numbers, stops negative ones; its derivative at 0 is taken as 0.",
             .domain = "ℝ → [0, ∞), kink at 0",
             .source =
                 "Nair and Hinton, Rectified linear units improve restricted Boltzmann machines, ICML 2010"},
    .kind = OpKind::elementwise,
    .partial =
        [](const Node&, const Tensor& output, int) {
          // The output tells as much as the input and is kept anyway.
          return chainrule::where(output > scalar_of(0, output.dtype()), scalar_of(1, output.dtype()),
                                  scalar_of(0, output.dtype()));
        },
    .reference = [](const double* x) { return x[0] > 0 || std::isnan(x[0]) ? x[0] : 0; },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-2, 2}},
    .kinks = {0},
};

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

const OpDef relu6 = {
    .name = "relu6",
    .arguments = {"x"},
    .text = {.formula = "relu6({x})",
             .latex = "\\min(\\max(0, {x}), 6)",
             .summary = "relu with a ceiling of 6; its derivative at 0 and 6 is taken as 0.",
             .domain = "ℝ → [0, 6], kinks at 0 and 6",
             .source = "Krizhevsky, Convolutional deep belief networks on CIFAR-10, 2010"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial =
        [](const Node& node, const Tensor& output, int) {
          const Tensor& x = node.inputs[0];
          return gate(chainrule::logical_and(x > 0.0, x < 6.0), output.dtype());
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {chainrule::minimum(chainrule::relu(x), 6.0)};
    },
    .reference = [](const double* x) { return std::isnan(x[0]) ? x[0] : std::fmin(std::fmax(x[0], 0), 6); },
    .bound = {BoundKind::exact, 0},
    .ranges = {{-2, 8}},
    .kinks = {0, 6},
};

const OpDef hardtanh = {
    .name = "hardtanh",
    .arguments = {"x"},
    .attributes = {"min_val", "max_val"},
    .text = {.formula = "hardtanh({x})",
             .latex = "\\min(\\max({x}, l), h)",
             .summary =
                 "x between two bounds, the bound beyond them; its derivative at the bounds is taken as 0.",
             .domain = "ℝ → [low, high], kinks at both",
             .source = "Collobert, Large scale machine learning, 2004"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial =
        [](const Node& node, const Tensor& output, int) {
          const Tensor& x = node.inputs[0];
          return gate(chainrule::logical_and(x > node.get<double>(0), x < node.get<double>(1)),
                      output.dtype());
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {chainrule::minimum(chainrule::maximum(x, node.get<double>(0)), node.get<double>(1))};
    },
    .bound = {BoundKind::exact, 0},
    .samples = []() -> std::vector<Sample> {
      return {{{sample_inputs()}, {-1.0, 1.0}, "-1 to 1"}, {{sample_inputs()}, {-0.7, 2.3}, "uneven"}};
    },
};

const OpDef leaky_relu = {
    .name = "leaky_relu",
    .arguments = {"x"},
    .attributes = {"negative_slope"},
    .text = {.formula = "leaky_relu({x})",
             .latex = "\\max(0, {x}) + s \\min(0, {x})",
             .summary = "Passes positive numbers, and negative ones with a small slope, which is also the "
                        "derivative at 0.",
             .domain = "ℝ → ℝ, kink at 0",
             .source = "Maas, Hannun and Ng, Rectifier nonlinearities improve neural network acoustic "
                       "models, ICML 2013"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .partial =
        [](const Node& node, const Tensor& output, int) {
          const DType dtype = output.dtype();
          return chainrule::where(node.inputs[0] > 0.0, scalar_of(1, dtype),
                                  scalar_of(node.get<double>(0), dtype));
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {chainrule::where(x > 0.0, x, x * node.get<double>(0))};
    },
    .bound = {BoundKind::ulp, 0.5},
    .samples = []() -> std::vector<Sample> {
      return {{{sample_inputs()}, {0.01}, "default"}, {{sample_inputs()}, {0.3}, "steeper"}};
    },
};

const OpDef prelu = {
    .name = "prelu",
    .arguments = {"x", "weight"},
    .text = {.formula = "prelu({x}, {weight})",
             .latex = "\\max(0, {x}) + w \\min(0, {x})",
             .summary = "leaky_relu with a learned slope.",
             .domain = "ℝ → ℝ, kink at 0",
             .source = "He, Zhang, Ren and Sun, Delving deep into rectifiers, ICCV 2015"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {chainrule::where(x > 0.0, x, node.inputs[1] * x)};
    },
    .reference = [](const double* x) { return x[0] > 0 ? x[0] : x[1] * x[0]; },
    .bound = {BoundKind::ulp, 0.5},
    .ranges = {{-2, 2}, {-0.5, 0.5}},
    .kinks = {0},
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
      return {{{sample_inputs()}, {1.0}, "default"}, {{sample_inputs()}, {0.4}, "lower"}};
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
      return {{{sample_inputs()}, {1.0}, "default"}, {{sample_inputs()}, {2.5}, "wider"}};
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

// (1 + tanh u) / 2 = chainrule::sigmoid(2u), without the cancellation.
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

const OpDef hardsigmoid = {
    .name = "hardsigmoid",
    .arguments = {"x"},
    .text = {.formula = "relu6({x} + 3) / 6",
             .latex = "\\min(\\max(0, {x} + 3), 6) / 6",
             .precedence = 30,
             .summary = "A piecewise linear sigmoid.",
             .domain = "ℝ → [0, 1], kinks at -3 and 3",
             .source = "Courbariaux, Bengio and David, BinaryConnect, NeurIPS 2015"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {chainrule::relu6(node.inputs[0] + 3.0) / 6.0};
    },
    .reference = [](const double* x) { return std::fmin(std::fmax(x[0] + 3, 0), 6) / 6; },
    .bound = {BoundKind::ulp, 64},
    .ranges = {{-4, 4}},
    .kinks = {-3, 3},
};

const OpDef hardswish = {
    .name = "hardswish",
    .arguments = {"x"},
    .text = {.formula = "{x} * relu6({x} + 3) / 6",
             .latex = "{x} \\, \\min(\\max(0, {x} + 3), 6) / 6",
             .precedence = 30,
             .summary = "A piecewise quadratic silu.",
             .domain = "ℝ → [-0.375, ∞), kinks at -3 and 3",
             .source = "Howard et al., Searching for MobileNetV3, ICCV 2019"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {x * (chainrule::relu6(x + 3.0) / 6.0)};
    },
    .reference = [](const double* x) { return x[0] * (std::fmin(std::fmax(x[0] + 3, 0), 6) / 6); },
    .bound = {BoundKind::ulp, 64},
    .ranges = {{-4, 4}},
    .kinks = {-3, 3},
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

const OpDef hardshrink = {
    .name = "hardshrink",
    .arguments = {"x"},
    .attributes = {"lambda"},
    .text = {.formula = "hardshrink({x})",
             .latex = "{x} \\, [\\,|{x}| > \\lambda\\,]",
             .summary = "x, or 0 where it is at most lambda in size.",
             .domain = "ℝ → ℝ, jumps at -lambda and lambda"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {chainrule::where(chainrule::abs(x) <= node.get<double>(0), 0.0, x)};  // NaN stays
    },
    .bound = {BoundKind::exact, 0},
    .samples = []() -> std::vector<Sample> {
      return {{{sample_inputs()}, {0.5}, "default"}, {{sample_inputs()}, {1.1}, "wider"}};
    },
};

const OpDef softshrink = {
    .name = "softshrink",
    .arguments = {"x"},
    .attributes = {"lambda"},
    .text = {.formula = "softshrink({x})",
             .latex = "\\operatorname{sign}({x}) \\max(0, |{x}| - \\lambda)",
             .summary = "x moved towards 0 by lambda: the proximal map of lambda |x|.",
             .domain = "ℝ → ℝ, kinks at -lambda and lambda",
             .source =
                 "Donoho, De-noising by soft-thresholding, IEEE Transactions on Information Theory 41, 1995"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      const double lambda = node.get<double>(0);
      return {
          chainrule::where(chainrule::abs(x) <= lambda, 0.0, x - lambda * chainrule::sign(x))};  // NaN stays
    },
    .bound = {BoundKind::ulp, 0.5},
    .samples = []() -> std::vector<Sample> {
      return {{{sample_inputs()}, {0.5}, "default"}, {{sample_inputs()}, {1.1}, "wider"}};
    },
};

const OpDef threshold = {
    .name = "threshold",
    .arguments = {"x"},
    .attributes = {"threshold", "value"},
    .text = {.formula = "threshold({x})",
             .latex = "{x} \\text{ if } {x} > t \\text{ else } v",
             .summary = "x where it is above the threshold, a constant elsewhere.",
             .domain = "ℝ → ℝ, jump at the threshold"},
    .kind = OpKind::elementwise,
    .element_rule = ElementRule::floating,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {chainrule::where(x <= node.get<double>(0), node.get<double>(1), x)};  // NaN stays
    },
    .bound = {BoundKind::exact, 0},
    .samples = []() -> std::vector<Sample> {
      return {{{sample_inputs()}, {0.1, -2.0}, "default"}};
    },
};

}  // namespace ops

Tensor relu(const Tensor& x) { return elementwise(ops::relu, {x}); }
Tensor relu6(const Tensor& x) { return elementwise(ops::relu6, {x}); }
Tensor hardtanh(const Tensor& x, double min_val, double max_val) {
  if (!(min_val <= max_val)) {
    throw ArgumentError({.function = "hardtanh",
                         .argument = "max_val",
                         .problem = "the bounds are in the wrong order",
                         .got = std::to_string(min_val) + " and " + std::to_string(max_val),
                         .wanted = "min_val <= max_val"});
  }
  return elementwise(ops::hardtanh, {x}, {min_val, max_val});
}
Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return elementwise(ops::leaky_relu, {x}, {negative_slope});
}
Tensor prelu(const Tensor& x, const Tensor& weight) { return elementwise(ops::prelu, {x, weight}); }
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
Tensor sigmoid(const Tensor& x) { return elementwise(ops::sigmoid, {x}); }
Tensor tanh(const Tensor& x) { return elementwise(ops::tanh, {x}); }
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
Tensor hardsigmoid(const Tensor& x) { return elementwise(ops::hardsigmoid, {x}); }
Tensor hardswish(const Tensor& x) { return elementwise(ops::hardswish, {x}); }
Tensor softsign(const Tensor& x) { return elementwise(ops::softsign, {x}); }
Tensor tanhshrink(const Tensor& x) { return elementwise(ops::tanhshrink, {x}); }
Tensor hardshrink(const Tensor& x, double lambda) { return elementwise(ops::hardshrink, {x}, {lambda}); }
Tensor softshrink(const Tensor& x, double lambda) { return elementwise(ops::softshrink, {x}, {lambda}); }
Tensor threshold(const Tensor& x, double threshold, double value) {
  return elementwise(ops::threshold, {x}, {threshold, value});
}

Tensor glu(const Tensor& x, int axis) {
  const std::vector<Tensor> halves = chunk(x, 2, axis);
  if (halves.size() != 2 || halves[0].shape() != halves[1].shape()) {
    throw ShapeError({.function = "glu",
                      .argument = "x",
                      .problem = "the axis can't be halved",
                      .got = to_string(x.shape()),
                      .wanted = "an even length"});
  }
  return halves[0] * sigmoid(halves[1]);
}

}  // namespace chainrule
