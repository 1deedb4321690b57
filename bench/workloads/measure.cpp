// The protocol of one workload: check, warm-up, timed bursts, memory.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>

#include "kernels/cpu/machine.hpp"
#include "workloads/workload.hpp"

namespace bench {
namespace {

namespace cr = chainrule;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double seconds_of(const std::function<void()>& call) {
  const auto start = Clock::now();
  call();
  return seconds_since(start);
}

// A line of /proc/self/status, in bytes: "VmRSS" memory now, "VmHWM" the most so far.
double memory_of_process(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ':')) return std::strtod(line.c_str() + name.size() + 1, nullptr) * 1024;
  }
  return 0;
}

// These constants are peers/protocol.py's too.
constexpr double shortest_repetition = 1e-3;  // or the clock would be measured
constexpr double longest = 2;
constexpr std::size_t most_repetitions = 2000;
constexpr int warm_up_calls = 3;
constexpr double longest_warm_up = 0.5;

// Whether the repetitions so far are enough: so many of them and the time asked for, or two seconds.
bool enough(std::size_t repetitions, std::size_t least, double passed, double seconds) {
  if (seconds <= 0) return repetitions >= 1;
  return repetitions >= most_repetitions || (passed >= seconds && repetitions >= least) ||
         passed >= std::max(seconds, longest);
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

Measurement::Measurement(const Json& workload, const State& state, int threads)
    : workload_(workload), threads_(threads) {
  cr::set_thread_count(threads);
  memory_before_ = memory_of_process("VmRSS");
  program_ = make_program(workload, state);
}

Json Measurement::start() {
  Json result{{"workload", workload_.at("name")}, {"side", "ours"}, {"threads", threads_}};
  if (!program_.check_after) result["check"] = checked(workload_, program_);
  if (program_.call) {
    program_.call();  // a first one may compile
    const auto begin = Clock::now();
    for (int i = 0; i < warm_up_calls && seconds_since(begin) <= longest_warm_up; ++i)
      one_ = std::min(one_, seconds_of(program_.call));
    result["one"] = one_;
  }
  return result;
}

std::vector<double> Measurement::burst(double seconds, std::size_t least) {
  std::vector<double> times;
  const auto calls =
      seconds > 0 ? std::max<std::int64_t>(1, static_cast<std::int64_t>(shortest_repetition / one_)) : 1;
  // Others have had the caches since the last burst. A call that takes longer than a burst finds them cold
  // for the least part of its time.
  for (const auto begin = Clock::now(); one_ < seconds && seconds_since(begin) < seconds / 4;) {
    one_ = std::min(one_, seconds_of(program_.call));
  }
  const auto begin = Clock::now();
  do {
    if (program_.timed) {
      times.push_back(program_.timed());
      continue;
    }
    const auto start = Clock::now();
    for (std::int64_t i = 0; i < calls; ++i) program_.call();
    times.push_back(seconds_since(start) / static_cast<double>(calls));
  } while (!enough(times.size(), least, seconds_since(begin), seconds));
  return times;
}

Json Measurement::finish() {
  Json result{{"memory", memory_of_process("VmHWM") - memory_before_}};
  if (program_.check_after) result["check"] = checked(workload_, program_);
  if (program_.work) result["work"] = to_json(program_.work());
  if (program_.extras) result["extras"] = program_.extras();
  return result;
}

Json run_program(const Json& workload, const State& state, double seconds, int threads) {
  constexpr std::size_t least_repetitions = 20;
  Measurement measurement(workload, state, threads);
  Json result = measurement.start();
  const bool once = workload.at("kind") == "compile_time";
  result["seconds"] = measurement.burst(once ? 0 : seconds, least_repetitions);
  result.update(measurement.finish());
  return result;
}

Json take_turns(const Json& workload, const State& state, int threads) {
  const cr::DType dtype = cr::dtype_from_name(workload.value("dtype", "float32"));
  Measurement measurement(workload, state, threads);
  std::cout << measurement.start().dump() << std::endl;
  for (std::string word; std::cin >> word && word == "time";) {
    double seconds = 0;
    std::cin >> seconds;
    Json result{{"seconds", measurement.burst(seconds, 1)}};
    // What the processor does at this moment: it is shared, and its rate changes by a factor of two and more.
    result["peak"] = cr::kernels::multiply_add_flops(dtype, threads, seconds / 8);
    std::cout << result.dump() << std::endl;
  }
  return measurement.finish();
}

void in_child(const Json& workload, const std::function<Json()>& last_line) {
  const auto failed = [&](const std::string& what) {
    return Json{{"workload", workload.at("name")}, {"side", "ours"}, {"error", what}};
  };
  std::cout.flush();
  const pid_t child = fork();
  if (child == 0) {
    Json result;
    try {
      result = last_line();
    } catch (const std::exception& error) {
      result = failed(error.what());
    }
    std::cout << result.dump() << std::endl;
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) {
    std::cout << failed("the process ended with status " + std::to_string(status)).dump() << std::endl;
  }
}

}  // namespace bench
