// Steps of optimizers whose every element is computed from the same few values: one pass over memory.

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

Tensor scalar64(double value) { return full({}, value, DType::float64); }

std::vector<Sample> adam_samples() {
  const auto values = [](std::vector<double> list) { return Tensor::from(list, {2, 3}); };
  const Tensor p = values({0.5, -1.25, 2.0, 0.75, -0.625, 1.5});
  const Tensor g = values({-0.25, 0.125, 1.0, -2.0, 0.375, 0.5});
  const Tensor m = values({0.125, -0.5, 0.25, 1.0, -0.75, 0.0625});
  const Tensor v = values({0.5, 0.25, 1.0, 2.0, 0.125, 0.75});
  return {{{p, g, m, v, scalar64(0.01), scalar64(3)}, {0.9, 0.999, 1e-8, 0.0, 0.0}, "third step"},
          {{p, g, m, v, scalar64(0.5), scalar64(1)}, {0.8, 0.95, 0.25, 0.0, 0.25}, "decoupled weight decay"},
          {{p, g, m, v, scalar64(0.5), scalar64(2)},
           {0.8, 0.95, 0.25, 0.25, 0.0},
           "weight decay in the gradient"},
          {{p, g, m, v, scalar64(0.25), scalar64(4)}, {0.8, 0.95, 0.25, 0.5, 0.25}, "both weight decays"}};
}

constexpr const char* adam_arguments[] = {"p", "g", "m", "v", "lr", "t"};

// Parameter, gradient and means are alike, and what is the same for all elements is a scalar.
void infer_adam(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  const TensorSpec& p = spec_of(node.inputs[0]);
  if (!is_floating(p.dtype)) {
    throw DTypeError({.function = "adam_update",
                      .argument = "p",
                      .problem = "a parameter is a floating-point tensor",
                      .got = describe_tensor("p", node.inputs[0]),
                      .wanted = "float32, float64 or bfloat16"});
  }
  for (std::size_t i = 1; i < 6; ++i) {
    const bool is_scalar = i >= 4;
    const TensorSpec wanted = is_scalar ? TensorSpec{{}, DType::float64} : p;
    const TensorSpec& got = spec_of(node.inputs[i]);
    // The kernel wants float64 for these; the definition takes what it gets.
    if (got == wanted || (is_scalar && got.shape == wanted.shape && is_floating(got.dtype))) continue;
    ErrorParts parts{.function = "adam_update",
                     .argument = adam_arguments[i],
                     .problem = is_scalar ? "learning rate and step number are floating-point scalars"
                                          : "gradient and means have the parameter's shape and dtype",
                     .got = describe_tensor(adam_arguments[i], node.inputs[i]),
                     .wanted = is_scalar
                                   ? "a floating-point scalar"
                                   : std::string(dtype_name(wanted.dtype)) + " " + to_string(wanted.shape)};
    if (got.shape != wanted.shape) throw ShapeError(std::move(parts));
    throw DTypeError(std::move(parts));
  }
  for (const std::size_t i : {0U, 2U, 3U}) outputs.push_back(spec_of(node.inputs[i]));
}

Sample adam_workload(std::int64_t elements) {
  const auto part = [&](std::uint64_t seed) { return large({elements}, seed); };
  return {{part(1), part(2), part(3), chainrule::square(part(4)), scalar64(0.001), scalar64(10)},
          {0.9, 0.999, 1e-8, 0.0, 0.0},
          "vector"};
}

}  // namespace

namespace ops {

const OpDef adam_update = {
    .name = "adam_update",
    .arguments = {"p", "g", "m", "v", "lr", "t"},
    .attributes = {"beta1", "beta2", "eps", "l2", "weight_decay"},
    .text = {.formula =
                 "{p} * (1 - {lr} * weight_decay) - {lr} * (beta1 * {m} + (1 - beta1) * ({g} + l2 * {p})) "
                 "/ (1 - beta1^{t}) / (sqrt((beta2 * {v} + (1 - beta2) * ({g} + l2 * {p})^2) / "
                 "(1 - beta2^{t})) + eps)",
             // A prime marks a new mean.
             .latex = "(1 - {lr}\\,\\lambda)\\,{p} - {lr} \\frac{m' / (1 - \\beta_1^{{t}})}"
                      "{\\sqrt{v' / (1 - \\beta_2^{{t}})} + \\epsilon}, \\quad "
                      "m' = \\beta_1 {m} + (1 - \\beta_1)\\,({g} + \\lambda_2 {p}), \\quad "
                      "v' = \\beta_2 {v} + (1 - \\beta_2)\\,({g} + \\lambda_2 {p})^2",
             .precedence = 20,
             .summary =
                 "One step of Adam or AdamW: the new parameter and the new means of the gradient and its "
                 "square.",
             .domain = "v ≥ 0, t ≥ 1",
             .source = "Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015; Loshchilov and "
                       "Hutter, Decoupled weight decay regularization, ICLR 2019"},
    .infer = infer_adam,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const auto option = [&](int i) { return node.get<double>(i); };
      const double beta1 = option(0);
      const double beta2 = option(1);
      const Tensor& t = node.inputs[5];
      const DType dtype = node.inputs[0].dtype();
      Tensor p = node.inputs[0];
      Tensor g = node.inputs[1];
      if (option(3) != 0) g = g + p * option(3);
      if (option(4) != 0) p = p * chainrule::astype(1.0 - node.inputs[4] * option(4), dtype);
      const Tensor m = node.inputs[2] * beta1 + g * (1 - beta1);
      const Tensor v = node.inputs[3] * beta2 + chainrule::square(g) * (1 - beta2);
      // The corrections of the means, which start at 0, are scalars: they cost nothing per element.
      const Tensor correction1 = 1.0 - chainrule::pow(scalar64(beta1), t);
      const Tensor correction2 = chainrule::sqrt(1.0 - chainrule::pow(scalar64(beta2), t));
      const Tensor root = chainrule::sqrt(v) * chainrule::astype(1.0 / correction2, dtype);
      const Tensor rate = chainrule::astype(node.inputs[4] / correction1, dtype);
      return {p - m * rate / (root + option(2)), m, v};
    },
    .overwrites = {0, 2, 3},
    .bound = {BoundKind::sum, 8},  // means and steps of either sign may cancel
    .flops_per_element = 16,
    .divisions_per_element = 1,
    .roots_per_element = 1,
    .workload = adam_workload,
    .samples = adam_samples,
};

}  // namespace ops
}  // namespace chainrule
