#include "graph/profiler.hpp"

#include <algorithm>

namespace chainrule {
namespace {

thread_local InstructionProfiler* active_profiler = nullptr;

}  // namespace

InstructionProfiler::InstructionProfiler() : outer_(active_profiler) { active_profiler = this; }
InstructionProfiler::~InstructionProfiler() { active_profiler = outer_; }
InstructionProfiler* InstructionProfiler::active() { return active_profiler; }

void InstructionProfiler::begin(const std::shared_ptr<const Plan>& plan) {
  if (depth_++ > 0) return;
  const auto found =
      std::ranges::find_if(records_, [&](const PlanRecord& record) { return record.plan == plan; });
  if (found != records_.end()) {
    current_ = &*found;
  } else {
    current_ = &records_.emplace_back(PlanRecord{.plan = plan});
    current_->instructions.resize(plan->instructions.size());
  }
  marks_.clear();
  marks_.reserve(plan->instructions.size() + 1);
}

// A run that ended at its commit has fewer marks than the plan has instructions.
void InstructionProfiler::end() {
  mark();
  if (--depth_ > 0) return;
  for (std::size_t i = 0; i + 1 < marks_.size(); ++i) current_->instructions[i] += marks_[i + 1] - marks_[i];
  current_->total += marks_.back() - marks_.front();
  current_->last_starts = marks_;
  ++current_->runs;
}

}  // namespace chainrule
