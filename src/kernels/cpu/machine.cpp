#include <chainrule/machine.hpp>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/machine-inl.h"
#include <hwy/foreach_target.h>
// After foreach_target.
#include "kernels/cpu/machine-inl.h"

#if HWY_ONCE

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>

#include <chainrule/buffer.hpp>
#include <chainrule/error.hpp>

#include "kernels/cpu/caches.hpp"
#include "kernels/cpu/lanes.hpp"
#include "kernels/cpu/tiles.hpp"
#include "kernels/parallel.hpp"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>
#endif

namespace chainrule {
namespace kernels {

HWY_EXPORT(limit_loops);
LimitLoops limit_loops() { return HWY_DYNAMIC_DISPATCH(limit_loops)(); }

namespace {

using Clock = std::chrono::steady_clock;

// Keeps a result alive that nobody reads.
std::atomic<double> sink{0};

// Where the ten chains begin.
template <typename T>
constexpr T starts[10] = {T(1),      T(1.0625), T(1.125),  T(1.1875), T(1.25),
                          T(1.3125), T(1.375),  T(1.4375), T(1.5),    T(1.5625)};

#if defined(__x86_64__) && defined(__linux__)
/// Products of tiles, ten a step: 16 rows of 32 bfloat16 with 16 columns of as many, 8,192 multiply-adds
/// each. The tiles are set up.
__attribute__((target("amx-tile,amx-bf16"))) double tile_multiply_adds(const float*, std::int64_t steps) {
  alignas(64) float result[16 * 16] = {};
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, result, 64);
  _tile_loadd(5, result, 64);
  _tile_loadd(6, result, 64);
  _tile_loadd(7, result, 64);
  for (std::int64_t step = 0; step < steps; ++step) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
  }
  _tile_stored(0, result, 64);
  return static_cast<double>(result[0]);
}

double with_tiles(const float* from, std::int64_t steps) {
  const tiles::Setup setup;
  return tile_multiply_adds(from, steps);
}

#endif

/// Runs the body on every thread at once, again and again; the shortest round in seconds.
template <typename Body>
double shortest_round(int threads, double seconds, const Body& body) {
  double best = INFINITY;
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  do {
    const auto start = Clock::now();
    parallel_for(threads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t thread = begin; thread < end; ++thread) body(thread);
    });
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  } while (Clock::now() < deadline);
  return best;
}

/// Vector operations per second of all threads: rounds of about 100 microseconds.
template <typename T>
double rate_of(double (*chains)(const T*, std::int64_t), int threads, double seconds) {
  std::int64_t steps = 1000;
  while (shortest_round(1, 0, [&](std::int64_t) { sink = chains(starts<T>, steps); }) < 100e-6) steps *= 2;
  const double round =
      shortest_round(threads, seconds, [&](std::int64_t) { sink = chains(starts<T>, steps); });
  return 10.0 * static_cast<double>(steps) * threads / round;
}

/// Products of bfloat16 summed in float32 by the instruction that they use.
double bfloat16_flops([[maybe_unused]] int threads, [[maybe_unused]] double seconds) {
#if defined(__x86_64__) && defined(__linux__)
  if (tiles::available()) return 2 * 16 * 16 * 32 * rate_of(with_tiles, threads, seconds);
#endif
  return 0;
}

MachineLimits::Level measure_level(const LimitLoops& loops, std::string name, std::int64_t bytes,
                                   std::int64_t working_set, int threads, double seconds) {
  const auto count = working_set / static_cast<std::int64_t>(sizeof(float));
  const Buffer memory = Buffer::allocate(static_cast<std::size_t>(working_set * threads));
  auto* const x = static_cast<float*>(memory.data());
  // First touch.
  parallel_for(threads, 1, [&](std::int64_t begin, std::int64_t end) {
    std::fill(x + begin * count, x + end * count, 0.0F);
  });
  const std::int64_t repeats = std::max<std::int64_t>(1, 1'000'000 / working_set);
  const double moved = static_cast<double>(working_set) * static_cast<double>(repeats) * threads;
  const double reading = shortest_round(threads, seconds / 2, [&](std::int64_t thread) {
    for (std::int64_t r = 0; r < repeats; ++r) sink = loops.read(x + thread * count, count);
  });
  const double updating = shortest_round(threads, seconds / 2, [&](std::int64_t thread) {
    for (std::int64_t r = 0; r < repeats; ++r) loops.update(x + thread * count, count);
  });
  return {std::move(name), bytes, moved / reading, 2 * moved / updating};
}

/// Every level is measured with a working set of half its size: what it holds without a doubt. The last cache
/// is shared among the threads.
std::vector<MachineLimits::Level> measure_levels(const LimitLoops& loops, int threads, double seconds) {
  const auto [l1, l2, l3] = cache_sizes();
  const double each = seconds / 4;
  std::vector<MachineLimits::Level> levels;
  levels.push_back(measure_level(loops, "L1", l1, l1 / 2, threads, each));
  levels.push_back(measure_level(loops, "L2", l2, l2 / 2, threads, each));
  if (l3 / threads > l2) {
    levels.push_back(measure_level(loops, "L3", l3 / threads, (l2 + l3 / threads) / 2, threads, each));
  }
  const std::int64_t beyond = std::max<std::int64_t>(4 * std::max(l2, l3), 64 << 20);
  levels.push_back(measure_level(loops, "memory", 0, beyond / threads, threads, each));
  return levels;
}

}  // namespace

double multiply_add_flops(DType dtype, int threads, double seconds) {
  const LimitLoops loops = limit_loops();
  const double lanes = loops.float_lanes;
  switch (dtype) {
    case DType::float32:
      return 2 * lanes * rate_of(loops.multiply_adds_float, threads, seconds);
    case DType::float64:
      return 2 * std::max(1.0, lanes / 2) * rate_of(loops.multiply_adds_double, threads, seconds);
    case DType::bfloat16:
      return bfloat16_flops(threads, seconds);
    default:
      return 0;
  }
}

}  // namespace kernels

const MachineLimits::Level& MachineLimits::level_of(double bytes) const {
  if (levels.empty()) {
    throw StateError({.function = "MachineLimits::level_of",
                      .argument = "this",
                      .problem = "these limits have no levels of memory",
                      .wanted = "what measure_machine returned"});
  }
  for (const Level& level : levels) {
    if (bytes / threads <= static_cast<double>(level.bytes)) return level;
  }
  return levels.back();
}

MachineLimits measure_machine(int threads, double seconds) {
  if (threads < 0 || !(seconds >= 0)) {
    throw ArgumentError({.function = "measure_machine",
                         .argument = threads < 0 ? "threads" : "seconds",
                         .problem = "a measurement needs a number of threads and a time",
                         .got = std::to_string(threads) + " threads, " + std::to_string(seconds) + " s",
                         .wanted = "0 or more of each"});
  }
  const ThreadScope scope(threads);
  MachineLimits limits;
  limits.threads = thread_count();
  limits.instruction_set = kernels::active_target();
  using namespace kernels;
  const LimitLoops loops = limit_loops();
  const double each = seconds / 10;
  const auto rate = [&](auto* chains) { return rate_of(chains, limits.threads, each); };
  const double lanes = loops.float_lanes;
  limits.float32_flops = multiply_add_flops(DType::float32, limits.threads, each);
  limits.float64_flops = multiply_add_flops(DType::float64, limits.threads, each);
  limits.bfloat16_flops = multiply_add_flops(DType::bfloat16, limits.threads, each);
  limits.float32_divisions = lanes * rate(loops.divisions);
  limits.float32_roots = lanes * rate(loops.roots);
  limits.levels = measure_levels(loops, limits.threads, seconds / 2);
  return limits;
}

}  // namespace chainrule
#endif
