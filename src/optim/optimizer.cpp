#include <chainrule/optim/optimizer.hpp>

#include <cmath>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

#include "graph/context_state.hpp"

namespace chainrule::optim {
namespace {

void check_learning_rate(std::string_view function, double lr) {
  if (lr >= 0 && std::isfinite(lr)) return;
  throw ArgumentError({.function = std::string(function),
                       .argument = "lr",
                       .problem = "not a learning rate",
                       .got = short_number(lr),
                       .wanted = "a finite number, 0 or more"});
}

// "weight.exp_avg": a compiled step visits the state in each run, so no path is put together here.
struct ParameterTree {
  std::vector<Tensor>& tensors;
  std::span<const std::string_view> names;
  void visit(Visitor& v) {
    for (std::size_t i = 0; i < tensors.size(); ++i) v.buffer(names[i], tensors[i]);
  }
};
struct StateTree {
  std::map<std::string, std::vector<Tensor>>& state;
  std::span<const std::string_view> names;
  void visit(Visitor& v) {
    for (auto& [parameter, tensors] : state) {
      ParameterTree tree{tensors, names};
      v(parameter, tree);
    }
  }
};

void check_group_number(std::string_view optimizer, const ParameterGroup& group, const char* option,
                        double value) {
  if (value >= 0 && std::isfinite(value)) return;
  throw ArgumentError({.function = std::string(optimizer),
                       .argument = "groups",
                       .problem = "the " + std::string(option) + " of the group " + quote(group.pattern) +
                                  " is outside its range",
                       .got = short_number(value),
                       .wanted = "a finite number, 0 or more"});
}

template <typename T>
Tensor scalar_tensor(T value) {
  return Tensor::from(std::vector<T>{value}, {});
}

[[noreturn]] void throw_unlike(const std::string& got, const std::string& wanted) {
  throw ArgumentError({.function = "Optimizer::update",
                       .argument = "gradient",
                       .problem = "the gradient's tree is not like the model's",
                       .got = got,
                       .wanted = wanted,
                       .hint = "pass what grad or value_and_grad returned for this model"});
}

}  // namespace

OptimizerBase::OptimizerBase(std::string_view name, double lr, double weight_decay,
                             std::vector<ParameterGroup> groups)
    : lr_(scalar_tensor(lr)),
      count_(scalar_tensor<std::int64_t>(0)),
      weight_decay_(weight_decay),
      groups_(std::move(groups)) {
  check_learning_rate(name, lr);
  for (const ParameterGroup& group : groups_) {
    check_group_number(name, group, "lr_multiplier", group.lr_multiplier);
    check_group_number(name, group, "weight_decay", group.weight_decay.value_or(0));
  }
}

void OptimizerBase::set_learning_rate(double lr) {
  check_learning_rate("set_learning_rate", lr);
  lr_ = scalar_tensor(lr);
}
double OptimizerBase::learning_rate() const { return lr_.item<double>(); }
std::int64_t OptimizerBase::step_count() const { return count_.item<std::int64_t>(); }

void OptimizerBase::visit(Visitor& v) {
  v("weight_decay", weight_decay_);
  visit_options(v);
  for (ParameterGroup& group : groups_) {
    v("group_pattern", group.pattern);
    v("group_lr_multiplier", group.lr_multiplier);
    v("group_weight_decay", group.weight_decay);
  }
  v.buffer("learning_rate", lr_);
  v.buffer("step_count", count_);
  StateTree state{state_, state_names()};
  v("state", state);
}

const ParameterGroup* OptimizerBase::group_of(const std::string& path) const {
  for (const ParameterGroup& group : groups_) {
    if (chainrule::detail::path_matches(path, group.pattern)) return &group;
  }
  return nullptr;
}

OptimizerBase::ParameterState& OptimizerBase::state_of(const Leaf& parameter) {
  const auto [place, is_new] = state_.try_emplace(parameter.path);
  if (is_new) place->second.assign(state_names().size(), zeros_like(*parameter.tensor));
  return place->second;
}

OptimizerBase::Step OptimizerBase::step_for(const Leaf& parameter, const Tensor& count) const {
  const ParameterGroup* group = group_of(parameter.path);
  const bool scaled = group != nullptr && group->lr_multiplier != 1;
  return {.lr = scaled ? lr_ * group->lr_multiplier : lr_,
          .count = count,
          .weight_decay = group != nullptr ? group->weight_decay.value_or(weight_decay_) : weight_decay_};
}

void OptimizerBase::check_groups(const std::vector<Leaf>& parameters) {
  if (groups_match_) return;
  for (const ParameterGroup& group : groups_) {
    std::vector<std::string> paths;
    bool matched = false;
    for (const Leaf& parameter : parameters) {
      if (parameter.kind == LeafKind::buffer) continue;
      matched = matched || chainrule::detail::path_matches(parameter.path, group.pattern);
      paths.push_back(parameter.path);
    }
    if (matched) continue;
    throw ArgumentError({.function = std::string(name()),
                         .argument = "groups",
                         .problem = "a group's pattern matches no parameter of the model",
                         .got = quote(group.pattern),
                         .wanted = "a parameter's path, with * for any characters",
                         .hint = suggest(group.pattern, paths)});
  }
  groups_match_ = true;
}

void OptimizerBase::init_leaves(const std::vector<Leaf>& parameters) {
  check_groups(parameters);
  for (const Leaf& parameter : parameters) {
    if (parameter.kind == LeafKind::parameter) state_of(parameter);
  }
}

void OptimizerBase::update_leaves(const std::vector<Leaf>& parameters, const std::vector<Leaf>& gradients) {
  if (parameters.size() != gradients.size()) {
    throw_unlike(std::to_string(gradients.size()) + " leaves", std::to_string(parameters.size()) + " leaves");
  }
  check_groups(parameters);
  const Region region("optimizer." + std::string(name()));
  count_ = count_ + 1;
  const Tensor count = astype(count_, DType::float64);
  std::vector<Tensor> changed{lr_, count_};
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Leaf& parameter = parameters[i];
    const Tensor& gradient = *gradients[i].tensor;
    if (parameter.path != gradients[i].path) throw_unlike(gradients[i].path, parameter.path);
    if (parameter.kind != LeafKind::parameter || !gradient.defined()) continue;
    if (gradient.shape() != parameter.tensor->shape()) {
      throw_unlike(gradients[i].path + ' ' + to_string(gradient.shape()),
                   to_string(parameter.tensor->shape()));
    }
    ParameterState& state = state_of(parameter);
    *parameter.tensor = step(*parameter.tensor, gradient, state, step_for(parameter, count));
    changed.push_back(*parameter.tensor);
    changed.insert(changed.end(), state.begin(), state.end());
  }
  apply_updates(parameters);
  if (context_state().tracing) return;
  // In an eager loop each step ends here: what nobody reads must not pile up as an expression.
  for (const Leaf& leaf : parameters) {
    if (leaf.kind == LeafKind::buffer) changed.push_back(*leaf.tensor);
  }
  eval(changed);
}

}  // namespace chainrule::optim
