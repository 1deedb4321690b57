#include "graph/short_clock.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

namespace chainrule {
namespace {

using Steady = std::chrono::steady_clock;

#if defined(__x86_64__)
std::uint64_t count() { return __rdtsc(); }
bool counts_evenly() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1U << 8U)) != 0;  // the invariant TSC
}
#else
std::uint64_t count() { return 0; }
bool counts_evenly() { return false; }
#endif

struct Rate {
  std::uint64_t first = 0;
  double nanoseconds = 0;  // of one count; 0 where the counter is of no use
};

Rate measured_rate() {
  if (!counts_evenly()) return {};
  const auto start = Steady::now();
  const std::uint64_t first = count();
  auto end = start;
  while (end - start < std::chrono::milliseconds(2)) end = Steady::now();
  const auto counted = static_cast<double>(count() - first);
  return {first, std::chrono::duration<double, std::nano>(end - start).count() / counted};
}

}  // namespace

ShortClock::time_point ShortClock::now() {
  static const Rate rate = measured_rate();
  if (rate.nanoseconds == 0) return time_point(Steady::now().time_since_epoch());
  const auto counted = static_cast<double>(count() - rate.first);
  return time_point(duration(static_cast<std::int64_t>(counted * rate.nanoseconds)));
}

}  // namespace chainrule
