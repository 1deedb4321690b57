#include "graph/context_state.hpp"
#include "graph/plan.hpp"
#include "graph/profiler.hpp"
#include "kernels/subnormals.hpp"

namespace chainrule {

Execution::Execution(std::shared_ptr<const Plan> plan, std::shared_ptr<RunMemory> memory)
    : plan_(std::move(plan)), constants_(plan_->constants), memory_(std::move(memory)) {
  arrays_.reserve(plan_->arrays.size());
  for (const Plan::ArraySpec& array : plan_->arrays) {
    arrays_.push_back({nullptr, array.spec.dtype, array.spec.shape, array.location.strides});
  }
  for (const Instruction& instruction : plan_->instructions) {
    prepared_.push_back(instruction.prepare ? instruction.prepare() : nullptr);
  }
  known_finite_.assign(plan_->instructions.size(), false);
  bases_.assign(plan_->arrays_of_slot.size(), nullptr);
  if (!constants_.empty()) bind(1, constants_.data());
  if (memory_ != nullptr) attach();
}

// Another plan may have made the shared memory grow since the last run.
void Execution::attach() {
  if (plan_->arena_bytes > 0) bind(0, memory_->arena(plan_->arena_bytes));
  if (plan_->workspace_bytes > 0) workspace_ = memory_->workspace(plan_->workspace_bytes);
}

void Execution::bind(int slot, void* data) {
  const auto at = static_cast<std::size_t>(slot);
  if (bases_[at] == data) return;
  bases_[at] = data;
  for (const int array : plan_->arrays_of_slot[at]) {
    const auto index = static_cast<std::size_t>(array);
    arrays_[index].data = static_cast<std::byte*>(data) + plan_->arrays[index].location.offset;
  }
}

std::span<const kernels::Array> Execution::inputs_of(const Instruction& instruction) const {
  return {arrays_.data() + instruction.first_array, static_cast<std::size_t>(instruction.input_count)};
}

std::span<const kernels::Array> Execution::outputs_of(const Instruction& instruction) const {
  return {arrays_.data() + instruction.first_array + instruction.input_count,
          static_cast<std::size_t>(instruction.output_count)};
}

void Execution::run_instruction(std::size_t i) {
  const Instruction& instruction = plan_->instructions[i];
  const KernelCall call{inputs_of(instruction), outputs_of(instruction), instruction.node.node(),
                        prepared_[i].get(), workspace_};
  instruction.run(call);
  if (instruction.finite_by_inputs != nullptr) known_finite_[i] = instruction.finite_by_inputs(call);
}

bool Execution::may_commit(const Instruction& commit) const {
  const std::span<const kernels::Array> arrays = inputs_of(commit);
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const int writer = commit.writers[i];
    const bool is_known = writer >= 0 && known_finite_[static_cast<std::size_t>(writer)];
    if (!is_known && !cpu_device().all_finite(arrays[i])) return false;
  }
  return true;
}

bool Execution::run() {
  attach();
  const kernels::SubnormalsScope subnormals(context_state().flush_subnormals);
  InstructionProfiler* profiler = InstructionProfiler::active();
  if (profiler == nullptr) return run_all([] {});
  profiler->begin(plan_);
  struct AtEnd {  // of a run that throws, too
    InstructionProfiler* profiler;
    ~AtEnd() { profiler->end(); }
  };
  const AtEnd at_end{profiler};
  return run_all([profiler] { profiler->mark(); });
}

template <typename Before>
bool Execution::run_all(const Before& before) {
  for (std::size_t i = 0; i < plan_->instructions.size(); ++i) {
    before();
    if (!plan_->instructions[i].is_commit) {
      run_instruction(i);
    } else if (!may_commit(plan_->instructions[i])) {
      return false;
    }
  }
  return true;
}

}  // namespace chainrule
