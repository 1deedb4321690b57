// chainrule bench: how fast the library is here, against what the machine can do.

#include <memory>

#include <chainrule/benchmark.hpp>

#include "cli/command.hpp"

namespace chainrule::cli {
namespace {

struct BenchArguments {
  std::vector<std::string> names;
  std::vector<std::int64_t> sizes = BenchmarkOptions().sizes;
  double seconds = BenchmarkOptions().seconds;
  bool steps = false;
};

Json to_json(const std::vector<BenchmarkRow>& rows) {
  Json list = Json::array();
  for (const BenchmarkRow& row : rows) {
    list.push_back({{"name", row.name},
                    {"what", row.what},
                    {"seconds", row.seconds},
                    {"flops", row.flops},
                    {"bytes", row.bytes},
                    {"floor_seconds", row.floor},
                    {"bound", row.bound}});
  }
  return list;
}

int run(const Session& session, const BenchArguments& options) {
  const BenchmarkOptions how{.names = options.names, .sizes = options.sizes, .seconds = options.seconds};
  const bool ops = !options.steps || !options.names.empty();
  if (ops)
    from_user(
        [&] { return benchmark_ops({}, {.names = how.names, .sizes = {}}); });  // names, before time is spent
  const MachineLimits limits = measure_machine();
  std::vector<BenchmarkRow> rows;
  if (options.names.empty()) rows = benchmark_steps(limits, 5 * options.seconds);
  if (ops) {
    const std::vector<BenchmarkRow> more = from_user([&] { return benchmark_ops(limits, how); });
    rows.insert(rows.end(), more.begin(), more.end());
  }
  if (session.json) {
    print_json({{"machine", machine_json(limits)}, {"rows", to_json(rows)}});
  } else {
    print(to_text(limits) + "\n" + to_text(rows));
  }
  return ok;
}

}  // namespace

Json machine_json(const MachineLimits& limits) {
  Json levels = Json::array();
  for (const MachineLimits::Level& level : limits.levels) {
    levels.push_back({{"name", level.name},
                      {"bytes", level.bytes},
                      {"read_bytes_per_second", level.read_rate},
                      {"update_bytes_per_second", level.update_rate}});
  }
  return {{"threads", limits.threads},
          {"instruction_set", limits.instruction_set},
          {"float32_flops_per_second", limits.float32_flops},
          {"float64_flops_per_second", limits.float64_flops},
          {"bfloat16_flops_per_second", limits.bfloat16_flops},
          {"float32_divisions_per_second", limits.float32_divisions},
          {"float32_roots_per_second", limits.float32_roots},
          {"levels", levels}};
}

void add_bench(CLI::App& app, Session& session) {
  CLI::App& command =
      add_command(app, session, "bench", "Times training steps and ops against the machine's limits",
                  "  chainrule bench --steps\n"
                  "  chainrule bench matmul softmax --sizes 65536,4194304\n"
                  "  chainrule bench --threads 1 --json");
  auto options = std::make_shared<BenchArguments>();
  command.add_option("NAME", options->names,
                     "The ops to time (default: training steps, and every op that can be)");
  command.add_option("--sizes", options->sizes, "Numbers of elements")->delimiter(',')->capture_default_str();
  command.add_option("--seconds", options->seconds, "Time for each row")
      ->check(above_zero())
      ->capture_default_str();
  command.add_flag("--steps", options->steps, "Training steps alone");
  command.callback(
      [&session, options] { session.run = [&session, options] { return run(session, *options); }; });
}

}  // namespace chainrule::cli
