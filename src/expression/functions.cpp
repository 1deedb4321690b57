// What a formula can call: the op table by its own names and by the usual others.

#include <algorithm>
#include <array>
#include <optional>

#include <chainrule/error.hpp>

#include "expression/program.hpp"
#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace expression {
namespace {

struct Alias {
  std::string_view name;
  std::string_view op;
};
constexpr std::array aliases = {
    Alias{"arccos", "acos"},   Alias{"arccosh", "acosh"},    Alias{"arcsin", "asin"},
    Alias{"arcsinh", "asinh"}, Alias{"arctan", "atan"},      Alias{"arctan2", "atan2"},
    Alias{"arctanh", "atanh"}, Alias{"fabs", "abs"},         Alias{"if", "where"},
    Alias{"ln", "log"},        Alias{"logistic", "sigmoid"}, Alias{"mod", "remainder"},
    Alias{"power", "pow"},     Alias{"sgn", "sign"},         Alias{"swish", "silu"},
};

bool only_axes(const OpDef& op) {
  return std::all_of(op.attributes.begin(), op.attributes.end(), [](std::string_view name) {
    return name == "axes" || name == "axis" || name == "keepdims";
  });
}

// What an attribute is where the formula does not say.
std::optional<Attribute> usual_value(const OpDef& op, std::size_t i, const Tensor& x) {
  const std::string_view name = op.attributes[i];
  if (name == "keepdims") return false;
  if (name == "axis") return std::int64_t{normalize_axis(-1, x.rank(), std::string(op.name).c_str())};
  const bool turns = &op == &ops::permute && x.rank() == 2;
  if (turns) return Dims{1, 0};
  if (name == "axes") {
    Dims all;
    for (int axis = 0; axis < x.rank(); ++axis) all.push_back(axis);
    return all;
  }
  const std::vector<Sample> samples = op.samples == nullptr ? std::vector<Sample>() : op.samples();
  if (samples.empty() || i >= samples.front().attributes.size()) return {};
  const Attribute& usual = samples.front().attributes[i];
  const bool is_number = std::holds_alternative<bool>(usual) || std::holds_alternative<double>(usual) ||
                         std::holds_alternative<std::int64_t>(usual) || std::holds_alternative<DType>(usual);
  return is_number ? std::optional<Attribute>(usual) : std::nullopt;
}

}  // namespace

bool is_callable(const OpDef& op) {
  if (op.kind == OpKind::leaf || op.arguments.empty() || op.arguments.back().ends_with("...")) return false;
  if (op.kind == OpKind::elementwise) return default_attributes(op).size() == op.attributes.size();
  // Indices along one axis need the axis; sums and the like take all of them.
  const bool reduces = std::find(op.attributes.begin(), op.attributes.end(), "axes") != op.attributes.end();
  return op.arguments.size() == 1 && reduces && only_axes(op) && op.not_differentiable == nullptr &&
         !op.name.ends_with("_with_indices");
}

Attributes default_attributes(const OpDef& op) {
  if (op.kind != OpKind::elementwise || op.attributes.empty() || op.samples == nullptr) return {};
  const std::vector<Sample> samples = op.samples();
  return samples.empty() ? Attributes{} : samples.front().attributes;
}

const OpDef* find_function(std::string_view name) {
  const auto alias =
      std::find_if(aliases.begin(), aliases.end(), [&](const Alias& a) { return a.name == name; });
  const OpDef* op = find_op(alias == aliases.end() ? name : alias->op);
  return op != nullptr && is_callable(*op) ? op : nullptr;
}

const OpDef* find_declared(std::string_view name) {
  const OpDef* op = find_op(name);
  return op == nullptr || op->kind == OpKind::leaf || op->arguments.empty() ? nullptr : op;
}

Attributes complete_attributes(const OpDef& op, std::span<const Tensor> inputs,
                               const GivenAttributes& given) {
  Attributes attributes;
  for (std::size_t i = 0; i < op.attributes.size(); ++i) {
    const auto named = std::find_if(given.begin(), given.end(), [&](const auto& g) { return g.first == i; });
    std::optional<Attribute> value =
        named == given.end() ? usual_value(op, i, inputs[0]) : std::optional<Attribute>(named->second);
    if (!value) {
      throw ArgumentError({.function = std::string(op.name),
                           .argument = std::string(op.attributes[i]),
                           .problem = "this attribute has to be given in a formula",
                           .hint = std::string(op.attributes[i]) + "=[...] behind the inputs"});
    }
    // Negative axes count from the end, as in a call.
    const int rank = inputs[0].rank();
    const std::string name(op.name);
    if (auto* axes = std::get_if<Dims>(&*value); axes != nullptr && op.attributes[i] == "axes") {
      for (std::int64_t& axis : *axes) axis = normalize_axis(static_cast<int>(axis), rank, name.c_str());
    }
    if (auto* axis = std::get_if<std::int64_t>(&*value); axis != nullptr && op.attributes[i] == "axis")
      *axis = normalize_axis(static_cast<int>(*axis), rank, name.c_str());
    attributes.push_back(std::move(*value));
  }
  return attributes;
}

Tensor call_function(const OpDef& op, std::span<const Tensor> inputs, Attributes attributes) {
  if (&op == &ops::pow) return pow(inputs[0], inputs[1]);
  if (op.kind != OpKind::elementwise) return make_node(op, inputs, std::move(attributes));
  switch (inputs.size()) {
    case 1:
      return elementwise(op, {inputs[0]}, std::move(attributes));
    case 2:
      return elementwise(op, {inputs[0], inputs[1]}, std::move(attributes));
    default:
      return elementwise(op, {inputs[0], inputs[1], inputs[2]}, std::move(attributes));
  }
}

}  // namespace expression

std::vector<std::string> expression_functions() {
  std::vector<std::string> names;
  for (const OpDef* op : op_table()) {
    if (expression::is_callable(*op)) names.emplace_back(op->name);
  }
  for (const expression::Alias& alias : expression::aliases) {
    if (expression::find_function(alias.name) != nullptr) names.emplace_back(alias.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

namespace {

Tensor output_of(const OpDef& op, std::span<const Tensor> inputs, Attributes attributes, std::size_t output) {
  const std::vector<Tensor> outputs = make_outputs(op, inputs, std::move(attributes));
  if (output >= outputs.size()) {
    throw ArgumentError({.function = std::string(op.name),
                         .argument = "output",
                         .problem = "the op has no such output",
                         .got = "[" + std::to_string(output) + "]",
                         .wanted = "an index below " + std::to_string(outputs.size())});
  }
  return outputs[output];
}

}  // namespace

const std::string& Expression::text() const { return program_->text; }
const std::vector<std::string>& Expression::variables() const { return program_->variables; }

Tensor Expression::operator()(std::span<const Tensor> values) const {
  if (values.size() != program_->variables.size()) {
    throw ArgumentError({.function = "Expression",
                         .argument = "values",
                         .problem = "a value for each variable is needed",
                         .got = std::to_string(values.size()) + " values",
                         .wanted = std::to_string(program_->variables.size()) + " values",
                         .hint = "see variables()"});
  }
  const auto floating =
      std::find_if(values.begin(), values.end(), [](const Tensor& x) { return is_floating(x.dtype()); });
  const DType dtype = floating == values.end() ? DType::float64 : floating->dtype();
  std::vector<Tensor> stack;
  for (const Program::Instruction& step : program_->instructions) {
    if (step.kind == Program::Kind::number) {
      stack.push_back(full({}, step.number, dtype));
    } else if (step.kind == Program::Kind::variable) {
      stack.push_back(values[step.variable]);
    } else if (step.kind == Program::Kind::slice) {
      const std::vector<AxisIndex> index(step.ranges.begin(), step.ranges.end());
      stack.back() = TensorPart(stack.back(), index).get();
    } else {
      const auto inputs = std::span(stack).last(step.arguments);
      Attributes attributes = expression::complete_attributes(*step.op, inputs, step.attributes);
      Tensor result = step.output == 0 ? expression::call_function(*step.op, inputs, std::move(attributes))
                                       : output_of(*step.op, inputs, std::move(attributes), step.output);
      stack.resize(stack.size() - step.arguments);
      stack.push_back(std::move(result));
    }
  }
  return stack.back();
}

}  // namespace chainrule
