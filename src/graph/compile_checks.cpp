#include "graph/compile_checks.hpp"

#include <algorithm>
#include <unordered_set>

#include <chainrule/error.hpp>

#include "graph/op.hpp"

namespace chainrule {
namespace {

std::vector<CallSpecs::Leaf> specs_of(const detail::StateVisitor& visitor,
                                      FunctionRef<void(detail::StateVisitor&)> visit) {
  detail::StateVisitor named;
  named.with_paths = true;
  visit(named);
  std::vector<CallSpecs::Leaf> result;
  for (std::size_t i = 0; i < visitor.tensors.size(); ++i) {
    const Tensor* tensor = visitor.tensors[i];
    result.push_back({named.paths[i], tensor, tensor->defined() ? spec_of(*tensor) : TensorSpec{}});
  }
  return result;
}

std::string text_of(const TensorSpec& spec) {
  return std::string(dtype_name(spec.dtype)) + " " + to_string(spec.shape);
}

// What differs between two leaves; empty where nothing does.
std::string difference(const TensorSpec& before, const TensorSpec& now) {
  if (before.dtype != now.dtype)
    return "dtype was " + std::string(dtype_name(before.dtype)) + ", is " +
           std::string(dtype_name(now.dtype));
  if (before.shape.size() != now.shape.size())
    return "shape was " + to_string(before.shape) + ", is " + to_string(now.shape);
  std::string text;
  for (int axis = 0; axis < now.shape.size(); ++axis) {
    if (before.shape[axis] == now.shape[axis]) continue;
    text += (text.empty() ? "" : ", ") + std::string("axis ") + std::to_string(axis) + " was " +
            std::to_string(before.shape[axis]) + ", is " + std::to_string(now.shape[axis]);
  }
  return text;
}

std::string first_difference(const char* what, const std::vector<CallSpecs::Leaf>& before,
                             const std::vector<CallSpecs::Leaf>& now) {
  if (before.size() != now.size())
    return "the number of " + std::string(what) + " tensors was " + std::to_string(before.size()) + ", is " +
           std::to_string(now.size());
  for (std::size_t i = 0; i < now.size(); ++i) {
    const std::string text = difference(before[i].spec, now[i].spec);
    if (!text.empty()) return std::string(what) + " " + now[i].path + ": " + text;
  }
  return "";
}

}  // namespace

CallSpecs specs_of(const detail::CompiledCall& call) {
  return {specs_of(call.state, call.visit_state), specs_of(call.arguments, call.visit_arguments)};
}

void check_leaves_once(const CallSpecs& specs) {
  std::unordered_set<const Tensor*> seen;
  for (const CallSpecs::Leaf& leaf : specs.state) {
    if (seen.insert(leaf.tensor).second) continue;
    throw StateError({.function = "compile",
                      .argument = leaf.path,
                      .problem = "the state names this tensor twice",
                      .wanted = "each model and optimizer once, and a visit that names each member once",
                      .hint = "compile(step, model, optimizer)"});
  }
}

void check_new_state(std::span<const Tensor> before, std::span<const Tensor> after,
                     std::span<const std::string> paths) {
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (!after[i].defined()) {
      throw StateError({.function = "compile",
                        .argument = paths[i],
                        .problem = "the step left a tensor of its state undefined",
                        .wanted = "a tensor with a shape"});
    }
    if (before.empty()) continue;
    const TensorSpec& old_spec = spec_of(before[i]);
    const TensorSpec& new_spec = spec_of(after[i]);
    if (old_spec == new_spec) continue;
    ErrorParts parts{.function = "compile",
                     .argument = paths[i],
                     .problem = "the step changes the " +
                                std::string(old_spec.shape != new_spec.shape ? "shape" : "dtype") +
                                " of a tensor of its state",
                     .got = text_of(new_spec),
                     .wanted = text_of(old_spec)};
    if (old_spec.shape != new_spec.shape) throw ShapeError(std::move(parts));
    parts.hint = "x.astype(DType::" + std::string(dtype_name(old_spec.dtype)) + ")";
    throw DTypeError(std::move(parts));
  }
}

void check_results(std::span<const Tensor> results) {
  for (const Tensor& result : results) {
    if (result.defined()) continue;
    throw StateError({.function = "compile",
                      .argument = "step",
                      .problem = "the step returned an undefined tensor",
                      .wanted = "a tensor with a shape"});
  }
}

std::string retrace_text(int traces, const CallSpecs& before, const CallSpecs& now) {
  std::string change = first_difference("argument", before.arguments, now.arguments);
  if (change.empty()) change = first_difference("state", before.state, now.state);
  if (change.empty()) change = "an option, the mode or a layout changed";
  return "a compiled step was traced " + std::to_string(traces) + " times, now because " + change +
         "; what changes from call to call costs a new plan each time";
}

std::string captured_text(const Tensor& constant, std::span<const Tensor> outputs) {
  const TensorSpec& spec = spec_of(constant);
  const auto bytes = static_cast<std::size_t>(element_count(spec.shape)) * dtype_size(spec.dtype);
  std::string text =
      "compile: captured a constant, " + text_of(spec) + ", " + std::to_string(bytes) + " bytes";
  const auto enter = [&](const Node& node) { return &node != constant.node(); };
  for (const Node* node : collect_nodes(outputs, enter)) {
    const bool reads =
        enter(*node) && std::any_of(node->inputs.begin(), node->inputs.end(),
                                    [&](const Tensor& x) { return x.node() == constant.node(); });
    if (!reads) continue;
    return text + ", read by " + std::string(node->op->name) + " at " +
           (node->region != nullptr ? *node->region : "the step itself, outside of any layer");
  }
  return text;
}

}  // namespace chainrule
