// The protocol of one workload: check, warm-up, timed repetitions, memory.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>

#include "workloads/workload.hpp"

namespace bench {
namespace {

namespace cr = chainrule;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A line of /proc/self/status, in bytes: "VmRSS" memory now, "VmHWM" the most so far.
double memory_of_process(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ':')) return std::strtod(line.c_str() + name.size() + 1, nullptr) * 1024;
  }
  return 0;
}

struct Timing {
  std::vector<double> seconds;  // per call, one number for each repetition
  std::int64_t calls = 1;       // in each repetition
};

// These constants are peers/protocol.py's too.
constexpr double shortest_repetition = 1e-3;  // or the clock would be measured
constexpr double longest = 2;
constexpr std::size_t least_repetitions = 20;
constexpr std::size_t most_repetitions = 2000;

// Whether the repetitions so far are enough: 20 of them and the time asked for, or two seconds.
bool enough(std::size_t repetitions, double passed, double seconds) {
  if (seconds <= 0) return repetitions >= 1;
  return repetitions >= most_repetitions || (passed >= seconds && repetitions >= least_repetitions) ||
         passed >= std::max(seconds, longest);
}

Timing time_calls(const std::function<void()>& call, double seconds) {
  Timing timing;
  const auto first = Clock::now();
  call();
  // Warm-up: a tenth of the time, and three calls at least unless one takes very long.
  double one = seconds_since(first);
  const auto warming = Clock::now();
  for (int i = 0; seconds > 0 && (i < 3 || seconds_since(warming) < seconds / 10); ++i) {
    const auto start = Clock::now();
    call();
    one = std::min(one, seconds_since(start));
    if (seconds_since(warming) > seconds) break;
  }
  timing.calls =
      seconds > 0 ? std::max<std::int64_t>(1, static_cast<std::int64_t>(shortest_repetition / one)) : 1;
  const auto begin = Clock::now();
  do {
    const auto start = Clock::now();
    for (std::int64_t i = 0; i < timing.calls; ++i) call();
    timing.seconds.push_back(seconds_since(start) / static_cast<double>(timing.calls));
  } while (!enough(timing.seconds.size(), seconds_since(begin), seconds));
  return timing;
}

Timing time_by_itself(const Json& workload, const std::function<double()>& timed, double seconds) {
  Timing timing;
  const bool once = workload.at("kind") == "compile_time";
  const auto begin = Clock::now();
  do {
    timing.seconds.push_back(timed());
  } while (!once && !enough(timing.seconds.size(), seconds_since(begin), seconds));
  return timing;
}

// Random numbers agree in their magnitude alone.
std::vector<double> checked(const Json& workload, const Program& program) {
  std::vector<double> numbers = program.check();
  if (workload.value("check", "") == "magnitude") numbers = {numbers.at(1)};
  return numbers;
}

Json to_json(const Work& work) {
  return {{"product_flops", work.product_flops},
          {"other_flops", work.other_flops},
          {"divisions", work.divisions},
          {"roots", work.roots},
          {"bytes", work.bytes},
          {"dtype", work.dtype}};
}

using Maker = Program (*)(const Json& workload, const State& state);
const std::map<std::string, Maker>& kinds() {
  static const std::map<std::string, Maker> table = {
      {"train_step", train_step}, {"compile_time", compile_time},   {"epoch", epoch},
      {"inference", inference},   {"derivative", derivative},       {"op", op},
      {"update", update},         {"process_start", process_start},
  };
  return table;
}

}  // namespace

Program make_program(const Json& workload, const State& state) {
  return kinds().at(workload.at("kind").get<std::string>())(workload, state);
}

std::vector<double> summary_of(std::span<const cr::Tensor> outputs) {
  constexpr std::int64_t samples = 7;
  std::vector<double> numbers;
  for (const cr::Tensor& output : outputs) {
    const std::vector<double> values = output.astype(cr::DType::float64).to_vector<double>();
    const auto count = static_cast<std::int64_t>(values.size());
    double sum = 0;
    double magnitude = 0;
    for (const double value : values) {
      sum += value;
      magnitude += std::abs(value);
    }
    numbers.push_back(sum / static_cast<double>(count));
    numbers.push_back(magnitude / static_cast<double>(count));
    for (std::int64_t i = 0; i < samples; ++i)
      numbers.push_back(values[static_cast<std::size_t>(i * (count - 1) / (samples - 1))]);
  }
  return numbers;
}

Json run_program(const Json& workload, const State& state, double seconds, int threads) {
  cr::set_thread_count(threads);
  const double before = memory_of_process("VmRSS");
  const Program program = make_program(workload, state);
  Json result{{"workload", workload.at("name")}, {"side", "ours"}, {"threads", threads}};
  if (!program.check_after) result["check"] = checked(workload, program);
  const Timing timing =
      program.timed ? time_by_itself(workload, program.timed, seconds) : time_calls(program.call, seconds);
  result["seconds"] = timing.seconds;
  result["calls"] = timing.calls;
  result["memory"] = memory_of_process("VmHWM") - before;
  if (program.check_after) result["check"] = checked(workload, program);
  if (program.work) result["work"] = to_json(program.work());
  if (program.extras) result["extras"] = program.extras();
  return result;
}

void run_in_child(const Json& workload, const State& state, double seconds, int threads) {
  std::cout.flush();
  const pid_t child = fork();
  if (child == 0) {
    Json result;
    try {
      result = run_program(workload, state, seconds, threads);
    } catch (const std::exception& error) {
      result = {{"workload", workload.at("name")}, {"side", "ours"}, {"error", error.what()}};
    }
    std::cout << result.dump() << std::endl;
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) {
    const Json result{{"workload", workload.at("name")},
                      {"side", "ours"},
                      {"error", "the process ended with status " + std::to_string(status)}};
    std::cout << result.dump() << std::endl;
  }
}

}  // namespace bench
