// Matrix products: GFLOP/s, and per cent of the fused multiply-add peak measured on the spot.
//
// Letters as in the network that the shapes come from: Y = X·Wᵀ (W is [out, in]), dX = dY·W,
// dW = dYᵀ·X. Each row runs on 1 and on 2 threads, in every precision.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>

#include <chainrule/buffer.hpp>
#include <chainrule/machine.hpp>

#include "kernels/cpu/products.hpp"
#include "kernels/parallel.hpp"

namespace {

using namespace chainrule;
using namespace chainrule::kernels;
using Clock = std::chrono::steady_clock;

double peak_flops() {
  static const double peak = measure_machine(1, 0.5).float32_flops;
  return peak;
}

struct Row {
  const char* name;
  std::int64_t m, n, k;
  bool transpose_a, transpose_b;
};

constexpr Row rows[] = {
    {"forward 784-256", 64, 256, 784, false, true},    {"dW 784-256", 256, 784, 64, true, false},
    {"forward 784-256", 128, 256, 784, false, true},   {"dW 784-256", 256, 784, 128, true, false},
    {"forward 256-128", 64, 128, 256, false, true},    {"dX 256-128", 64, 256, 128, false, false},
    {"dW 256-128", 128, 256, 64, true, false},         {"forward 256-128", 128, 128, 256, false, true},
    {"dX 256-128", 128, 256, 128, false, false},       {"dW 256-128", 128, 256, 128, true, false},
    {"forward 128-10", 128, 10, 128, false, true},     {"dX 128-10", 128, 128, 10, false, false},
    {"dW 128-10", 10, 128, 128, true, false},          {"forward 16-16", 32, 16, 16, false, true},
    {"one example 784-256", 1, 256, 784, false, true}, {"square", 256, 256, 256, false, false},
    {"square", 512, 512, 512, false, false},           {"square", 1024, 1024, 1024, false, false},
    {"square", 2048, 2048, 2048, false, false},
};

Buffer filled(DType dtype, std::int64_t elements) {
  const std::size_t bytes = static_cast<std::size_t>(elements) * dtype_size(dtype);
  const Buffer buffer = Buffer::allocate(bytes);
  std::memset(buffer.data(), 0x3c, bytes);  // about 0.01 in each of the three floating dtypes
  return buffer;
}

void run(benchmark::State& state, const Row& row, DType dtype, int threads) {
  set_thread_count(threads);
  const auto shape = dense_product(dtype, 1, row.m, row.n, row.k, row.transpose_a, row.transpose_b);
  const Buffer a = filled(dtype, row.m * row.k);
  const Buffer b = filled(dtype, row.k * row.n);
  const Buffer c = filled(dtype, row.m * row.n);
  const auto product = Product::prepare(shape, threads);
  double best = 1e9;
  for (auto _ : state) {
    const auto start = Clock::now();
    product->run(a.data(), b.data(), c.data());
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  const double flops = 2.0 * static_cast<double>(row.m * row.n) * static_cast<double>(row.k);
  const double peak = peak_flops() * threads / (dtype == DType::float64 ? 2 : 1);
  state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  // Of the fastest run: on a shared machine the others measure the neighbours.
  if (peak > 0) state.counters["best_%peak"] = 100 * flops / best / peak;
  state.SetLabel(std::string(product->implementation()));
}

void add(const Row& row, DType dtype, int threads) {
  const std::string name = std::string(row.name) + " " + std::to_string(row.m) + "x" + std::to_string(row.n) +
                           "x" + std::to_string(row.k) + " " + std::string(dtype_name(dtype)) +
                           "/threads:" + std::to_string(threads);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    run(state, row, dtype, threads);
  })->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
  for (const Row& row : rows) {
    for (int threads : {1, 2}) {
      for (DType dtype : {DType::float32, DType::float64, DType::bfloat16}) {
        add(row, dtype, threads);
      }
    }
  }
  benchmark::AddCustomContext("fma_peak_float32_gflops_per_core", std::to_string(peak_flops() * 1e-9));
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
