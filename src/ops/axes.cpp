// Names of views. Each is one or several reshapes, permutations or slices, and a call builds these at once:
// passes, derivatives and batching meet the views they know, and nothing is copied.

#include <algorithm>

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

int axis_of(const Node& node, std::size_t i) { return static_cast<int>(node.get<std::int64_t>(i)); }

Tensor numbers(const Shape& shape) {
  return arange(1, static_cast<double>(element_count(shape)) + 1, 1, DType::float64).reshape(shape);
}

}  // namespace

namespace ops {

const OpDef flatten = {
    .name = "flatten",
    .arguments = {"x"},
    .attributes = {"start_axis"},
    .text = {.formula = "flatten({x})",
             .latex = "\\operatorname{flatten}({x})",
             .summary = "All axes from start_axis on as one.",
             .domain = "linear"},
    .infer = infer_from_definition,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {chainrule::flatten(node.inputs[0], axis_of(node, 0))};
    },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3, 2})}, {std::int64_t{1}}, "rows"},
              {{numbers({})}, {std::int64_t{0}}, "scalar"}};
    },
};

const OpDef transpose = {
    .name = "transpose",
    .arguments = {"x"},
    .attributes = {"axis_a", "axis_b"},
    .text = {.formula = "transpose({x})",
             .latex = "{x}^\\top",
             .summary = "Two axes swapped.",
             .domain = "linear"},
    .infer = infer_from_definition,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {chainrule::transpose(node.inputs[0], axis_of(node, 0), axis_of(node, 1))};
    },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3})}, {std::int64_t{0}, std::int64_t{1}}, "matrix"},
              {{numbers({2, 3, 2})}, {std::int64_t{0}, std::int64_t{2}}, "outer and inner"}};
    },
};

const OpDef moveaxis = {
    .name = "moveaxis",
    .arguments = {"x"},
    .attributes = {"from", "to"},
    .text = {.formula = "moveaxis({x})",
             .latex = "\\operatorname{moveaxis}({x})",
             .summary = "One axis moved to another place; the others keep their order.",
             .domain = "linear"},
    .infer = infer_from_definition,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {chainrule::moveaxis(node.inputs[0], axis_of(node, 0), axis_of(node, 1))};
    },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3, 2})}, {std::int64_t{0}, std::int64_t{2}}, "to the end"},
              {{numbers({2, 3, 2})}, {std::int64_t{2}, std::int64_t{0}}, "to the front"}};
    },
};

const OpDef squeeze = {
    .name = "squeeze",
    .arguments = {"x"},
    .attributes = {"removed_axes"},
    .text = {.formula = "squeeze({x})",
             .latex = "\\operatorname{squeeze}({x})",
             .summary = "Axes of length 1 removed.",
             .domain = "linear"},
    .infer = infer_from_definition,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {chainrule::squeeze(node.inputs[0], node.get<Dims>(0))};
    },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 1, 3})}, {Dims{1}}, "one axis"},
              {{numbers({1, 1})}, {Dims{0, 1}}, "to a scalar"}};
    },
};

const OpDef unsqueeze = {
    .name = "unsqueeze",
    .arguments = {"x"},
    .attributes = {"axis"},
    .text = {.formula = "unsqueeze({x})",
             .latex = "\\operatorname{unsqueeze}({x})",
             .summary = "A new axis of length 1.",
             .domain = "linear"},
    .infer = infer_from_definition,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {chainrule::unsqueeze(node.inputs[0], axis_of(node, 0))};
    },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3})}, {std::int64_t{1}}, "between"},
              {{numbers({})}, {std::int64_t{0}}, "scalar"}};
    },
};

const OpDef split = {
    .name = "split",
    .arguments = {"x"},
    .attributes = {"sizes", "axis"},
    .text = {.formula = "split({x})",
             .latex = "\\operatorname{split}({x})",
             .summary = "Parts of given lengths, one after the other along an axis.",
             .domain = "linear"},
    .infer = infer_from_definition,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Dims& sizes = node.get<Dims>(0);
      return chainrule::split(node.inputs[0], {sizes.begin(), sizes.end()}, axis_of(node, 1));
    },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3})}, {Dims{1, 2}, std::int64_t{1}}, "columns"},
              {{numbers({4, 2})}, {Dims{1, 0, 3}, std::int64_t{0}}, "rows, one part empty"}};
    },
};

const OpDef chunk = {
    .name = "chunk",
    .arguments = {"x"},
    .attributes = {"count", "axis"},
    .text = {.formula = "chunk({x})",
             .latex = "\\operatorname{chunk}({x})",
             .summary = "Parts of equal length along an axis; the last one is shorter where they do not fit.",
             .domain = "linear"},
    .infer = infer_from_definition,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return chainrule::chunk(node.inputs[0], node.get<std::int64_t>(0), axis_of(node, 1));
    },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 4})}, {std::int64_t{2}, std::int64_t{1}}, "halves"},
              {{numbers({5, 2})}, {std::int64_t{2}, std::int64_t{0}}, "uneven"}};
    },
};

}  // namespace ops

Tensor flatten(const Tensor& x, int start_axis) {
  if (x.rank() == 0) return reshape(x, {1});
  const int start = normalize_axis(start_axis, x.rank(), "flatten");
  Shape shape;
  for (int i = 0; i < start; ++i) shape.push_back(x.shape()[i]);
  std::int64_t rest = 1;
  for (int i = start; i < x.rank(); ++i) rest *= x.shape()[i];
  shape.push_back(rest);
  return reshape(x, shape);
}

Tensor transpose(const Tensor& x, int axis_a, int axis_b) {
  const int a = normalize_axis(axis_a, x.rank(), "transpose");
  const int b = normalize_axis(axis_b, x.rank(), "transpose");
  Dims axes;
  for (int i = 0; i < x.rank(); ++i) axes.push_back(i == a ? b : i == b ? a : i);
  return permute(x, axes);
}

Tensor moveaxis(const Tensor& x, int from, int to) {
  const int source = normalize_axis(from, x.rank(), "moveaxis");
  const int target = normalize_axis(to, x.rank(), "moveaxis");
  Dims axes;
  for (int i = 0; i < x.rank(); ++i) {
    if (i != source) axes.push_back(i);
  }
  axes.insert(target, source);
  return permute(x, axes);
}

Tensor squeeze(const Tensor& x, const Dims& axes) {
  const Dims named = axes.empty() ? Dims{} : normalize_axes(axes, x.rank(), "squeeze");
  Shape shape;
  for (int i = 0; i < x.rank(); ++i) {
    const bool chosen =
        axes.empty() ? x.shape()[i] == 1 : std::find(named.begin(), named.end(), i) != named.end();
    if (!chosen) {
      shape.push_back(x.shape()[i]);
    } else if (x.shape()[i] != 1) {
      throw ShapeError({.function = "squeeze",
                        .argument = "axes",
                        .problem = "only axes of length 1 can be removed",
                        .got = "axis " + std::to_string(i) + " of " + to_string(x.shape())});
    }
  }
  return reshape(x, shape);
}

Tensor unsqueeze(const Tensor& x, int axis) {
  Shape shape = x.shape();
  shape.insert(normalize_axis(axis, x.rank() + 1, "unsqueeze"), 1);
  return reshape(x, shape);
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

}  // namespace chainrule
