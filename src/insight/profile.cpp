// The measurement of a step: with the profiler and without it in turns, in short rounds, of which the faster
// half counts. On a machine that others use too, the slower half measures them.

#include <chainrule/profile.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include <chainrule/compile.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/threads.hpp>

#include "insight/profile_parts.hpp"

namespace chainrule {
namespace insight {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int most_warm_up_calls = 10;
constexpr double shortest_round = 1e-3;
constexpr std::int64_t least_rounds = 4;
constexpr std::int64_t watched_steps = 3;

double time_of(FunctionRef<void()> step, std::int64_t times) {
  const std::uint64_t start = ShortClock::count();
  for (std::int64_t i = 0; i < times; ++i) step();
  return ShortClock::seconds(ShortClock::count() - start);
}

/// What a profiler had seen up to some moment.
struct Snapshot {
  std::vector<std::vector<double>> seconds;  // by plan and instruction
  std::vector<std::int64_t> runs;            // by plan

  explicit Snapshot(const InstructionProfiler& profiler) {
    for (const auto& record : profiler.records()) {
      std::vector<double>& own = seconds.emplace_back();
      for (const std::uint64_t counts : record.instructions) own.push_back(ShortClock::seconds(counts));
      runs.push_back(record.runs);
    }
  }
};

struct ProfiledRound {
  double total = 0;  // seconds
  std::vector<std::vector<double>> seconds;
  std::vector<std::int64_t> runs;
};

ProfiledRound profiled_round(FunctionRef<void()> step, std::int64_t times, InstructionProfiler& profiler) {
  const Snapshot before(profiler);
  ProfiledRound round;
  round.total = time_of(step, times);
  Snapshot after(profiler);
  for (std::size_t p = 0; p < before.runs.size(); ++p) {
    after.runs[p] -= before.runs[p];
    for (std::size_t i = 0; i < before.seconds[p].size(); ++i) after.seconds[p][i] -= before.seconds[p][i];
  }
  round.seconds = std::move(after.seconds);
  round.runs = std::move(after.runs);
  return round;
}

void check_options(const ProfileOptions& options) {
  if (!(options.seconds >= 0) || std::isinf(options.seconds) || options.steps < 0) {
    throw ArgumentError({.function = "profile",
                         .argument = options.steps < 0 ? "steps" : "seconds",
                         .problem = "a measurement needs a time or a number of steps",
                         .got = fmt::format("{} s, {} steps", options.seconds, options.steps),
                         .wanted = "0 or more of each"});
  }
  if (options.limits && options.limits->levels.empty()) {
    throw ArgumentError({.function = "profile",
                         .argument = "limits",
                         .problem = "these limits have no levels of memory",
                         .wanted = "what measure_machine returned"});
  }
}

/// Calls the step until it makes no new plan; the time of the last call.
double warm_up(FunctionRef<void()> step, InstructionProfiler& profiler) {
  double seconds = 0;
  std::size_t plans = 0;
  for (int call = 0; call < most_warm_up_calls; ++call) {
    seconds = time_of(step, 1);
    if (call > 0 && profiler.records().size() == plans) break;
    plans = profiler.records().size();
  }
  if (plans > 0) return seconds;
  throw StateError(
      {.function = "profile",
       .argument = "step",
       .problem = "the step computed nothing on this thread",
       .wanted = "a function that runs a compiled step, or reads what it computes",
       .hint = "an expression is computed when it is read: call eval() on it inside of the step"});
}

template <typename Round, typename Total>
std::vector<Round> faster_half(std::vector<Round> rounds, const Total& total) {
  std::sort(rounds.begin(), rounds.end(),
            [&](const Round& a, const Round& b) { return total(a) < total(b); });
  rounds.resize((rounds.size() + 1) / 2);
  return rounds;
}

/// All rounds together, as times of one step.
Measurement mean_of(const std::vector<ProfiledRound>& rounds, std::int64_t times,
                    const InstructionProfiler& profiler) {
  Measurement m;
  const double steps = static_cast<double>(rounds.size()) * static_cast<double>(times);
  for (const auto& record : profiler.records()) m.plans.push_back(record.plan);
  double inside = 0;
  for (const ProfiledRound& round : rounds) m.profiled_seconds += round.total / steps;
  for (std::size_t p = 0; p < m.plans.size(); ++p) {
    const Plan& plan = *m.plans[p];
    double runs = 0;
    std::vector<double> seconds(plan.instructions.size(), 0.0);
    for (const ProfiledRound& round : rounds) {
      if (p >= round.runs.size()) continue;
      runs += static_cast<double>(round.runs[p]) / steps;
      for (std::size_t i = 0; i < seconds.size(); ++i) seconds[i] += round.seconds[p][i] / steps;
    }
    if (runs == 0) continue;
    m.plan_runs += runs;
    m.inputs += runs * plan.input_count;
    for (std::size_t i = 0; i < seconds.size(); ++i) {
      TimedInstruction work = describe(plan, plan.instructions[i]);
      work.calls = runs;
      work.seconds = seconds[i];
      inside += seconds[i];
      m.instructions.push_back(std::move(work));
    }
  }
  m.outside = std::max(0.0, m.profiled_seconds - inside);
  return m;
}

Measurement measure(FunctionRef<void()> step, const ProfileOptions& options, InstructionProfiler& profiler) {
  const double one = warm_up(step, profiler);
  std::int64_t times =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(shortest_round / std::max(one, 1e-9)));
  std::int64_t wanted = 0;  // rounds
  if (options.steps > 0) {
    times = std::min(times, std::max<std::int64_t>(1, options.steps / least_rounds));
    while (options.steps % times != 0) --times;
    wanted = options.steps / times;
  }
  std::vector<ProfiledRound> profiled;
  std::vector<double> plain;
  const std::size_t plans = profiler.records().size();
  const auto deadline = Steady::now() + std::chrono::duration<double>(options.seconds);
  const auto goes_on = [&] {
    const auto rounds = static_cast<std::int64_t>(profiled.size());
    return wanted > 0 ? rounds < wanted : rounds < least_rounds || Steady::now() < deadline;
  };
  while (goes_on()) {
    profiler.pause();
    plain.push_back(time_of(step, times));
    profiler.resume();
    profiled.push_back(profiled_round(step, times, profiler));
  }
  const auto count = static_cast<double>(profiled.size()) * static_cast<double>(times);
  const auto half = faster_half(std::move(profiled), [](const ProfiledRound& r) { return r.total; });
  const auto plain_half = faster_half(std::move(plain), [](double seconds) { return seconds; });
  Measurement m = mean_of(half, times, profiler);
  m.steps = static_cast<std::int64_t>(count);
  m.new_plans = static_cast<double>(profiler.records().size() - plans) / count;
  m.step_seconds = std::accumulate(plain_half.begin(), plain_half.end(), 0.0) /
                   (static_cast<double>(plain_half.size()) * static_cast<double>(times));
  return m;
}

std::vector<ProfileEvent> watch(FunctionRef<void()> step, InstructionProfiler& profiler) {
  profiler.keep_runs(true);
  std::vector<WatchedStep> steps;
  for (std::int64_t i = 0; i < watched_steps; ++i) {
    WatchedStep watched{.begin = ShortClock::count(), .first_run = profiler.runs().size()};
    step();
    watched.end = ShortClock::count();
    watched.end_run = profiler.runs().size();
    steps.push_back(watched);
  }
  return events_of(profiler, steps);
}

}  // namespace

// Sums and exponentials of a few numbers in turn, which no pass can hold together; and sums that get many
// inputs.
Overheads measure_overheads() {
  constexpr int links = 8;
  constexpr int rounds = 30;
  constexpr int times = 50;
  constexpr std::size_t many = 33;
  auto chain = compile([](Tensor x) {
    for (int i = 0; i < links; ++i) x = exp(x - sum(x));
    return x;
  });
  auto first = compile([](const std::vector<Tensor>& x) { return x.front() + 1.0; });
  const Tensor x = zeros({4}).eval();
  const std::vector<Tensor> inputs(many, x);
  InstructionProfiler profiler;
  const auto call = [&](FunctionRef<void()> f, std::size_t record) {
    const std::uint64_t before = profiler.records()[record].total;
    const double all = time_of(f, times) / times;
    const double inside = ShortClock::seconds(profiler.records()[record].total - before) / times;
    return std::pair(all - inside, inside);
  };
  chain(x);
  first(inputs);
  const auto kernels = static_cast<double>(profiler.records().front().instructions.size());
  Overheads result{.kernel = INFINITY, .call = INFINITY};
  double many_inputs = INFINITY;
  for (int round = 0; round < rounds; ++round) {
    const auto [outside, inside] = call([&] { chain(x); }, 0);
    result.kernel = std::min(result.kernel, inside / kernels);
    result.call = std::min(result.call, std::max(outside, 0.0));
    many_inputs = std::min(many_inputs, call([&] { first(inputs); }, 1).first);
  }
  result.input = std::max(0.0, many_inputs - result.call) / static_cast<double>(many - 1);
  return result;
}

namespace {

/// Measured beside other programs a level may seem slower than the one behind it, which no level is.
MachineLimits in_order(MachineLimits limits) {
  for (std::size_t i = limits.levels.size(); i-- > 1;) {
    MachineLimits::Level& level = limits.levels[i - 1];
    level.read_rate = std::max(level.read_rate, limits.levels[i].read_rate);
    level.update_rate = std::max(level.update_rate, limits.levels[i].update_rate);
  }
  return limits;
}

/// What the step itself shows to be possible counts: a machine that was busy while it was measured can do
/// more.
void learn_from(const Measurement& m, MachineLimits& limits, Overheads& overheads) {
  for (const TimedInstruction& work : m.instructions) {
    if (!(work.seconds > 0) || !work.instruction->node.defined()) continue;
    const double seconds = work.seconds / work.calls;
    overheads.kernel = std::min(overheads.kernel, seconds);
    if (work.dtype == DType::float32)
      limits.float32_flops = std::max(limits.float32_flops, work.flops / seconds);
    if (work.dtype == DType::float64)
      limits.float64_flops = std::max(limits.float64_flops, work.flops / seconds);
    const MachineLimits::Level& level = limits.level_of(work.bytes());
    const double faster = moving_seconds(work, level) / seconds;
    if (faster <= 1) continue;
    MachineLimits::Level& own = limits.levels[static_cast<std::size_t>(&level - limits.levels.data())];
    own.read_rate *= faster;
    own.update_rate *= faster;
  }
}

}  // namespace

Profile profile_step(FunctionRef<void()> step, const ProfileOptions& options, std::int64_t batch_size) {
  check_options(options);
  InstructionProfiler profiler;
  Measurement m = measure(step, options, profiler);
  Profile result;
  result.events = watch(step, profiler);
  profiler.pause();
  const double limit_seconds = std::clamp(options.seconds, 0.2, 1.0);
  result.limits = options.limits ? *options.limits : measure_machine(0, limit_seconds);
  Overheads overheads = measure_overheads();
  if (options.limits) {
    MachineLimits given = *options.limits;  // stay as they are
    learn_from(m, given, overheads);
  } else {
    learn_from(m, result.limits, overheads);
    result.limits = in_order(result.limits);
  }
  for (TimedInstruction& work : m.instructions) set_floor(work, result.limits, overheads);
  result.steps = m.steps;
  result.step_seconds = m.step_seconds;
  result.profiled_seconds = m.profiled_seconds;
  result.kernels = kernel_rows(m, overheads);
  result.layers = layer_rows(m, overheads);
  result.changes = changes_of(m, result.limits, overheads, batch_size);
  result.batch_size = batch_size;
  return result;
}

}  // namespace insight

Profile profile(FunctionRef<void()> step, const ProfileOptions& options) {
  return insight::profile_step(step, options, 0);
}

std::string to_string(ProfilePass pass) {
  switch (pass) {
    case ProfilePass::forward:
      return "forward";
    case ProfilePass::backward:
      return "backward";
    case ProfilePass::update:
      return "update";
    case ProfilePass::step:
      return "step";
    case ProfilePass::outside:
      return "outside";
  }
  return "step";
}

}  // namespace chainrule
