#include "ops/rules.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <chainrule/error.hpp>
#include <chainrule/random.hpp>

#include "ops/declarations.hpp"

namespace chainrule {
namespace {

bool is_weak(const Tensor& x) { return is_constant(x) && x.node()->get<bool>(1); }

DType computation_dtype(const OpDef& op, std::span<const Tensor> inputs) {
  const DType dtype =
      op.element_rule == ElementRule::select ? promoted_dtype(inputs.subspan(1)) : promoted_dtype(inputs);
  switch (op.element_rule) {
    case ElementRule::floating:
      return floating_dtype(dtype);
    case ElementRule::logical:
      return DType::boolean;
    case ElementRule::signed_same:
      if (dtype == DType::boolean) {
        throw DTypeError({.function = std::string(op.name),
                          .argument = "x",
                          .problem = "a bool has no arithmetic sign",
                          .got = "bool",
                          .wanted = "an integer or floating dtype",
                          .hint = "astype first, or logical_not"});
      }
      return dtype;
    default:
      return dtype;
  }
}

}  // namespace

std::string describe_tensor(const char* name, const Tensor& x) {
  return std::string(name) + ' ' + to_string(x.shape()) + ' ' + std::string(dtype_name(x.dtype()));
}

DType floating_dtype(DType dtype) { return is_floating(dtype) ? dtype : DType::float32; }

DType promoted_dtype(std::span<const Tensor> inputs) {
  DType strong = DType::boolean;
  bool any_strong = false;
  DType weak = DType::boolean;
  for (const Tensor& input : inputs) {
    if (is_weak(input)) {
      weak = promote(weak, input.dtype());
    } else {
      strong = promote(strong, input.dtype());
      any_strong = true;
    }
  }
  if (!any_strong) return weak;
  return dtype_category(weak) > dtype_category(strong) ? weak : strong;
}

Tensor elementwise(const OpDef& op, std::initializer_list<Tensor> inputs, Attributes attributes) {
  SmallVector<Tensor, 3> converted(inputs.begin(), inputs.end());
  for (std::size_t i = 0; i < converted.size(); ++i) {
    if (!converted[i].defined()) {
      throw ArgumentError({.function = std::string(op.name),
                           .argument = std::string(op.arguments[i]),
                           .problem = "the tensor is undefined",
                           .wanted = "a tensor with a value or an expression"});
    }
  }
  const DType dtype = computation_dtype(op, converted);
  for (std::size_t i = 0; i < converted.size(); ++i) {
    const bool is_condition = op.element_rule == ElementRule::select && i == 0;
    converted[i] = astype(converted[i], is_condition ? DType::boolean : dtype);
  }
  return make_node(op, converted, std::move(attributes));
}

void infer_from_definition(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  for (const Tensor& output : node.op->definition(node)) outputs.push_back(spec_of(output));
}

Tensor scalar_of(double value, DType dtype) { return full({}, value, dtype); }

Tensor unbroadcast(const Tensor& y_bar, const Shape& shape) {
  const Shape& from = y_bar.shape();
  if (from == shape) return y_bar;
  const int extra = from.size() - shape.size();
  Dims axes;
  for (int i = 0; i < from.size(); ++i) {
    if (i < extra || (shape[i - extra] == 1 && from[i] != 1)) axes.push_back(i);
  }
  return reshape(axes.empty() ? y_bar : sum(y_bar, axes), shape);
}

Shape reduced_shape(const Shape& shape, const Dims& axes, bool keepdims) {
  Shape result;
  for (int i = 0; i < shape.size(); ++i) {
    const bool reduced = std::find(axes.begin(), axes.end(), i) != axes.end();
    if (!reduced) result.push_back(shape[i]);
    if (reduced && keepdims) result.push_back(1);
  }
  return result;
}

Tensor restore_axes(const Tensor& y, const Shape& shape, const Dims& axes, bool keepdims) {
  return keepdims ? y : reshape(y, reduced_shape(shape, axes, true));
}

Tensor scale_cotangent(const Tensor& y_bar, const Tensor& factor) {
  if (!y_bar.defined() || !factor.defined()) return {};
  if (is_constant(factor, 1)) return y_bar;
  if (is_constant(factor, -1)) return neg(y_bar);
  if (is_constant(y_bar, 1) && y_bar.dtype() == factor.dtype()) return factor;
  // A gate, as relu's: choosing is cheaper than multiplying, and stops an infinite cotangent as 0.
  const Node& gate = *factor.node();
  if (gate.op == &ops::where && is_constant(gate.inputs[1], 1) && is_constant(gate.inputs[2], 0)) {
    return where(gate.inputs[0], y_bar, gate.inputs[2]);
  }
  return mul(y_bar, factor);
}

namespace {

// So many parts are joined at most: each more is another look at all of them.
constexpr std::size_t most_parts = 64;

// What slices of one tensor have sent back: parts of it, side by side along an axis, all else being zero.
struct Parts {
  int axis = -1;
  std::vector<std::pair<std::int64_t, Tensor>> placed;  // by where they start
};

bool is_zero(const Tensor& x) {
  const Node& node = *x.node();
  return is_constant(node.op == &ops::broadcast_to ? node.inputs[0] : x, 0);
}

// A slice without gaps of one axis, transposed.
std::optional<Parts> placed_part(const Node& node) {
  const Tensor& x = node.inputs[0];
  Parts parts;
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (node.get<Dims>(2)[axis] != 1) return std::nullopt;
    if (x.shape()[axis] == node.outputs[0].shape[axis]) continue;
    if (parts.axis >= 0) return std::nullopt;
    parts.axis = axis;
  }
  if (parts.axis < 0) return std::nullopt;
  parts.placed.emplace_back(node.get<Dims>(1)[parts.axis], x);
  return parts;
}

std::optional<Parts> parts_of(const Tensor& x) {
  const Node& node = *x.node();
  if (node.op == &ops::slice_transpose) return placed_part(node);
  if (node.op != &ops::concatenate) return std::nullopt;
  Parts parts{static_cast<int>(node.get<std::int64_t>(0)), {}};
  std::int64_t at = 0;
  for (const Tensor& part : node.inputs) {
    if (!is_zero(part)) parts.placed.emplace_back(at, part);
    at += part.shape()[parts.axis];
  }
  return parts;
}

// The sum of parts in places that do not overlap: copied, where adding would fill two tensors with zeros and
// read both. A part's negative zero stays one: these zeros are those of a derivative that nothing reaches,
// which are nowhere added.
std::optional<Tensor> side_by_side(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return std::nullopt;
  std::optional<Parts> parts = parts_of(a);
  const std::optional<Parts> others = parts ? parts_of(b) : std::nullopt;
  if (!others || others->axis != parts->axis) return std::nullopt;
  const int axis = parts->axis;
  auto& placed = parts->placed;
  if (placed.size() + others->placed.size() > most_parts) return std::nullopt;
  placed.insert(placed.end(), others->placed.begin(), others->placed.end());
  std::stable_sort(placed.begin(), placed.end(),
                   [](const auto& p, const auto& q) { return p.first < q.first; });
  std::vector<Tensor> joined;
  std::int64_t at = 0;
  const auto fill_until = [&](std::int64_t start) {
    Shape gap = a.shape();
    gap[axis] = start - at;
    if (gap[axis] > 0) joined.push_back(zeros(gap, a.dtype()));
  };
  for (const auto& [start, part] : placed) {
    if (start < at) return std::nullopt;
    fill_until(start);
    joined.push_back(part);
    at = start + part.shape()[axis];
  }
  fill_until(a.shape()[axis]);
  if (joined.empty()) return std::nullopt;
  return concatenate(joined, axis);
}

}  // namespace

Tensor add_cotangents(const Tensor& a, const Tensor& b) {
  if (!a.defined()) return b;
  if (!b.defined()) return a;
  if (std::optional<Tensor> joined = side_by_side(a, b)) return *joined;
  return add(a, b);
}

Tensor batched_input(const Tensor& x, bool batched, std::int64_t batch_size) {
  if (batched) return x;
  Shape shape = x.shape();
  shape.insert(0, batch_size);
  return broadcast_to(x, shape);
}

Tensor large(const Shape& shape, std::uint64_t seed) {
  return random::uniform(random::key(seed), shape, -1, 1);
}

Tensor large_rows(std::int64_t elements, std::uint64_t seed) {
  constexpr std::int64_t columns = 256;
  return large({std::max<std::int64_t>(1, elements / columns), columns}, seed);
}

Tensor large_indices(const Shape& shape, std::int64_t limit) {
  const Tensor real = random::uniform(random::key(3), shape, 0, static_cast<double>(limit));
  return astype(minimum(real, static_cast<double>(limit - 1)), DType::int64);  // rounding may reach the limit
}

}  // namespace chainrule
