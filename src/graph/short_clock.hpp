#pragma once

#include <chrono>
#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace chainrule {

/// A clock for times of less than a microsecond. Where the processor counts at a constant rate it reads that
/// counter, in a fraction of the time of std::chrono::steady_clock, which it is otherwise.
class ShortClock {
 public:
  static std::uint64_t count() {
#if defined(__x86_64__)
    if (counts_evenly()) return __rdtsc();
#endif
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  /// So many counts in seconds. The first call takes two milliseconds, to compare both clocks.
  static double seconds(std::uint64_t counts) { return static_cast<double>(counts) * seconds_per_count(); }

 private:
  static bool counts_evenly() {
    static const bool result = has_invariant_counter();
    return result;
  }
  static bool has_invariant_counter();
  static double seconds_per_count();
};

}  // namespace chainrule
