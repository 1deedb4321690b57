#include "graph/short_clock.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace chainrule {

bool ShortClock::has_invariant_counter() {
#if defined(__x86_64__)
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1U << 8U)) != 0;
#else
  return false;
#endif
}

double ShortClock::seconds_per_count() {
  static const double rate = [] {
    using Steady = std::chrono::steady_clock;
    const auto start = Steady::now();
    const std::uint64_t first = count();
    auto end = start;
    while (end - start < std::chrono::milliseconds(2)) end = Steady::now();
    return std::chrono::duration<double>(end - start).count() / static_cast<double>(count() - first);
  }();
  return rate;
}

}  // namespace chainrule
