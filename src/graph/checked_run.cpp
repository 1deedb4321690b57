#include "graph/checked_run.hpp"

#include <array>
#include <cfloat>
#include <cmath>

#include <chainrule/error.hpp>

#include "graph/scalar.hpp"
#include "tensor/digits.hpp"

namespace chainrule {
namespace {

// The first element that is NaN or infinite, as its position in row-major order; -1 for none.
std::int64_t first_non_finite(const kernels::Array& array) {
  if (!is_floating(array.dtype)) return -1;
  const std::int64_t count = array.size();
  const Strides steps = contiguous_strides(array.shape);
  const auto size = static_cast<std::int64_t>(dtype_size(array.dtype));
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t offset = 0;
    for (int axis = 0; axis < array.shape.size(); ++axis)
      offset += i / steps[axis] % array.shape[axis] * array.strides[axis];
    if (!std::isfinite(read_scalar(array.as<std::byte>() + offset * size, array.dtype))) return i;
  }
  return -1;
}

double broadcast_element(const kernels::Array& array, const Shape& shape, std::int64_t index) {
  const Strides steps = contiguous_strides(shape);
  const int extra = shape.size() - array.shape.size();
  std::int64_t offset = 0;
  for (int axis = extra; axis < shape.size(); ++axis) {
    if (array.shape[axis - extra] != 1)
      offset += index / steps[axis] % shape[axis] * array.strides[axis - extra];
  }
  return read_scalar(array.as<std::byte>() + offset * static_cast<std::int64_t>(dtype_size(array.dtype)),
                     array.dtype);
}

std::string number(double value) { return general_digits(value, 6); }

// The largest x at which a growing function of one argument still fits float32.
double overflow_limit(ReferenceFn f, double overflowing) {
  double low = 0;
  double high = overflowing;
  for (int i = 0; i < 200; ++i) {
    const double middle = 0.5 * (low + high);
    (std::fabs(f(&middle)) <= FLT_MAX ? low : high) = middle;
  }
  return low;
}

std::string reason(const Node& node, std::span<const double> arguments, double result) {
  if (node.op->kind != OpKind::elementwise || node.op->reference == nullptr) return "";
  const double exact = node.op->reference(arguments.data());
  if (!std::isfinite(exact)) return "not defined there";
  const bool narrow = node.outputs[0].dtype != DType::float64;
  if (narrow && std::isinf(result) && arguments.size() == 1 && std::fabs(exact) > FLT_MAX &&
      std::isfinite(node.op->reference(std::array{0.0}.data()))) {
    return std::string(dtype_name(node.outputs[0].dtype)) + " overflows above " +
           number(overflow_limit(node.op->reference, arguments[0]));
  }
  return narrow && std::isinf(result) ? std::string(dtype_name(node.outputs[0].dtype)) + " overflows" : "";
}

std::string describe(const Node& node, const KernelCall& call, std::int64_t index) {
  const kernels::Array& output = call.outputs[0];
  const double result = broadcast_element(output, output.shape, index);
  std::string text = std::string(node.op->name) + "(";
  std::vector<double> arguments;
  if (node.op->kind == OpKind::elementwise) {
    for (const kernels::Array& input : call.inputs)
      arguments.push_back(broadcast_element(input, output.shape, index));
  }
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    text +=
        (i > 0 ? ", " : "") + (arguments.empty() ? to_string(call.inputs[i].shape) : number(arguments[i]));
  }
  text += ") = " + number(result) + " at element " + std::to_string(index) + " of " + to_string(output.shape);
  if (!arguments.empty()) {
    const std::string why = reason(node, arguments, result);
    if (!why.empty()) text += ": " + why;
  }
  return text;
}

bool all_inputs_finite(const KernelCall& call) {
  for (const kernels::Array& input : call.inputs) {
    if (first_non_finite(input) >= 0) return false;
  }
  return true;
}

}  // namespace

void throw_first_non_finite(const LoweredGraph& graph, const Execution& execution, std::int64_t step) {
  LoweredGraph checked = graph;
  checked.outputs = graph.guards;
  checked.guards.clear();
  PlanOptions options;
  options.fuse = false;
  options.keep_all = true;
  const Plan& original = execution.plan();
  options.input_strides = execution.plan().input_strides;
  Execution run(build_plan(checked, cpu_device(), options));
  const Plan& plan = run.plan();
  for (int i = 0; i < plan.input_count; ++i)
    run.bind(plan.first_input_slot() + i, execution.base(original.first_input_slot() + i));
  std::vector<Buffer> results;
  for (std::size_t i = 0; i < plan.escaping_bytes.size(); ++i) {
    results.push_back(Buffer::allocate(plan.escaping_bytes[i]));
    run.bind(plan.first_escaping_slot() + static_cast<int>(i), results.back().data());
  }
  ErrorParts parts{.function = "compile",
                   .argument = "step",
                   .problem = "the loss or a gradient is not finite at step " + std::to_string(step) +
                              "; nothing was committed"};
  for (std::size_t i = 0; i < plan.instructions.size(); ++i) {
    const Instruction& instruction = plan.instructions[i];
    run.run_instruction(i);
    const KernelCall call{run.inputs_of(instruction), run.outputs_of(instruction), instruction.node.node(),
                          nullptr, nullptr};
    const std::int64_t at = first_non_finite(call.outputs[0]);
    if (at < 0 || !all_inputs_finite(call) || call.node == nullptr) continue;
    parts.got = describe(*call.node, call, at);
    parts.region =
        call.node->region != nullptr ? *call.node->region : "the step itself, outside of any layer";
    parts.hint = "lower the learning rate, clip gradients by norm, or check the inputs for extreme values";
    throw NumericError(std::move(parts));
  }
  parts.got = "a NaN or an infinity in the step's inputs or parameters";
  parts.hint = "check the data: isfinite(x)";
  throw NumericError(std::move(parts));
}

void check_results(std::span<const Tensor> outputs, std::size_t state_leaves) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].defined()) continue;
    throw StateError({.function = "compile",
                      .argument = "step",
                      .problem = i < state_leaves ? "the step left a tensor of its state undefined"
                                                  : "the step returned an undefined tensor",
                      .wanted = "a tensor with a shape"});
  }
}

}  // namespace chainrule
