#include "graph/profiler.hpp"

#include <algorithm>

namespace chainrule {
namespace {

thread_local InstructionProfiler* active_profiler = nullptr;

}  // namespace

InstructionProfiler::InstructionProfiler() : outer_(active_profiler) { active_profiler = this; }
InstructionProfiler::~InstructionProfiler() { active_profiler = outer_; }
InstructionProfiler* InstructionProfiler::active() { return active_profiler; }
void InstructionProfiler::pause() { active_profiler = outer_; }
void InstructionProfiler::resume() { active_profiler = this; }

void InstructionProfiler::begin(const std::shared_ptr<const Plan>& plan) {
  if (depth_++ > 0) return;
  const auto found =
      std::ranges::find_if(records_, [&](const PlanRecord& record) { return record.plan == plan; });
  current_ = static_cast<std::size_t>(found - records_.begin());
  if (found == records_.end())
    records_.push_back({.plan = plan, .instructions = std::vector<std::uint64_t>(plan->instructions.size())});
  marks_.clear();
  marks_.reserve(plan->instructions.size() + 1);
}

// A run that ended at its commit has fewer marks than the plan has instructions.
void InstructionProfiler::end() {
  mark();
  if (--depth_ > 0) return;
  PlanRecord& record = records_[current_];
  for (std::size_t i = 0; i + 1 < marks_.size(); ++i) record.instructions[i] += marks_[i + 1] - marks_[i];
  record.total += marks_.back() - marks_.front();
  ++record.runs;
  if (keeps_runs_) runs_.push_back({current_, marks_});
}

}  // namespace chainrule
