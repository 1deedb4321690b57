// Reductions that are written in other reductions, and softmax with its kin.

#include <cmath>
#include <limits>

#include <chainrule/error.hpp>
#include <chainrule/text.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

// The first two attributes of every op in this file that reduces: axes, keepdims.
const Dims& axes_of(const Node& node) { return node.get<Dims>(0); }
bool keeps(const Node& node) { return node.get<bool>(1); }
Dims axis_of(const Node& node) { return Dims{node.get<std::int64_t>(0)}; }

double count_of(const Shape& shape, const Dims& axes) {
  double count = 1;
  for (const std::int64_t axis : axes) count *= static_cast<double>(shape[static_cast<int>(axis)]);
  return count;
}

void infer_reduced(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  outputs.push_back(
      {reduced_shape(node.inputs[0].shape(), axes_of(node), keeps(node)), node.inputs[0].dtype()});
}
void infer_first(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  outputs.push_back(spec_of(node.inputs[0]));
}

// √s with the derivative 0 at 0, where the root has none: the norm of a vector of zeros.
Tensor root(const Tensor& s) {
  const Tensor at_zero = equal(s, 0.0);
  return where(at_zero, 0.0, chainrule::sqrt(where(at_zero, 1.0, s)));
}

// The largest element, as a constant, where it is finite: what exponentials are scaled by.
Tensor stable_shift(const Tensor& x, const Dims& axes) {
  const Tensor largest = stop_gradient(max(x, axes, true));
  return where(isfinite(largest), largest, 0.0);
}

// ---- batching ----

std::vector<Tensor> batch_reduction(const Node& node, std::span<const Tensor> inputs,
                                    const std::vector<bool>&, std::int64_t) {
  Attributes attributes = *node.attributes;
  for (std::int64_t& axis : std::get<Dims>(attributes[0])) ++axis;
  return make_outputs(*node.op, inputs, std::move(attributes));
}
std::vector<Tensor> batch_axis(const Node& node, std::span<const Tensor> inputs,
                               const std::vector<bool>& batched, std::int64_t size) {
  std::vector<Tensor> aligned;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    aligned.push_back(batched_input(inputs[i], batched[i], size));
  return make_outputs(*node.op, aligned, {node.get<std::int64_t>(0) + 1});
}

// ---- samples ----

Tensor matrix() {
  return Tensor::from(
      std::vector<double>{0.5, -1.25, 2.0, 0.75, -0.625, 1.5, -2.25, 3.0, 0.25, 1.0, -0.75, 1.75}, {3, 4});
}
std::vector<Sample> reduced_samples() {
  return {{{matrix()}, {Dims{0}, false}, "columns"},
          {{matrix()}, {Dims{1}, true}, "rows, kept"},
          {{transpose(matrix())}, {Dims{0, 1}, false}, "all, transposed"},
          {{reshape(matrix(), {2, 3, 2})}, {Dims{0, 2}, false}, "outer and inner"}};
}
std::vector<Sample> with_option(std::vector<double> options) {
  std::vector<Sample> samples;
  for (const double option : options) {
    for (Sample& sample : reduced_samples()) {
      samples.push_back({sample.inputs,
                         {sample.attributes[0], sample.attributes[1], option},
                         sample.what + ", " + short_number(option)});
    }
  }
  return samples;
}
std::vector<Sample> axis_samples() {
  return {{{matrix()}, {std::int64_t{1}}, "rows"},
          {{matrix()}, {std::int64_t{0}}, "columns"},
          {{transpose(matrix())}, {std::int64_t{1}}, "transposed"},
          {{reshape(matrix(), {2, 3, 2})}, {std::int64_t{1}}, "middle"}};
}
std::vector<Sample> backward_samples() {
  const Tensor y = softmax(matrix(), 1);
  const Tensor cotangent = flip(matrix());
  return {{{y, cotangent}, {std::int64_t{1}}, "rows"}, {{y, cotangent}, {std::int64_t{0}}, "columns"}};
}

Sample reduction_workload(std::int64_t elements) {
  return {{large_rows(elements)}, {Dims{1}, false}, "rows"};
}
Sample variance_workload(std::int64_t elements) {
  return {{large_rows(elements)}, {Dims{1}, false, 1.0}, "rows"};
}
Sample norm_workload(std::int64_t elements) {
  return {{large_rows(elements)}, {Dims{1}, false, 2.0}, "rows"};
}
Sample axis_workload(std::int64_t elements) { return {{large_rows(elements)}, {std::int64_t{1}}, "rows"}; }
Sample backward_workload(std::int64_t elements) {
  return {{large_rows(elements, 1), large_rows(elements, 2)}, {std::int64_t{1}}, "rows"};
}

}  // namespace

namespace ops {

const OpDef mean = {
    .name = "mean",
    .arguments = {"x"},
    .attributes = {"axes", "keepdims"},
    .text = {.formula = "mean({x})",
             .latex = "\\frac{1}{n} \\sum {x}",
             .summary = "The arithmetic mean over axes; integers give float32.",
             .domain = "linear"},
    .linear = Linearity::all,
    .infer = infer_reduced,
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          const Shape& shape = node.inputs[0].shape();
          inputs_bar[0] =
              chainrule::broadcast_to(restore_axes(outputs_bar[0], shape, axes_of(node), keeps(node)) /
                                          count_of(shape, axes_of(node)),
                                      shape);
        },
    .batch = batch_reduction,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      return {chainrule::sum(x, axes_of(node), keeps(node)) / count_of(x.shape(), axes_of(node))};
    },
    .bound = {BoundKind::sum, 1},
    .workload = reduction_workload,
    .samples = reduced_samples,
};

const OpDef var = {
    .name = "var",
    .arguments = {"x"},
    .attributes = {"axes", "keepdims", "correction"},
    .text = {.formula = "var({x})",
             .latex = "\\frac{1}{n - c} \\sum ({x} - \\bar{{x}})^2",
             .summary = "The variance over axes: squared distances from the mean over n - correction.",
             .domain = "ℝⁿ → [0, ∞), smooth; n > correction"},
    .infer = infer_reduced,
    .batch = batch_reduction,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      const double freedom = count_of(x.shape(), axes_of(node)) - node.get<double>(2);
      const Tensor centered = x - chainrule::mean(x, axes_of(node), true);
      return {chainrule::sum(chainrule::square(centered), axes_of(node), keeps(node)) /
              std::fmax(freedom, 0)};
    },
    .bound = {BoundKind::sum, 4},
    .workload = variance_workload,
    .samples =
        [] {
          return with_option({1, 0});
        },
};

const OpDef std = {
    .name = "std",
    .arguments = {"x"},
    .attributes = {"axes", "keepdims", "correction"},
    .text =
        {.formula = "sqrt(var({x}))",
         .latex = "\\sqrt{\\operatorname{var}({x})}",
         .summary =
             "The standard deviation over axes; its derivative is taken as 0 where all numbers are equal.",
         .domain = "ℝⁿ → [0, ∞), smooth but at 0; n > correction"},
    .infer = infer_reduced,
    .batch = batch_reduction,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {root(chainrule::var(node.inputs[0], axes_of(node), node.get<double>(2), keeps(node)))};
    },
    .bound = {BoundKind::sum, 4},
    .workload = variance_workload,
    .samples =
        [] {
          return with_option({1, 0});
        },
};

const OpDef norm = {
    .name = "norm",
    .arguments = {"x"},
    .attributes = {"axes", "keepdims", "p"},
    .text = {.formula = "norm({x})",
             .latex = "\\left(\\sum |{x}|^p\\right)^{1/p}",
             .summary = "The p-norm over axes: 2 is the length, 1 the sum of sizes, inf the largest size, 0 "
                        "the number of elements that are not 0.",
             .domain = "ℝⁿ → [0, ∞), smooth but at 0"},
    .infer = infer_reduced,
    .batch = batch_reduction,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      const Dims& axes = axes_of(node);
      const double p = node.get<double>(2);
      if (p == 2) return {root(chainrule::sum(chainrule::square(x), axes, keeps(node)))};
      if (p == 1) return {chainrule::sum(chainrule::abs(x), axes, keeps(node))};
      if (p == 0)
        return {
            chainrule::sum(chainrule::astype(chainrule::not_equal(x, 0.0), x.dtype()), axes, keeps(node))};
      if (std::isinf(p)) {
        const Tensor size = chainrule::abs(x);
        return {p > 0 ? chainrule::max(size, axes, keeps(node)) : chainrule::min(size, axes, keeps(node))};
      }
      const Tensor powers = chainrule::sum(chainrule::pow(chainrule::abs(x), p), axes, keeps(node));
      return {chainrule::pow(powers, 1 / p)};
    },
    .bound = {BoundKind::sum, 8},
    .workload = norm_workload,
    .samples =
        [] {
          return with_option({2, 1, 3, std::numeric_limits<double>::infinity()});
        },
};

const OpDef logsumexp = {
    .name = "logsumexp",
    .arguments = {"x"},
    .attributes = {"axes", "keepdims"},
    .text = {.formula = "log(sum(exp({x})))",
             .latex = "\\ln \\sum e^{{x}}",
             .summary = "The logarithm of a sum of exponentials over axes, without overflow.",
             .domain = "convex, smooth",
             .source = "Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax "
                       "functions, 2021"},
    .infer = infer_reduced,
    .vjp =
        [](const Node& node, std::span<const Tensor> outputs, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          const Tensor& x = node.inputs[0];
          const Tensor y = restore_axes(outputs[0], x.shape(), axes_of(node), keeps(node));
          const Tensor y_bar = restore_axes(outputs_bar[0], x.shape(), axes_of(node), keeps(node));
          // A row of -inf has the derivative 0, not chainrule::exp(-inf + inf).
          inputs_bar[0] = y_bar * chainrule::exp(x - chainrule::where(chainrule::isinf(y), 0.0, y));
        },
    .jvp = [](const Node& node, std::span<const Tensor> outputs,
              std::span<const Tensor> tangents) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      const Tensor y = restore_axes(outputs[0], x.shape(), axes_of(node), keeps(node));
      return {chainrule::sum(tangents[0] * chainrule::exp(x - chainrule::where(chainrule::isinf(y), 0.0, y)),
                             axes_of(node), keeps(node))};
    },
    .batch = batch_reduction,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      const Tensor shift = stable_shift(x, axes_of(node));
      const Tensor total =
          chainrule::log(chainrule::sum(chainrule::exp(x - shift), axes_of(node), true)) + shift;
      return {chainrule::reshape(total, node.outputs[0].shape)};
    },
    .bound = {BoundKind::sum, 4},
    .flops_per_element = 20,
    .workload = reduction_workload,
    .samples = reduced_samples,
};

const OpDef softmax = {
    .name = "softmax",
    .arguments = {"x"},
    .attributes = {"axis"},
    .text = {.formula = "softmax({x})",
             .latex = "\\frac{e^{{x}}}{\\sum e^{{x}}}",
             .summary = "Turns logits along an axis into probabilities that add up to 1.",
             .domain = "ℝⁿ → (0, 1)ⁿ, smooth",
             .source = "Bridle, Training stochastic model recognition algorithms as networks, NeurIPS 1989"},
    .infer = infer_first,
    .vjp =
        [](const Node& node, std::span<const Tensor> outputs, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          inputs_bar[0] =
              make_node(softmax_backward, {outputs[0], outputs_bar[0]}, {node.get<std::int64_t>(0)});
        },
    // The Jacobian diag(y) − y yᵀ is symmetric: both directions are one formula.
    .jvp = [](const Node& node, std::span<const Tensor> outputs,
              std::span<const Tensor> tangents) -> std::vector<Tensor> {
      return {make_node(softmax_backward, {outputs[0], tangents[0]}, {node.get<std::int64_t>(0)})};
    },
    .batch = batch_axis,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      const Tensor powers =
          chainrule::exp(x - chainrule::stop_gradient(chainrule::max(x, axis_of(node), true)));
      return {powers / chainrule::sum(powers, axis_of(node), true)};
    },
    .bound = {BoundKind::sum, 8},
    .flops_per_element = 20,
    .workload = axis_workload,
    .samples = axis_samples,
};

const OpDef softmax_backward = {
    .name = "softmax_backward",
    .arguments = {"y", "y_bar"},
    .attributes = {"axis"},
    .text = {.formula = "{y} * ({y_bar} - sum({y_bar} * {y}))",
             .latex = "{y} \\, ({y_bar} - \\sum {y_bar} \\, {y})",
             .precedence = 30,
             .summary = "The Jacobian of softmax, diag(y) - y yT, times a vector.",
             .domain = "linear in y_bar"},
    .infer = infer_first,
    .batch = batch_axis,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& y = node.inputs[0];
      const Tensor& y_bar = node.inputs[1];
      return {y * (y_bar - chainrule::sum(y_bar * y, axis_of(node), true))};
    },
    .bound = {BoundKind::sum, 4},
    .flops_per_element = 4,
    .workload = backward_workload,
    .samples = backward_samples,
};

const OpDef log_softmax = {
    .name = "log_softmax",
    .arguments = {"x"},
    .attributes = {"axis"},
    .text = {.formula = "{x} - logsumexp({x})",
             .latex = "{x} - \\ln \\sum e^{{x}}",
             .precedence = 20,
             .summary = "The logarithm of softmax, exact where a probability is too small for a float.",
             .domain = "ℝⁿ → (-∞, 0)ⁿ, smooth",
             .source = "Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax "
                       "functions, 2021"},
    .infer = infer_first,
    .vjp =
        [](const Node& node, std::span<const Tensor> outputs, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          inputs_bar[0] =
              make_node(log_softmax_backward, {outputs[0], outputs_bar[0]}, {node.get<std::int64_t>(0)});
        },
    .jvp = [](const Node& node, std::span<const Tensor> outputs,
              std::span<const Tensor> tangents) -> std::vector<Tensor> {
      return {tangents[0] - chainrule::sum(chainrule::exp(outputs[0]) * tangents[0], axis_of(node), true)};
    },
    .batch = batch_axis,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& x = node.inputs[0];
      const Tensor shifted = x - chainrule::stop_gradient(chainrule::max(x, axis_of(node), true));
      return {shifted - chainrule::log(chainrule::sum(chainrule::exp(shifted), axis_of(node), true))};
    },
    .bound = {BoundKind::sum, 8},
    .flops_per_element = 20,
    .workload = axis_workload,
    .samples = axis_samples,
};

const OpDef log_softmax_backward = {
    .name = "log_softmax_backward",
    .arguments = {"y", "y_bar"},
    .attributes = {"axis"},
    .text = {.formula = "{y_bar} - exp({y}) * sum({y_bar})",
             .latex = "{y_bar} - e^{{y}} \\sum {y_bar}",
             .precedence = 20,
             .summary = "The transposed Jacobian of log_softmax times a vector.",
             .domain = "linear in y_bar"},
    .infer = infer_first,
    .batch = batch_axis,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {node.inputs[1] -
              chainrule::exp(node.inputs[0]) * chainrule::sum(node.inputs[1], axis_of(node), true)};
    },
    .bound = {BoundKind::sum, 4},
    .flops_per_element = 15,
    .workload = backward_workload,
    .samples = backward_samples,
};

}  // namespace ops

namespace {

Tensor floating(const Tensor& x) { return is_floating(x.dtype()) ? x : astype(x, floating_dtype(x.dtype())); }

Tensor reduce(const OpDef& op, const Tensor& x, const Dims& axes, bool keepdims) {
  return make_node(op, {floating(x)},
                   {normalize_axes(axes, x.rank(), std::string(op.name).c_str()), keepdims});
}
Tensor reduce(const OpDef& op, const Tensor& x, const Dims& axes, bool keepdims, double option) {
  return make_node(op, {floating(x)},
                   {normalize_axes(axes, x.rank(), std::string(op.name).c_str()), keepdims, option});
}
Tensor along(const OpDef& op, const Tensor& x, int axis) {
  if (x.rank() == 0) return reshape(along(op, reshape(x, {1}), 0), {});
  const std::int64_t normalized = normalize_axis(axis, x.rank(), std::string(op.name).c_str());
  return x.size() == 0 ? floating(x) : make_node(op, {floating(x)}, {normalized});
}

}  // namespace

Tensor mean(const Tensor& x, const Dims& axes, bool keepdims) { return reduce(ops::mean, x, axes, keepdims); }
Tensor var(const Tensor& x, const Dims& axes, double correction, bool keepdims) {
  return reduce(ops::var, x, axes, keepdims, correction);
}
Tensor std(const Tensor& x, const Dims& axes, double correction, bool keepdims) {
  return reduce(ops::std, x, axes, keepdims, correction);
}
Tensor norm(const Tensor& x, double p, const Dims& axes, bool keepdims) {
  if (std::isnan(p))
    throw ArgumentError({.function = "norm",
                         .argument = "p",
                         .problem = "there is no such norm",
                         .got = "NaN",
                         .wanted = "a number or infinity"});
  return reduce(ops::norm, x, axes, keepdims, p);
}
Tensor logsumexp(const Tensor& x, const Dims& axes, bool keepdims) {
  const Dims normalized = normalize_axes(axes, x.rank(), "logsumexp");
  if (count_of(x.shape(), normalized) == 0) {
    return full(reduced_shape(x.shape(), normalized, keepdims), -std::numeric_limits<double>::infinity(),
                floating_dtype(x.dtype()));
  }
  return reduce(ops::logsumexp, x, axes, keepdims);
}
Tensor softmax(const Tensor& x, int axis) { return along(ops::softmax, x, axis); }
Tensor log_softmax(const Tensor& x, int axis) { return along(ops::log_softmax, x, axis); }

}  // namespace chainrule
