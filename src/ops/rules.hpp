#pragma once

#include <chainrule/ops.hpp>

#include "graph/op.hpp"

/// What the declarations share: calling an elementwise op, undoing a broadcast, common shape rules.
namespace chainrule {

/// `x [128, 783] float32`, for errors.
std::string describe_tensor(const char* name, const Tensor& x);

/// A call of an elementwise op: converts the inputs to the dtype that the op's rule asks for.
Tensor elementwise(const OpDef& op, std::initializer_list<Tensor> inputs, Attributes attributes = {});

/// The result dtype of operands of which C++ scalars do not widen the others.
DType promoted_dtype(std::span<const Tensor> inputs);

/// The cotangent of a tensor of `shape` that was broadcast to the shape of `y_bar`: sums what was repeated.
Tensor unbroadcast(const Tensor& y_bar, const Shape& shape);

/// A scalar of exactly this dtype.
Tensor scalar_of(double value, DType dtype);

/// The axes of a reduction's attribute as a shape rule needs them, and the shape they leave.
Shape reduced_shape(const Shape& shape, const Dims& axes, bool keepdims);
/// `y` with the reduced axes put back as axes of length 1.
Tensor restore_axes(const Tensor& y, const Shape& shape, const Dims& axes, bool keepdims);

/// a·b where either may be undefined (zero) or the constant 1 or −1: nothing superfluous is built.
Tensor scale_cotangent(const Tensor& y_bar, const Tensor& factor);
/// a + b where either may be undefined (zero). Where both are zero but in parts that do not overlap, these are
/// joined: a part's negative zero then stays one.
Tensor add_cotangents(const Tensor& a, const Tensor& b);

/// The shape and dtype rule of an op that is nothing but its definition: that of what it is defined by.
void infer_from_definition(const Node& node, SmallVector<TensorSpec, 1>& outputs);

/// One axis of a slice: `length` elements from `start`, `step` apart.
struct SlicedAxis {
  std::int64_t start, length, step;
};
/// Python's start:stop:step on an axis of this length. Throws ArgumentError for a step of 0.
SlicedAxis sliced_axis(const char* function, const Slice& range, std::int64_t length);

/// Throws DTypeError when `key` is no random key.
void check_key(const char* function, const Tensor& key);

/// The dtype of a floating-point result: x's own, or float32 for integers and bools.
DType floating_dtype(DType dtype);

/// Sample inputs away from the kinks of every activation that is tried with them.
Tensor activation_inputs();

/// For batching rules: an input that is not batched, repeated for the batch along a new first axis.
Tensor batched_input(const Tensor& x, bool batched, std::int64_t batch_size);

/// For workloads: uniform numbers in [−1, 1) as float32, about `elements` of them in rows of 256, and indices
/// below `limit`.
Tensor large(const Shape& shape, std::uint64_t seed = 1);
Tensor large_rows(std::int64_t elements, std::uint64_t seed = 1);
Tensor large_indices(const Shape& shape, std::int64_t limit);

}  // namespace chainrule
