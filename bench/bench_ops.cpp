// Every elementwise op of the registry and the common reductions, float32, in cache and from memory: elements
// and bytes per second, against the bandwidth of a := a + 1 measured on the spot.

#include <benchmark/benchmark.h>

#include <string>

#include <chainrule/chainrule.hpp>

#include "graph/op.hpp"
#include "kernels/parallel.hpp"
#include "machine.hpp"

namespace cr = chainrule;

namespace {

// The op on `count` elements, through a compiled function: what a user's program runs.
void run(benchmark::State& state, const cr::OpDef& op, std::int64_t count) {
  cr::set_thread_count(1);
  std::vector<cr::Tensor> inputs;
  double bytes = 4.0 * static_cast<double>(count);
  for (std::size_t i = 0; i < op.arguments.size(); ++i) {
    const cr::Range range = i < op.ranges.size() ? op.ranges[i] : cr::Range{};
    inputs.push_back(cr::random::uniform(cr::random::key(i), {count}, range.low, range.high).eval());
    bytes += 4.0 * static_cast<double>(count);
  }
  auto f = cr::compile([&op](const std::vector<cr::Tensor>& x) {
    return cr::make_node(op, x,
                         op.attributes.empty() ? cr::Attributes{} : cr::Attributes{cr::Dims{0}, false});
  });
  f(inputs).eval();
  for (auto _ : state) benchmark::DoNotOptimize(f(inputs));
  state.SetItemsProcessed(state.iterations() * count);
  state.SetBytesProcessed(static_cast<std::int64_t>(static_cast<double>(state.iterations()) * bytes));
  cr::set_thread_count(0);
}

}  // namespace

int main(int argc, char** argv) {
  for (const cr::OpDef* op : cr::op_table()) {
    const bool takes_bools =
        op->element_rule == cr::ElementRule::logical || op->element_rule == cr::ElementRule::select;
    const bool lanes =
        op->kind == cr::OpKind::elementwise && !op->ranges.empty() && op->attributes.empty() && !takes_bools;
    const bool reduction = op->name == "sum" || op->name == "max" || op->name == "prod";
    if (!lanes && !reduction) continue;
    for (const std::int64_t count : {std::int64_t{16384}, std::int64_t{1} << 24}) {
      benchmark::RegisterBenchmark((std::string(op->name) + "/" + std::to_string(count)).c_str(),
                                   [op, count](benchmark::State& state) { run(state, *op, count); })
          ->UseRealTime();
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("bandwidth_in_cache_GB/s", std::to_string(bench::bandwidth(65536) * 1e-9));
  benchmark::AddCustomContext("bandwidth_memory_GB/s", std::to_string(bench::bandwidth(1 << 28) * 1e-9));
  benchmark::RunSpecifiedBenchmarks();
}
