// A small pool of threads, made for regions of a few microseconds that follow each other closely.
//
// One region at a time lives in the pool. Its chunks are claimed one by one from an atomic ticket, by
// the caller as well as by the workers, so the caller never waits for a worker that has not started:
// it takes over the chunks and waits only for those being worked on. A process whose workers do not
// exist (after a fork) or do not get a core therefore still makes progress at the caller's own speed.
//
// The caller claims from the front and the workers from the back, so that a thread finds in its own caches
// what it wrote in the region before: what lies in another core's comes several times slower.

#include "kernels/parallel.hpp"
#include "kernels/pool.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <chainrule/error.hpp>

#include "kernels/signals.hpp"
#include "kernels/subnormals.hpp"

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace chainrule {
namespace {

using Body = FunctionRef<void(std::int64_t, std::int64_t)>;

/// More than this is a mistake in the caller rather than a machine.
constexpr int max_threads = 256;
/// Enough chunks per thread for one thread to make up for another that lost its core, few enough that
/// claiming them costs nothing.
constexpr std::int64_t chunks_per_thread = 2;
/// How long a worker looks for the next region, and the caller for the last chunk, before it sleeps in
/// the kernel. Regions of one training step follow each other within a few microseconds; waking a
/// sleeper costs tens of them.
constexpr std::chrono::microseconds spin_time{40};

thread_local int wanted_threads = 0;  // 0: all cores that the process may run on
thread_local bool inside_region = false;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#endif
}

/// Spins until `ready` or until spin_time has passed; returns what `ready` said last.
template <typename Ready>
bool spin_until(Ready ready) {
  constexpr int looks_per_clock_read = 32;
  const auto deadline = std::chrono::steady_clock::now() + spin_time;
  do {
    for (int look = 0; look < looks_per_clock_read; ++look) {
      if (ready()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return ready();
}

/// Marks the thread as running a chunk, so that regions inside of it run inline.
struct InsideRegion {
  InsideRegion() { inside_region = true; }
  ~InsideRegion() { inside_region = false; }
};

class Pool {
 public:
  /// Never destroyed: its threads are detached and sleep until the process ends.
  static Pool& instance() {
    static Pool* const pool = new Pool;
    return *pool;
  }

  /// Runs the region on `threads` threads, or returns false at once when another thread's region is
  /// in the pool.
  bool try_run(std::int64_t n, std::int64_t chunk, std::int64_t chunks, int threads, const Body& body) {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock) return false;
    grow(threads - 1);
    publish(n, chunk, chunks, threads - 1, body);
    const std::int64_t own = work(End::front, generation_, n, chunk, &body);
    wait_for_workers(chunks - own);
    if (failed_.load(std::memory_order_relaxed)) std::rethrow_exception(std::exchange(exception_, nullptr));
    return true;
  }

  /// Regions so far.
  std::uint64_t regions() {
    const std::lock_guard lock(mutex_);
    return generation_;
  }

 private:
  /// Where a thread claims chunks from.
  enum class End { front, back };

  // A ticket holds, from the upper bits down: the region's generation, the chunk behind the last unclaimed
  // one, and the first unclaimed one. A claim is a compare-and-swap on all three, so that it succeeds only
  // while the region that the claimer read the fields of is still running.
  static constexpr int count_bits = 12;
  static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;
  static_assert(max_threads * chunks_per_thread < static_cast<std::int64_t>(count_mask));
  static std::uint64_t generation_of(std::uint64_t ticket) { return ticket >> (2 * count_bits); }
  static std::uint64_t last_of(std::uint64_t ticket) { return (ticket >> count_bits) & count_mask; }
  static std::uint64_t first_of(std::uint64_t ticket) { return ticket & count_mask; }

  void grow(int workers) {
    while (workers_ < workers) {
      const kernels::SignalsBlocked quiet;
      try {
        std::thread([this, index = workers_] { serve(index); }).detach();
        ++workers_;
      } catch (const std::system_error&) {
        return;  // no more threads to be had: the others and the caller do the work
      }
    }
  }

  void publish(std::int64_t n, std::int64_t chunk, std::int64_t chunks, int workers, const Body& body) {
    // Relaxed atomics: a late worker may read them while they change, but cannot claim a chunk then.
    n_.store(n, std::memory_order_relaxed);
    chunk_.store(chunk, std::memory_order_relaxed);
    region_workers_.store(workers, std::memory_order_relaxed);
    body_.store(&body, std::memory_order_relaxed);
    subnormal_bits_.store(kernels::subnormal_bits(), std::memory_order_relaxed);
    finished_.store(0, std::memory_order_relaxed);
    failed_.store(false, std::memory_order_relaxed);
    ++generation_;
    ticket_.store(((generation_ << count_bits) | static_cast<std::uint64_t>(chunks)) << count_bits,
                  std::memory_order_release);
    epoch_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) epoch_.notify_all();
  }

  /// Claims and runs chunks of the region `generation` until there are none; returns how many.
  std::int64_t work(End end, std::uint64_t generation, std::int64_t n, std::int64_t chunk, const Body* body) {
    const InsideRegion mark;
    std::int64_t done = 0;
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while (generation_of(ticket) == generation && first_of(ticket) < last_of(ticket)) {
      const std::uint64_t index = end == End::front ? first_of(ticket) : last_of(ticket) - 1;
      const std::uint64_t rest = end == End::front ? ticket + 1 : ticket - (std::uint64_t{1} << count_bits);
      if (!ticket_.compare_exchange_weak(ticket, rest, std::memory_order_acq_rel)) continue;
      if (!failed_.load(std::memory_order_relaxed))
        run_chunk(static_cast<std::int64_t>(index), n, chunk, *body);
      ++done;
      ticket = ticket_.load(std::memory_order_acquire);
    }
    return done;
  }

  void run_chunk(std::int64_t index, std::int64_t n, std::int64_t chunk, const Body& body) {
    try {
      const std::int64_t begin = index * chunk;
      body(begin, n - begin < chunk ? n : begin + chunk);
    } catch (...) {
      if (!failed_.exchange(true, std::memory_order_acq_rel)) exception_ = std::current_exception();
    }
  }

  /// The caller's wait for chunks that workers have claimed.
  void wait_for_workers(std::int64_t claimed) {
    const auto all = static_cast<int>(claimed);
    if (spin_until([&] { return finished_.load(std::memory_order_acquire) == all; })) return;
    for (int seen = finished_.load(std::memory_order_acquire); seen != all;
         seen = finished_.load(std::memory_order_acquire)) {
      finished_.wait(seen, std::memory_order_acquire);
    }
  }

  [[noreturn]] void serve(int index) {
    for (int seen = 0;;) {
      seen = next_epoch(seen);
      take_part(index);
    }
  }

  /// Waits, first spinning and then asleep, for an epoch other than `seen`.
  int next_epoch(int seen) {
    const auto changed = [&] { return epoch_.load(std::memory_order_acquire) != seen; };
    if (!spin_until(changed)) {
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      epoch_.wait(seen, std::memory_order_seq_cst);
      sleepers_.fetch_sub(1, std::memory_order_relaxed);
    }
    return epoch_.load(std::memory_order_acquire);
  }

  void take_part(int index) {
    const std::uint64_t generation = generation_of(ticket_.load(std::memory_order_acquire));
    if (index >= region_workers_.load(std::memory_order_relaxed)) return;
    // These fields may already be those of a later region; no claim succeeds then (see ticket).
    kernels::set_subnormal_bits(subnormal_bits_.load(std::memory_order_relaxed));
    const std::int64_t done =
        work(End::back, generation, n_.load(std::memory_order_relaxed),
             chunk_.load(std::memory_order_relaxed), body_.load(std::memory_order_relaxed));
    if (done == 0) return;
    finished_.fetch_add(static_cast<int>(done), std::memory_order_acq_rel);
    finished_.notify_one();
  }

  std::mutex mutex_;  // held by the thread whose region is in the pool
  int workers_ = 0;   // threads started; under mutex_
  std::uint64_t generation_ = 0;
  std::exception_ptr exception_;

  std::atomic<std::int64_t> n_{0};
  std::atomic<std::int64_t> chunk_{0};
  std::atomic<const Body*> body_{nullptr};
  std::atomic<int> region_workers_{0};
  std::atomic<unsigned> subnormal_bits_{0};  // the caller's
  std::atomic<bool> failed_{false};

  // Written by many threads: each on its own cache line.
  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  alignas(64) std::atomic<int> finished_{0};
  alignas(64) std::atomic<int> epoch_{0};
  alignas(64) std::atomic<int> sleepers_{0};
};

}  // namespace

void parallel_for(std::int64_t n, std::int64_t grain, Body body) {
  if (n <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  const int threads = n / 2 < grain || inside_region ? 1 : thread_count();
  if (threads > 1) {
    const std::int64_t grains = (n - 1) / grain + 1;
    const std::int64_t wanted = std::min<std::int64_t>(grains, chunks_per_thread * threads);
    const std::int64_t chunk = ((grains - 1) / wanted + 1) * grain;
    const std::int64_t chunks = (n - 1) / chunk + 1;
    if (Pool::instance().try_run(n, chunk, chunks, threads, body)) return;
  }
  body(0, n);
}

std::uint64_t pool_region_count() { return Pool::instance().regions(); }

int usable_cores() {
  static const int cores = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    const int counted = sched_getaffinity(0, sizeof(set), &set) == 0
                            ? CPU_COUNT(&set)
                            : static_cast<int>(std::thread::hardware_concurrency());
    return std::clamp(counted, 1, max_threads);
  }();
  return cores;
}

int thread_count() { return wanted_threads > 0 ? wanted_threads : usable_cores(); }

void set_thread_count(int threads) {
  if (threads < 0 || threads > max_threads) {
    throw ArgumentError({.function = "set_thread_count",
                         .argument = "threads",
                         .problem = "the number of threads is out of range",
                         .got = std::to_string(threads),
                         .wanted = "0 (all cores) to " + std::to_string(max_threads)});
  }
  wanted_threads = threads;
}

}  // namespace chainrule
