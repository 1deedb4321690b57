#pragma once

#include <algorithm>
#include <cstdint>

#include <chainrule/function_ref.hpp>
#include <chainrule/threads.hpp>

namespace chainrule {

/// Calls body(begin, end) on disjoint ranges that cover [0, n), on the calling thread and the pool's.
///
/// `grain` is the least work (in items) worth handing to a thread, at least a few microseconds' worth (see
/// `items_worth_a_thread`): less than twice that runs inline. The ranges' borders are multiples of `grain`
/// and depend on n, grain and the number of threads; a kernel whose result would depend on the borders has to
/// cut by shape itself and loop over its pieces with grain 1. There are at most two ranges per thread, and
/// which thread runs which is not determined. When the pool is busy with another thread's region, or from
/// inside a region, everything runs inline, in one range; so a body may neither count the ranges nor
/// let one wait for another.
///
/// The pool's threads treat subnormal numbers as the calling thread does.
///
/// An exception in a body is rethrown on the calling thread once no body runs any more; ranges that
/// had not started are then left out. No memory is allocated, except when the pool grows. After a
/// fork the child has no workers and the caller does their share.
void parallel_for(std::int64_t n, std::int64_t grain, FunctionRef<void(std::int64_t, std::int64_t)> body);

/// The items whose work a second thread takes over with gain, at so many nanoseconds of one core for each. A
/// region costs the caller about 1 µs. More costs what lies in the other core's caches: it comes at about
/// 20 bytes per nanosecond, where a core's own second level gives 65.
inline std::int64_t items_worth_a_thread(double nanoseconds_per_item) {
  constexpr double share = 3000;  // nanoseconds
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(share / nanoseconds_per_item));
}

/// The machine's cores that this process may run on.
int usable_cores();

/// So many threads for a scope; 0 leaves the number as it is.
class ThreadScope {
 public:
  explicit ThreadScope(std::int64_t threads) : before_(thread_count()) {
    if (threads > 0) set_thread_count(static_cast<int>(threads));
  }
  ~ThreadScope() { set_thread_count(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

}  // namespace chainrule
