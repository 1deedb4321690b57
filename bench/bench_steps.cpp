// Training steps of MLPs, compiled: seconds per step, and the share of the floor: the step's floating-point
// operations at the multiply-add peak, measured on the spot.

#include <benchmark/benchmark.h>

#include <chrono>
#include <string>

#include <chainrule/chainrule.hpp>

#include "kernels/parallel.hpp"
#include "machine.hpp"

namespace cr = chainrule;

namespace {

struct Case {
  const char* name;
  std::vector<std::int64_t> widths;
  std::int64_t batch;
  bool adam;
};

const std::vector<Case> cases = {
    {"2-16-16-1 batch 32, SGD", {2, 16, 16, 1}, 32, false},
    {"2-16-16-1 batch 32, Adam", {2, 16, 16, 1}, 32, true},
    {"784-256-128-10 batch 64, Adam", {784, 256, 128, 10}, 64, true},
    {"784-256-128-10 batch 128, Adam", {784, 256, 128, 10}, 128, true},
};

// Two operations per multiply-add: forward, and backward with respect to weights and (but for the first
// layer) inputs.
double step_flops(const Case& c) {
  double flops = 0;
  for (std::size_t i = 0; i + 1 < c.widths.size(); ++i) {
    flops += 2.0 * static_cast<double>(c.batch * c.widths[i] * c.widths[i + 1]) * (i == 0 ? 2 : 3);
  }
  return flops;
}

cr::nn::Sequential model_of(const Case& c) {
  cr::seed(0);
  cr::nn::Sequential model;
  for (std::size_t i = 0; i + 1 < c.widths.size(); ++i) {
    if (i > 0) model.add(cr::nn::ReLU());
    model.add(cr::nn::Linear(c.widths[i], c.widths[i + 1]));
  }
  return model;
}

void run(benchmark::State& state, const Case& c, int threads) {
  cr::set_thread_count(threads);
  cr::nn::Sequential model = model_of(c);
  cr::optim::Optimizer optimizer = c.adam ? cr::optim::Optimizer(cr::optim::Adam({.lr = 1e-3}))
                                          : cr::optim::Optimizer(cr::optim::SGD({.lr = 1e-2}));
  optimizer.init(model);
  const cr::Tensor x = cr::random::normal(cr::random::key(1), {c.batch, c.widths.front()}).eval();
  const cr::Tensor y = cr::random::normal(cr::random::key(2), {c.batch, c.widths.back()}).eval();
  const auto loss_of = [](const cr::nn::Sequential& m, const cr::Tensor& in, const cr::Tensor& target) {
    return cr::nn::mse_loss(m(in), target);
  };
  auto step = cr::compile(
      [&](const cr::Tensor& in, const cr::Tensor& target) {
        auto [loss, gradient] = cr::value_and_grad(loss_of)(model, in, target);
        optimizer.update(model, gradient);
        return loss;
      },
      model, optimizer);
  step(x, y).eval();
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) benchmark::DoNotOptimize(step(x, y));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double floor = step_flops(c) / (bench::peak_flops() * threads);
  state.counters["floor_us"] = floor * 1e6;
  state.counters["times_floor"] = seconds / static_cast<double>(state.iterations()) / floor;
  cr::set_thread_count(0);
}

}  // namespace

int main(int argc, char** argv) {
  for (const Case& c : cases) {
    for (const int threads : {1, 2}) {
      benchmark::RegisterBenchmark(
          (std::string(c.name) + ", " + std::to_string(threads) + " threads").c_str(),
          [&c, threads](benchmark::State& state) { run(state, c, threads); })
          ->Unit(benchmark::kMicrosecond)
          ->UseRealTime();
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("fma_peak_float32_gflops_per_core", std::to_string(bench::peak_flops() * 1e-9));
  benchmark::RunSpecifiedBenchmarks();
}
