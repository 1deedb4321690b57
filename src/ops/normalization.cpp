// Normalization of rows: what an elementwise affine layer sees with mean 0 and variance 1, or with size 1.

#include <array>
#include <limits>

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

double epsilon(const Node& node) { return node.get<double>(0); }

Shape rows_of(const Tensor& x) {
  Shape rows = x.shape();
  rows.erase(rows.size() - 1);
  return rows;
}

struct Normalized {
  Tensor x;     // (x − mean) · rstd
  Tensor mean;  // [.., 1]
  Tensor rstd;  // [.., 1]
};

Normalized normalized(const Tensor& x, double eps) {
  const Tensor center = mean(x, {-1}, true);
  const Tensor centered = x - center;
  const Tensor rstd = rsqrt(mean(square(centered), {-1}, true) + eps);
  return {centered * rstd, center, rstd};
}

Normalized scaled_to_size_one(const Tensor& x, double eps) {
  const Tensor rstd = rsqrt(mean(square(x), {-1}, true) + eps);
  return {x * rstd, {}, rstd};
}

// Sum over all axes but the last: the gradient of what every row is multiplied with.
Tensor over_rows(const Tensor& x) {
  Dims axes;
  for (int axis = 0; axis + 1 < x.rank(); ++axis) axes.push_back(axis);
  return axes.size() == 0 ? x : sum(x, axes);
}

std::vector<Sample> row_samples(bool with_shift, bool backward) {
  const auto values = [](std::vector<double> list, const Shape& shape) { return Tensor::from(list, shape); };
  const Tensor x = values({0.5, -1.25, 2.0, 0.75, -0.625, 1.5, -2.25, 3.0, 0.25, 1.0, -0.75, 1.75}, {3, 4});
  const auto sample = [&](const Tensor& rows, double eps, const char* what) {
    const std::int64_t n = rows.size(-1);
    Sample result{{rows, chainrule::linspace(0.5, 1.5, n, DType::float64)}, {eps}, what};
    if (with_shift && !backward) result.inputs.push_back(chainrule::linspace(-1.0, 1.0, n, DType::float64));
    if (!backward) return result;
    result.attributes.clear();
    const Tensor y_bar = reshape(chainrule::linspace(-0.75, 1.25, rows.size(), DType::float64), rows.shape());
    const Normalized z = with_shift ? normalized(rows, eps) : scaled_to_size_one(rows, eps);
    result.inputs.insert(result.inputs.begin(), y_bar);
    if (with_shift) result.inputs.push_back(reshape(z.mean, rows_of(rows)));
    result.inputs.push_back(reshape(z.rstd, rows_of(rows)));
    return result;
  };
  return {sample(x, 1e-5, "rows"), sample(reshape(x, {2, 3, 2}), 0.25, "rank 3, a large eps"),
          sample(reshape(x, {12}), 1e-5, "one row")};
}

Sample row_workload(std::int64_t elements, bool with_shift) {
  const Tensor x = large_rows(elements);
  Sample sample{{x, large({x.size(-1)}, 2)}, {1e-5}, "rows"};
  if (with_shift) sample.inputs.push_back(large({x.size(-1)}, 3));
  return sample;
}

// x has rows, and what they are multiplied with and moved by has their length.
void infer_rows(const Node& node, SmallVector<TensorSpec, 1>& outputs, int statistics) {
  const Tensor& x = node.inputs[0];
  outputs.push_back(spec_of(x));
  for (int i = 0; i < statistics; ++i) outputs.push_back({rows_of(x), x.dtype()});
}

void infer_rows_backward(const Node& node, SmallVector<TensorSpec, 1>& outputs, int parameters) {
  outputs.push_back(spec_of(node.inputs[1]));
  for (int i = 0; i < parameters; ++i) outputs.push_back(spec_of(node.inputs[2]));
}

Tensor column(const Tensor& row_values) { return unsqueeze(row_values, -1); }

// ∂L/∂x through the rows' statistics, with c = x − mean: ∂mean/∂x = 1/n, ∂rstd/∂x = −rstd³ c / n.
Tensor through_statistics(const Tensor& c, const Tensor& rstd, const Tensor& mean_bar,
                          const Tensor& rstd_bar) {
  Tensor x_bar;
  const double share = 1 / static_cast<double>(c.size(-1));
  if (mean_bar.defined()) x_bar = broadcast_to(column(mean_bar) * share, c.shape());
  if (rstd_bar.defined()) x_bar = add_cotangents(x_bar, c * column(rstd_bar * pow(rstd, 3.0) * -share));
  return x_bar;
}

}  // namespace

namespace ops {

const OpDef layer_norm = {
    .name = "layer_norm",
    .arguments = {"x", "weight", "bias"},
    .attributes = {"eps"},
    .text = {.formula = "({x} - mean({x})) / sqrt(mean(({x} - mean({x}))^2) + eps) * {weight} + {bias}",
             .latex = "\\frac{{x} - \\mu}{\\sqrt{\\sigma^2 + \\epsilon}} \\, {weight} + {bias}",
             .precedence = 20,
             .summary = "Each row with mean 0 and variance 1, then scaled and moved element by element.",
             .domain = "smooth",
             .source = "Ba, Kiros and Hinton, Layer normalization, 2016",
             .sketch = "it speaks of one row"},
    .infer = [](const Node& node, SmallVector<TensorSpec, 1>& outputs) { infer_rows(node, outputs, 2); },
    .vjp =
        [](const Node& node, std::span<const Tensor> outputs, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          const Tensor& x = node.inputs[0];
          if (outputs_bar[0].defined()) {
            const std::vector<Tensor> bars = make_outputs(
                layer_norm_backward, std::array{outputs_bar[0], x, node.inputs[1], outputs[1], outputs[2]});
            for (std::size_t i = 0; i < 3; ++i) inputs_bar[i] = bars[i];
          }
          inputs_bar[0] = add_cotangents(inputs_bar[0], through_statistics(x - column(outputs[1]), outputs[2],
                                                                           outputs_bar[1], outputs_bar[2]));
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      const Normalized z = normalized(x, epsilon(node));
      return {z.x * node.inputs[1] + node.inputs[2], chainrule::reshape(z.mean, rows_of(x)),
              chainrule::reshape(z.rstd, rows_of(x))};
    },
    .bound = {BoundKind::sum, 8},
    .flops_per_element = 8,
    .workload = [](std::int64_t elements) { return row_workload(elements, true); },
    .samples = [] { return row_samples(true, false); },
};

const OpDef layer_norm_backward = {
    .name = "layer_norm_backward",
    .arguments = {"y_bar", "x", "weight", "mu", "rstd"},
    .text = {.formula = "{rstd} * ({y_bar} * {weight} - mean({y_bar} * {weight}) - "
                        "({x} - {mu}) * {rstd} * mean({y_bar} * {weight} * ({x} - {mu}) * {rstd}))",
             .latex = "r \\left(g - \\overline{g} - \\hat{x}\\,\\overline{g \\hat{x}}\\right), \\quad "
                      "g = {y_bar} \\, {weight}, \\quad \\hat{x} = ({x} - {mu})\\,r, \\quad r = {rstd}",
             .precedence = 30,
             .summary = "The gradients of layer_norm by x, weight and bias.",
             .domain = "smooth",
             .sketch = "it speaks of one row"},
    .infer = [](const Node& node,
                SmallVector<TensorSpec, 1>& outputs) { infer_rows_backward(node, outputs, 2); },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& y_bar = node.inputs[0];
      const Tensor rstd = column(node.inputs[4]);
      const Tensor z = (node.inputs[1] - column(node.inputs[3])) * rstd;
      const Tensor g = y_bar * node.inputs[2];
      const Tensor slope = chainrule::mean(g * z, {-1}, true);
      return {(g - chainrule::mean(g, {-1}, true) - z * slope) * rstd, over_rows(y_bar * z),
              over_rows(y_bar)};
    },
    .bound = {BoundKind::sum, 16},
    .flops_per_element = 16,
    .samples = [] { return row_samples(true, true); },
};

const OpDef rms_norm = {
    .name = "rms_norm",
    .arguments = {"x", "weight"},
    .attributes = {"eps"},
    .text = {.formula = "{x} / sqrt(mean({x}^2) + eps) * {weight}",
             .latex = "\\frac{{x}}{\\sqrt{\\overline{{x}^2} + \\epsilon}} \\, {weight}",
             .precedence = 30,
             .summary = "Each row scaled to a mean square of 1, then element by element.",
             .domain = "smooth",
             .source = "Zhang and Sennrich, Root mean square layer normalization, NeurIPS 2019",
             .sketch = "it speaks of one row"},
    .infer = [](const Node& node, SmallVector<TensorSpec, 1>& outputs) { infer_rows(node, outputs, 1); },
    .vjp =
        [](const Node& node, std::span<const Tensor> outputs, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          const Tensor& x = node.inputs[0];
          if (outputs_bar[0].defined()) {
            const std::vector<Tensor> bars =
                make_outputs(rms_norm_backward, std::array{outputs_bar[0], x, node.inputs[1], outputs[1]});
            for (std::size_t i = 0; i < 2; ++i) inputs_bar[i] = bars[i];
          }
          inputs_bar[0] =
              add_cotangents(inputs_bar[0], through_statistics(x, outputs[1], Tensor(), outputs_bar[1]));
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      const Normalized z = scaled_to_size_one(x, epsilon(node));
      return {z.x * node.inputs[1], chainrule::reshape(z.rstd, rows_of(x))};
    },
    .bound = {BoundKind::sum, 8},
    .flops_per_element = 5,
    .workload = [](std::int64_t elements) { return row_workload(elements, false); },
    .samples = [] { return row_samples(false, false); },
};

const OpDef rms_norm_backward = {
    .name = "rms_norm_backward",
    .arguments = {"y_bar", "x", "weight", "rstd"},
    .text = {.formula =
                 "{rstd} * ({y_bar} * {weight} - {x} * {rstd} * mean({y_bar} * {weight} * {x} * {rstd}))",
             .latex = "r \\left(g - \\hat{x}\\,\\overline{g \\hat{x}}\\right), \\quad "
                      "g = {y_bar} \\, {weight}, \\quad \\hat{x} = {x}\\,r, \\quad r = {rstd}",
             .precedence = 30,
             .summary = "The gradients of rms_norm by x and weight.",
             .domain = "smooth",
             .sketch = "it speaks of one row"},
    .infer = [](const Node& node,
                SmallVector<TensorSpec, 1>& outputs) { infer_rows_backward(node, outputs, 1); },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& y_bar = node.inputs[0];
      const Tensor rstd = column(node.inputs[3]);
      const Tensor z = node.inputs[1] * rstd;
      const Tensor g = y_bar * node.inputs[2];
      return {(g - z * chainrule::mean(g * z, {-1}, true)) * rstd, over_rows(y_bar * z)};
    },
    .bound = {BoundKind::sum, 16},
    .flops_per_element = 12,
    .samples = [] { return row_samples(false, true); },
};

}  // namespace ops

namespace {

// The rows and their parameters in one dtype; what is absent changes nothing.
std::vector<Tensor> row_inputs(const char* function, const Tensor& x, std::span<const Tensor> parameters) {
  static constexpr const char* names[] = {"weight", "bias"};
  if (x.rank() == 0 || !is_floating(x.dtype())) {
    ErrorParts parts{.function = function,
                     .argument = "x",
                     .problem = "no rows of floating numbers",
                     .got = describe_tensor("x", x),
                     .wanted = "a floating tensor [.., n]"};
    if (x.rank() == 0) throw ShapeError(std::move(parts));
    throw DTypeError(std::move(parts));
  }
  const Shape row{x.size(-1)};
  DType dtype = x.dtype();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!parameters[i].defined()) continue;
    dtype = promote(dtype, parameters[i].dtype());
    if (parameters[i].shape() == row) continue;
    throw ShapeError({.function = function,
                      .argument = names[i],
                      .problem = "a row's parameters have another length than the rows",
                      .got = describe_tensor(names[i], parameters[i]) + ", " + describe_tensor("x", x),
                      .wanted = to_string(row)});
  }
  std::vector<Tensor> inputs{astype(x, dtype)};
  for (std::size_t i = 0; i < parameters.size(); ++i)
    inputs.push_back(parameters[i].defined() ? astype(parameters[i], dtype)
                                             : full(row, i == 0 ? 1.0 : 0.0, dtype));
  return inputs;
}

double machine_epsilon(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return std::numeric_limits<double>::epsilon();
    case DType::bfloat16:
      return 0.0078125;
    default:
      return std::numeric_limits<float>::epsilon();
  }
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  return make_node(ops::layer_norm, row_inputs("layer_norm", x, std::array{weight, bias}), {eps});
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, std::optional<double> eps) {
  const std::vector<Tensor> inputs = row_inputs("rms_norm", x, std::array{weight});
  return make_node(ops::rms_norm, inputs, {eps.value_or(machine_epsilon(x.dtype()))});
}

}  // namespace chainrule
