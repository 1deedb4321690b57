#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "graph/op.hpp"

/// What the drivers of the transforms share.
namespace chainrule {

using TensorList = std::vector<Tensor>;

/// Puts fresh variables in place of tensors for the time of a transform.
class VariableScope {
 public:
  explicit VariableScope(const std::vector<Tensor*>& places);
  const TensorList& variables() const { return variables_; }
  bool depends(const Node& node) const;

 private:
  TransformScope scope_;
  TensorList variables_;
};

/// Without the undefined ones: a gradient's tree has them where there is nothing to differentiate by.
TensorList defined_only(const TensorList& tensors);

/// Replaces ops that have a definition and no rule of the wanted kind by their definitions, as far as they
/// depend on the transform's variables.
TensorList expand_undifferentiable(const TensorList& outputs, const std::function<bool(const Node&)>& depends,
                                   const std::function<bool(const OpDef&)>& has_rule);

/// `outputs`, which depend on the scope's variables, with ops that have a reverse (forward) rule only.
TensorList prepared_for_pullback(const VariableScope& scope, const TensorList& outputs);
TensorList prepared_for_pushforward(const VariableScope& scope, const TensorList& outputs);
/// The cotangents of the scope's variables for those of prepared outputs; undefined ones are zero.
TensorList pull_back(const VariableScope& scope, const TensorList& outputs, const TensorList& outputs_bar);
/// The tangents of prepared outputs for those of the scope's variables; undefined ones are zero.
TensorList push_forward(const VariableScope& scope, const TensorList& outputs, const TensorList& tangents);

[[noreturn]] void throw_no_rule(const Node& node, const char* kind);

}  // namespace chainrule
