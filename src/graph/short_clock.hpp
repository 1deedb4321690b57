#pragma once

#include <chrono>
#include <cstdint>

namespace chainrule {

/// A clock for short times. Where the processor counts at a constant rate it reads that counter, in half the
/// time of std::chrono::steady_clock, which it is otherwise.
struct ShortClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<ShortClock>;
  static constexpr bool is_steady = true;

  /// The first call takes two milliseconds, to compare both clocks.
  static time_point now();
};

}  // namespace chainrule
