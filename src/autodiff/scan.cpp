// scan: a loop as one op. It stands here and not in src/ops because its rules differentiate its body.
//
// Inputs: captured…, carry…, xs…; outputs: last carry…, ys…. Attributes: the body, the number of captured
// inputs, the number of carries, the length, whether it runs from the end.

#include <algorithm>

#include <chainrule/control.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "autodiff/driver.hpp"
#include "graph/subgraph.hpp"
#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

struct ScanParts {
  const SubGraph& body;
  std::size_t captured;
  std::size_t carries;
  std::size_t xs;
  std::int64_t length;
  bool reverse;

  explicit ScanParts(const Node& node)
      : body(*node.get<std::shared_ptr<const SubGraph>>(0)),
        captured(static_cast<std::size_t>(node.get<std::int64_t>(1))),
        carries(static_cast<std::size_t>(node.get<std::int64_t>(2))),
        xs(node.inputs.size() - captured - carries),
        length(node.get<std::int64_t>(3)),
        reverse(node.get<bool>(4)) {}
};

void infer_scan(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  const ScanParts parts(node);
  for (std::size_t i = 0; i < parts.body.outputs.size(); ++i) {
    TensorSpec spec = spec_of(parts.body.outputs[i]);
    if (i >= parts.carries) spec.shape.insert(0, parts.length);
    outputs.push_back(spec);
  }
}

TensorList concatenated(std::initializer_list<TensorList> lists) {
  TensorList all;
  for (const TensorList& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

TensorList part(const TensorList& list, std::size_t first, std::size_t count) {
  const auto begin = list.begin() + static_cast<std::ptrdiff_t>(first);
  return {begin, begin + static_cast<std::ptrdiff_t>(count)};
}

bool is_float(const Tensor& x) { return is_floating(x.dtype()); }

// The body with a loop's values in place: captured inputs are those of the node.
TensorList call_body(const Node& node, const TensorList& captured, const TensorList& carry,
                     const TensorList& x) {
  const ScanParts parts(node);
  return substitute(parts.body, concatenated({captured, carry, x}));
}

// The carry that each step began with, along a new first axis.
TensorList carries_of_all_steps(const Node& node) {
  const ScanParts parts(node);
  const TensorList inputs(node.inputs.begin(), node.inputs.end());
  const TensorList captured = part(inputs, 0, parts.captured);
  const ScanBody body = [&](const TensorList& carry, const TensorList& x) {
    return ScanResult{part(call_body(node, captured, carry, x), 0, parts.carries), carry};
  };
  return scan(body, part(inputs, parts.captured, parts.carries),
              part(inputs, parts.captured + parts.carries, parts.xs), parts.reverse, parts.length)
      .ys;
}

// Cotangents run through the loop backwards. The carry of the backward loop is the carry's cotangents and the
// sums of the captured inputs' cotangents; its ys are the xs' cotangents.
void scan_vjp(const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
              const std::vector<bool>&, std::span<Tensor> inputs_bar) {
  const ScanParts parts(node);
  const TensorList inputs(node.inputs.begin(), node.inputs.end());
  std::vector<std::size_t> floating_captured, floating_carry, floating_xs, floating_ys;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!is_float(inputs[i])) continue;
    if (i < parts.captured)
      floating_captured.push_back(i);
    else if (i < parts.captured + parts.carries)
      floating_carry.push_back(i - parts.captured);
    else
      floating_xs.push_back(i - parts.captured - parts.carries);
  }
  TensorList seeds;   // the backward loop's first carry
  TensorList ys_bar;  // what arrives at each step
  const auto bar_or_zeros = [&](std::size_t output) {
    const Tensor& bar = outputs_bar[output];
    return bar.defined() ? bar : zeros(node.outputs[output].shape, node.outputs[output].dtype);
  };
  for (const std::size_t i : floating_carry) seeds.push_back(bar_or_zeros(i));
  for (const std::size_t i : floating_captured) seeds.push_back(zeros_like(inputs[i]));
  for (std::size_t i = parts.carries; i < node.outputs.size(); ++i) {
    if (!is_floating(node.outputs[i].dtype)) continue;
    floating_ys.push_back(i);
    ys_bar.push_back(bar_or_zeros(i));
  }
  const TensorList captured = part(inputs, 0, parts.captured);
  const ScanBody backward = [&](const TensorList& bars, const TensorList& step) {
    TensorList values = concatenated({captured, part(step, ys_bar.size(), parts.carries),
                                      part(step, ys_bar.size() + parts.carries, parts.xs)});
    std::vector<Tensor*> places;
    for (const std::size_t i : floating_carry) places.push_back(&values[parts.captured + i]);
    for (const std::size_t i : floating_captured) places.push_back(&values[i]);
    for (const std::size_t i : floating_xs) places.push_back(&values[parts.captured + parts.carries + i]);
    const auto body = [&] {
      const TensorList all = substitute(parts.body, values);
      TensorList floating;
      for (const std::size_t i : floating_carry) floating.push_back(all[i]);
      for (const std::size_t i : floating_ys) floating.push_back(all[i]);
      return floating;
    };
    const TensorList arriving =
        concatenated({part(bars, 0, floating_carry.size()), part(step, 0, ys_bar.size())});
    const auto seed = [&](const TensorList&) { return arriving; };
    TensorList outputs;
    const TensorList bar = detail::pullback(places, body, seed, &outputs);
    ScanResult result;
    result.carry = part(bar, 0, floating_carry.size());
    for (std::size_t i = 0; i < floating_captured.size(); ++i) {
      result.carry.push_back(bars[floating_carry.size() + i] + bar[floating_carry.size() + i]);
    }
    result.ys = part(bar, floating_carry.size() + floating_captured.size(), floating_xs.size());
    return result;
  };
  const TensorList xs = part(inputs, parts.captured + parts.carries, parts.xs);
  const ScanResult result = scan(backward, seeds, concatenated({ys_bar, carries_of_all_steps(node), xs}),
                                 !parts.reverse, parts.length);
  for (std::size_t i = 0; i < floating_carry.size(); ++i)
    inputs_bar[parts.captured + floating_carry[i]] = result.carry[i];
  for (std::size_t i = 0; i < floating_captured.size(); ++i)
    inputs_bar[floating_captured[i]] = result.carry[floating_carry.size() + i];
  for (std::size_t i = 0; i < floating_xs.size(); ++i)
    inputs_bar[parts.captured + parts.carries + floating_xs[i]] = result.ys[i];
}

// Tangents run along with the values, in one loop.
std::vector<Tensor> scan_jvp(const Node& node, std::span<const Tensor>, std::span<const Tensor> tangents) {
  const ScanParts parts(node);
  const TensorList inputs(node.inputs.begin(), node.inputs.end());
  TensorList dots;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    dots.push_back(tangents[i].defined() ? tangents[i] : zeros_like(inputs[i]));
  const TensorList captured = part(inputs, 0, parts.captured);
  const ScanBody both = [&](const TensorList& carry, const TensorList& x) {
    TensorList values = concatenated({captured, part(carry, 0, parts.carries), part(x, 0, parts.xs)});
    const TensorList all_dots =
        concatenated({part(dots, 0, parts.captured), part(carry, parts.carries, parts.carries),
                      part(x, parts.xs, parts.xs)});
    std::vector<Tensor*> places;
    TensorList directions;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!is_float(values[i])) continue;
      places.push_back(&values[i]);
      directions.push_back(all_dots[i]);
    }
    TensorList outputs;
    const auto body = [&] { return substitute(parts.body, values); };
    const TensorList moved = detail::pushforward(places, body, directions, &outputs);
    return ScanResult{concatenated({part(outputs, 0, parts.carries), part(moved, 0, parts.carries)}),
                      part(moved, parts.carries, moved.size() - parts.carries)};
  };
  const auto range = [&](const TensorList& list, std::size_t first, std::size_t count) {
    return part(list, first, count);
  };
  const ScanResult result = scan(both,
                                 concatenated({range(inputs, parts.captured, parts.carries),
                                               range(dots, parts.captured, parts.carries)}),
                                 concatenated({range(inputs, parts.captured + parts.carries, parts.xs),
                                               range(dots, parts.captured + parts.carries, parts.xs)}),
                                 parts.reverse, parts.length);
  TensorList moved = concatenated({part(result.carry, parts.carries, parts.carries), result.ys});
  for (std::size_t i = 0; i < moved.size(); ++i) {
    if (!is_floating(node.outputs[i].dtype)) moved[i] = Tensor();
  }
  return moved;
}

// One loop over the steps of all examples: the body is batched, not the loop.
std::vector<Tensor> batch_scan(const Node& node, std::span<const Tensor> inputs,
                               const std::vector<bool>& batched, std::int64_t size) {
  const ScanParts parts(node);
  TensorList captured;
  TensorList carry;
  TensorList xs;
  std::vector<int> axes;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const bool is_carry = i >= parts.captured && i < parts.captured + parts.carries;
    axes.push_back(batched[i] || is_carry ? 0 : -1);
    if (i < parts.captured)
      captured.push_back(inputs[i]);
    else if (is_carry)
      carry.push_back(batched_input(inputs[i], batched[i], size));
    else
      xs.push_back(batched[i] ? moveaxis(inputs[i], 1, 0) : inputs[i]);
  }
  // Something has to carry the batch even where only captured values do: the carry always does.
  const ScanBody body = [&](const TensorList& c, const TensorList& x) {
    TensorList values = concatenated({captured, c, x});
    std::vector<Tensor*> places;
    for (Tensor& value : values) places.push_back(&value);
    const auto one = [&] { return substitute(parts.body, values); };
    const TensorList all = detail::batched(places, {}, axes, one);
    return ScanResult{part(all, 0, parts.carries), part(all, parts.carries, all.size() - parts.carries)};
  };
  const ScanResult result = scan(body, carry, xs, parts.reverse, parts.length);
  TensorList outputs = result.carry;
  for (const Tensor& y : result.ys) outputs.push_back(moveaxis(y, 1, 0));
  return outputs;
}

std::vector<Sample> scan_samples() {
  // A damped recurrence with a captured coefficient.
  const Tensor a = Tensor::from(std::vector<double>{0.5, -0.25}, {2});
  const ScanBody body = [&](const TensorList& carry, const TensorList& x) {
    const Tensor next = chainrule::tanh(carry[0] * a + x[0]);
    return ScanResult{{next}, {square(next)}};
  };
  const Tensor xs = Tensor::from(std::vector<double>{0.1, 0.2, -0.3, 0.4, 0.5, -0.6}, {3, 2});
  const ScanResult result = scan(body, {Tensor::from(std::vector<double>{0.3, -0.7}, {2})}, {xs});
  const Node& node = *result.carry[0].node();
  return {{TensorList(node.inputs.begin(), node.inputs.end()), *node.attributes, "recurrence"}};
}

double scan_flops(const Node& node) {
  const ScanParts parts(node);
  double flops = 0;
  for (const Node* inner : collect_nodes(parts.body.outputs, [](const Node&) { return true; }))
    flops += flops_of(*inner);
  return flops * static_cast<double>(parts.length);
}

}  // namespace

namespace ops {

const OpDef scan = {
    .name = "scan",
    .arguments = {"x..."},
    .attributes = {"body", "captured", "carries", "length", "reverse"},
    .text = {.formula = "scan({x})",
             .latex = "\\operatorname{scan}({x})",
             .summary = "A loop: each step turns the carry and one slice of the inputs into the next carry "
                        "and one slice of the outputs.",
             .domain = "that of its body"},
    .infer = infer_scan,
    .vjp = scan_vjp,
    .jvp = scan_jvp,
    .batch = batch_scan,
    .bound = {BoundKind::sum, 4},
    .flops = scan_flops,
    .samples = scan_samples,
};

}  // namespace ops

namespace {

std::int64_t scan_length(const TensorList& xs, std::int64_t length) {
  for (const Tensor& x : xs) {
    if (x.rank() == 0)
      throw ShapeError({.function = "scan",
                        .argument = "xs",
                        .problem = "a scalar has no steps",
                        .wanted = "steps along the first axis"});
    if (length >= 0 && x.size(0) != length) {
      throw ShapeError({.function = "scan",
                        .argument = "xs",
                        .problem = "the inputs differ in their number of steps",
                        .got = std::to_string(length) + " and " + std::to_string(x.size(0)),
                        .wanted = "one length"});
    }
    length = x.size(0);
  }
  if (length < 0)
    throw ArgumentError({.function = "scan",
                         .argument = "length",
                         .problem = "the number of steps is not known",
                         .wanted = "xs, or a length of 0 or more"});
  return length;
}

void check_carry(const TensorList& before, const TensorList& after) {
  if (before.size() != after.size()) {
    throw ShapeError({.function = "scan",
                      .argument = "body",
                      .problem = "the body returns another number of carries",
                      .got = std::to_string(after.size()),
                      .wanted = std::to_string(before.size())});
  }
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (spec_of(before[i]) == spec_of(after[i])) continue;
    throw ShapeError(
        {.function = "scan",
         .argument = "body",
         .problem = "the carry changes its shape or dtype",
         .got = to_string(after[i].shape()) + " " + std::string(dtype_name(after[i].dtype())),
         .wanted = to_string(before[i].shape()) + " " + std::string(dtype_name(before[i].dtype()))});
  }
}

}  // namespace

ScanResult scan(const ScanBody& body, const TensorList& carry, const TensorList& xs, bool reverse,
                std::int64_t requested_length) {
  const std::int64_t length = scan_length(xs, requested_length);
  std::vector<TensorSpec> specs;
  for (const Tensor& c : carry) specs.push_back(spec_of(c));
  for (const Tensor& x : xs) {
    TensorSpec spec = spec_of(x);
    spec.shape.erase(0);
    specs.push_back(spec);
  }
  TensorList captured;
  const auto traced = [&](const TensorList& placeholders) {
    const ScanResult result =
        body(part(placeholders, 0, carry.size()), part(placeholders, carry.size(), xs.size()));
    check_carry(part(placeholders, 0, carry.size()), result.carry);
    return concatenated({result.carry, result.ys});
  };
  const auto graph = trace_subgraph(specs, traced, captured);
  const TensorList outputs = make_outputs(ops::scan, concatenated({captured, carry, xs}),
                                          {graph, static_cast<std::int64_t>(captured.size()),
                                           static_cast<std::int64_t>(carry.size()), length, reverse});
  return {part(outputs, 0, carry.size()), part(outputs, carry.size(), outputs.size() - carry.size())};
}

std::pair<Tensor, Tensor> scan(
    const std::function<std::pair<Tensor, Tensor>(const Tensor& carry, const Tensor& x)>& body,
    const Tensor& carry, const Tensor& xs, bool reverse) {
  const ScanBody lists = [&](const TensorList& c, const TensorList& x) {
    const auto [next, y] = body(c[0], x[0]);
    return ScanResult{{next}, {y}};
  };
  const ScanResult result = scan(lists, {carry}, {xs}, reverse);
  return {result.carry[0], result.ys[0]};
}

}  // namespace chainrule
