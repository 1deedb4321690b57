// Activations made of pieces: relu and its relatives, hard versions of the smooth ones, shrinkage.

#include <cmath>

#include <chainrule/error.hpp>
#include <chainrule/text.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

// 1 where the condition holds, 0 elsewhere: as a factor of a cotangent it becomes a choice.
Tensor gate(const Tensor& open, DType dtype) { return where(open, scalar_of(1, dtype), scalar_of(0, dtype)); }

}  // namespace

Tensor activation_inputs() {
  return tensor({{-2.6, -1.3, -0.85, -0.2}, {0.3, 0.8, 1.7, 2.9}}, DType::float64);
}

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
      return {{{activation_inputs()}, {-1.0, 1.0}, "-1 to 1"},
              {{activation_inputs()}, {-0.7, 2.3}, "uneven"}};
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
      return {{{activation_inputs()}, {0.01}, "default"}, {{activation_inputs()}, {0.3}, "steeper"}};
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
      return {{{activation_inputs()}, {0.5}, "default"}, {{activation_inputs()}, {1.1}, "wider"}};
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
      return {{{activation_inputs()}, {0.5}, "default"}, {{activation_inputs()}, {1.1}, "wider"}};
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
      return {{{activation_inputs()}, {0.1, -2.0}, "default"}};
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
                         .got = short_number(min_val) + " and " + short_number(max_val),
                         .wanted = "min_val <= max_val"});
  }
  return elementwise(ops::hardtanh, {x}, {min_val, max_val});
}
Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return elementwise(ops::leaky_relu, {x}, {negative_slope});
}
Tensor prelu(const Tensor& x, const Tensor& weight) { return elementwise(ops::prelu, {x, weight}); }
Tensor hardsigmoid(const Tensor& x) { return elementwise(ops::hardsigmoid, {x}); }
Tensor hardswish(const Tensor& x) { return elementwise(ops::hardswish, {x}); }
Tensor hardshrink(const Tensor& x, double lambda) { return elementwise(ops::hardshrink, {x}, {lambda}); }
Tensor softshrink(const Tensor& x, double lambda) { return elementwise(ops::softshrink, {x}, {lambda}); }
Tensor threshold(const Tensor& x, double threshold, double value) {
  return elementwise(ops::threshold, {x}, {threshold, value});
}

}  // namespace chainrule
