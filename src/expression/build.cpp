// From the nodes behind a tensor to terms.

#include <algorithm>

#include <chainrule/error.hpp>

#include "expression/print.hpp"
#include "ops/declarations.hpp"

namespace chainrule::expression {
namespace {

constexpr std::size_t most_ops = 4096;
constexpr std::int64_t longest_written = 20'000;

[[noreturn]] void throw_too_large(const std::string& got, const std::string& wanted) {
  throw ArgumentError({.function = "format_expression",
                       .argument = "x",
                       .problem = "the expression is too large to be read",
                       .got = got,
                       .wanted = wanted,
                       .hint = "name what lies in between"});
}

bool is_default(const Node& node, std::string_view name, const Attribute& value) {
  const int rank = node.inputs.size() == 0 ? 0 : node.inputs[0].rank();
  if (name == "keepdims") return value == Attribute(false);
  if (name == "axis") return value == Attribute(std::int64_t{rank - 1});
  // Both axes of a matrix in the other order: a transpose.
  if (node.op == &ops::permute) return rank == 2;
  if (name != "axes" || !std::holds_alternative<Dims>(value)) return false;
  return std::get<Dims>(value).size() == rank;
}

bool is_value(const Node& node) { return node.op->kind == OpKind::leaf || node.inputs.size() == 0; }

// The shape that an input of an elementwise op has before it is broadcast by hand.
const Shape& narrow_shape(const Tensor& input) {
  const Node& node = *input.node();
  const bool widened = node.op == &ops::broadcast_to && node.inputs.size() == 1;
  return widened ? node.inputs[0].shape() : input.shape();
}

// Elementwise ops broadcast by themselves: true when they would reach the same shape without help.
bool broadcasts_itself(const Node& node) {
  if (node.op->kind != OpKind::elementwise) return false;
  Shape shape = narrow_shape(node.inputs[0]);
  for (const Tensor& input : node.inputs)
    shape = broadcast_shapes(shape, narrow_shape(input), "format_expression");
  return shape == node.outputs[0].shape;
}

}  // namespace

std::string attributes_text(const Node& node) {
  std::string text;
  for (std::size_t i = 0; i < node.op->attributes.size(); ++i) {
    if (is_default(node, node.op->attributes[i], node.attribute(i))) continue;
    if (!text.empty()) text += ", ";
    text += std::string(node.op->attributes[i]) + "=" + to_string(node.attribute(i));
  }
  return text;
}

TermBuilder::TermBuilder(Terms& terms, std::span<const NamedTensor> names, bool simplify)
    : terms_(terms), simplify_(simplify), names_(names.begin(), names.end()) {
  for (const NamedTensor& named : names_) {
    if (!named.tensor.defined()) continue;
    auto& outputs = built_[named.tensor.node()];
    outputs.resize(named.tensor.node()->outputs.size(), -1);
    outputs[static_cast<std::size_t>(named.tensor.output_index())] = terms_.symbol(named.name);
  }
}

TermId TermBuilder::term_of(const Tensor& x) {
  const auto open = [&](const Node& node) { return !built_.contains(&node) && !is_value(node); };
  const auto nodes = collect_nodes(std::span(&x, 1),
                                   [&](const Node& node) { return open(node) || node.op == &ops::variable; });
  if (nodes.size() > most_ops)
    throw_too_large(std::to_string(nodes.size()) + " ops", "at most " + std::to_string(most_ops));
  for (const Node* node : nodes) {
    std::vector<TermId>& outputs = built_[node];
    outputs.resize(node->outputs.size(), -1);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] < 0) outputs[i] = build_node(*node, static_cast<int>(i));
    }
  }
  const TermId result = built_.at(x.node())[static_cast<std::size_t>(x.output_index())];
  if (terms_.written_size(result) > longest_written) {
    throw_too_large(std::to_string(terms_.written_size(result)) + " terms",
                    "at most " + std::to_string(longest_written));
  }
  return result;
}

TermId TermBuilder::build_node(const Node& node, int output) {
  if (node.op == &ops::variable && node.inputs.size() == 1) {
    const Tensor& inner = node.inputs[0];
    return built_.at(inner.node())[static_cast<std::size_t>(inner.output_index())];
  }
  if (is_value(node)) return build_leaf(node, output);
  const int shown_output = node.outputs.size() > 1 ? output : -1;
  const std::vector<TermId> arguments = arguments_of(node);
  const std::string attributes = attributes_text(node);
  return simplify_ ? simplified(terms_, *node.op, arguments, attributes, shown_output)
                   : terms_.apply(*node.op, arguments, attributes, shown_output);
}

std::vector<TermId> TermBuilder::arguments_of(const Node& node) {
  const bool narrow = broadcasts_itself(node);
  std::vector<TermId> arguments;
  for (const Tensor& input : node.inputs) {
    const Node& from = *input.node();
    const bool skip = narrow && from.op == &ops::broadcast_to && from.inputs.size() == 1;
    const Tensor& shown = skip ? from.inputs[0] : input;
    arguments.push_back(built_.at(shown.node())[static_cast<std::size_t>(shown.output_index())]);
  }
  return arguments;
}

TermId TermBuilder::build_leaf(const Node& node, int output) {
  if (node.op == &ops::constant) {
    return terms_.number(constant_value(Tensor(const_cast<Node*>(&node), 0)));
  }
  const TensorSpec& spec = node.outputs[static_cast<std::size_t>(output)];
  const bool has_value = node.evaluated.load(std::memory_order_acquire);
  if (!has_value || element_count(spec.shape) != 1) {
    return terms_.symbol(std::string(has_value ? "tensor" : node.op->name) + to_string(spec.shape));
  }
  return terms_.number(Tensor(const_cast<Node*>(&node), output).item<double>());
}

}  // namespace chainrule::expression

namespace chainrule {

std::string format_expression(const Tensor& x, std::span<const NamedTensor> names,
                              ExpressionOptions options) {
  if (!x.defined()) {
    throw ArgumentError({.function = "format_expression",
                         .argument = "x",
                         .problem = "the tensor is undefined",
                         .wanted = "a tensor with a value or an expression"});
  }
  expression::Terms terms;
  expression::TermBuilder builder(terms, names, options.simplify);
  return expression::print(terms, builder.term_of(x), options.style);
}

}  // namespace chainrule
