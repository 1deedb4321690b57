#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "graph/plan.hpp"
#include "graph/short_clock.hpp"

namespace chainrule {

/// Times every instruction of every plan that runs on the thread that made it, for as long as it lives and is
/// not paused. The plan of a loop's body counts as part of the loop.
class InstructionProfiler {
 public:
  /// What one plan did, in counts of ShortClock. Times are of all runs together.
  struct PlanRecord {
    std::shared_ptr<const Plan> plan;
    std::int64_t runs = 0;
    std::vector<std::uint64_t> instructions;  ///< per instruction
    std::uint64_t total = 0;                  ///< from the first instruction to the end of the last
  };
  /// One run: when each instruction began, and when the last one ended.
  struct Run {
    std::size_t record = 0;  ///< index into `records`
    std::vector<std::uint64_t> starts;
  };

  InstructionProfiler();
  ~InstructionProfiler();
  InstructionProfiler(const InstructionProfiler&) = delete;
  InstructionProfiler& operator=(const InstructionProfiler&) = delete;

  /// The profiler of the calling thread; null where there is none.
  static InstructionProfiler* active();
  /// While paused it sees nothing, and runs cost what they cost without it.
  void pause();
  void resume();

  /// Called by a run: at its beginning, before each instruction and at its end.
  void begin(const std::shared_ptr<const Plan>& plan);
  void mark() {
    if (depth_ == 1) marks_.push_back(ShortClock::count());
  }
  void end();

  const std::vector<PlanRecord>& records() const { return records_; }
  /// Whether single runs are kept from now on, in their order.
  void keep_runs(bool keep) { keeps_runs_ = keep; }
  const std::vector<Run>& runs() const { return runs_; }

 private:
  InstructionProfiler* outer_;
  std::vector<PlanRecord> records_;
  std::vector<Run> runs_;
  bool keeps_runs_ = false;
  int depth_ = 0;  // of plans that run within plans
  std::size_t current_ = 0;
  std::vector<std::uint64_t> marks_;
};

}  // namespace chainrule
