#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <chainrule/context.hpp>
#include <chainrule/function_ref.hpp>
#include <chainrule/tree.hpp>

namespace chainrule {

namespace detail {

using TensorList = std::vector<Tensor>;

/// Runs `body` with fresh variables in place of `inputs` and returns the cotangents of `inputs` for the
/// cotangents `outputs_bar(outputs)` of what it returns. The scope of the transform.
CHAINRULE_API TensorList pullback(const std::vector<Tensor*>& places, FunctionRef<TensorList()> body,
                                  FunctionRef<TensorList(const TensorList&)> outputs_bar,
                                  TensorList* outputs);
CHAINRULE_API TensorList pushforward(const std::vector<Tensor*>& places, FunctionRef<TensorList()> body,
                                     const TensorList& tangents, TensorList* outputs);
/// The body's outputs for a batch: inputs with `in_axes[i]` ≥ 0 carry the batch along that axis. Updates that
/// the body records for `places` become those of `originals`, with the batch where the input has it.
CHAINRULE_API TensorList batched(const std::vector<Tensor*>& places, const std::vector<Tensor*>& originals,
                                 const std::vector<int>& in_axes, FunctionRef<TensorList()> body);
/// ∂(output k)/∂(place j) of the shape [output.., place..] as blocks[k][j], for the outputs that are
/// floating; the others have no blocks.
CHAINRULE_API std::vector<TensorList> jacobian_blocks(const std::vector<Tensor*>& places,
                                                      FunctionRef<TensorList()> body);
CHAINRULE_API void check_scalar_loss(const Tensor& loss);
/// Tells the context what a compiled step must find finite.
CHAINRULE_API void finish_gradient(const Tensor& loss, const TensorList& gradients);

class CHAINRULE_API DifferentiableVisitor : public Visitor {
 public:
  std::vector<Tensor*> differentiable;
  std::vector<Tensor*> all;

 protected:
  void leaf(Tensor& tensor, LeafKind kind, bool* trainable) override;
};

/// The tensors of the caller's argument, which a transform only reads, in visiting order.
template <typename Tree>
std::vector<Tensor*> places_of(const Tree& tree) {
  std::vector<Tensor*> result;
  const auto collect = [&](Visitor&, Tensor& tensor, LeafKind, bool*) { result.push_back(&tensor); };
  LeafVisitor visitor(collect);
  visitor.visit_part(const_cast<Tree&>(tree));
  return result;
}
template <typename Tree>
TensorList tensors_of(const Tree& tree) {
  TensorList result;
  const auto collect = [&](Visitor&, Tensor& tensor, LeafKind, bool*) { result.push_back(tensor); };
  LeafVisitor visitor(collect);
  visitor.visit_part(const_cast<Tree&>(tree));
  return result;
}
template <typename Tree>
void assign_tensors(Tree& tree, const TensorList& values) {
  std::size_t i = 0;
  const auto assign = [&](Visitor&, Tensor& tensor, LeafKind, bool*) { tensor = values[i++]; };
  LeafVisitor visitor(assign);
  visitor.visit_part(tree);
}

}  // namespace detail

namespace detail {

/// A tree like `tree` with derivatives in the places that have one, and undefined tensors in the others.
template <typename Tree>
Tree derivatives(const Tree& tree, const TensorList& values) {
  Tree result = tree;
  DifferentiableVisitor visitor;
  visitor.visit_part(result);
  for (Tensor* tensor : visitor.all) *tensor = Tensor();
  for (std::size_t i = 0; i < values.size(); ++i) *visitor.differentiable[i] = values[i];
  return result;
}

/// f's value and its gradient with respect to the first argument.
template <typename F, typename First, typename... Rest>
std::pair<Tensor, First> differentiate(const F& f, const First& first, const Rest&... rest) {
  First copy = first;
  DifferentiableVisitor visitor;
  visitor.visit_part(copy);
  TensorList outputs;
  const std::vector<Tensor*> originals = places_of(first);
  const auto body = [&] {
    const StandIns scope(visitor.all, originals);
    const Tensor loss = f(std::as_const(copy), rest...);
    check_scalar_loss(loss);
    return TensorList{loss};
  };
  const auto seed = [](const TensorList& y) { return TensorList{ones_like(y[0])}; };
  const TensorList gradients = pullback(visitor.differentiable, body, seed, &outputs);
  finish_gradient(outputs[0], gradients);
  for (Tensor* tensor : visitor.all) *tensor = Tensor();
  for (std::size_t i = 0; i < gradients.size(); ++i) *visitor.differentiable[i] = gradients[i];
  return {outputs[0], std::move(copy)};
}

}  // namespace detail

/// A function that returns f's value and the gradient with respect to its first argument, a tree:
///
///     auto [loss, gradient] = value_and_grad(loss_of)(model, x, y);
///
/// f returns a scalar. The gradient is a tree of the argument's type with ∂f/∂leaf in each place; frozen
/// parameters, buffers and integers get an undefined tensor. Throws ShapeError when f's value is not a
/// scalar, DTypeError when it is not floating.
template <typename F>
auto value_and_grad(F f) {
  return [f = std::move(f)](const auto& first, const auto&... rest) {
    return detail::differentiate(f, first, rest...);
  };
}

/// The gradient of a scalar function as a function of the same arguments: ∂f/∂(first argument). Nests to
/// any order: `grad(grad(f))`.
template <typename F>
auto grad(F f) {
  return [f = std::move(f)](const auto& first, const auto&... rest) {
    return detail::differentiate(f, first, rest...).second;
  };
}

/// f(x) and the pullback of ȳ at x: the pair of f(x) and x̄ = ȳᵀ ∂f/∂x. x and f(x) are trees of tensors, and ȳ
/// has the form of f(x). Throws ShapeError when ȳ does not fit.
template <typename F, typename X>
auto vjp(F f, const X& x, const std::invoke_result_t<F&, const X&>& y_bar) {
  using Y = std::invoke_result_t<F&, const X&>;
  X copy = x;
  detail::DifferentiableVisitor visitor;
  visitor.visit_part(copy);
  std::optional<Y> y;
  const std::vector<Tensor*> originals = detail::places_of(x);
  const auto body = [&] {
    const detail::StandIns scope(visitor.all, originals);
    y = f(std::as_const(copy));
    return detail::tensors_of(*y);
  };
  detail::TensorList outputs;
  const detail::TensorList bars = detail::tensors_of(y_bar);
  const detail::TensorList x_bar = detail::pullback(
      visitor.differentiable, body, [&](const detail::TensorList&) { return bars; }, &outputs);
  for (Tensor* tensor : visitor.all) *tensor = Tensor();
  for (std::size_t i = 0; i < x_bar.size(); ++i) *visitor.differentiable[i] = x_bar[i];
  return std::pair<Y, X>(std::move(*y), std::move(copy));
}

/// f(x) and the directional derivative ∂f/∂x · x_dot.
template <typename F, typename X>
auto jvp(F f, const X& x, const X& x_dot) {
  using Y = std::invoke_result_t<F&, const X&>;
  X copy = x;
  detail::DifferentiableVisitor visitor;
  visitor.visit_part(copy);
  X tangent_tree = x_dot;
  detail::DifferentiableVisitor tangent_visitor;
  tangent_visitor.visit_part(tangent_tree);
  detail::TensorList tangents;
  for (const Tensor* tensor : tangent_visitor.differentiable) tangents.push_back(*tensor);
  std::optional<Y> y;
  const std::vector<Tensor*> originals = detail::places_of(x);
  const auto body = [&] {
    const detail::StandIns scope(visitor.all, originals);
    y = f(std::as_const(copy));
    return detail::tensors_of(*y);
  };
  detail::TensorList outputs;
  const detail::TensorList y_dot = detail::pushforward(visitor.differentiable, body, tangents, &outputs);
  Y result = *y;
  detail::assign_tensors(result, y_dot);
  return std::pair<Y, Y>(std::move(*y), std::move(result));
}

/// f applied to each example of a batch, as one expression: a function of the same arguments, each with the
/// batch along its first axis (`in_axes[i]` = 0) or shared by all examples (−1). Random draws inside use a
/// key of their own per example.
template <typename F>
auto vmap(F f, std::vector<int> in_axes = {}) {
  return [f = std::move(f), in_axes = std::move(in_axes)]<typename... Args>(const Args&... args) {
    using Result = std::invoke_result_t<const F&, const Args&...>;
    std::tuple<Args...> copies(args...);
    std::vector<Tensor*> places;
    std::vector<int> axes;
    std::size_t argument = 0;
    const auto visit = [&](auto& tree) {
      const int axis = argument < in_axes.size() ? in_axes[argument] : 0;
      ++argument;
      const auto collect = [&](Visitor&, Tensor& tensor, LeafKind, bool*) {
        places.push_back(&tensor);
        axes.push_back(axis);
      };
      detail::LeafVisitor visitor(collect);
      visitor.visit_part(tree);
    };
    std::apply([&](auto&... trees) { (visit(trees), ...); }, copies);
    std::vector<Tensor*> originals;
    const auto add_originals = [&](const auto& tree) {
      const std::vector<Tensor*> more = detail::places_of(tree);
      originals.insert(originals.end(), more.begin(), more.end());
    };
    (add_originals(args), ...);
    std::optional<Result> result;
    const auto body = [&] {
      result = std::apply(f, std::as_const(copies));
      return detail::tensors_of(*result);
    };
    const detail::TensorList outputs = detail::batched(places, originals, axes, body);
    detail::assign_tensors(*result, outputs);
    return std::move(*result);
  };
}

/// All first derivatives of f at x, a tensor or a tree. For a tensor f(x), a tree of x's type with ∂f/∂leaf
/// of the shape [f(x).., leaf..] in the place of each leaf; for a tree f(x), one such tree for each of its
/// leaves, by path:
///
///     Line slopes = jacobian([&](const Line& l) { return l(x); }, line);  // slopes.offset: [f(x)..]
///
/// What has no derivative (frozen parameters, buffers, integers) gets an undefined tensor, and no tree.
/// Computed in forward mode where x has no more elements than f(x), in reverse mode elsewhere; f is called
/// once. Throws DTypeError when f returns no floating tensor.
template <typename F, typename X>
auto jacobian(const F& f, const X& x) {
  using Y = std::decay_t<std::invoke_result_t<const F&, const X&>>;
  X copy = x;
  detail::DifferentiableVisitor visitor;
  visitor.visit_part(copy);
  const std::vector<Tensor*> originals = detail::places_of(x);
  std::optional<Y> y;
  const auto body = [&] {
    const detail::StandIns scope(visitor.all, originals);
    y = f(std::as_const(copy));
    return detail::tensors_of(*y);
  };
  const std::vector<detail::TensorList> blocks = detail::jacobian_blocks(visitor.differentiable, body);
  if constexpr (std::derived_from<Y, Tensor>) {
    return detail::derivatives(x, blocks[0]);
  } else {
    std::map<std::string, X> rows;
    std::size_t k = 0;
    for (const Leaf& leaf : leaves(*y)) {
      if (leaf.tensor->defined() && is_floating(leaf.tensor->dtype()))
        rows.emplace(leaf.path, detail::derivatives(x, blocks[k]));
      ++k;
    }
    return rows;
  }
}

/// All second derivatives of a scalar function at x: the Jacobian of its gradient. For a tensor x, a tensor
/// of the shape [x.., x..]; for a tree, a tree for each leaf by path, with the blocks ∂²f/∂p∂q:
///
///     auto second = hessian(loss, line);
///     second.at("slope").offset;  // ∂²loss/∂slope∂offset, [slope.., offset..]
///
/// It has as many elements as x has, squared: `hvp` multiplies by it without. Throws as `grad`.
template <typename F, typename X>
auto hessian(const F& f, const X& x) {
  const auto gradient = [&](const X& at) { return detail::differentiate(f, at).second; };
  return jacobian(gradient, x);
}

/// The Hessian of a scalar function times a vector: forward over reverse, at the cost of a few gradients.
template <typename F, typename X>
X hvp(F f, const X& x, const X& v) {
  return jvp(grad(std::move(f)), x, v).second;
}

}  // namespace chainrule
