// The chain rule with numbers: every step of a formula, the derivative on every edge, and the sum over paths.

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include <chainrule/error.hpp>
#include <chainrule/explain.hpp>
#include <chainrule/transforms.hpp>

#include "autodiff/driver.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

constexpr std::size_t most_paths = 64;

// A number with memory of its own, so that no op mistakes it for a constant of the formula.
Tensor input_value(double value) { return Tensor::from(std::vector<double>{value}, {}); }

// ∂output/∂input[i] of one scalar step, as an expression. Undefined where nothing flows.
Tensor local_derivative(const Node& node, std::size_t i) {
  const std::vector<Tensor> outputs = outputs_of(node);
  if (node.op->partial != nullptr) return node.op->partial(node, outputs[0], static_cast<int>(i));
  if (node.op->vjp == nullptr) return {};
  std::vector<bool> needed(node.inputs.size(), false);
  needed[i] = true;
  std::vector<Tensor> bars(outputs.size());
  bars[0] = ones_like(outputs[0]);
  std::vector<Tensor> inputs_bar(node.inputs.size());
  node.op->vjp(node, outputs, bars, needed, inputs_bar);
  return inputs_bar[i];
}

class ChainTracer {
 public:
  ChainTracer(const Expression& f, std::span<const double> at, TextStyle style)
      : f_(f), at_(at), style_(style) {
    for (const double value : at) values_.push_back(input_value(value));
  }

  ChainTrace run() {
    const Tensor result = checked_result();
    collect(result);
    const std::vector<Tensor> gradient = symbolic_gradient();
    // Everything is printed before anything is evaluated: an evaluated tensor is a value without a history.
    print(gradient);
    evaluate(gradient);
    propagate();
    for (std::size_t i = 0; i < values_.size(); ++i)
      walk_paths(trace_.gradients[i], step_of_.find(values_[i].node()));
    for (std::size_t i = 0; i < values_.size(); ++i) compare(trace_.gradients[i], i);
    return std::move(trace_);
  }

 private:
  struct PendingEdge {
    std::size_t from;
    Tensor derivative;
  };

  Tensor checked_result() const {
    const Tensor y = f_(values_);
    if (!is_floating(y.dtype()) || y.size() != 1) {
      throw ArgumentError({.function = "trace_chain",
                           .argument = "f",
                           .problem = "the formula does not give a floating number",
                           .got = std::string(dtype_name(y.dtype())) + " " + to_string(y.shape()),
                           .wanted = "a value that can be differentiated"});
    }
    const auto always = [](const Node&) { return true; };
    const auto has_rule = [](const OpDef& op) {
      return op.partial != nullptr || op.vjp != nullptr || op.not_differentiable != nullptr ||
             op.kind == OpKind::leaf;
    };
    return expand_undifferentiable({y}, always, has_rule)[0];
  }

  void collect(const Tensor& result) {
    const auto enter = [](const Node& node) { return node.op->kind != OpKind::leaf; };
    std::vector<Node*> nodes = collect_nodes(std::span(&result, 1), enter);
    // The result is the newest node, unless the formula is one variable.
    for (Node* node : nodes) {
      step_of_[node] = tensors_.size();
      tensors_.emplace_back(node, 0);
      std::vector<PendingEdge>& edges = edges_.emplace_back();
      kinks_.push_back(node->op->kind == OpKind::leaf ? std::vector<double>() : node->op->kinks);
      if (node->op->kind == OpKind::leaf || node->op->not_differentiable != nullptr) continue;
      for (std::size_t i = 0; i < node->inputs.size(); ++i) {
        const Tensor& input = node->inputs[i];
        if (!is_floating(input.dtype()) || is_constant(input)) continue;
        edges.push_back({step_of_.at(input.node()), local_derivative(*node, i)});
      }
    }
  }

  std::vector<Tensor> symbolic_gradient() {
    const auto f = [&](const std::vector<Tensor>& values) { return f_(values); };
    return values_.empty() ? std::vector<Tensor>{} : grad(f)(values_);
  }

  void print(const std::vector<Tensor>& gradient) {
    std::vector<NamedTensor> names;
    for (std::size_t i = 0; i < values_.size(); ++i) names.push_back({values_[i], f_.variables()[i]});
    const auto text = [&](const Tensor& x) { return format_expression(x, names, {.style = style_}); };
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      ChainStep step;
      step.text = text(tensors_[i]);
      for (const PendingEdge& edge : edges_[i]) {
        step.inputs.push_back({edge.from, edge.derivative.defined() ? text(edge.derivative) : "0", 0});
      }
      trace_.steps.push_back(std::move(step));
    }
    trace_.text = trace_.steps.back().text;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      ChainGradient& shown = trace_.gradients.emplace_back();
      shown.variable = f_.variables()[i];
      shown.at = at_[i];
      shown.text = text(gradient[i]);
    }
  }

  void evaluate(const std::vector<Tensor>& gradient) {
    std::vector<Tensor> all = tensors_;
    all.insert(all.end(), gradient.begin(), gradient.end());
    for (const auto& edges : edges_) {
      for (const PendingEdge& edge : edges) {
        if (edge.derivative.defined()) all.push_back(edge.derivative);
      }
    }
    eval(all);
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      trace_.steps[i].value = tensors_[i].item<double>();
      look_at_point(i);
      for (std::size_t k = 0; k < edges_[i].size(); ++k) {
        if (edges_[i][k].derivative.defined())
          trace_.steps[i].inputs[k].value = edges_[i][k].derivative.item<double>();
      }
    }
    trace_.value = trace_.steps.back().value;
    for (std::size_t i = 0; i < gradient.size(); ++i) trace_.gradients[i].value = gradient[i].item<double>();
  }

  void look_at_point(std::size_t i) {
    ChainStep& step = trace_.steps[i];
    const auto is_finite = [&](const ChainStep::Edge& e) {
      return std::isfinite(trace_.steps[e.from].value);
    };
    step.undefined =
        !std::isfinite(step.value) && std::all_of(step.inputs.begin(), step.inputs.end(), is_finite);
    if (kinks_[i].empty() || step.inputs.empty()) return;
    step.at_kink = std::find(kinks_[i].begin(), kinks_[i].end(), trace_.steps[step.inputs[0].from].value) !=
                   kinks_[i].end();
  }

  void propagate() {
    trace_.steps.back().adjoint = 1;
    for (std::size_t i = trace_.steps.size(); i-- > 0;) {
      for (const ChainStep::Edge& edge : trace_.steps[i].inputs) {
        if (edge.value != 0) trace_.steps[edge.from].adjoint += trace_.steps[i].adjoint * edge.value;
      }
    }
  }

  // Depth first, from the result, without recursion: each entry is a path so far.
  void walk_paths(ChainGradient& gradient,
                  std::unordered_map<const Node*, std::size_t>::const_iterator target) {
    if (target == step_of_.end()) return;
    const std::vector<bool> leads = leading_to(target->second);
    std::vector<ChainPath> open{{{trace_.steps.size() - 1}, {}, 1}};
    while (!open.empty()) {
      ChainPath path = std::move(open.back());
      open.pop_back();
      if (path.steps.back() == target->second) {
        if (gradient.paths.size() == most_paths) {
          gradient.complete = false;
          return;
        }
        gradient.paths.push_back(std::move(path));
        continue;
      }
      const auto& edges = trace_.steps[path.steps.back()].inputs;
      for (auto edge = edges.rbegin(); edge != edges.rend(); ++edge) {
        if (!leads[edge->from]) continue;
        ChainPath longer = path;
        longer.steps.push_back(edge->from);
        longer.factors.push_back(edge->value);
        longer.product *= edge->value;
        open.push_back(std::move(longer));
      }
    }
  }

  std::vector<bool> leading_to(std::size_t target) const {
    std::vector<bool> leads(trace_.steps.size(), false);
    leads[target] = true;
    for (std::size_t i = target + 1; i < leads.size(); ++i) {
      const auto& edges = trace_.steps[i].inputs;
      leads[i] = leads[i] || std::any_of(edges.begin(), edges.end(),
                                         [&](const ChainStep::Edge& edge) { return leads[edge.from]; });
    }
    return leads;
  }

  void compare(ChainGradient& gradient, std::size_t i) const {
    gradient.step = 1e-5 * std::max(1.0, std::abs(at_[i]));
    const auto shifted = [&](double h) {
      std::vector<Tensor> values;
      for (std::size_t k = 0; k < at_.size(); ++k) values.push_back(input_value(at_[k] + (k == i ? h : 0)));
      return f_(values).item<double>();
    };
    // Near the edge of the domain a smaller step stays inside of it.
    double above = shifted(gradient.step);
    double below = shifted(-gradient.step);
    for (int tries = 0; tries < 8 && std::isfinite(trace_.value) && !std::isfinite(above - below); ++tries) {
      gradient.step /= 4;
      above = shifted(gradient.step);
      below = shifted(-gradient.step);
      if (!std::isfinite(above - below)) continue;
      // The edge itself is less than four steps away, where differences are coarse.
      gradient.step /= 4;
      above = shifted(gradient.step);
      below = shifted(-gradient.step);
    }
    gradient.numeric = (above - below) / (2 * gradient.step);
    gradient.left = (trace_.value - below) / gradient.step;
    gradient.right = (above - trace_.value) / gradient.step;
    gradient.error = std::abs(gradient.value - gradient.numeric) / std::max(1.0, std::abs(gradient.value));
  }

  const Expression& f_;
  std::span<const double> at_;
  TextStyle style_;
  std::vector<Tensor> values_;
  std::vector<Tensor> tensors_;                  // one per step
  std::vector<std::vector<PendingEdge>> edges_;  // and what leads into it
  std::vector<std::vector<double>> kinks_;       // of its op, in the first argument
  std::unordered_map<const Node*, std::size_t> step_of_;
  ChainTrace trace_;
};

}  // namespace

bool ChainTrace::defined() const {
  return std::isfinite(value) && std::all_of(gradients.begin(), gradients.end(),
                                             [](const ChainGradient& g) { return std::isfinite(g.value); });
}

bool ChainTrace::at_kink() const {
  return std::any_of(steps.begin(), steps.end(), [](const ChainStep& step) { return step.at_kink; });
}

ChainTrace trace_chain(const Expression& f, std::span<const double> at, TextStyle style) {
  if (at.size() != f.variables().size()) {
    throw ArgumentError({.function = "trace_chain",
                         .argument = "at",
                         .problem = "a number for each variable is needed",
                         .got = std::to_string(at.size()) + " numbers",
                         .wanted = std::to_string(f.variables().size()) + " numbers"});
  }
  return ChainTracer(f, at, style).run();
}

}  // namespace chainrule
