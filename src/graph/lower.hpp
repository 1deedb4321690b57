#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "graph/device.hpp"

namespace chainrule {

/// An expression cut off from its values: what a plan is built from. Leaves have become placeholders.
struct LoweredGraph {
  std::vector<Tensor> inputs;  ///< placeholders, in the order in which a run supplies memory
  std::vector<Tensor> outputs;
  std::vector<Tensor> guards;  ///< values that must be finite before anything is committed
};

/// Rebuilds an expression: every node is offered to `replace` with its new inputs; what it returns (one
/// tensor per output) stands in for the node, an empty vector keeps it. Shared nodes stay shared.
using ReplaceFn = std::function<std::vector<Tensor>(const Node& node, std::span<const Tensor> inputs)>;
std::vector<Tensor> rewrite(std::span<const Tensor> outputs, const ReplaceFn& replace);

/// The same, but nodes for which `enter` is false are offered to `replace` without their inputs.
using EnterFn = std::function<bool(const Node& node)>;
std::vector<Tensor> rewrite_until(std::span<const Tensor> outputs, const EnterFn& enter,
                                  const ReplaceFn& replace);

/// A node like `node` over other inputs; shape, dtype and region are taken over.
std::vector<Tensor> clone_node(const Node& node, std::span<const Tensor> inputs);

/// Pass: ops without a kernel on this device become their definitions.
LoweredGraph expand_definitions(const LoweredGraph& graph, const Device& device);
/// Pass: what is computed from constants alone becomes a constant, as far as it is one number.
LoweredGraph fold_constants(const LoweredGraph& graph, const Device& device);
/// Pass: equal nodes over equal inputs become one.
LoweredGraph eliminate_common_subexpressions(const LoweredGraph& graph);
/// Pass: the transpose of a product that nobody else reads becomes the product of the transposes; that of a sum
/// of such products, and of other elementwise ops of them, likewise.
LoweredGraph transpose_products(const LoweredGraph& graph);

/// One pass by its name.
struct Pass {
  const char* name;
  LoweredGraph (*run)(const LoweredGraph& graph, const Device& device);
};
/// All passes in their order.
std::span<const Pass> graph_passes();
/// Runs them all, with `check_graph` after each where `graph_checks()` says so.
LoweredGraph run_passes(const LoweredGraph& graph, const Device& device);

/// Looks a graph over: every node's specs are those of its op's rule, inputs come before their readers, every
/// output that is read exists, and no leaf but the graph's inputs and constants is reached. Goes into
/// sub-graphs. Throws StateError that names the pass and the node.
void check_graph(const LoweredGraph& graph, const char* pass);
/// Whether graphs are checked after each pass: in debug builds, and where a test asks for it.
std::atomic<bool>& graph_checks();

/// For passes: outputs and guards in one list, and back.
std::vector<Tensor> all_outputs(const LoweredGraph& graph);
LoweredGraph with_outputs(const LoweredGraph& graph, const std::vector<Tensor>& rewritten);
/// The same op on other inputs, where that changes the result's spec.
std::vector<Tensor> clone_node_as(const Node& node, std::initializer_list<Tensor> inputs,
                                  const TensorSpec& spec);

/// One line per node, for `CHAINRULE_LOG=plan` and for tests. A sub-graph follows its node, indented.
std::string to_text(const LoweredGraph& graph);
std::string to_text(const SubGraph& graph);
/// A node's attributes: " {axes=[0], keepdims=false}", empty without any.
std::string attributes_in_braces(const Node& node);

}  // namespace chainrule
