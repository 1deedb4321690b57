#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <chainrule/profile.hpp>

#include "graph/plan.hpp"
#include "graph/profiler.hpp"
#include "insight/cost.hpp"

/// What profile() is put together from.
namespace chainrule::insight {

/// What the smallest piece of work takes here, beside the work itself.
struct Overheads {
  double kernel = 0;  ///< seconds from one instruction of a plan to the next, looking at the clock included
  double call = 0;    ///< seconds that a call of a compiled function takes outside of its plan
  double input = 0;   ///< and that each tensor more takes that it gets
  double of_calls(double calls, double inputs) const { return calls * call + inputs * input; }
};
Overheads measure_overheads();

/// Part of an instruction that one layer has asked for: a fused pass may serve several.
struct Stake {
  std::string region;
  ProfilePass pass = ProfilePass::step;
  double weight = 1;  ///< of the instruction's time and bytes; they sum to 1
  double flops = 0;   ///< of its own ops
  int step = 0;       ///< its last op's place in a fused pass
};

/// An instruction of a plan with what one call of it costs.
struct TimedInstruction : Cost {
  const Plan* plan = nullptr;
  const Instruction* instruction = nullptr;
  double calls = 0;    ///< in one step
  double seconds = 0;  ///< in one step, of all calls

  std::string name;
  std::string what;
  std::vector<Stake> stakes;  ///< the largest first
  double floor = 0;           ///< seconds, of one call
  std::string bound;

  const std::string& region() const { return stakes.front().region; }
  ProfilePass pass() const { return stakes.front().pass; }
};

/// A step, measured.
struct Measurement {
  std::vector<std::shared_ptr<const Plan>> plans;  ///< kept alive for the pointers below
  std::vector<TimedInstruction> instructions;
  double plan_runs = 0;  ///< in one step
  double inputs = 0;     ///< of these plans
  double new_plans = 0;  ///< in one step
  double step_seconds = 0;
  double profiled_seconds = 0;
  double outside = 0;  ///< seconds of the profiled step that no plan runs in
  std::int64_t steps = 0;
};

/// Names, counts and stakes of an instruction.
TimedInstruction describe(const Plan& plan, const Instruction& instruction);
/// The seconds that the machine needs for one call at least, and what of it needs them.
void set_floor(TimedInstruction& work, const MachineLimits& limits, const Overheads& overheads);

/// One place outside of any layer, for people.
inline constexpr const char* no_region = "(outside of layers)";

std::vector<ProfileRow> kernel_rows(const Measurement& measurement, const Overheads& overheads);
std::vector<ProfileRow> layer_rows(const Measurement& measurement, const Overheads& overheads);
std::vector<ProfileChange> changes_of(const Measurement& measurement, const MachineLimits& limits,
                                      const Overheads& overheads, std::int64_t batch_size);

/// A step in which single runs were kept. Times are counts of ShortClock.
struct WatchedStep {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::size_t first_run = 0;  ///< index into the profiler's runs
  std::size_t end_run = 0;
};
std::vector<ProfileEvent> events_of(const InstructionProfiler& profiler, std::span<const WatchedStep> steps);

/// profile() with a title and a batch size, where they are known.
Profile profile_step(FunctionRef<void()> step, const ProfileOptions& options, std::int64_t batch_size);

}  // namespace chainrule::insight
