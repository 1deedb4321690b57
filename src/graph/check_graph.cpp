// What every pass has to leave behind: a graph that the plan builder can rely on.

#include <chainrule/error.hpp>

#include "graph/lower.hpp"
#include "graph/subgraph.hpp"

namespace chainrule {
namespace {

std::string text_of(const TensorSpec& spec) {
  return std::string(dtype_name(spec.dtype)) + to_string(spec.shape);
}

std::string text_of(std::span<const TensorSpec> specs) {
  std::string text;
  for (const TensorSpec& spec : specs) text += (text.empty() ? "" : ", ") + text_of(spec);
  return text;
}

class GraphChecker {
 public:
  GraphChecker(std::span<const Tensor> inputs, std::span<const Tensor> outputs, const char* pass)
      : pass_(pass) {
    for (const Tensor& input : inputs) {
      if (!input.defined() || input.node()->op != &ops::placeholder)
        fail(input.node(), "an input of the graph is no placeholder", "a placeholder");
      if (!inputs_.insert(input.node())) fail(input.node(), "two inputs are one placeholder");
    }
    for (const Tensor& output : outputs) check_handle(nullptr, output);
    for (const Node* node : collect_nodes(outputs, [](const Node&) { return true; })) check_node(*node);
  }

 private:
  [[noreturn]] void fail(const Node* node, const std::string& problem, const std::string& wanted = "") const {
    ErrorParts parts{
        .function = pass_, .argument = "graph", .problem = "broken graph: " + problem, .wanted = wanted};
    if (node != nullptr) {
      parts.got = std::string(node->op->name) + " " +
                  text_of(std::span<const TensorSpec>(node->outputs.begin(), node->outputs.end()));
      if (node->region != nullptr) parts.region = *node->region;
    }
    throw StateError(std::move(parts));
  }

  void check_handle(const Node* reader, const Tensor& x) const {
    if (!x.defined()) fail(reader, "an undefined tensor is read");
    const int count = static_cast<int>(x.node()->outputs.size());
    if (x.output_index() < 0 || x.output_index() >= count) {
      fail(x.node(), "output " + std::to_string(x.output_index()) + " is read",
           "an output below " + std::to_string(count));
    }
  }

  void check_node(const Node& node) const {
    for (const Tensor& input : node.inputs) {
      check_handle(&node, input);
      if (input.node()->serial >= node.serial) fail(&node, "a node is older than its input");
    }
    if (node.op == &ops::placeholder && !inputs_.contains(&node))
      fail(&node, "a placeholder is reached that is no input of the graph");
    if (node.op == &ops::value) fail(&node, "a tensor with memory is reached", "an input or a constant");
    if (node.op->kind == OpKind::leaf) return;
    const std::size_t given = node.attributes == nullptr ? 0 : node.attributes->size();
    if (given != node.op->attributes.size()) {
      fail(&node, std::to_string(given) + " attributes",
           std::to_string(node.op->attributes.size()) + " attributes");
    }
    if (!check_attributes(node)) return;
    check_specs(node);
  }

  // False where the op's rule is a user's closure, which nobody calls unasked.
  bool check_attributes(const Node& node) const {
    bool has_rule = true;
    for (std::size_t i = 0; node.attributes != nullptr && i < node.attributes->size(); ++i) {
      const Attribute& attribute = node.attribute(i);
      if (std::holds_alternative<std::shared_ptr<const CustomRule>>(attribute)) has_rule = false;
      if (const auto* body = std::get_if<std::shared_ptr<const SubGraph>>(&attribute))
        GraphChecker((*body)->inputs, (*body)->outputs, pass_);
    }
    return has_rule;
  }

  void check_specs(const Node& node) const {
    const std::vector<Tensor> inferred =
        make_outputs(*node.op, std::span<const Tensor>(node.inputs.begin(), node.inputs.end()),
                     node.attributes ? *node.attributes : Attributes{});
    const auto& expected = inferred.front().node()->outputs;
    if (std::equal(expected.begin(), expected.end(), node.outputs.begin(), node.outputs.end())) return;
    fail(&node, "a node's specs are not those of its op's rule",
         text_of(std::span<const TensorSpec>(expected.begin(), expected.end())));
  }

  const char* pass_;
  NodeSet inputs_;
};

}  // namespace

void check_graph(const LoweredGraph& graph, const char* pass) {
  GraphChecker(graph.inputs, all_outputs(graph), pass);
}

}  // namespace chainrule
