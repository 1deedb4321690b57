// The CPU as the graph sees it: elementwise groups as tile programs, and the few kernels that the evaluator
// calls by itself. The kernels of all other ops are in table.cpp.

#include <algorithm>

#include <chainrule/error.hpp>

#include "graph/context_state.hpp"
#include "graph/device.hpp"
#include "kernels/cpu/copy.hpp"
#include "kernels/cpu/elementwise.hpp"
#include "kernels/cpu/finite.hpp"
#include "kernels/cpu/random.hpp"
#include "kernels/cpu/table.hpp"

namespace chainrule {
namespace {

// bfloat16 is computed in float32: values are widened when they are read and rounded when they are stored.
DType computed(DType dtype) { return dtype == DType::bfloat16 ? DType::float32 : dtype; }

bool is_cast(const Node& node) { return node.op == &ops::astype; }

kernels::LaneKernel lane_of(const Node& node) {
  const DType operand = node.inputs[node.inputs.size() - 1].dtype();
  return kernels::find_lane_kernel(node.op->name, computed(operand));
}

const char* refuse_element(const Node& node) {
  if (is_cast(node)) return nullptr;
  return lane_of(node) != nullptr ? nullptr : "no lane kernel for this dtype";
}

class ProgramBuilder {
 public:
  explicit ProgramBuilder(const ElementGroup& group) : group_(group) {}

  // Null when the program would need more than the kernel has.
  std::shared_ptr<void> build() {
    auto program = std::make_shared<kernels::ElementProgram>();
    program_ = program.get();
    for (const kernels::Array& input : group_.inputs) {
      program_->registers.push_back(input.dtype);
      program_->inputs.push_back(kernels::access_of(input, group_.shape));
      program_->periods.push_back(kernels::period_of(input, group_.shape));
      registers_.push_back(unread);
    }
    for (const ElementStep& step : group_.steps) add_step(step);
    for (const int output : group_.outputs) add_output(output);
    return kernels::assign_tiles(*program_) ? program : nullptr;
  }

 private:
  std::int32_t emit(kernels::LaneKernel kernel, std::span<const std::int32_t> inputs, DType dtype) {
    kernels::ElementProgram::Step step;
    step.kernel = kernel;
    step.inputs.assign(inputs.begin(), inputs.end());
    step.output = static_cast<std::int32_t>(program_->registers.size());
    program_->registers.push_back(dtype);
    program_->steps.push_back(step);
    return step.output;
  }
  std::int32_t converted(std::int32_t reg, DType dtype) {
    const DType from = program_->registers[static_cast<std::size_t>(reg)];
    if (from == dtype) return reg;
    return emit(kernels::find_cast_kernel(from, dtype), std::span(&reg, 1), dtype);
  }
  // The program's register of one of the group's. Inputs are widened where they are first read: before that
  // they need no tile.
  std::int32_t read(int group_register) {
    std::int32_t& reg = registers_[static_cast<std::size_t>(group_register)];
    if (reg == unread) {
      const DType dtype = group_.inputs[static_cast<std::size_t>(group_register)].dtype;
      reg = converted(static_cast<std::int32_t>(group_register), computed(dtype));
    }
    return reg;
  }
  void add_step(const ElementStep& step) {
    const Node& node = *step.node;
    const auto known = static_cast<std::int32_t>(program_->registers.size());
    std::vector<std::int32_t> inputs;
    for (const int input : step.inputs) inputs.push_back(read(input));
    const DType result = node.outputs[0].dtype;
    if (is_cast(node)) {
      // To bfloat16 means to round, although the value is carried on as float32.
      registers_.push_back(converted(converted(inputs[0], result), computed(result)));
    } else {
      registers_.push_back(emit(lane_of(node), inputs, computed(result)));
    }
    made_here_.push_back(registers_.back() >= known);
  }
  // What a step has just computed is computed where it is stored. What was there before (by a cast that
  // changes nothing) is copied at the end: its place may be an input's, which steps in between still read.
  void add_output(int output) {
    const std::size_t at = static_cast<std::size_t>(output) - group_.inputs.size();
    const std::int32_t reg = registers_[static_cast<std::size_t>(output)];
    const std::int32_t stored = converted(reg, group_.steps[at].node->outputs[0].dtype);
    const std::vector<std::int32_t>& known = program_->outputs;
    const bool twice = std::find(known.begin(), known.end(), stored) != known.end();
    program_->stored_late.push_back(twice || (stored == reg && !made_here_[at]));
    program_->outputs.push_back(stored);
  }

  static constexpr std::int32_t unread = -1;
  const ElementGroup& group_;
  kernels::ElementProgram* program_ = nullptr;
  std::vector<std::int32_t> registers_;  // the program's register of each of the group's
  std::vector<bool> made_here_;          // per step: whether its register is new
};

std::shared_ptr<void> prepare_elements(const ElementGroup& group) { return ProgramBuilder(group).build(); }

void run_elements(const KernelCall& call) {
  kernels::run_elementwise(*static_cast<const kernels::ElementProgram*>(call.prepared), call.inputs,
                           call.outputs);
}

void copy(const KernelCall& call) { kernels::strided_copy(call.inputs[0], call.outputs[0]); }

}  // namespace

const Device& cpu_device() {
  static const Device device = {.name = "cpu",
                                .kernels = cpu_kernels,
                                .refuse_element = refuse_element,
                                .most_element_inputs = kernels::most_element_inputs,
                                .most_element_steps = kernels::most_element_steps,
                                .prepare_elements = prepare_elements,
                                .run_elements = run_elements,
                                .copy = copy,
                                .all_finite = kernels::all_finite};
  return device;
}

std::int64_t fold_in_key(std::int64_t key, std::int64_t data) { return kernels::fold_in(key, data); }

}  // namespace chainrule
