#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <chainrule/export.hpp>

namespace chainrule {

/// What the processor can do at most, measured on the spot: the floors that a kernel's time is held against.
/// Rates are those of all threads together.
struct MachineLimits {
  int threads = 1;
  std::string instruction_set;  ///< the one that the kernels run on here: "AVX3_ZEN4", "AVX2"

  // Floating-point operations per second with fused multiply-adds, each of which counts as two.
  double float32_flops = 0;
  double float64_flops = 0;
  double bfloat16_flops = 0;  ///< products of bfloat16 summed in float32; 0 where they have no instruction of their own
  // Operations per second.
  double float32_divisions = 0;
  double float32_roots = 0;

  /// One level of memory: its size for one thread, and the bytes that move per second when its half is worked
  /// on.
  struct Level {
    std::string name;        ///< "L1", "L2", "L3", "memory"
    std::int64_t bytes = 0;  ///< 0 for the memory
    double read_rate = 0;    ///< bytes per second, sum(x)
    double update_rate = 0;  ///< bytes read and written per second, x = x + 1
  };
  std::vector<Level> levels;

  /// The level that a working set of this many bytes, shared out among the threads, fits in.
  const Level& level_of(double bytes) const;
  /// Bytes read and written per second over such a working set.
  double bandwidth(double bytes) const { return level_of(bytes).update_rate; }
};

/// Measures for about `seconds` on `threads` threads (0: as many as thread_count() says). On a machine that
/// others use too, the best of several short rounds is what counts. Throws ArgumentError for negative
/// arguments.
CHAINRULE_API MachineLimits measure_machine(int threads = 0, double seconds = 1.0);

}  // namespace chainrule
