// The text of an op's derivative: its rule runs on placeholders, and what it builds is printed.

#include <algorithm>

#include <chainrule/error.hpp>
#include <chainrule/text.hpp>
#include <chainrule/transforms.hpp>

#include "autodiff/driver.hpp"
#include "expression/print.hpp"
#include "expression/program.hpp"
#include "ops/declarations.hpp"

namespace chainrule {
namespace {

const OpDef& declared(std::string_view name, const char* function) {
  if (const OpDef* op = find_op(name)) return *op;
  std::vector<std::string> names;
  for (const OpDef* op : op_table()) names.emplace_back(op->name);
  throw ArgumentError({.function = function,
                       .argument = "name",
                       .problem = "no op has this name",
                       .got = quote(name),
                       .wanted = "the name of an op",
                       .hint = suggest(name, names)});
}

std::string with_bar(const std::string& name, TextStyle style) {
  if (style == TextStyle::latex) return "\\bar{" + name + "}";
  return name.size() == 1 ? name + "\u0304" : name + "_bar";
}

// The op on symbols: its inputs, its outputs, and what they are called.
struct Example {
  const OpDef* op;
  std::vector<std::string> names;  // of the inputs
  std::string output;
  Sample sample;

  std::vector<Tensor> placeholders() const {
    std::vector<Tensor> inputs;
    for (const Tensor& input : sample.inputs) {
      // Only what is differentiated is a symbol; indices and conditions may be looked at by a shape rule.
      inputs.push_back(make_placeholder(spec_of(input)));
    }
    return inputs;
  }
  std::vector<Tensor> apply(const std::vector<Tensor>& inputs) const {
    return make_outputs(*op, inputs, sample.attributes);
  }

  std::vector<NamedTensor> naming(const std::vector<Tensor>& inputs,
                                  const std::vector<Tensor>& outputs) const {
    std::vector<NamedTensor> result;
    for (std::size_t i = 0; i < inputs.size(); ++i) result.push_back({inputs[i], names[i]});
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      result.push_back({outputs[i], outputs.size() == 1 ? output : output + std::to_string(i)});
    }
    return result;
  }
};

std::vector<std::string> input_names(const OpDef& op, std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view name = op.arguments[std::min(i, op.arguments.size() - 1)];
    const bool many = name.ends_with("...");
    names.push_back(many ? std::string(name.substr(0, name.size() - 3)) +
                               std::to_string(i - op.arguments.size() + 2)
                         : std::string(name));
  }
  return names;
}

Example example_of(const OpDef& op) {
  Example example{&op, {}, {}, {}};
  if (op.kind == OpKind::elementwise) {
    example.sample.attributes = expression::default_attributes(op);
    for (std::size_t i = 0; i < op.arguments.size(); ++i) {
      const bool is_condition =
          op.element_rule == ElementRule::logical || (op.element_rule == ElementRule::select && i == 0);
      example.sample.inputs.push_back(zeros({}, is_condition ? DType::boolean : DType::float64));
    }
  } else if (op.samples != nullptr) {
    const std::vector<Sample> samples = op.samples();
    if (!samples.empty()) example.sample = samples.front();
  }
  example.names = input_names(op, example.sample.inputs.size());
  const bool taken = std::find(example.names.begin(), example.names.end(), "y") != example.names.end();
  example.output = taken ? "z" : "y";
  return example;
}

bool is_scalar_example(const Example& example) {
  return example.op->kind == OpKind::elementwise &&
         std::all_of(example.sample.inputs.begin(), example.sample.inputs.end(),
                     [](const Tensor& x) { return x.rank() == 0; });
}

// ∂y/∂input: the op's own rule, or that of its definition. Undefined where it is zero everywhere.
Tensor partial_of(const Example& example, const std::vector<Tensor>& inputs, const Tensor& output,
                  std::size_t input) {
  if (example.op->partial != nullptr)
    return example.op->partial(*output.node(), output, static_cast<int>(input));
  std::vector<Tensor> copies = inputs;
  std::vector<Tensor> outputs;
  const auto body = [&] { return example.apply(copies); };
  const auto seed = [](const std::vector<Tensor>& y) { return std::vector<Tensor>{ones_like(y[0])}; };
  return detail::pullback({&copies[input]}, body, seed, &outputs)[0];
}

std::string partial_text(const Example& example, std::size_t input, TextStyle style) {
  const std::vector<Tensor> inputs = example.placeholders();
  const std::vector<Tensor> outputs = example.apply(inputs);
  const Tensor partial = partial_of(example, inputs, outputs[0], input);
  return partial.defined() ? format_expression(partial, example.naming(inputs, outputs), {.style = style})
                           : "0";
}

// The cotangents of the inputs of `body`, which runs on symbols, and what the symbols are called.
struct Traced {
  std::vector<Tensor> bars;
  std::vector<NamedTensor> names;
};
template <typename Body, typename Seed>
Traced trace_cotangents(const Example& example, const Body& body, const Seed& seed) {
  Traced traced;
  std::vector<Tensor> inputs = example.placeholders();
  std::vector<Tensor*> places;
  for (Tensor& input : inputs) {
    if (is_floating(input.dtype())) places.push_back(&input);
  }
  const auto run = [&] {
    const std::vector<Tensor> outputs = example.apply(inputs);
    traced.names = example.naming(inputs, outputs);
    return body(inputs, outputs);
  };
  const auto seeded = [&](const std::vector<Tensor>& outputs) { return seed(outputs, traced.names); };
  std::vector<Tensor> outputs;
  traced.bars = detail::pullback(places, run, seeded, &outputs);
  return traced;
}

std::vector<std::string> backward_texts(const Example& example, TextStyle style) {
  const auto seed = [&](const std::vector<Tensor>& outputs, std::vector<NamedTensor>& names) {
    std::vector<Tensor> bars;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const std::string name = outputs.size() == 1 ? example.output : example.output + std::to_string(i);
      bars.push_back(is_floating(outputs[i].dtype()) ? make_placeholder(spec_of(outputs[i])) : Tensor());
      names.push_back({bars.back(), with_bar(name, style)});
    }
    return bars;
  };
  const Traced traced = trace_cotangents(
      example, [](const std::vector<Tensor>&, const std::vector<Tensor>& outputs) { return outputs; }, seed);
  std::vector<std::string> texts;
  for (const Tensor& bar : traced.bars)
    texts.push_back(format_expression(bar, traced.names, {.style = style}));
  return texts;
}

// The rule ∂y/∂x, itself an expression in x and y = op(x), differentiated through both.
std::string second_text(const Example& example, TextStyle style) {
  if (example.sample.inputs.size() != 1) return {};
  bool is_zero = false;
  const auto body = [&](const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
    const Tensor partial = partial_of(example, inputs, outputs[0], 0);
    is_zero = !partial.defined();
    return is_zero ? outputs : std::vector<Tensor>{partial};
  };
  const auto seed = [](const std::vector<Tensor>& outputs, std::vector<NamedTensor>&) {
    return std::vector<Tensor>{ones_like(outputs[0])};
  };
  const Traced traced = trace_cotangents(example, body, seed);
  return is_zero ? "0" : format_expression(traced.bars[0], traced.names, {.style = style});
}

// A loop's derivative is a loop over its body's: it has no short text.
bool owns_a_graph(const Example& example) {
  const Attributes& attributes = example.sample.attributes;
  return std::any_of(attributes.begin(), attributes.end(), [](const Attribute& attribute) {
    return std::holds_alternative<std::shared_ptr<const SubGraph>>(attribute) ||
           std::holds_alternative<std::shared_ptr<const CustomRule>>(attribute);
  });
}

std::string shapes_text(const Example& example) {
  std::string text;
  for (std::size_t i = 0; i < example.names.size(); ++i) {
    if (i > 0) text += ", ";
    text += example.names[i] + " " + to_string(example.sample.inputs[i].shape());
  }
  return text;
}

}  // namespace

DerivativeTexts derivative_text(std::string_view name, TextStyle style) {
  const OpDef& op = declared(name, "derivative_text");
  const Example example = example_of(op);
  DerivativeTexts result;
  result.output = example.output;
  if (op.not_differentiable != nullptr || example.sample.inputs.empty()) return result;
  const bool scalar = is_scalar_example(example);
  if (!scalar) result.shapes = shapes_text(example);
  const std::vector<std::string> backward =
      owns_a_graph(example)
          ? std::vector<std::string>(example.names.size(), "the same op over its body's derivative")
          : backward_texts(example, style);
  std::size_t differentiable = 0;
  for (std::size_t i = 0; i < example.names.size(); ++i) {
    if (!is_floating(example.sample.inputs[i].dtype())) continue;
    DerivativeText text{example.names[i], {}, {}, backward[differentiable++]};
    if (scalar) {
      text.partial = partial_text(example, i, style);
      text.second = second_text(example, style);
    }
    result.inputs.push_back(std::move(text));
  }
  return result;
}

std::string definition_text(std::string_view name, TextStyle style) {
  const OpDef& op = declared(name, "definition_text");
  if (op.definition == nullptr) return {};
  const Example example = example_of(op);
  if (example.sample.inputs.empty() || owns_a_graph(example)) return {};
  const std::vector<Tensor> inputs = example.placeholders();
  const std::vector<Tensor> outputs = example.apply(inputs);
  std::vector<NamedTensor> names = example.naming(inputs, {});
  return format_expression(op.definition(*outputs[0].node())[0], names, {.style = style});
}

std::string formula_text(std::string_view name, TextStyle style) {
  const OpDef& op = declared(name, "formula_text");
  std::string pattern = style == TextStyle::latex ? op.text.latex : op.text.formula;
  for (const std::string_view argument : op.arguments) {
    const std::string bare(argument.substr(0, argument.find("...")));
    const std::string place = "{" + bare + "}";
    for (auto at = pattern.find(place); at != std::string::npos; at = pattern.find(place, at + bare.size()))
      pattern.replace(at, place.size(), bare);
  }
  return pattern;
}

}  // namespace chainrule
