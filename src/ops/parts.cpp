// x.at(...).set and .add: the place of a slice, written.

#include <algorithm>

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

// Attributes: starts and steps of every axis. The value has the slice's lengths.
const Dims& starts_of(const Node& node) { return node.get<Dims>(0); }
const Dims& steps_of(const Node& node) { return node.get<Dims>(1); }

void infer_first(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  outputs.push_back(spec_of(node.inputs[0]));
}
Tensor spread_out(const Node& node, const Tensor& part) {
  return make_node(ops::slice_transpose, {part}, {node.inputs[0].shape(), starts_of(node), steps_of(node)});
}
std::vector<Sample> part_samples() {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}}, DType::float64);
  const Tensor value = tensor({{-1, 0.5}}, DType::float64);
  return {{{x, value}, {Dims{1, 0}, Dims{1, 2}}, "every second column of a row"},
          {{x, transpose(x)[0].reshape({2, 1})}, {Dims{1, 2}, Dims{-1, 1}}, "a column, backwards"}};
}

}  // namespace

namespace ops {

const OpDef slice_set = {
    .name = "slice_set",
    .arguments = {"x", "value"},
    .attributes = {"starts", "steps"},
    .text = {.formula = "slice_set({x}, {value})",
             .latex = "{x}_{[\\cdot]} \\leftarrow {value}",
             .summary = "x with other values in the places that a slice reads.",
             .domain = "linear"},
    .infer = infer_first,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Tensor here = spread_out(node, ones(node.inputs[1].shape(), DType::boolean));
      return {chainrule::where(here, spread_out(node, node.inputs[1]), node.inputs[0])};
    },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = part_samples,
};

const OpDef slice_add = {
    .name = "slice_add",
    .arguments = {"x", "value"},
    .attributes = {"starts", "steps"},
    .text = {.formula = "slice_add({x}, {value})",
             .latex = "{x}_{[\\cdot]} + {value}",
             .summary = "x with values added in the places that a slice reads.",
             .domain = "linear"},
    .infer = infer_first,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {node.inputs[0] + spread_out(node, node.inputs[1])};
    },
    .bound = {BoundKind::ulp, 0.5},
    .samples = part_samples,
};

}  // namespace ops

namespace {

std::int64_t checked_position(std::int64_t position, int axis, const Shape& shape) {
  const std::int64_t p = position < 0 ? position + shape[axis] : position;
  if (p >= 0 && p < shape[axis]) return p;
  throw ArgumentError(
      {.function = "Tensor::at",
       .argument = "index",
       .problem = "position out of range",
       .got = std::to_string(position) + " for axis " + std::to_string(axis) + " of " + to_string(shape),
       .wanted = "less than " + std::to_string(shape[axis])});
}

}  // namespace

TensorPart::TensorPart(const Tensor& x, std::span<const AxisIndex> index)
    : x_(x), starts_(Dims::filled(x.rank(), 0)), lengths_(x.shape()), steps_(Dims::filled(x.rank(), 1)) {
  if (std::ssize(index) > x.rank()) {
    throw ArgumentError({.function = "Tensor::at",
                         .argument = "index",
                         .problem = "more axes are named than there are",
                         .got = std::to_string(index.size()) + " for " + to_string(x.shape()),
                         .wanted = "at most " + std::to_string(x.rank())});
  }
  for (int axis = 0; axis < x.rank(); ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    if (i >= index.size()) {
      shape_.push_back(lengths_[axis]);
    } else if (index[i].is_position) {
      starts_[axis] = checked_position(*index[i].range.start, axis, x.shape());
      lengths_[axis] = 1;
    } else {
      const SlicedAxis part = sliced_axis("Tensor::at", index[i].range, x.shape()[axis]);
      starts_[axis] = part.start;
      lengths_[axis] = part.length;
      steps_[axis] = part.step;
      shape_.push_back(part.length);
    }
  }
}

Tensor TensorPart::get() const {
  return reshape(make_node(ops::slice, {x_}, {starts_, lengths_, steps_}), shape_);
}

// The value as the slice itself would be: x's dtype, the part's shape, and axes of length 1 for positions.
Tensor TensorPart::spread(const char* function, const Tensor& value) const {
  if (dtype_category(value.dtype()) > dtype_category(x_.dtype())) {
    throw DTypeError(
        {.function = function,
         .argument = "value",
         .problem = "the tensor's dtype can't hold the values",
         .got = std::string(dtype_name(value.dtype())) + " into " + std::string(dtype_name(x_.dtype())),
         .wanted = "values of the same category or below",
         .hint = "astype first"});
  }
  return reshape(broadcast_to(astype(value, x_.dtype()), shape_), lengths_);
}

Tensor TensorPart::set(const Tensor& value) const {
  return make_node(ops::slice_set, {x_, spread("TensorPart::set", value)}, {starts_, steps_});
}
Tensor TensorPart::add(const Tensor& value) const {
  return make_node(ops::slice_add, {x_, spread("TensorPart::add", value)}, {starts_, steps_});
}

}  // namespace chainrule
