#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "graph/plan.hpp"

namespace chainrule {

/// Times every instruction of every plan that runs on the thread that made it, for as long as it lives. The
/// plan of a loop's body counts as part of the loop.
class InstructionProfiler {
 public:
  using Clock = std::chrono::steady_clock;

  /// What one plan did. Times are of all runs together, except where it says otherwise.
  struct PlanRecord {
    std::shared_ptr<const Plan> plan;
    std::int64_t runs = 0;
    std::vector<Clock::duration> instructions;   ///< per instruction
    std::vector<Clock::time_point> last_starts;  ///< of the last run, per instruction, and its end
    Clock::duration total{};                     ///< from the first instruction to the end of the last
  };

  InstructionProfiler();
  ~InstructionProfiler();
  InstructionProfiler(const InstructionProfiler&) = delete;
  InstructionProfiler& operator=(const InstructionProfiler&) = delete;

  /// The profiler of the calling thread; null where there is none.
  static InstructionProfiler* active();

  /// Called by a run: at its beginning, before each instruction and at its end.
  void begin(const std::shared_ptr<const Plan>& plan);
  void mark() {
    if (depth_ == 1) marks_.push_back(Clock::now());
  }
  void end();

  const std::vector<PlanRecord>& records() const { return records_; }
  /// Forgets what was recorded: after a warm-up.
  void clear() { records_.clear(); }

 private:
  InstructionProfiler* outer_;
  std::vector<PlanRecord> records_;
  int depth_ = 0;  // of plans that run within plans
  PlanRecord* current_ = nullptr;
  std::vector<Clock::time_point> marks_;
};

}  // namespace chainrule
