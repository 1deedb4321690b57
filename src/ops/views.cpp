#include <algorithm>
#include <cstdlib>

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

const Dims& dims_of(const Node& node, std::size_t i = 0) { return node.get<Dims>(i); }

// ---- views of memory ----

// The axes of a view are regrouped where the elements of each group are evenly spaced: a slice's rows can be
// cut up, and an axis that is broadcast too. Axes of length 1 come and go.
bool regroups(const Shape& shape, const Strides& from, const Shape& wanted, Strides& to) {
  to = Dims::filled(wanted.size(), 0);
  int i = 0;
  int k = 0;
  const auto skip_ones = [](const Shape& lengths, int at) {
    while (at < lengths.size() && lengths[at] == 1) ++at;
    return at;
  };
  for (;;) {
    i = skip_ones(shape, i);
    k = skip_ones(wanted, k);
    if (i == shape.size() || k == wanted.size()) return i == shape.size() && k == wanted.size();
    std::int64_t have = shape[i];
    std::int64_t want = wanted[k];
    int i_last = i;
    int k_last = k;
    while (have != want) {
      if (have < want) {
        const int next = skip_ones(shape, i_last + 1);
        if (next == shape.size() || from[i_last] != from[next] * shape[next]) return false;
        have *= shape[i_last = next];
      } else {
        if (k_last + 1 == wanted.size()) return false;
        want *= wanted[++k_last];
      }
    }
    std::int64_t stride = from[i_last];
    for (int axis = k_last; axis >= k; --axis) {
      if (wanted[axis] != 1) to[axis] = stride;
      stride *= wanted[axis];
    }
    i = i_last + 1;
    k = k_last + 1;
  }
}
bool view_reshape(const Node& node, const TensorSpec& input, const Storage& from, Storage& to) {
  const Shape& shape = dims_of(node);
  if (is_dense(input.shape, from.strides)) {
    to = {from.buffer, from.offset, contiguous_strides(shape)};
    return true;
  }
  to = {from.buffer, from.offset, {}};
  return element_count(shape) > 0 && regroups(input.shape, from.strides, shape, to.strides);
}
bool view_permute(const Node& node, const TensorSpec&, const Storage& from, Storage& to) {
  to = {from.buffer, from.offset, {}};
  for (const std::int64_t axis : dims_of(node)) to.strides.push_back(from.strides[static_cast<int>(axis)]);
  return true;
}
bool view_broadcast(const Node& node, const TensorSpec& input, const Storage& from, Storage& to) {
  const Shape& shape = dims_of(node);
  const int extra = shape.size() - input.shape.size();
  to = {from.buffer, from.offset, Dims::filled(shape.size(), 0)};
  for (int i = extra; i < shape.size(); ++i) {
    if (input.shape[i - extra] != 1) to.strides[i] = from.strides[i - extra];
  }
  return true;
}
bool view_slice(const Node& node, const TensorSpec&, const Storage& from, Storage& to) {
  const Dims& starts = dims_of(node, 0);
  const Dims& steps = dims_of(node, 2);
  to = from;
  for (int i = 0; i < starts.size(); ++i) {
    to.offset += starts[i] * from.strides[i];
    to.strides[i] = from.strides[i] * steps[i];
  }
  return true;
}
bool view_flip(const Node& node, const TensorSpec& input, const Storage& from, Storage& to) {
  to = from;
  for (const std::int64_t a : dims_of(node)) {
    const auto axis = static_cast<int>(a);
    to.offset += std::max<std::int64_t>(input.shape[axis] - 1, 0) * from.strides[axis];
    to.strides[axis] = -from.strides[axis];
  }
  return true;
}
bool view_same(const Node&, const TensorSpec&, const Storage& from, Storage& to) {
  to = from;
  return true;
}

// ---- shape rules ----

void infer_reshape(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  const Tensor& x = node.inputs[0];
  const Shape& shape = dims_of(node);
  if (element_count(shape) != x.size()) {
    throw ShapeError({.function = "reshape",
                      .argument = "shape",
                      .problem = "the number of elements would change",
                      .got = to_string(x.shape()) + " (" + std::to_string(x.size()) + " elements) to " +
                             to_string(shape) + " (" + std::to_string(element_count(shape)) + ")"});
  }
  outputs.push_back({shape, x.dtype()});
}
void infer_permute(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  Shape shape;
  for (const std::int64_t axis : dims_of(node))
    shape.push_back(node.inputs[0].shape()[static_cast<int>(axis)]);
  outputs.push_back({shape, node.inputs[0].dtype()});
}
void infer_broadcast(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  const Shape& from = node.inputs[0].shape();
  const Shape& to = dims_of(node);
  if (from.size() > to.size() || !(broadcast_shapes(from, to, "broadcast_to") == to)) {
    throw ShapeError({.function = "broadcast_to",
                      .argument = "shape",
                      .problem = "the tensor does not broadcast to this shape",
                      .got = to_string(from) + " to " + to_string(to)});
  }
  outputs.push_back({to, node.inputs[0].dtype()});
}
// Attributes: starts, lengths, steps, one entry per axis.
void infer_slice(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  outputs.push_back({dims_of(node, 1), node.inputs[0].dtype()});
}
void infer_same(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  outputs.push_back(spec_of(node.inputs[0]));
}
void infer_astype(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  outputs.push_back({node.inputs[0].shape(), node.get<DType>(0)});
}

// ---- batching: the first axis is the batch ----

std::vector<Tensor> batch_reshape(const Node& node, std::span<const Tensor> inputs, const std::vector<bool>&,
                                  std::int64_t size) {
  Shape shape = dims_of(node);
  shape.insert(0, size);
  return {reshape(inputs[0], shape)};
}
std::vector<Tensor> batch_permute(const Node& node, std::span<const Tensor> inputs, const std::vector<bool>&,
                                  std::int64_t) {
  Dims axes{0};
  for (const std::int64_t axis : dims_of(node)) axes.push_back(axis + 1);
  return {permute(inputs[0], axes)};
}
std::vector<Tensor> batch_broadcast(const Node& node, std::span<const Tensor> inputs,
                                    const std::vector<bool>&, std::int64_t size) {
  Shape aligned = node.inputs[0].shape();
  while (aligned.size() < dims_of(node).size()) aligned.insert(0, 1);
  aligned.insert(0, size);
  Shape shape = dims_of(node);
  shape.insert(0, size);
  return {broadcast_to(reshape(inputs[0], aligned), shape)};
}
std::vector<Tensor> batch_slice(const Node& node, std::span<const Tensor> inputs, const std::vector<bool>&,
                                std::int64_t size) {
  Dims starts = dims_of(node, 0);
  Dims lengths = dims_of(node, 1);
  Dims steps = dims_of(node, 2);
  starts.insert(0, 0);
  lengths.insert(0, size);
  steps.insert(0, 1);
  return make_outputs(*node.op, inputs, {starts, lengths, steps});
}
std::vector<Tensor> batch_flip(const Node& node, std::span<const Tensor> inputs, const std::vector<bool>&,
                               std::int64_t) {
  Dims axes = dims_of(node);
  for (std::int64_t& axis : axes) ++axis;
  return make_outputs(*node.op, inputs, {axes});
}
std::vector<Tensor> batch_same(const Node& node, std::span<const Tensor> inputs, const std::vector<bool>&,
                               std::int64_t) {
  return make_outputs(*node.op, inputs, node.attributes ? *node.attributes : Attributes{});
}

Tensor numbers(const Shape& shape) {
  return arange(1, static_cast<double>(element_count(shape)) + 1, 1, DType::float64).reshape(shape);
}

}  // namespace

namespace ops {

const OpDef reshape = {
    .name = "reshape",
    .arguments = {"x"},
    .attributes = {"shape"},
    .text = {.formula = "reshape({x})",
             .latex = "\\operatorname{reshape}({x})",
             .summary = "The same elements in the same order under another shape.",
             .domain = "linear"},
    .kind = OpKind::view,
    .linear = Linearity::all,
    .infer = infer_reshape,
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          inputs_bar[0] = chainrule::reshape(outputs_bar[0], node.inputs[0].shape());
        },
    .batch = batch_reshape,
    .view = view_reshape,
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 6})}, {Dims{3, 4}}, "dense"},
              {{chainrule::transpose(numbers({2, 6}))}, {Dims{4, 3}}, "transposed"},
              {{numbers({})}, {Dims{1, 1}}, "scalar"}};
    },
};

const OpDef permute = {
    .name = "permute",
    .arguments = {"x"},
    .attributes = {"axes"},
    .text = {.formula = "permute({x})",
             .latex = "{x}^\\top",
             .summary = "The axes in another order: axis i of the result is axis axes[i] of x.",
             .domain = "linear"},
    .kind = OpKind::view,
    .linear = Linearity::all,
    .infer = infer_permute,
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          const Dims& axes = dims_of(node);
          Dims inverse = axes;
          for (int i = 0; i < axes.size(); ++i) inverse[static_cast<int>(axes[i])] = i;
          inputs_bar[0] = chainrule::permute(outputs_bar[0], inverse);
        },
    .batch = batch_permute,
    .view = view_permute,
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3})}, {Dims{1, 0}}, "matrix"}, {{numbers({2, 3, 4})}, {Dims{2, 0, 1}}, "cycle"}};
    },
};

const OpDef broadcast_to = {
    .name = "broadcast_to",
    .arguments = {"x"},
    .attributes = {"shape"},
    .text = {.formula = "broadcast_to({x})",
             .latex = "\\operatorname{broadcast}({x})",
             .summary = "Repeats axes of length 1, and new leading axes, without a copy.",
             .domain = "linear"},
    .kind = OpKind::view,
    .linear = Linearity::all,
    .infer = infer_broadcast,
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          inputs_bar[0] = unbroadcast(outputs_bar[0], node.inputs[0].shape());
        },
    .batch = batch_broadcast,
    .view = view_broadcast,
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({1, 3})}, {Dims{2, 3}}, "rows"},
              {{numbers({2, 1})}, {Dims{4, 2, 3}}, "new axis"},
              {{numbers({})}, {Dims{2, 2}}, "scalar"}};
    },
};

const OpDef slice = {
    .name = "slice",
    .arguments = {"x"},
    .attributes = {"starts", "lengths", "steps"},
    .text = {.formula = "slice({x})",
             .latex = "\\operatorname{slice}({x})",
             .summary = "A regular part of each axis: lengths[i] elements from starts[i], steps[i] apart.",
             .domain = "linear"},
    .kind = OpKind::view,
    .linear = Linearity::all,
    .infer = infer_slice,
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          inputs_bar[0] = make_node(slice_transpose, {outputs_bar[0]},
                                    {node.inputs[0].shape(), dims_of(node, 0), dims_of(node, 2)});
        },
    .batch = batch_slice,
    .view = view_slice,
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({4, 5})}, {Dims{1, 0}, Dims{2, 3}, Dims{1, 2}}, "steps"},
              {{numbers({6})}, {Dims{5}, Dims{3}, Dims{-2}}, "backwards"},
              {{numbers({3, 2})}, {Dims{0, 0}, Dims{0, 2}, Dims{1, 1}}, "empty"}};
    },
};

const OpDef slice_transpose = {
    .name = "slice_transpose",
    .arguments = {"x"},
    .attributes = {"shape", "starts", "steps"},
    .text = {.formula = "slice_transpose({x})",
             .latex = "\\operatorname{slice}^\\top({x})",
             .summary = "Zeros of a given shape with x in the places that a slice would read: the transpose "
                        "of slice, and padding.",
             .domain = "linear"},
    .linear = Linearity::all,
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          outputs.push_back({dims_of(node), node.inputs[0].dtype()});
        },
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          inputs_bar[0] = make_node(slice, {outputs_bar[0]},
                                    {dims_of(node, 1), node.inputs[0].shape(), dims_of(node, 2)});
        },
    .batch =
        [](const Node& node, std::span<const Tensor> inputs, const std::vector<bool>&, std::int64_t size) {
          Dims shape = dims_of(node, 0);
          Dims starts = dims_of(node, 1);
          Dims steps = dims_of(node, 2);
          shape.insert(0, size);
          starts.insert(0, 0);
          steps.insert(0, 1);
          return make_outputs(*node.op, inputs, {shape, starts, steps});
        },
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3})}, {Dims{4, 5}, Dims{1, 0}, Dims{1, 2}}, "steps"},
              {{numbers({3})}, {Dims{6}, Dims{5}, Dims{-2}}, "backwards"}};
    },
};

const OpDef flip = {
    .name = "flip",
    .arguments = {"x"},
    .attributes = {"axes"},
    .text = {.formula = "flip({x})",
             .latex = "\\operatorname{flip}({x})",
             .summary = "The order of elements reversed along axes.",
             .domain = "linear"},
    .kind = OpKind::view,
    .linear = Linearity::all,
    .infer = infer_same,
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          inputs_bar[0] = make_node(flip, {outputs_bar[0]}, {dims_of(node)});
        },
    .batch = batch_flip,
    .view = view_flip,
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3})}, {Dims{0, 1}}, "both"}, {{numbers({4})}, {Dims{0}}, "vector"}};
    },
};

const OpDef astype = {
    .name = "astype",
    .arguments = {"x"},
    .attributes = {"dtype"},
    .text = {.formula = "astype({x})",
             .latex = "{x}",
             .summary = "The same numbers in another dtype. Floats lose their fraction on the way to "
                        "integers, saturate at the ends, and NaN becomes 0.",
             .domain = "every number; linear between floating dtypes"},
    .kind = OpKind::elementwise,
    .linear = Linearity::all,
    .infer = infer_astype,
    .vjp =
        [](const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
           const std::vector<bool>&, std::span<Tensor> inputs_bar) {
          inputs_bar[0] = chainrule::astype(outputs_bar[0], node.inputs[0].dtype());
        },
    .batch = batch_same,
    .reference = [](const double* x) { return x[0]; },
    .bound = {BoundKind::ulp, 0.5},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3})}, {DType::float64}, "float64"}};
    },
};

const OpDef stop_gradient = {
    .name = "stop_gradient",
    .arguments = {"x"},
    .text = {.formula = "stop_gradient({x})",
             .latex = "\\operatorname{stop}({x})",
             .summary = "x as a constant: no derivative flows through it.",
             .domain = "ℝⁿ → ℝⁿ, taken for a constant"},
    .kind = OpKind::view,
    .not_differentiable = "it declares its input a constant",
    .infer = infer_same,
    .batch = batch_same,
    .view = view_same,
    .bound = {BoundKind::exact, 0},
    .flops_per_element = 0,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3})}, {}, "matrix"}};
    },
};

}  // namespace ops

Tensor reshape(const Tensor& x, const Shape& requested) {
  Shape shape = requested;
  std::int64_t known = 1;
  int unknown = -1;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] != -1) {
      known *= shape[i];
    } else if (unknown >= 0) {
      throw ShapeError({.function = "reshape",
                        .argument = "shape",
                        .problem = "two lengths are left open",
                        .got = to_string(requested),
                        .wanted = "at most one -1"});
    } else {
      unknown = i;
    }
  }
  if (unknown >= 0) {
    if (known == 0 || x.size() % known != 0) {
      throw ShapeError({.function = "reshape",
                        .argument = "shape",
                        .problem = "no length fits in place of -1",
                        .got = to_string(x.shape()) + " to " + to_string(requested)});
    }
    shape[unknown] = x.size() / known;
  }
  return shape == x.shape() ? x : make_node(ops::reshape, {x}, {shape});
}

Tensor permute(const Tensor& x, const Dims& axes) {
  Dims normalized;
  for (const std::int64_t axis : axes) normalized.push_back(normalize_axis(axis, x.rank(), "permute"));
  Dims sorted = normalized;
  std::sort(sorted.begin(), sorted.end());
  if (axes.size() != x.rank() || std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    throw ArgumentError({.function = "permute",
                         .argument = "axes",
                         .problem = "not an order of all axes",
                         .got = to_string(axes) + " for rank " + std::to_string(x.rank()),
                         .wanted = "each axis once"});
  }
  return normalized == sorted ? x : make_node(ops::permute, {x}, {normalized});
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  return shape == x.shape() ? x : make_node(ops::broadcast_to, {x}, {shape});
}

SlicedAxis sliced_axis(const char* function, const Slice& range, std::int64_t length) {
  const std::int64_t step = range.step;
  if (step == 0) {
    throw ArgumentError(
        {.function = function, .argument = "step", .problem = "a step of 0 goes nowhere", .wanted = "not 0"});
  }
  const std::int64_t low = step > 0 ? 0 : -1;
  const std::int64_t high = step > 0 ? length : length - 1;
  const auto position = [&](std::int64_t p) { return std::clamp(p < 0 ? p + length : p, low, high); };
  const std::int64_t first = range.start ? position(*range.start) : step > 0 ? low : high;
  // Going backwards, a stop before the first element is left out, or anything below -length.
  const std::int64_t last = range.stop ? position(*range.stop) : step > 0 ? high : low;
  const std::int64_t distance = step > 0 ? last - first : first - last;
  if (distance <= 0) return {0, 0, step};
  return {first, (distance - 1) / std::abs(step) + 1, step};
}

Tensor slice(const Tensor& x, int axis, std::int64_t start, std::int64_t stop, std::int64_t step) {
  const int a = normalize_axis(axis, x.rank(), "slice");
  const SlicedAxis part = sliced_axis("slice", {.start = start, .stop = stop, .step = step}, x.shape()[a]);
  Dims starts = Dims::filled(x.rank(), 0);
  Dims lengths = x.shape();
  Dims steps = Dims::filled(x.rank(), 1);
  starts[a] = part.start;
  lengths[a] = part.length;
  steps[a] = step;
  if (lengths == x.shape() && step == 1) return x;
  return make_node(ops::slice, {x}, {starts, lengths, steps});
}

Tensor flip(const Tensor& x, const Dims& axes) {
  return x.rank() == 0 ? x : make_node(ops::flip, {x}, {normalize_axes(axes, x.rank(), "flip")});
}

Tensor astype(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype && !is_constant(x)) return x;
  if (is_constant(x)) {
    const bool same = x.dtype() == dtype && !x.node()->get<bool>(1);
    if (same) return x;
    // Past 2^53 an integer is no double.
    if (x.dtype() == dtype) return make_node(ops::constant, {}, {x.node()->attribute(0), false, dtype});
    return full({}, constant_value(x), dtype);
  }
  return make_node(ops::astype, {x}, {dtype});
}

Tensor stop_gradient(const Tensor& x) { return make_node(ops::stop_gradient, {x}); }

}  // namespace chainrule
