#pragma once

#include <functional>
#include <utility>
#include <vector>

#include <chainrule/tensor.hpp>

/// Loops inside an expression, and functions with a derivative of their own.
namespace chainrule {

/// What `scan` returns: the last carry, and the ys of all steps stacked along a new first axis.
struct ScanResult {
  std::vector<Tensor> carry;
  std::vector<Tensor> ys;
};

/// One step of a loop: from the carry and the slices of xs to the next carry (same shapes and dtypes) and the
/// step's ys.
using ScanBody = std::function<ScanResult(const std::vector<Tensor>& carry, const std::vector<Tensor>& x)>;

/// The loop  carry, y[t] = body(carry, x[t])  for t = 0 … T − 1 (from the end with `reverse`), as one op: its
/// body is traced once, whatever T is. Differentiable to any order in both modes and batchable; what the
/// body uses from outside becomes an input. The backward pass keeps one carry per step and computes the body
/// again. `length` is needed when there are no xs. Throws ShapeError when the carry changes its shape or
/// dtype or the xs differ in length.
CHAINRULE_API ScanResult scan(const ScanBody& body, const std::vector<Tensor>& carry,
                              const std::vector<Tensor>& xs, bool reverse = false, std::int64_t length = -1);

/// The same for one carry, one x and one y per step.
CHAINRULE_API std::pair<Tensor, Tensor> scan(
    const std::function<std::pair<Tensor, Tensor>(const Tensor& carry, const Tensor& x)>& body,
    const Tensor& carry, const Tensor& xs, bool reverse = false);

/// A function whose reverse derivative is given by the user: `vjp(inputs, output, output_bar)` returns one
/// cotangent per input (undefined for none), with the input's shape; a rule that returns another number of
/// them is an ArgumentError, another shape a ShapeError. Forward mode uses the same rule: it is linear in the
/// cotangent, and its transpose is the directional derivative. Returns a function of the same inputs.
CHAINRULE_API std::function<Tensor(const std::vector<Tensor>&)> custom_vjp(
    std::function<Tensor(const std::vector<Tensor>& inputs)> f,
    std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs, const Tensor& output,
                                      const Tensor& output_bar)>
        vjp);

}  // namespace chainrule
