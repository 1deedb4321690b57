// Pass: (A B)ᵀ = Bᵀ Aᵀ. The gradient of a weight that is used transposed comes out as the transpose of a
// product; computing the transposed product instead stores it the way its reader walks over it, and kernels
// take transposed operands as they are.

#include <unordered_map>

#include "graph/lower.hpp"

namespace chainrule {
namespace {

// A permutation that swaps the last two axes and leaves the others.
bool swaps_last_two(const Dims& axes) {
  const int rank = axes.size();
  if (rank < 2 || axes[rank - 1] != rank - 2 || axes[rank - 2] != rank - 1) return false;
  for (int i = 0; i + 2 < rank; ++i) {
    if (axes[i] != i) return false;
  }
  return true;
}

Tensor swapped(const Tensor& x) {
  Dims axes;
  for (int i = 0; i < x.rank(); ++i) axes.push_back(i);
  std::swap(axes[x.rank() - 1], axes[x.rank() - 2]);
  return make_node(ops::permute, {x}, {axes});
}

}  // namespace

LoweredGraph transpose_products(const LoweredGraph& graph) {
  std::unordered_map<const Node*, int> uses;
  const std::vector<Tensor> all = all_outputs(graph);
  for (const Tensor& output : all) ++uses[output.node()];
  for (const Node* node : collect_nodes(all, [](const Node&) { return true; })) {
    for (const Tensor& input : node->inputs) ++uses[input.node()];
  }
  const ReplaceFn replace = [&](const Node& node, std::span<const Tensor> inputs) -> std::vector<Tensor> {
    if (node.op != &ops::permute || !swaps_last_two(node.get<Dims>(0))) return {};
    // Only where nobody else needs the product itself.
    if (node.inputs[0].node()->op != &ops::matmul || uses[node.inputs[0].node()] != 1) return {};
    const Node& product = *inputs[0].node();
    return clone_node_as(product, {swapped(product.inputs[1]), swapped(product.inputs[0])}, node.outputs[0]);
  };
  return with_outputs(graph, rewrite(all, replace));
}

}  // namespace chainrule
