// Tensors made larger or turned round: padding, rolling, repeating.

#include <algorithm>

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

const Dims& dims_of(const Node& node, std::size_t i) { return node.get<Dims>(i); }
std::int64_t number_of(const Node& node, std::size_t i) { return node.get<std::int64_t>(i); }

Tensor numbers(const Shape& shape) {
  return arange(1, static_cast<double>(element_count(shape)) + 1, 1, DType::float64).reshape(shape);
}

void infer_pad(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  Shape shape = node.inputs[0].shape();
  for (int i = 0; i < shape.size(); ++i) shape[i] += dims_of(node, 0)[i] + dims_of(node, 1)[i];
  outputs.push_back({shape, node.inputs[0].dtype()});
}
std::vector<Tensor> define_pad(const Node& node) {
  const Tensor& x = node.inputs[0];
  const Shape& shape = node.outputs[0].shape;
  const auto widened = [&](const Tensor& inner) {
    return make_node(ops::slice_transpose, {inner}, {shape, dims_of(node, 0), Dims::filled(shape.size(), 1)});
  };
  const double value = node.get<double>(2);
  if (value == 0) return {widened(x)};
  // The border is where ones padded with zeros are zero.
  return {where(widened(ones(x.shape(), DType::boolean)), widened(x), scalar_of(value, x.dtype()))};
}

void infer_roll(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  outputs.push_back(spec_of(node.inputs[0]));
}
std::vector<Tensor> define_roll(const Node& node) {
  const Tensor& x = node.inputs[0];
  const auto axis = static_cast<int>(number_of(node, 1));
  const std::int64_t length = x.shape()[axis];
  const std::int64_t cut = length - number_of(node, 0);
  return {concatenate({slice(x, axis, cut, length), slice(x, axis, 0, cut)}, axis)};
}

void infer_repeat(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  Shape shape = node.inputs[0].shape();
  shape[static_cast<int>(number_of(node, 1))] *= number_of(node, 0);
  outputs.push_back({shape, node.inputs[0].dtype()});
}
std::vector<Tensor> define_repeat(const Node& node) {
  const Tensor& x = node.inputs[0];
  const auto axis = static_cast<int>(number_of(node, 1));
  Shape spread = x.shape();
  spread.insert(axis + 1, number_of(node, 0));
  return {reshape(broadcast_to(unsqueeze(x, axis + 1), spread), node.outputs[0].shape)};
}

void infer_tile(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  const Dims& counts = dims_of(node, 0);
  Shape shape = node.inputs[0].shape();
  while (shape.size() < counts.size()) shape.insert(0, 1);
  const int first = shape.size() - counts.size();
  for (int i = 0; i < counts.size(); ++i) shape[first + i] *= counts[i];
  outputs.push_back({shape, node.inputs[0].dtype()});
}
std::vector<Tensor> define_tile(const Node& node) {
  const Dims& counts = dims_of(node, 0);
  Tensor result = node.inputs[0];
  while (result.rank() < counts.size()) result = unsqueeze(result, 0);
  const int first = result.rank() - counts.size();
  for (int i = 0; i < counts.size(); ++i) {
    const int axis = first + i;
    if (counts[i] == 1) continue;
    Shape spread = result.shape();
    spread.insert(axis, counts[i]);
    Shape shape = result.shape();
    shape[axis] *= counts[i];
    result = reshape(broadcast_to(unsqueeze(result, axis), spread), shape);
  }
  return {result};
}

}  // namespace

namespace ops {

const OpDef pad = {
    .name = "pad",
    .arguments = {"x"},
    .attributes = {"before", "after", "value"},
    .text = {.formula = "pad({x})",
             .latex = "\\operatorname{pad}({x})",
             .summary = "A border of one value around x: before[i] and after[i] elements along axis i.",
             .domain = "affine: linear but for the value of the border"},
    .infer = infer_pad,
    .definition = define_pad,
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3})}, {Dims{0, 1}, Dims{1, 2}, 0.0}, "zeros"},
              {{numbers({2, 3})}, {Dims{1, 0}, Dims{0, 2}, -1.5}, "a value"},
              {{chainrule::transpose(numbers({2, 3}))}, {Dims{1, 1}, Dims{1, 1}, 2.0}, "transposed"}};
    },
};

const OpDef roll = {
    .name = "roll",
    .arguments = {"x"},
    .attributes = {"shift", "axis"},
    .text = {.formula = "roll({x})",
             .latex = "\\operatorname{roll}({x})",
             .summary = "The elements moved along an axis; those that leave at the end come back in front.",
             .domain = "linear"},
    .infer = infer_roll,
    .definition = define_roll,
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3})}, {std::int64_t{1}, std::int64_t{1}}, "columns"},
              {{numbers({4, 2})}, {std::int64_t{3}, std::int64_t{0}}, "rows"}};
    },
};

const OpDef repeat = {
    .name = "repeat",
    .arguments = {"x"},
    .attributes = {"count", "axis"},
    .text = {.formula = "repeat({x})",
             .latex = "\\operatorname{repeat}({x})",
             .summary = "Each element several times in a row along an axis.",
             .domain = "linear"},
    .infer = infer_repeat,
    .definition = define_repeat,
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3})}, {std::int64_t{2}, std::int64_t{1}}, "columns"},
              {{numbers({2, 3})}, {std::int64_t{3}, std::int64_t{0}}, "rows"},
              {{numbers({2, 3})}, {std::int64_t{0}, std::int64_t{0}}, "not once"}};
    },
};

const OpDef tile = {
    .name = "tile",
    .arguments = {"x"},
    .attributes = {"counts"},
    .text = {.formula = "tile({x})",
             .latex = "\\operatorname{tile}({x})",
             .summary = "The whole tensor several times along each axis.",
             .domain = "linear"},
    .infer = infer_tile,
    .definition = define_tile,
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3})}, {Dims{2, 2}}, "both axes"}, {{numbers({3})}, {Dims{2, 1}}, "a new axis"}};
    },
};

}  // namespace ops

Tensor pad(const Tensor& x, const Dims& before, const Dims& after, double value) {
  if (before.size() != x.rank() || after.size() != x.rank()) {
    throw ArgumentError(
        {.function = "pad",
         .argument = "before",
         .problem = "every axis has a width before and after",
         .got = to_string(before) + " and " + to_string(after) + " for rank " + std::to_string(x.rank())});
  }
  Shape shape = x.shape();
  for (int i = 0; i < x.rank(); ++i) {
    if (before[i] < 0 || after[i] < 0) {
      throw ArgumentError({.function = "pad",
                           .argument = before[i] < 0 ? "before" : "after",
                           .problem = "a width is not negative",
                           .got = to_string(before[i] < 0 ? before : after),
                           .wanted = "0 or more",
                           .hint = "slice takes elements away"});
    }
    shape[i] += before[i] + after[i];
  }
  if (shape == x.shape()) return x;
  return make_node(ops::pad, {x}, {before, after, value});
}

Tensor roll(const Tensor& x, std::int64_t shift, int axis) {
  const int a = normalize_axis(axis, x.rank(), "roll");
  const std::int64_t length = x.shape()[a];
  if (length == 0) return x;
  const std::int64_t forward = (shift % length + length) % length;
  return forward == 0 ? x : make_node(ops::roll, {x}, {forward, std::int64_t{a}});
}

Tensor repeat(const Tensor& x, std::int64_t count, int axis) {
  const std::int64_t a = normalize_axis(axis, x.rank(), "repeat");
  if (count < 0)
    throw ArgumentError({.function = "repeat",
                         .argument = "count",
                         .problem = "a count is not negative",
                         .got = std::to_string(count),
                         .wanted = "0 or more"});
  return make_node(ops::repeat, {x}, {count, a});
}

Tensor tile(const Tensor& x, const Dims& counts) {
  for (const std::int64_t count : counts) {
    if (count < 0)
      throw ArgumentError({.function = "tile",
                           .argument = "counts",
                           .problem = "a count is not negative",
                           .got = to_string(counts),
                           .wanted = "0 or more"});
  }
  return make_node(ops::tile, {x}, {counts});
}

}  // namespace chainrule
