// From the nodes behind a tensor to terms.

#include <algorithm>
#include <optional>
#include <utility>

#include <chainrule/error.hpp>

#include "expression/print.hpp"
#include "ops/declarations.hpp"

namespace chainrule::expression {
namespace {

constexpr std::size_t most_ops = 4096;
constexpr std::int64_t longest_written = 20'000;
constexpr std::size_t most_parts = 64;  // of a concatenation

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

// A range as NumPy writes it, with what goes without saying left out: ":", "2:", ":3", "::-1".
std::string range_text(std::int64_t start, std::int64_t length, std::int64_t step, std::int64_t size) {
  if (length == 0) return "0:0";
  if (length == 1) step = 1;
  const bool forwards = step > 0;
  const std::int64_t next = start + length * step;
  const bool from_the_end = start == (forwards ? 0 : size - 1);
  const bool to_the_end = forwards ? next >= size : next < 0;
  std::string text = (from_the_end ? "" : std::to_string(start)) + ":";
  if (!to_the_end) text += std::to_string(start + (length - 1) * step + (forwards ? 1 : -1));
  return step == 1 ? text : text + ":" + std::to_string(step);
}

// The index of a slice: "[:, 2:]", without the axes at its end that are whole.
std::string index_text(const Node& node) {
  const Shape& shape = node.inputs[0].shape();
  std::string text;
  std::string whole;  // axes that are written once one follows that is cut
  for (int axis = 0; axis < shape.size(); ++axis) {
    const std::string range =
        range_text(node.get<Dims>(0)[axis], node.get<Dims>(1)[axis], node.get<Dims>(2)[axis], shape[axis]);
    whole += (axis > 0 ? ", " : "") + range;
    if (range != ":") text += std::exchange(whole, "");
  }
  return "[" + (text.empty() ? ":" : text) + "]";
}

// The places that a transposed slice without gaps fills with its input, everything else being 0.
struct Padding {
  Dims before, after;
};
std::optional<Padding> padding_of(const Node& node) {
  if (node.op != &ops::slice_transpose) return std::nullopt;
  Padding padding;
  const Shape& inner = node.inputs[0].shape();
  for (int axis = 0; axis < inner.size(); ++axis) {
    if (node.get<Dims>(2)[axis] != 1 && inner[axis] > 1) return std::nullopt;
    padding.before.push_back(node.get<Dims>(1)[axis]);
    padding.after.push_back(node.get<Dims>(0)[axis] - padding.before[axis] - inner[axis]);
  }
  return padding;
}

// Parts that lie side by side along one axis and fill it.
struct Joined {
  int axis = -1;
  std::vector<const Node*> parts;  // in their order
};

// A sum of parts, each in its own place among zeros, is their concatenation.
std::optional<Joined> joined_parts(const Node& sum) {
  Joined joined;
  std::vector<const Node*> open = {&sum};
  while (!open.empty()) {
    if (open.size() + joined.parts.size() > most_parts) return std::nullopt;
    const Node* node = open.back();
    open.pop_back();
    const auto padding = padding_of(*node);
    if (!padding && node->op != &ops::add) return std::nullopt;
    if (!padding) {
      for (const Tensor& term : node->inputs) open.push_back(term.node());
      continue;
    }
    joined.parts.push_back(node);
    for (int axis = 0; axis < padding->before.size(); ++axis) {
      if (padding->before[axis] == 0 && padding->after[axis] == 0) continue;
      if (joined.axis >= 0 && joined.axis != axis) return std::nullopt;
      joined.axis = axis;
    }
  }
  if (joined.parts.size() < 2 || joined.axis < 0) return std::nullopt;
  const auto start = [&](const Node* part) { return part->get<Dims>(1)[joined.axis]; };
  std::sort(joined.parts.begin(), joined.parts.end(),
            [&](const Node* a, const Node* b) { return start(a) < start(b); });
  std::int64_t end = 0;
  for (const Node* part : joined.parts) {
    if (start(part) != end) return std::nullopt;
    end += part->inputs[0].shape()[joined.axis];
  }
  return end == sum.outputs[0].shape[joined.axis] ? std::optional(joined) : std::nullopt;
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
  if (node.op == &ops::slice) return index_text(node);
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
  if (const TermId padded = simplify_ ? build_padded(node) : -1; padded >= 0) return padded;
  const int shown_output = node.outputs.size() > 1 ? output : -1;
  const std::vector<TermId> arguments = arguments_of(node);
  const std::string attributes = attributes_text(node);
  return simplify_ ? simplified(terms_, *node.op, arguments, attributes, shown_output)
                   : terms_.apply(*node.op, arguments, attributes, shown_output);
}

// Transposed slices as what people know them by: padding, and several that fill an axis as its
// concatenation. -1 where it is neither.
TermId TermBuilder::build_padded(const Node& node) {
  const auto argument_of = [&](const Node& part) {
    const Tensor& x = part.inputs[0];
    return built_.at(x.node())[static_cast<std::size_t>(x.output_index())];
  };
  // What lies behind a name was not looked at.
  const auto is_built = [&](const Node* part) { return built_.contains(part->inputs[0].node()); };
  const auto joined = joined_parts(node);
  if (joined && std::all_of(joined->parts.begin(), joined->parts.end(), is_built)) {
    std::vector<TermId> parts;
    for (const Node* part : joined->parts) parts.push_back(argument_of(*part));
    const bool last = joined->axis == node.outputs[0].shape.size() - 1;
    return terms_.apply(ops::concatenate, parts, last ? "" : "axis=" + std::to_string(joined->axis));
  }
  const auto padding = padding_of(node);
  if (!padding) return -1;
  return terms_.apply(ops::pad, {argument_of(node)},
                      "before=" + to_string(padding->before) + ", after=" + to_string(padding->after));
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
