#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

std::int64_t axis_of(const Node& node) { return node.get<std::int64_t>(0); }

[[noreturn]] void throw_shapes(const char* function, const char* argument, const char* problem,
                               const Shape& x, const Shape& index, const char* wanted) {
  throw ShapeError({.function = function,
                    .argument = argument,
                    .problem = problem,
                    .got = to_string(x) + " and " + to_string(index),
                    .wanted = wanted});
}

// Kernels read int32 and int64; smaller integers are widened.
Tensor as_index(const char* function, const Tensor& index) {
  if (index.defined() && dtype_category(index.dtype()) != DTypeCategory::integer) {
    throw DTypeError({.function = function,
                      .argument = "index",
                      .problem = "an index is a whole number",
                      .got = std::string(dtype_name(index.dtype())),
                      .wanted = "int32, int64 or uint8"});
  }
  return index.defined() && index.dtype() == DType::uint8 ? astype(index, DType::int64) : index;
}

// As PyTorch: the same rank, and no axis but the one chosen from longer than x's.
void check_positions(const char* function, const Shape& x, const Shape& index, std::int64_t axis) {
  bool fits = x.size() == index.size();
  for (int i = 0; fits && i < x.size(); ++i) fits = i == axis || index[i] <= x[i];
  if (!fits)
    throw_shapes(function, "index", "the index does not fit", x, index,
                 "the rank of x, and no other axis longer than x's");
}

// The shape of whole slices chosen by an index of any shape.
Shape taken_shape(const Shape& x, const Shape& index, std::int64_t axis) {
  Shape shape = x;
  shape.erase(static_cast<int>(axis));
  for (int i = 0; i < index.size(); ++i) shape.insert(static_cast<int>(axis) + i, index[i]);
  return shape;
}

// For batches in which every example has an index of its own: the index [B, j…] of whole slices as positions
// [B, i…, J, k…] of single elements, where x is [B, i…, n, k…].
Tensor spread_index(const Tensor& index, const Shape& x, std::int64_t axis) {
  const std::int64_t batch = index.shape()[0];
  const std::int64_t count = index.size() / std::max<std::int64_t>(batch, 1);
  Shape aligned = Dims::filled(x.size(), 1);
  aligned[0] = batch;
  aligned[static_cast<int>(axis)] = count;
  Shape spread = x;
  spread[static_cast<int>(axis)] = count;
  return broadcast_to(reshape(index, aligned), spread);
}

std::vector<Tensor> align(std::span<const Tensor> inputs, const std::vector<bool>& batched,
                          std::int64_t size) {
  std::vector<Tensor> aligned;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    aligned.push_back(batched_input(inputs[i], batched[i], size));
  return aligned;
}
std::vector<Tensor> batch_aligned(const Node& node, std::span<const Tensor> inputs,
                                  const std::vector<bool>& batched, std::int64_t size) {
  return make_outputs(*node.op, align(inputs, batched, size), {axis_of(node) + 1});
}

std::vector<Tensor> batch_take(const Node& node, std::span<const Tensor> inputs,
                               const std::vector<bool>& batched, std::int64_t size) {
  const std::int64_t axis = axis_of(node);
  if (!batched[1]) return {take(inputs[0], inputs[1], static_cast<int>(axis) + 1)};
  if (!batched[0])
    return {moveaxis(take(inputs[0], inputs[1], static_cast<int>(axis)), static_cast<int>(axis), 0)};
  Shape shape = node.outputs[0].shape;
  shape.insert(0, size);
  return {reshape(
      gather(inputs[0], spread_index(inputs[1], inputs[0].shape(), axis + 1), static_cast<int>(axis) + 1),
      shape)};
}

std::vector<Tensor> batch_take_transpose(const Node& node, std::span<const Tensor> inputs,
                                         const std::vector<bool>& batched, std::int64_t size) {
  const std::int64_t axis = axis_of(node);
  Shape shape = node.get<Dims>(1);
  shape.insert(0, size);
  if (!batched[1]) return {make_node(*node.op, inputs, {axis + 1, shape})};
  const std::vector<Tensor> aligned = align(inputs, batched, size);
  const Tensor index = spread_index(aligned[1], shape, axis + 1);
  const Tensor source = reshape(aligned[0], index.shape());
  return {scatter_add(zeros(shape, source.dtype()), index, source, static_cast<int>(axis) + 1)};
}

Tensor numbers(const Shape& shape) {
  return reshape(arange(1, static_cast<double>(element_count(shape)) + 1, 1, DType::float64), shape);
}
Tensor indices(const std::vector<std::int64_t>& values, const Shape& shape) {
  return Tensor::from(values, shape);
}

// Rows of 256 numbers; an index for each element, or one for each row.
Sample gather_workload(std::int64_t elements) {
  const Tensor x = large_rows(elements);
  return {{x, large_indices(x.shape(), x.size(0))}, {std::int64_t{0}}, "elements of columns"};
}
Sample take_workload(std::int64_t elements) {
  const Tensor x = large_rows(elements);
  return {{x, large_indices({x.size(0)}, x.size(0))}, {std::int64_t{0}}, "rows"};
}
Sample scatter_workload(std::int64_t elements) {
  const Tensor x = large_rows(elements, 1);
  return {
      {x, large_indices(x.shape(), x.size(0)), large_rows(elements, 2)}, {std::int64_t{0}}, "into columns"};
}

}  // namespace

namespace ops {

const OpDef gather = {
    .name = "gather",
    .arguments = {"x", "index"},
    .attributes = {"axis"},
    .text = {.formula = "gather({x}, {index})",
             .latex = "{x}[{index}]",
             .summary = "Single elements: each position of the index takes x's element with the axis "
                        "replaced by the index. Equal indices share.",
             .domain = "linear in x; an index that does not exist is an error"},
    .linear = Linearity::first,
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          check_positions("gather", node.inputs[0].shape(), node.inputs[1].shape(), axis_of(node));
          outputs.push_back({node.inputs[1].shape(), node.inputs[0].dtype()});
        },
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          inputs_bar[0] = chainrule::scatter_add(zeros_like(node.inputs[0]), node.inputs[1], outputs_bar[0],
                                                 static_cast<int>(axis_of(node)));
        },
    .batch = batch_aligned,
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .workload = gather_workload,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({3, 4}), indices({0, 2, 2, 1, 0, -1}, {2, 3})},
               {std::int64_t{0}},
               "rows, repeated and negative"},
              {{chainrule::transpose(numbers({3, 4})), indices({1, 1, 0, 2}, {4, 1})},
               {std::int64_t{1}},
               "transposed"}};
    },
};

const OpDef take = {
    .name = "take",
    .arguments = {"x", "index"},
    .attributes = {"axis"},
    .text = {.formula = "take({x}, {index})",
             .latex = "{x}_{{index}}",
             .summary = "Whole slices of x along an axis, chosen by an index: a table lookup.",
             .domain = "linear in x; an index that does not exist is an error"},
    .linear = Linearity::first,
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          outputs.push_back({taken_shape(node.inputs[0].shape(), node.inputs[1].shape(), axis_of(node)),
                             node.inputs[0].dtype()});
        },
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          inputs_bar[0] = make_node(take_transpose, {outputs_bar[0], node.inputs[1]},
                                    {axis_of(node), node.inputs[0].shape()});
        },
    .batch = batch_take,
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .workload = take_workload,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({4, 3}), indices({3, 0, 0, -2}, {4})}, {std::int64_t{0}}, "rows"},
              {{numbers({2, 3, 2}), indices({2, 1, 1, 0, 0, 2}, {2, 3})},
               {std::int64_t{1}},
               "matrix of indices"}};
    },
};

const OpDef take_transpose = {
    .name = "take_transpose",
    .arguments = {"y", "index"},
    .attributes = {"axis", "shape"},
    .text = {.formula = "take_transpose({y}, {index})",
             .latex = "\\operatorname{take}^\\top({y}, {index})",
             .summary = "Zeros of a given shape to which each slice of y is added at its index: the gradient "
                        "of a table lookup.",
             .domain = "linear in y"},
    .linear = Linearity::first,
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          outputs.push_back({node.get<Dims>(1), node.inputs[0].dtype()});
        },
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          inputs_bar[0] = chainrule::take(outputs_bar[0], node.inputs[1], static_cast<int>(axis_of(node)));
        },
    .batch = batch_take_transpose,
    .bound = {BoundKind::sum, 1},
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({4, 3}), indices({3, 0, 0, -2}, {4})}, {std::int64_t{0}, Dims{4, 3}}, "rows"},
              {{numbers({2, 2, 3, 2}), indices({2, 1, 1, 0, 0, 2}, {2, 3})},
               {std::int64_t{1}, Dims{2, 3, 2}},
               "matrix of indices"}};
    },
};

const OpDef scatter_add = {
    .name = "scatter_add",
    .arguments = {"x", "index", "source"},
    .attributes = {"axis"},
    .text =
        {.formula = "scatter_add({x}, {index}, {source})",
         .latex = "{x} + \\operatorname{scatter}({index}, {source})",
         .summary =
             "x with each element of the source added where the index says; equal indices add up, in order.",
         .domain = "linear in x and source"},
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          const Shape& index = node.inputs[1].shape();
          check_positions("scatter_add", node.inputs[0].shape(), index, axis_of(node));
          if (!(node.inputs[2].shape() == index)) {
            throw_shapes("scatter_add", "source", "every element of the source has an index",
                         node.inputs[2].shape(), index, "equal shapes");
          }
          outputs.push_back(spec_of(node.inputs[0]));
        },
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>& needed, std::span<Tensor> inputs_bar) {
          if (needed[0]) inputs_bar[0] = outputs_bar[0];
          if (needed[2])
            inputs_bar[2] =
                chainrule::gather(outputs_bar[0], node.inputs[1], static_cast<int>(axis_of(node)));
        },
    .jvp = [](const Node& node, std::span<const Tensor>,
              std::span<const Tensor> tangents) -> std::vector<Tensor> {
      const Tensor x_dot = tangents[0].defined() ? tangents[0] : zeros_like(node.inputs[0]);
      if (!tangents[2].defined()) return {x_dot};
      return {chainrule::scatter_add(x_dot, node.inputs[1], tangents[2], static_cast<int>(axis_of(node)))};
    },
    .batch = batch_aligned,
    .bound = {BoundKind::sum, 1},
    .workload = scatter_workload,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({3, 2}), indices({0, 2, 0, -1}, {2, 2}), numbers({2, 2})}, {std::int64_t{0}}, "rows"},
              {{numbers({2, 4}), indices({3, 3, 1, 0, 0, 0}, {2, 3}), numbers({2, 3})},
               {std::int64_t{1}},
               "columns, repeated"}};
    },
};

const OpDef one_hot = {
    .name = "one_hot",
    .arguments = {"index"},
    .attributes = {"classes", "dtype"},
    .text = {.formula = "one_hot({index})",
             .latex = "e_{{index}}",
             .summary = "Vectors with a 1 at the index and 0 elsewhere, along a new last axis.",
             .domain = "whole numbers from 0 to classes - 1"},
    .not_differentiable = "an index has no neighbourhood",
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          Shape shape = node.inputs[0].shape();
          shape.push_back(node.get<std::int64_t>(0));
          outputs.push_back({shape, node.get<DType>(1)});
        },
    .batch = [](const Node& node, std::span<const Tensor> inputs, const std::vector<bool>&,
                std::int64_t) { return make_outputs(*node.op, inputs, *node.attributes); },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{indices({2, 0, -1}, {3})}, {std::int64_t{4}, DType::float64}, "vector"},
              {{indices({1}, {})}, {std::int64_t{2}, DType::float32}, "scalar"}};
    },
};

}  // namespace ops

Tensor gather(const Tensor& x, const Tensor& index, int axis) {
  return make_node(ops::gather, {x, as_index("gather", index)},
                   {static_cast<std::int64_t>(normalize_axis(axis, x.rank(), "gather"))});
}

Tensor take(const Tensor& x, const Tensor& index, int axis) {
  return make_node(ops::take, {x, as_index("take", index)},
                   {static_cast<std::int64_t>(normalize_axis(axis, x.rank(), "take"))});
}

Tensor scatter_add(const Tensor& x, const Tensor& index, const Tensor& source, int axis) {
  const std::int64_t a = normalize_axis(axis, x.rank(), "scatter_add");
  return make_node(ops::scatter_add, {x, as_index("scatter_add", index), astype(source, x.dtype())}, {a});
}

Tensor one_hot(const Tensor& index, std::int64_t classes, DType dtype) {
  if (classes < 0) {
    throw ArgumentError({.function = "one_hot",
                         .argument = "classes",
                         .problem = "a number of classes is not negative",
                         .got = std::to_string(classes),
                         .wanted = "0 or more"});
  }
  return make_node(ops::one_hot, {as_index("one_hot", index)}, {classes, dtype});
}

}  // namespace chainrule
