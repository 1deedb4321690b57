#pragma once

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
/// Pass: equal nodes over equal inputs become one.
LoweredGraph eliminate_common_subexpressions(const LoweredGraph& graph);

/// Pass: the transpose of a product that nobody else reads becomes the product of the transposes.
LoweredGraph transpose_products(const LoweredGraph& graph);
/// All passes in their order.
LoweredGraph run_passes(const LoweredGraph& graph, const Device& device);

/// For passes: outputs and guards in one list, and back.
std::vector<Tensor> all_outputs(const LoweredGraph& graph);
LoweredGraph with_outputs(const LoweredGraph& graph, const std::vector<Tensor>& rewritten);
/// The same op on other inputs, where that changes the result's spec.
std::vector<Tensor> clone_node_as(const Node& node, std::initializer_list<Tensor> inputs,
                                  const TensorSpec& spec);

/// One line per node, for `CHAINRULE_LOG=plan` and for tests.
std::string to_text(const LoweredGraph& graph);

}  // namespace chainrule
