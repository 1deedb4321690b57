// Pass: ops without a kernel on the device become their definitions.

#include <algorithm>

#include "graph/log.hpp"
#include "graph/lower.hpp"
#include "graph/origin.hpp"

namespace chainrule {
namespace {

// Where no kernel takes a node: its definition, or, in bfloat16, the op itself in float32.
bool is_expanded(const Node& node, const Device& device) {
  const bool narrow = node.op->kind == OpKind::elementwise && node.outputs[0].dtype == DType::bfloat16 &&
                      !device.kernels(*node.op).empty() && device.refuse_element(node) != nullptr;
  if (node.op->definition == nullptr && !narrow) return false;
  const auto runs = [&](const Kernel& kernel) {
    return kernel.refuse == nullptr || kernel.refuse(node) == nullptr;
  };
  return std::ranges::none_of(device.kernels(*node.op), runs);
}

// Why the op's own kernels were passed over.
std::string expansion_text(const Node& node, const Device& device) {
  std::string text;
  for (const Kernel& kernel : device.kernels(*node.op)) {
    const char* reason = kernel.refuse == nullptr ? nullptr : kernel.refuse(node);
    if (reason != nullptr) text += text_of_call(node) + ": " + kernel.name + " refused: " + reason + "; ";
  }
  if (text.empty()) text = text_of_call(node) + ": no kernel of its own; ";
  return text + "its definition runs instead";
}

// Moves round nothing, in whatever dtype they are written out.
bool rounds(const Node& node) {
  return node.op->kind == OpKind::elementwise || node.op->bound.kind != BoundKind::exact;
}

// What is written in several steps is computed in float32 and rounded once.
std::vector<Tensor> in_float32(const Node& node, std::span<const Tensor> inputs) {
  std::vector<Tensor> wide;
  for (const Tensor& x : inputs) {
    wide.push_back(x.dtype() == DType::bfloat16 ? make_node(ops::astype, {x}, {DType::float32}) : x);
  }
  std::vector<Tensor> outputs =
      make_outputs(*node.op, wide, node.attributes ? *node.attributes : Attributes{});
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const DType dtype = node.outputs[i].dtype;
    if (outputs[i].dtype() != dtype) outputs[i] = make_node(ops::astype, {outputs[i]}, {dtype});
  }
  return outputs;
}

}  // namespace

LoweredGraph expand_definitions(const LoweredGraph& graph, const Device& device) {
  LoweredGraph current = graph;
  for (;;) {
    bool expanded = false;
    const ReplaceFn replace = [&](const Node& node, std::span<const Tensor> inputs) -> std::vector<Tensor> {
      if (!is_expanded(node, device)) return {};
      expanded = true;
      log(LogTopic::dispatch, [&] { return expansion_text(node, device); });
      if (node.outputs[0].dtype == DType::bfloat16 && rounds(node)) return in_float32(node, inputs);
      const std::vector<Tensor> clone =
          clone_node(node, inputs);  // the definition reads inputs and attributes there
      return node.op->definition(*clone.front().node());
    };
    current = with_outputs(current, rewrite(all_outputs(current), replace));
    if (!expanded) return current;
  }
}

}  // namespace chainrule
