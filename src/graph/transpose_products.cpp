// Pass: (A B)ᵀ = Bᵀ Aᵀ, and so for what is computed element by element from products alone, (A B + C D)ᵀ. The
// gradient of a weight that is used transposed comes out as the transpose of a product; computing the
// transposed product instead stores it the way its reader walks over it, and kernels take transposed operands
// as they are.

#include <optional>
#include <unordered_map>
#include <vector>

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

using Uses = std::unordered_map<const Node*, int>;

// Sums of more terms than this, one within the other, stay as they are.
constexpr int deepest = 32;

// The transpose of a tensor that nobody else needs: a product, or a sum of products and the like. `node` is
// what `x` was before the pass, where uses are counted.
std::optional<Tensor> transposed(const Tensor& x, const Node& node, const TensorSpec& spec, const Uses& uses,
                                 int depth = 0) {
  const Node& made = *x.node();
  if (depth > deepest || uses.at(&node) != 1 || made.op != node.op) return {};
  if (made.op == &ops::matmul)
    return clone_node_as(made, {swapped(made.inputs[1]), swapped(made.inputs[0])}, spec).front();
  if (made.op->kind != OpKind::elementwise || made.outputs.size() != 1) return {};
  std::vector<Tensor> inputs;
  for (std::size_t i = 0; i < made.inputs.size(); ++i) {
    const Tensor& input = made.inputs[i];
    if (is_constant(input)) {
      inputs.push_back(input);
      continue;
    }
    if (input.shape() != x.shape()) return {};
    const std::optional<Tensor> turned =
        transposed(input, *node.inputs[i].node(), {spec.shape, input.dtype()}, uses, depth + 1);
    if (!turned) return {};
    inputs.push_back(*turned);
  }
  Tensor result = clone_node(made, inputs).front();
  result.node()->outputs[0] = spec;
  return result;
}

}  // namespace

LoweredGraph transpose_products(const LoweredGraph& graph) {
  Uses uses;
  const std::vector<Tensor> all = all_outputs(graph);
  for (const Tensor& output : all) ++uses[output.node()];
  for (const Node* node : collect_nodes(all, [](const Node&) { return true; })) {
    for (const Tensor& input : node->inputs) ++uses[input.node()];
  }
  const ReplaceFn replace = [&](const Node& node, std::span<const Tensor> inputs) -> std::vector<Tensor> {
    if (node.op != &ops::permute || !swaps_last_two(node.get<Dims>(0))) return {};
    const std::optional<Tensor> result = transposed(inputs[0], *node.inputs[0].node(), node.outputs[0], uses);
    return result ? std::vector<Tensor>{*result} : std::vector<Tensor>();
  };
  return with_outputs(graph, rewrite(all, replace));
}

}  // namespace chainrule
