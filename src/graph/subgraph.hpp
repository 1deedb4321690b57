#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "graph/node.hpp"

namespace chainrule {

/// An expression with inputs: what an op such as `scan` runs. Placeholders stand for the inputs.
struct SubGraph {
  std::vector<Tensor> inputs;
  std::vector<Tensor> outputs;
};

/// Traces `body` on placeholders. What it reaches that was built before is captured: it becomes an input in
/// front of the others, listed in `captured`.
std::shared_ptr<const SubGraph> trace_subgraph(
    const std::vector<TensorSpec>& inputs,
    const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& body,
    std::vector<Tensor>& captured);

/// How many different sub-graphs are alive.
std::size_t known_subgraph_count();

/// The sub-graph's outputs for these inputs, as part of the surrounding expression.
std::vector<Tensor> substitute(const SubGraph& graph, std::span<const Tensor> inputs);

}  // namespace chainrule
