// Reverse mode: cotangents flow from the outputs to the variables, node by node, in the reverse of the order
// in which the expression was built.

#include <chainrule/error.hpp>
#include <chainrule/transforms.hpp>

#include "autodiff/driver.hpp"
#include "autodiff/probe.hpp"
#include "graph/context_state.hpp"
#include "ops/rules.hpp"
#include "tensor/region.hpp"

namespace chainrule {
namespace {

// How many gradients are being built on this thread, one inside the other.
thread_local int gradient_depth = 0;
struct DepthScope {
  DepthScope() { ++gradient_depth; }
  ~DepthScope() { --gradient_depth; }
};

bool has_reverse_rule(const OpDef& op) {
  return op.vjp != nullptr || op.partial != nullptr || op.not_differentiable != nullptr ||
         op.kind == OpKind::leaf;
}

class Pullback {
 public:
  Pullback(const VariableScope& scope, ProbeRecorder* probes) : scope_(scope), probes_(probes) {}

  void seed(const Tensor& y, const Tensor& y_bar) {
    if (scope_.depends(*y.node()) && is_floating(y.dtype())) accumulate(y, y_bar);
  }

  void run(const TensorList& outputs) {
    const std::vector<Node*> nodes =
        collect_nodes(defined_only(outputs), [&](const Node& node) { return scope_.depends(node); });
    for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
      const auto found = bars_.find(*it);
      if (found == bars_.end() || !scope_.depends(**it)) continue;
      if ((*it)->op == &ops::variable && is_own(**it)) continue;
      const TensorList outputs_bar = std::move(found->second);
      bars_.erase(found);
      if (probes_ != nullptr) probes_->arrives(**it, outputs_bar);
      propagate(**it, outputs_bar);
    }
  }

  Tensor bar(const Tensor& variable) const {
    const auto found = bars_.find(variable.node());
    return found == bars_.end() ? zeros_like(variable) : found->second[0];
  }

 private:
  bool is_own(const Node& node) const {
    for (const Tensor& variable : scope_.variables()) {
      if (variable.node() == &node) return true;
    }
    return false;
  }

  void accumulate(const Tensor& x, const Tensor& x_bar) {
    if (!x_bar.defined()) return;
    TensorList& bars = bars_[x.node()];
    bars.resize(x.node()->outputs.size());
    Tensor& bar = bars[static_cast<std::size_t>(x.output_index())];
    bar = add_cotangents(bar, x_bar);
  }

  void propagate(const Node& node, const TensorList& outputs_bar) {
    const OpDef& op = *node.op;
    if (op.not_differentiable != nullptr && op.kind != OpKind::leaf) return;
    if (&op == &ops::variable) return accumulate(node.inputs[0], outputs_bar[0]);
    if (op.kind == OpKind::leaf) return;
    std::vector<bool> needed;
    for (const Tensor& input : node.inputs)
      needed.push_back(scope_.depends(*input.node()) && is_floating(input.dtype()));
    const RegionOverride region(node.region, true);
    TensorList inputs_bar(node.inputs.size());
    const TensorList outputs = outputs_of(node);
    if (op.vjp != nullptr) {
      op.vjp(node, outputs, outputs_bar, needed, inputs_bar);
    } else if (op.partial != nullptr) {
      for (std::size_t i = 0; i < needed.size(); ++i) {
        if (!needed[i]) continue;
        const Tensor scaled =
            scale_cotangent(outputs_bar[0], op.partial(node, outputs[0], static_cast<int>(i)));
        if (scaled.defined())
          inputs_bar[i] = unbroadcast(broadcast_to(scaled, outputs[0].shape()), node.inputs[i].shape());
      }
    } else {
      throw_no_rule(node, "vjp");
    }
    if (probes_ != nullptr) probes_->leaves(node, inputs_bar);
    for (std::size_t i = 0; i < needed.size(); ++i) {
      if (needed[i]) accumulate(node.inputs[i], inputs_bar[i]);
    }
  }

  const VariableScope& scope_;
  ProbeRecorder* probes_;
  std::unordered_map<const Node*, TensorList> bars_;
};

}  // namespace

TensorList prepared_for_pullback(const VariableScope& scope, const TensorList& outputs) {
  const auto depends = [&](const Node& node) { return scope.depends(node); };
  return expand_undifferentiable(outputs, depends, has_reverse_rule);
}

TensorList pull_back(const VariableScope& scope, const TensorList& outputs, const TensorList& outputs_bar) {
  // Regions are looked at by the outermost gradient.
  ProbeRecorder* probes = gradient_depth == 1 ? context_state().probes : nullptr;
  if (probes != nullptr) probes->look(outputs);
  Pullback reverse(scope, probes);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs_bar[i].defined() && outputs[i].defined()) reverse.seed(outputs[i], outputs_bar[i]);
  }
  reverse.run(outputs);
  TensorList result;
  for (const Tensor& variable : scope.variables()) result.push_back(reverse.bar(variable));
  return result;
}

namespace detail {

TensorList pullback(const std::vector<Tensor*>& places, FunctionRef<TensorList()> body,
                    FunctionRef<TensorList(const TensorList&)> outputs_bar, TensorList* outputs) {
  const DepthScope depth;
  const VariableScope scope(places);
  *outputs = body();
  const TensorList bars = outputs_bar(*outputs);
  return pull_back(scope, prepared_for_pullback(scope, *outputs), bars);
}

void check_scalar_loss(const Tensor& loss) {
  if (!loss.defined() || !is_floating(loss.dtype())) {
    throw DTypeError({.function = "grad",
                      .argument = "f",
                      .problem = "f does not return a floating number",
                      .got = loss.defined() ? std::string(dtype_name(loss.dtype())) : "an undefined tensor",
                      .wanted = "a floating scalar"});
  }
  if (loss.size() != 1 || loss.rank() != 0) {
    throw ShapeError({.function = "grad",
                      .argument = "f",
                      .problem = "f does not return a scalar",
                      .got = to_string(loss.shape()),
                      .wanted = "[]",
                      .hint = "take a mean or a sum, or use vjp or jacobian"});
  }
}

void finish_gradient(const Tensor& loss, const TensorList& gradients) {
  ContextState& context = context_state();
  if (!context.tracing || gradient_depth > 0) return;
  context.guards.push_back(loss);
  context.guards.insert(context.guards.end(), gradients.begin(), gradients.end());
}

void DifferentiableVisitor::leaf(Tensor& tensor, LeafKind kind, bool*) {
  all.push_back(&tensor);
  if (kind == LeafKind::parameter && tensor.defined() && is_floating(tensor.dtype()))
    differentiable.push_back(&tensor);
}

}  // namespace detail
}  // namespace chainrule
