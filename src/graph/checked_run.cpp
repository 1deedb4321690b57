#include "graph/checked_run.hpp"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <optional>
#include <unordered_map>

#include <chainrule/error.hpp>

#include "graph/context_state.hpp"
#include "graph/scalar.hpp"
#include "kernels/subnormals.hpp"
#include "tensor/digits.hpp"

namespace chainrule {
namespace {

// What is in an array besides finite numbers.
struct Content {
  bool nan = false;
  bool plus = false;        // +∞
  bool minus = false;       // −∞
  std::int64_t first = -1;  // position in row-major order; -1 for none
  bool finite() const { return first < 0; }
  // −∞ alone is what masks are made of.
  bool alarming() const { return nan || plus; }
};

Content content_of(const kernels::Array& array) {
  Content content;
  if (!is_floating(array.dtype)) return content;
  const std::int64_t count = array.size();
  const Strides steps = contiguous_strides(array.shape);
  const auto size = static_cast<std::int64_t>(dtype_size(array.dtype));
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t offset = 0;
    for (int axis = 0; axis < array.shape.size(); ++axis)
      offset += i / steps[axis] % array.shape[axis] * array.strides[axis];
    const double value = read_scalar(array.as<std::byte>() + offset * size, array.dtype);
    if (std::isfinite(value)) continue;
    if (content.finite()) content.first = i;
    content.nan = content.nan || std::isnan(value);
    content.plus = content.plus || value > 0;
    content.minus = content.minus || value < 0;
  }
  return content;
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

bool counts_as_zero(double x, DType dtype) {
  const double smallest = dtype == DType::float64 ? DBL_MIN : FLT_MIN;  // bfloat16's is float32's
  return kernels::can_flush_subnormals && context_state().flush_subnormals && x != 0 &&
         std::fabs(x) < smallest;
}

// The subnormal argument that makes the result infinite or NaN because it counts as zero; empty where none
// does.
std::string flushed_argument(const Node& node, std::span<const double> arguments, double exact) {
  const double largest = node.outputs[0].dtype == DType::float64 ? DBL_MAX : FLT_MAX;
  if (!(std::fabs(exact) <= largest)) return "";
  std::vector<double> flushed(arguments.begin(), arguments.end());
  std::string which;
  for (std::size_t i = 0; i < flushed.size(); ++i) {
    if (!counts_as_zero(flushed[i], node.inputs[i].dtype())) continue;
    which = number(flushed[i]);
    flushed[i] = std::copysign(0.0, flushed[i]);
  }
  return which.empty() || std::isfinite(node.op->reference(flushed.data())) ? "" : which;
}

std::string reason(const Node& node, std::span<const double> arguments, double result) {
  if (node.op->kind != OpKind::elementwise || node.op->reference == nullptr) return "";
  const double exact = node.op->reference(arguments.data());
  if (!std::isfinite(exact)) return "not defined there";
  const std::string flushed = flushed_argument(node, arguments, exact);
  if (!flushed.empty()) return flushed + " is subnormal and counts as zero";
  const bool narrow = node.outputs[0].dtype != DType::float64;
  if (narrow && std::isinf(result) && arguments.size() == 1 && std::fabs(exact) > FLT_MAX &&
      std::isfinite(node.op->reference(std::array{0.0}.data()))) {
    return std::string(dtype_name(node.outputs[0].dtype)) + " overflows above " +
           number(overflow_limit(node.op->reference, arguments[0]));
  }
  return narrow && std::isinf(result) ? std::string(dtype_name(node.outputs[0].dtype)) + " overflows" : "";
}

// One instruction after its run: the arrays of its node's inputs, in the node's order, and of its outputs.
struct Ran {
  const Node* node = nullptr;
  std::vector<kernels::Array> inputs;
  std::span<const kernels::Array> outputs;
};

std::string describe(const Ran& ran, std::size_t output_index, std::int64_t index) {
  const Node& node = *ran.node;
  const kernels::Array& output = ran.outputs[output_index];
  const double result = broadcast_element(output, output.shape, index);
  std::string text = std::string(node.op->name) + "(";
  std::vector<double> arguments;
  if (node.op->kind == OpKind::elementwise) {
    for (const kernels::Array& input : ran.inputs)
      arguments.push_back(broadcast_element(input, output.shape, index));
  }
  for (std::size_t i = 0; i < ran.inputs.size(); ++i)
    text += (i > 0 ? ", " : "") + (arguments.empty() ? to_string(ran.inputs[i].shape) : number(arguments[i]));
  text += ") = " + number(result) + " at element " + std::to_string(index) + " of " + to_string(output.shape);
  if (ran.outputs.size() > 1) text += " of output " + std::to_string(output_index);
  if (!arguments.empty()) {
    const std::string why = reason(node, arguments, result);
    if (!why.empty()) text += ": " + why;
  }
  return text;
}

// The step again, unfused, with every value kept. Then the way back from a guard that is not finite, along
// values that are not finite: it ends where they came from. What no guard depends on, or what a `where` or a
// softmax has made finite again, is not on the way.
class Replay {
 public:
  Replay(const LoweredGraph& graph, const Execution& execution)
      : graph_(checked(graph)), run_(plan_of(execution)) {
    const Plan& plan = run_.plan();
    const int first_input = plan.first_input_slot();
    for (int i = 0; i < plan.input_count; ++i)
      run_.bind(first_input + i, execution.base(execution.plan().first_input_slot() + i));
    for (std::size_t i = 0; i < plan.escaping_bytes.size(); ++i) {
      results_.push_back(Buffer::allocate(plan.escaping_bytes[i]));
      run_.bind(plan.first_escaping_slot() + static_cast<int>(i), results_.back().data());
    }
    const kernels::SubnormalsScope subnormals(context_state().flush_subnormals);  // as in the step
    for (std::size_t i = 0; i < plan.instructions.size(); ++i) {
      run_.run_instruction(i);
      if (plan.instructions[i].node.defined()) instruction_of_.emplace(plan.instructions[i].node.node(), i);
    }
    for (std::size_t i = 0; i < graph_.outputs.size() && !origin_ && !bad_input_; ++i) {
      const Content content = content_of(output_array(i));
      if (!content.finite()) walk_back(graph_.outputs[i], content);
    }
  }

  // The op that the first number that is not finite came from, and what it did; empty where the step was
  // given such numbers.
  std::optional<std::pair<const Node*, std::string>> origin() const {
    std::optional<std::size_t> at = origin_;
    if (!at && !bad_input_) at = masked_origin_ ? masked_origin_ : turned_;
    if (!at) return std::nullopt;
    const Ran ran = ran_at(*at);
    for (const bool alarming : {true, false}) {
      for (std::size_t k = 0; k < ran.outputs.size(); ++k) {
        const Content content = content_of(ran.outputs[k]);
        if (alarming ? content.alarming() : !content.finite())
          return std::pair{ran.node, describe(ran, k, content.first)};
      }
    }
    return std::nullopt;
  }

 private:
  static LoweredGraph checked(const LoweredGraph& graph) {
    LoweredGraph result = graph;
    result.outputs = graph.guards;
    result.guards.clear();
    return result;
  }
  std::shared_ptr<const Plan> plan_of(const Execution& execution) const {
    PlanOptions options;
    options.fuse = false;
    options.keep_all = true;
    options.input_strides = execution.plan().input_strides;
    return build_plan(graph_, cpu_device(), options);
  }

  kernels::Array output_array(std::size_t i) const {
    const Plan::ArraySpec& output = run_.plan().outputs[i];
    auto* base = static_cast<std::byte*>(run_.base(output.location.slot));
    return {base + output.location.offset, output.spec.dtype, output.spec.shape, output.location.strides};
  }

  Ran ran_at(std::size_t i) const {
    const Instruction& instruction = run_.plan().instructions[i];
    const std::span<const kernels::Array> arrays = run_.inputs_of(instruction);
    Ran ran{instruction.node.node(), {}, run_.outputs_of(instruction)};
    // A pass over elements reads an input once, however often the op names it.
    const bool once = instruction.run == cpu_device().run_elements;
    std::vector<std::pair<const Node*, int>> seen;
    for (const Tensor& input : ran.node->inputs) {
      const std::pair<const Node*, int> key{input.node(), input.output_index()};
      const auto known = once ? std::find(seen.begin(), seen.end(), key) : seen.end();
      ran.inputs.push_back(arrays[static_cast<std::size_t>(known - seen.begin())]);
      if (known == seen.end()) seen.push_back(key);
    }
    return ran;
  }

  void walk_back(const Tensor& guard, const Content& content) {
    std::vector<std::size_t> pending;
    NodeSet seen;
    const auto follow = [&](const Tensor& x, const Content& found) {
      const Node* node = x.node();
      while (node->op->kind == OpKind::view || node->op == &ops::variable) node = node->inputs[0].node();
      const auto at = instruction_of_.find(node);
      if (at == instruction_of_.end()) {
        bad_input_ = bad_input_ || (node->op != &ops::constant && found.alarming());
      } else if (seen.insert(node)) {
        pending.push_back(at->second);
      }
    };
    const auto earliest = [](std::optional<std::size_t>& known, std::size_t i) {
      known = std::min(known.value_or(i), i);
    };
    follow(guard, content);
    while (!pending.empty()) {
      const std::size_t at = pending.back();
      pending.pop_back();
      const Ran ran = ran_at(at);
      Content result;
      for (const kernels::Array& output : ran.outputs) {
        const Content found = content_of(output);
        result.nan = result.nan || found.nan;
        result.plus = result.plus || found.plus;
      }
      std::vector<Content> inputs;
      for (const kernels::Array& input : ran.inputs) inputs.push_back(content_of(input));
      const bool all_finite =
          std::all_of(inputs.begin(), inputs.end(), [](const Content& c) { return c.finite(); });
      const bool nan_came_in =
          result.nan && std::any_of(inputs.begin(), inputs.end(), [](const Content& c) { return c.nan; });
      if (all_finite) {
        earliest(result.alarming() ? origin_ : masked_origin_, at);
        continue;
      }
      if (result.nan && !nan_came_in) earliest(turned_, at);
      // A NaN comes from a NaN where there is one; an infinity beside it may be a mask's.
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (nan_came_in ? inputs[i].nan : !inputs[i].finite()) follow(ran.node->inputs[i], inputs[i]);
      }
    }
  }

  LoweredGraph graph_;
  Execution run_;
  std::vector<Buffer> results_;
  std::unordered_map<const Node*, std::size_t> instruction_of_;
  std::optional<std::size_t> origin_;         // finite inputs, and a NaN or +∞ as its result
  std::optional<std::size_t> masked_origin_;  // the same, with no more than −∞
  std::optional<std::size_t> turned_;         // made a NaN of infinities
  bool bad_input_ = false;                    // the step was given a NaN or +∞
};

}  // namespace

void throw_first_non_finite(const LoweredGraph& graph, const Execution& execution, std::int64_t run) {
  ErrorParts parts{.function = "compile",
                   .argument = "step",
                   .problem = "the loss or a gradient is not finite at step " + std::to_string(run) +
                              ", counting this function's calls; nothing was committed"};
  const Replay replay(graph, execution);
  if (const auto origin = replay.origin()) {
    const auto& [node, text] = *origin;
    parts.got = text;
    parts.region = node->region != nullptr ? *node->region : "the step itself, outside of any layer";
    parts.hint = "lower the learning rate, clip gradients by norm, or check the inputs for extreme values";
  } else {
    parts.got = "a NaN or an infinity in the step's inputs or parameters";
    parts.hint = "check the data: isfinite(x)";
  }
  throw NumericError(std::move(parts));
}

}  // namespace chainrule
