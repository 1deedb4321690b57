#include "machine.hpp"

#include <benchmark/benchmark.h>
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Twelve chains of multiply-adds, enough to fill two pipes four steps deep.
__attribute__((target("avx512f"))) float multiply_add_512(int steps) {
  __m512 sum[12];
  for (auto& s : sum) s = _mm512_set1_ps(1.0F);
  const __m512 factor = _mm512_set1_ps(0.5F);
  for (int step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sum[i] = _mm512_fmadd_ps(sum[i], factor, factor);
  }
  float total = 0;
  for (const auto& s : sum) total += _mm512_cvtss_f32(s);
  return total;
}

__attribute__((target("avx2,fma"))) float multiply_add_256(int steps) {
  __m256 sum[12];
  for (auto& s : sum) s = _mm256_set1_ps(1.0F);
  const __m256 factor = _mm256_set1_ps(0.5F);
  for (int step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sum[i] = _mm256_fmadd_ps(sum[i], factor, factor);
  }
  float total = 0;
  for (const auto& s : sum) total += _mm256_cvtss_f32(s);
  return total;
}

__attribute__((target("avx2"))) void increment(float* x, std::size_t count) {
  const __m256 one = _mm256_set1_ps(1.0F);
  for (std::size_t i = 0; i + 8 <= count; i += 8)
    _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), one));
}

}  // namespace

double peak_flops() {
  static const double peak = [] {
    const bool wide = __builtin_cpu_supports("avx512f");
    if (!wide && !__builtin_cpu_supports("fma")) return 0.0;
    constexpr int steps = 20000;
    double best = 0;
    for (int round = 0; round < 100; ++round) {
      const auto start = Clock::now();
      benchmark::DoNotOptimize(wide ? multiply_add_512(steps) : multiply_add_256(steps));
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      best = std::max(best, 2.0 * 12 * (wide ? 16 : 8) * steps / seconds);
    }
    return best;
  }();
  return peak;
}

double bandwidth(double bytes) {
  if (!__builtin_cpu_supports("avx2")) return 0;
  std::vector<float> memory(static_cast<std::size_t>(bytes / sizeof(float)), 0.0F);
  const int repeats = static_cast<int>(std::max(1.0, 4e7 / bytes));
  double best = 0;
  for (int round = 0; round < 10; ++round) {
    const auto start = Clock::now();
    for (int i = 0; i < repeats; ++i) {
      increment(memory.data(), memory.size());
      benchmark::ClobberMemory();
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, 2 * bytes * repeats / seconds);
  }
  return best;
}

}  // namespace bench
