#include <algorithm>

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

int axis_of(const Node& node) { return static_cast<int>(node.get<std::int64_t>(0)); }

void infer_concatenate(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  const int axis = axis_of(node);
  Shape shape = node.inputs[0].shape();
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    Shape expected = shape;
    const Shape& other = node.inputs[i].shape();
    if (other.size() == shape.size()) expected[axis] = other[axis];
    if (!(other == expected)) {
      throw ShapeError({.function = "concatenate",
                        .argument = "tensors",
                        .problem = "all lengths but those along the axis have to agree",
                        .got = to_string(node.inputs[0].shape()) + " and " + to_string(other) +
                               " along axis " + std::to_string(axis)});
    }
    shape[axis] += other[axis];
  }
  outputs.push_back({shape, node.inputs[0].dtype()});
}

std::vector<Sample> concatenate_samples() {
  const Tensor a = Tensor::from(std::vector<double>{1, 2, 3, 4}, {2, 2});
  const Tensor b = Tensor::from(std::vector<double>{5, 6}, {2, 1});
  return {{{a, b}, {std::int64_t{1}}, "columns"}, {{a, transpose(b), a}, {std::int64_t{0}}, "rows"}};
}

Sample concatenate_workload(std::int64_t elements) {
  return {{large_rows(elements / 2, 1), large_rows(elements / 2, 2)}, {std::int64_t{1}}, "columns"};
}

}  // namespace

namespace ops {

const OpDef concatenate = {
    .name = "concatenate",
    .arguments = {"x..."},
    .attributes = {"axis"},
    .text = {.formula = "concatenate({x})",
             .latex = "[{x}]",
             .summary = "Tensors one after the other along an axis.",
             .domain = "linear"},
    .linear = Linearity::all,
    .infer = infer_concatenate,
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>& needed, std::span<Tensor> inputs_bar) {
          std::int64_t at = 0;
          for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            const std::int64_t length = node.inputs[i].shape()[axis_of(node)];
            if (needed[i]) inputs_bar[i] = chainrule::slice(outputs_bar[0], axis_of(node), at, at + length);
            at += length;
          }
        },
    .batch =
        [](const Node& node, std::span<const Tensor> inputs, const std::vector<bool>& batched,
           std::int64_t size) {
          std::vector<Tensor> aligned;
          for (std::size_t i = 0; i < inputs.size(); ++i)
            aligned.push_back(batched_input(inputs[i], batched[i], size));
          return make_outputs(*node.op, aligned, {static_cast<std::int64_t>(axis_of(node) + 1)});
        },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .workload = concatenate_workload,
    .samples = concatenate_samples,
};

}  // namespace ops

Tensor concatenate(const std::vector<Tensor>& tensors, int axis) {
  if (tensors.empty())
    throw ArgumentError({.function = "concatenate",
                         .argument = "tensors",
                         .problem = "nothing to join",
                         .wanted = "at least one tensor"});
  const DType dtype = promoted_dtype(tensors);
  std::vector<Tensor> converted;
  for (const Tensor& x : tensors) converted.push_back(astype(x, dtype));
  const std::int64_t a = normalize_axis(axis, tensors[0].rank(), "concatenate");
  return tensors.size() == 1 ? converted[0] : make_node(ops::concatenate, converted, {a});
}

Tensor stack(const std::vector<Tensor>& tensors, int axis) {
  std::vector<Tensor> rows;
  for (const Tensor& x : tensors) rows.push_back(unsqueeze(x, axis));
  return concatenate(rows, axis);
}

std::vector<Tensor> split(const Tensor& x, const std::vector<std::int64_t>& sizes, int axis) {
  const int a = normalize_axis(axis, x.rank(), "split");
  std::int64_t total = 0;
  for (const std::int64_t size : sizes) {
    if (size < 0)
      throw ArgumentError({.function = "split",
                           .argument = "sizes",
                           .problem = "a part has no negative length",
                           .got = std::to_string(size)});
    total += size;
  }
  if (total != x.shape()[a]) {
    throw ShapeError(
        {.function = "split",
         .argument = "sizes",
         .problem = "the parts do not add up to the axis",
         .got = std::to_string(total) + " for axis " + std::to_string(a) + " of " + to_string(x.shape()),
         .wanted = std::to_string(x.shape()[a])});
  }
  std::vector<Tensor> parts;
  std::int64_t at = 0;
  for (const std::int64_t size : sizes) {
    parts.push_back(slice(x, a, at, at + size));
    at += size;
  }
  return parts;
}

std::vector<Tensor> chunk(const Tensor& x, std::int64_t count, int axis) {
  const int a = normalize_axis(axis, x.rank(), "chunk");
  if (count < 1)
    throw ArgumentError({.function = "chunk",
                         .argument = "count",
                         .problem = "there is at least one part",
                         .got = std::to_string(count),
                         .wanted = "1 or more"});
  const std::int64_t length = x.shape()[a];
  const std::int64_t part = std::max<std::int64_t>(1, (length + count - 1) / count);
  std::vector<std::int64_t> sizes;
  for (std::int64_t at = 0; at < length; at += part) sizes.push_back(std::min(part, length - at));
  if (sizes.empty()) sizes.push_back(0);
  return split(x, sizes, a);
}

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
  const auto widened = [&](const Tensor& inner) {
    return make_node(ops::slice_transpose, {inner}, {shape, before, Dims::filled(shape.size(), 1)});
  };
  if (value == 0) return widened(x);
  // The border is where ones padded with zeros are zero.
  return where(widened(ones(x.shape(), DType::boolean)), widened(x), value);
}

Tensor roll(const Tensor& x, std::int64_t shift, int axis) {
  const int a = normalize_axis(axis, x.rank(), "roll");
  const std::int64_t length = x.shape()[a];
  if (length == 0) return x;
  const std::int64_t cut = ((-shift) % length + length) % length;
  return cut == 0 ? x : concatenate({slice(x, a, cut, length), slice(x, a, 0, cut)}, a);
}

Tensor repeat(const Tensor& x, std::int64_t count, int axis) {
  const int a = normalize_axis(axis, x.rank(), "repeat");
  if (count < 0)
    throw ArgumentError({.function = "repeat",
                         .argument = "count",
                         .problem = "a count is not negative",
                         .got = std::to_string(count),
                         .wanted = "0 or more"});
  Shape spread = x.shape();
  spread.insert(a + 1, count);
  Shape shape = x.shape();
  shape[a] *= count;
  return reshape(broadcast_to(unsqueeze(x, a + 1), spread), shape);
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
  Tensor result = x;
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
  return result;
}

}  // namespace chainrule
