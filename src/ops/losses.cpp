// Losses of whole rows of scores.

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

std::int64_t ignored(const Node& node) { return node.get<std::int64_t>(0); }

Tensor counts(const Node& node) { return not_equal(node.inputs[1], ignored(node)); }

// What the index ops take for the classes: 0 for what is ignored, and no counting from the end.
Tensor class_index(const Node& node) {
  const Tensor& classes = node.inputs[1];
  const Tensor from_zero = where(classes < 0, node.inputs[0].size(-1), classes);
  return where(counts(node), from_zero, 0);
}

// −∞ − (−∞) would be NaN: a row without any probability has no derivative to speak of.
Tensor probabilities(const Tensor& logits, const Tensor& row_logsumexp) {
  return exp(logits - unsqueeze(where(isinf(row_logsumexp), 0.0, row_logsumexp), -1));
}

std::vector<Sample> class_samples(bool backward) {
  const Tensor z = Tensor::from(
      std::vector<double>{0.5, -1.25, 2.0, 0.75, -0.625, 1.5, -2.25, 3.0, 0.25, 1.0, -0.75, 1.75}, {3, 4});
  const auto sample = [&](const Tensor& logits, std::vector<std::int64_t> classes, std::int64_t ignore_index,
                          const char* what) {
    Shape rows = logits.shape();
    rows.erase(rows.size() - 1);
    Sample result{{logits, Tensor::from(classes, rows)}, {ignore_index}, what};
    if (!backward) return result;
    result.inputs.push_back(logsumexp(logits, {-1}));
    result.inputs.push_back(
        chainrule::reshape(linspace(0.5, 2.0, element_count(rows), DType::float64), rows));
    return result;
  };
  return {sample(z, {2, 0, 3}, -100, "rows"), sample(z, {2, -100, 1}, -100, "with one that is ignored"),
          sample(reshape(z, {2, 3, 2}), {0, 1, 1, 0, 1, 0}, 1, "rank 3, class 1 ignored")};
}

Sample class_workload(std::int64_t elements) {
  const Tensor z = large_rows(elements);
  return {{z, large_indices({z.size(0)}, z.size(1))}, {std::int64_t{-100}}, "rows"};
}

}  // namespace

namespace ops {

const OpDef softmax_cross_entropy = {
    .name = "softmax_cross_entropy",
    .arguments = {"logits", "classes"},
    .attributes = {"ignore_index"},
    .text = {.formula = "logsumexp({logits}) - gather({logits}, {classes})",
             .latex = "\\ln \\sum e^{{logits}} - {logits}[{classes}]",
             .precedence = 20,
             .summary = "The cross entropy of each row of logits against its class, and the row's logsumexp.",
             .domain = "convex, smooth",
             .source = "Bridle, Training stochastic model recognition algorithms as networks, NeurIPS 1989",
             .sketch = "it speaks of one row, whose class is a number"},
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          const TensorSpec rows{node.inputs[1].shape(), node.inputs[0].dtype()};
          outputs.push_back(rows);
          outputs.push_back(rows);
        },
    .vjp =
        [](const Node& node, std::span<const Tensor> outputs, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          const Tensor& logits = node.inputs[0];
          if (outputs_bar[0].defined()) {
            inputs_bar[0] = make_node(softmax_cross_entropy_backward,
                                      {logits, node.inputs[1], outputs[1], outputs_bar[0]}, {ignored(node)});
          }
          if (outputs_bar[1].defined()) {
            inputs_bar[0] = add_cotangents(
                inputs_bar[0], probabilities(logits, outputs[1]) * chainrule::unsqueeze(outputs_bar[1], -1));
          }
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& logits = node.inputs[0];
      const Tensor whole = chainrule::logsumexp(logits, {-1});
      const Tensor own = chainrule::squeeze(
          chainrule::gather(logits, chainrule::unsqueeze(class_index(node), -1), -1), {-1});
      return {chainrule::where(counts(node), whole - own, 0.0), whole};
    },
    .bound = {BoundKind::sum, 4},
    .flops_per_element = 20,
    .workload = class_workload,
    .samples = [] { return class_samples(false); },
};

const OpDef softmax_cross_entropy_backward = {
    .name = "softmax_cross_entropy_backward",
    .arguments = {"logits", "classes", "logsumexp", "losses_bar"},
    .attributes = {"ignore_index"},
    .text = {.formula = "{losses_bar} * (exp({logits} - {logsumexp}) - one_hot({classes}))",
             .latex = "{losses_bar} \\, (e^{{logits} - {logsumexp}} - \\mathrm{onehot}({classes}))",
             .precedence = 30,
             .summary = "The gradient of the cross entropy: probabilities less the one-hot class.",
             .domain = "smooth",
             .sketch = "it speaks of one row, whose class is a number"},
    .infer = [](const Node& node,
                SmallVector<TensorSpec, 1>& outputs) { outputs.push_back(spec_of(node.inputs[0])); },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor& logits = node.inputs[0];
      const Tensor p = probabilities(logits, node.inputs[2]);
      const Tensor numbers = arange(0, static_cast<double>(logits.size(-1)), 1, DType::int64);
      const Tensor is_class = chainrule::equal(chainrule::unsqueeze(node.inputs[1], -1), numbers);
      const Tensor row = chainrule::where(counts(node), node.inputs[3], 0.0);
      return {(p - chainrule::astype(is_class, p.dtype())) * chainrule::unsqueeze(row, -1)};
    },
    .bound = {BoundKind::sum, 4},
    .flops_per_element = 20,
    .samples = [] { return class_samples(true); },
};

}  // namespace ops

Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& classes, std::int64_t ignore_index) {
  const auto got = [&] {
    return describe_tensor("logits", logits) + ", " + describe_tensor("classes", classes);
  };
  if (!is_floating(logits.dtype()) || dtype_category(classes.dtype()) != DTypeCategory::integer) {
    throw DTypeError({.function = "softmax_cross_entropy",
                      .argument = "classes",
                      .problem = "not logits and classes",
                      .got = got(),
                      .wanted = "floating logits [.., C] and integer classes [..]"});
  }
  Shape wanted = logits.shape();
  if (!wanted.empty()) wanted.erase(wanted.size() - 1);
  if (logits.rank() == 0 || classes.shape() != wanted) {
    throw ShapeError({.function = "softmax_cross_entropy",
                      .argument = "classes",
                      .problem = "the classes do not fit the logits",
                      .got = got(),
                      .wanted = "logits [.., C] and one class for each of their rows"});
  }
  // The kernel reads int32 and int64; a smaller dtype may not hold ignore_index.
  const Tensor index = classes.dtype() == DType::uint8 ? astype(classes, DType::int64) : classes;
  return make_node(ops::softmax_cross_entropy, {logits, index}, {ignore_index});
}

}  // namespace chainrule
