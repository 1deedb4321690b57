// A lowered graph as text, one line per node.

#include <unordered_map>

#include "graph/lower.hpp"
#include "graph/subgraph.hpp"

namespace chainrule {
namespace {

class GraphWriter {
 public:
  explicit GraphWriter(std::string indent) : indent_(std::move(indent)) {}

  // A sub-graph names its inputs first: how many there are, and which of them nobody reads, belongs to it.
  std::string write(std::span<const Tensor> inputs, std::span<const Tensor> outputs,
                    std::span<const Tensor> returned) {
    for (const Tensor& input : inputs) write_node(*input.node());
    for (const Node* node : collect_nodes(outputs, [](const Node&) { return true; })) {
      if (!names_.contains(node)) write_node(*node);
    }
    text_ += indent_ + "return";
    for (const Tensor& output : returned) text_ += " " + name(output);
    return text_ + "\n";
  }

 private:
  std::string name(const Tensor& x) const {
    const std::string result = "%" + std::to_string(names_.at(x.node()));
    return x.node()->outputs.size() > 1 ? result + "." + std::to_string(x.output_index()) : result;
  }

  void write_node(const Node& node) {
    names_.emplace(&node, names_.size());
    text_ += indent_ + "%" + std::to_string(names_.at(&node)) + " = " + std::string(node.op->name) + "(";
    for (std::size_t i = 0; i < node.inputs.size(); ++i) text_ += (i > 0 ? ", " : "") + name(node.inputs[i]);
    text_ += ")" + attributes_in_braces(node);
    for (const TensorSpec& spec : node.outputs)
      text_ += " " + std::string(dtype_name(spec.dtype)) + to_string(spec.shape);
    if (node.region != nullptr) text_ += "  # " + *node.region;
    text_ += "\n";
    for (std::size_t i = 0; node.attributes != nullptr && i < node.attributes->size(); ++i) {
      const auto* body = std::get_if<std::shared_ptr<const SubGraph>>(&node.attribute(i));
      if (body != nullptr)
        text_ += GraphWriter(indent_ + "    ").write((*body)->inputs, (*body)->outputs, (*body)->outputs);
    }
  }

  std::string indent_;
  std::string text_;
  std::unordered_map<const Node*, std::size_t> names_;
};

}  // namespace

std::string attributes_in_braces(const Node& node) {
  std::string text;
  for (std::size_t i = 0; node.attributes != nullptr && i < node.attributes->size(); ++i) {
    text += i == 0 ? " {" : ", ";
    if (i < node.op->attributes.size()) text += std::string(node.op->attributes[i]) + "=";
    const bool is_body = std::holds_alternative<std::shared_ptr<const SubGraph>>(node.attribute(i));
    text += is_body ? "below" : to_string(node.attribute(i));
  }
  return text.empty() ? text : text + "}";
}

std::string to_text(const LoweredGraph& graph) {
  return GraphWriter("").write({}, all_outputs(graph), graph.outputs);
}

std::string to_text(const SubGraph& graph) {
  return GraphWriter("").write(graph.inputs, graph.outputs, graph.outputs);
}

}  // namespace chainrule
