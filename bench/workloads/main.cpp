// bench_workloads: Chainrule's side of the comparison with other libraries.
//
//   bench_workloads --describe DIR [--only PATTERN]       writes what all sides read: workloads.json and
//   arrays bench_workloads --run PATTERN --state DIR [--threads N] [--seconds S]
//                                                         one JSON line for each workload
//   bench_workloads --serve --state DIR [--threads N]     takes its turns: reads a workload's name, answers,
//   reads
//                                                         "time SECONDS" again and again until "end"; see
//                                                         peers/sides.py
//   bench_workloads --machine [--threads N]               what the processor can do, as JSON
//   bench_workloads --smoke DIR                           every workload once, at tiny size, in this process

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "kernels/cpu/lanes.hpp"
#include "workloads/workload.hpp"

namespace cr = chainrule;
using bench::Json;

namespace {

struct Arguments {
  std::string command, value, state, pattern, target;
  int threads = 1;
  double seconds = 1;
};

constexpr const char* usage =
    "usage: bench_workloads --describe DIR | --run PATTERN --state DIR | --serve --state DIR | --machine |\n"
    "       --smoke DIR\n"
    "       [--only PATTERN] [--threads N] [--seconds S] [--target NAME]\n";

bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const bool is_alone = option == "--machine" || option == "--first-gradient" || option == "--serve";
    if (!is_alone && i + 1 == argc) return false;
    const std::string value = is_alone ? "" : argv[++i];
    if (is_alone || option == "--describe" || option == "--run" || option == "--smoke") {
      arguments.command = option;
      arguments.value = value;
    } else if (option == "--state") {
      arguments.state = value;
    } else if (option == "--only") {
      arguments.pattern = value;
    } else if (option == "--target") {
      arguments.target = value;
    } else if (option == "--threads") {
      arguments.threads = std::atoi(value.c_str());
    } else if (option == "--seconds") {
      arguments.seconds = std::atof(value.c_str());
    } else {
      return false;
    }
  }
  const bool needs_state = arguments.command == "--run" || arguments.command == "--serve";
  return !arguments.command.empty() && (!needs_state || !arguments.state.empty());
}

bench::Workloads describe(const std::string& folder, const std::string& pattern, bool tiny) {
  bench::Workloads workloads = bench::load_workloads(BENCH_WORKLOADS, tiny);
  std::filesystem::create_directories(folder);
  bench::State state{.folder = folder, .pool = bench::make_pool(workloads.seed)};
  bench::save_pool(state.pool, folder + "/pool.npz");
  for (const Json& workload : workloads.list) {
    if (bench::is_asked_for(workload, pattern)) bench::describe_workload(workload, workloads.seed, state);
  }
  cr::io::write_json(folder + "/workloads.json", workloads.list);
  return workloads;
}

bench::State state_of(const Arguments& arguments) {
  return {.folder = arguments.state, .pool = bench::load_pool(arguments.state + "/pool.npz")};
}

// The workloads that `describe` wrote, each in a process of its own. Nothing here may start a thread: a child
// has only the one that forked it.
void run(const Arguments& arguments) {
  const bench::State state = state_of(arguments);
  for (const Json& workload : cr::io::read_json(arguments.state + "/workloads.json")) {
    if (!bench::is_asked_for(workload, arguments.value)) continue;
    bench::in_child(
        workload, [&] { return bench::run_program(workload, state, arguments.seconds, arguments.threads); });
  }
}

// The same, one after the other as they are asked for on the input, whose lines the child reads while it
// lives.
void serve(const Arguments& arguments) {
  std::setvbuf(stdin, nullptr, _IONBF, 0);  // what this process has read ahead its child would not see
  const bench::State state = state_of(arguments);
  const Json workloads = cr::io::read_json(arguments.state + "/workloads.json");
  for (std::string name; std::getline(std::cin >> std::ws, name);) {
    const auto is_named = [&](const Json& workload) { return workload.at("name") == name; };
    const auto found = std::find_if(workloads.begin(), workloads.end(), is_named);
    if (found == workloads.end()) throw std::runtime_error("--serve: no workload is called '" + name + "'");
    bench::in_child(*found, [&] { return bench::take_turns(*found, state, arguments.threads); });
  }
}

int smoke(const std::string& folder) {
  const bench::Workloads workloads = describe(folder, "", true);
  const bench::State state{.folder = folder, .pool = bench::load_pool(folder + "/pool.npz")};
  int failures = 0;
  for (const Json& workload : workloads.list) {
    try {
      const Json result = bench::run_program(workload, state, 0, 1);
      if (result.at("check").empty() || result.at("seconds").empty())
        throw std::runtime_error("nothing measured");
      for (const Json& number : result.at("check")) {
        if (!number.is_number()) throw std::runtime_error("a result that is not finite");
      }
    } catch (const std::exception& error) {
      ++failures;
      std::cerr << workload.at("name") << ": " << error.what() << '\n';
    }
  }
  std::cout << workloads.list.size() << " workloads, " << failures << " failed\n";
  return failures == 0 ? 0 : 1;
}

void print_machine(int threads) {
  const cr::MachineLimits limits = cr::measure_machine(threads, 2.0);
  Json levels = Json::array();
  for (const auto& level : limits.levels) {
    levels.push_back({{"name", level.name},
                      {"bytes", level.bytes},
                      {"read_rate", level.read_rate},
                      {"update_rate", level.update_rate}});
  }
  const Json result{{"threads", limits.threads},
                    {"instruction_set", limits.instruction_set},
                    {"float32_flops", limits.float32_flops},
                    {"float64_flops", limits.float64_flops},
                    {"bfloat16_flops", limits.bfloat16_flops},
                    {"float32_divisions", limits.float32_divisions},
                    {"float32_roots", limits.float32_roots},
                    {"levels", levels},
                    {"version", cr::version()}};
  std::cout << result.dump() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::cerr << usage;
    return 2;
  }
  try {
    if (!arguments.target.empty()) cr::kernels::force_target(arguments.target);
    if (arguments.command == "--first-gradient") bench::print_first_gradient();
    if (arguments.command == "--describe") describe(arguments.value, arguments.pattern, false);
    if (arguments.command == "--run") run(arguments);
    if (arguments.command == "--serve") serve(arguments);
    if (arguments.command == "--machine") print_machine(arguments.threads);
    if (arguments.command == "--smoke") return smoke(arguments.value);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
