// Functions whose reverse derivative the user gives. The rule is a closure, the only attribute that is one.

#include <chainrule/control.hpp>
#include <chainrule/error.hpp>
#include <chainrule/transforms.hpp>

#include "autodiff/driver.hpp"
#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {

/// What a `custom_vjp` node holds.
struct CustomRule {
  std::function<Tensor(const TensorList&)> function;
  std::function<TensorList(const TensorList&, const Tensor&, const Tensor&)> vjp;
};

namespace {

using RulePointer = std::shared_ptr<const CustomRule>;

const CustomRule& rule_of(const Node& node) { return *node.get<RulePointer>(0); }
TensorList inputs_of(const Node& node) { return {node.inputs.begin(), node.inputs.end()}; }

void infer_custom(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  outputs.push_back(spec_of(rule_of(node).function(inputs_of(node))));
}

void custom_rule_vjp(const Node& node, std::span<const Tensor> outputs, std::span<const Tensor> outputs_bar,
                     const std::vector<bool>& needed, std::span<Tensor> inputs_bar) {
  const TensorList bars = rule_of(node).vjp(inputs_of(node), outputs[0], outputs_bar[0]);
  if (bars.size() != node.inputs.size()) {
    throw ArgumentError({.function = "custom_vjp",
                         .argument = "vjp",
                         .problem = "the rule returns another number of cotangents",
                         .got = std::to_string(bars.size()),
                         .wanted = std::to_string(node.inputs.size()) + ", one per input"});
  }
  for (std::size_t i = 0; i < bars.size(); ++i) {
    if (!needed[i] || !bars[i].defined()) continue;
    if (!(bars[i].shape() == node.inputs[i].shape())) {
      throw ShapeError({.function = "custom_vjp",
                        .argument = "vjp",
                        .problem = "cotangent " + std::to_string(i) + " has another shape than its input",
                        .got = to_string(bars[i].shape()),
                        .wanted = to_string(node.inputs[i].shape())});
    }
    inputs_bar[i] = bars[i];
  }
}

// The rule is linear in the cotangent, ȳ ↦ Jᵀȳ: pulling ẋ back through it gives J ẋ.
std::vector<Tensor> custom_rule_jvp(const Node& node, std::span<const Tensor> outputs,
                                    std::span<const Tensor> tangents) {
  const TensorList inputs = inputs_of(node);
  TensorList x_dot;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    x_dot.push_back(tangents[i].defined() ? tangents[i] : zeros_like(inputs[i]));
  const auto transposed = [&](const Tensor& y_bar) {
    TensorList bars = rule_of(node).vjp(inputs, outputs[0], y_bar);
    for (std::size_t i = 0; i < bars.size(); ++i) {
      if (!bars[i].defined()) bars[i] = zeros_like(inputs[i]);
    }
    return bars;
  };
  return {vjp(transposed, zeros_like(outputs[0]), x_dot).second};
}

// The batched function with the batched rule.
std::vector<Tensor> batch_custom(const Node& node, std::span<const Tensor> inputs,
                                 const std::vector<bool>& batched, std::int64_t) {
  std::vector<int> axes;
  for (const bool is_batched : batched) axes.push_back(is_batched ? 0 : -1);
  const RulePointer rule = node.get<RulePointer>(0);
  const auto run = [](TensorList values, const std::vector<int>& in_axes,
                      FunctionRef<TensorList(const TensorList&)> f) {
    std::vector<Tensor*> places;
    for (Tensor& value : values) places.push_back(&value);
    const auto body = [&] { return f(values); };
    return detail::batched(places, {}, in_axes, body);
  };
  const auto function = [rule, axes, run](const TensorList& values) {
    const auto one = [&](const TensorList& example) { return TensorList{rule->function(example)}; };
    return run(values, axes, one)[0];
  };
  const auto vjp = [rule, axes, run](const TensorList& values, const Tensor& output,
                                     const Tensor& output_bar) {
    TensorList all = values;
    all.push_back(output);
    all.push_back(broadcast_to(output_bar, output.shape()));
    std::vector<int> all_axes = axes;
    all_axes.insert(all_axes.end(), {0, 0});
    std::vector<bool> present(values.size(), true);
    const auto one = [&](const TensorList& example) {
      const TensorList example_inputs(example.begin(), example.end() - 2);
      TensorList bars = rule->vjp(example_inputs, example[example.size() - 2], example.back());
      for (std::size_t i = 0; i < bars.size(); ++i) {
        present[i] = bars[i].defined();
        if (!present[i]) bars[i] = zeros_like(example_inputs[i]);
      }
      return bars;
    };
    TensorList bars = run(all, all_axes, one);
    for (std::size_t i = 0; i < bars.size(); ++i) {
      if (!present[i])
        bars[i] = Tensor();
      else if (axes[i] < 0)
        bars[i] = sum(bars[i], {0});  // an input shared by the examples collects from all
    }
    return bars;
  };
  return {custom_vjp(function, vjp)(TensorList(inputs.begin(), inputs.end()))};
}

}  // namespace

namespace ops {

const OpDef custom = {
    .name = "custom",
    .arguments = {"x..."},
    .attributes = {"rule"},
    .text = {.formula = "custom({x})",
             .latex = "f({x})",
             .summary = "A user's function with a reverse derivative of its own.",
             .domain = "that of the user's function"},
    .infer = infer_custom,
    .vjp = custom_rule_vjp,
    .jvp = custom_rule_jvp,
    .batch = batch_custom,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {rule_of(node).function(inputs_of(node))};
    },
    .samples = []() -> std::vector<Sample> {
      const auto rule = std::make_shared<const CustomRule>(
          CustomRule{[](const TensorList& x) { return chainrule::square(x[0]); },
                     [](const TensorList& x, const Tensor&, const Tensor& y_bar) {
                       return TensorList{y_bar * x[0] * 2.0};
                     }});
      return {{{Tensor::from(std::vector<double>{0.5, -1.5}, {2})}, {RulePointer(rule)}, "square"}};
    },
};

}  // namespace ops

std::function<Tensor(const TensorList&)> custom_vjp(
    std::function<Tensor(const TensorList&)> f,
    std::function<TensorList(const TensorList&, const Tensor&, const Tensor&)> vjp) {
  auto rule = std::make_shared<const CustomRule>(CustomRule{std::move(f), std::move(vjp)});
  return [rule](const TensorList& inputs) { return make_node(ops::custom, inputs, {rule}); };
}

}  // namespace chainrule
