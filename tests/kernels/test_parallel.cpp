#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <limits>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <chainrule/error.hpp>

#include "kernels/parallel.hpp"
#include "kernels/pool.hpp"
#include "support/count_allocations.hpp"

namespace chainrule {
namespace {

/// A thread count for the time of a scope.
struct Threads {
  explicit Threads(int threads) { set_thread_count(threads); }
  ~Threads() { set_thread_count(0); }
};

void expect_covered_once(std::int64_t n, std::int64_t grain) {
  std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n));
  parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) visits[static_cast<std::size_t>(i)].fetch_add(1);
  });
  for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(visits[static_cast<std::size_t>(i)], 1) << i << " of " << n;
}

TEST(Parallel, CoversEveryItemOnce) {
  for (int threads : {1, 2, 3, 8}) {
    const Threads scope(threads);
    for (std::int64_t n : {0, 1, 2, 3, 5, 7, 16, 17, 100, 1001}) {
      for (std::int64_t grain : {0, 1, 3, 10, 1000}) expect_covered_once(n, grain);
    }
  }
}

TEST(Parallel, HugeRangesDoNotOverflow) {
  const Threads scope(2);
  const std::int64_t n = std::numeric_limits<std::int64_t>::max();
  std::atomic<std::uint64_t> total{0};
  for (std::int64_t grain : {std::int64_t{1}, std::int64_t{1000}, n - 1, n}) {
    total = 0;
    parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
      total.fetch_add(static_cast<std::uint64_t>(end) - static_cast<std::uint64_t>(begin));
    });
    EXPECT_EQ(total, static_cast<std::uint64_t>(n)) << grain;
  }
}

TEST(Parallel, LessThanTwoThreadsWorthRunsInline) {
  const Threads scope(2);
  const auto runs_inline = [](std::int64_t n, std::int64_t grain) {
    const std::uint64_t before = pool_region_count();
    parallel_for(n, grain, [](std::int64_t, std::int64_t) {});
    return pool_region_count() == before;
  };
  EXPECT_TRUE(runs_inline(1, 1));
  EXPECT_TRUE(runs_inline(3, 2));
  EXPECT_TRUE(runs_inline(1999, 1000));
  EXPECT_FALSE(runs_inline(2, 1));
  EXPECT_FALSE(runs_inline(2000, 1000));
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  EXPECT_TRUE(runs_inline(most, most));
}

TEST(Parallel, CheaperItemsHaveToBeMore) {
  EXPECT_EQ(items_worth_a_thread(1), 10 * items_worth_a_thread(10));
  EXPECT_EQ(items_worth_a_thread(1e9), 1);
}

TEST(Parallel, BordersAreMultiplesOfTheGrain) {
  const Threads scope(3);
  std::mutex mutex;
  std::vector<std::pair<std::int64_t, std::int64_t>> ranges;
  parallel_for(1000, 32, [&](std::int64_t begin, std::int64_t end) {
    const std::lock_guard lock(mutex);
    ranges.emplace_back(begin, end);
  });
  EXPECT_LE(ranges.size(), 6U);
  for (const auto& [begin, end] : ranges) {
    EXPECT_EQ(begin % 32, 0);
    EXPECT_TRUE(end % 32 == 0 || end == 1000);
  }
}

TEST(Parallel, NestedRegionsRunInline) {
  const Threads scope(2);
  std::atomic<int> inner{0};
  parallel_for(8, 1, [&](std::int64_t begin, std::int64_t end) {
    const auto outer_thread = std::this_thread::get_id();
    for (std::int64_t i = begin; i < end; ++i) {
      parallel_for(100, 1, [&](std::int64_t first, std::int64_t last) {
        EXPECT_EQ(std::this_thread::get_id(), outer_thread);
        inner.fetch_add(static_cast<int>(last - first));
      });
    }
  });
  EXPECT_EQ(inner, 800);
}

TEST(Parallel, AnExceptionReachesTheCallerAndThePoolGoesOn) {
  const Threads scope(3);
  for (int round = 0; round < 200; ++round) {
    const std::int64_t bad = round % 6;
    EXPECT_THROW(parallel_for(6, 1,
                              [&](std::int64_t begin, std::int64_t end) {
                                if (begin <= bad && bad < end) throw std::runtime_error("bad item");
                              }),
                 std::runtime_error);
    expect_covered_once(12, 1);
  }
}

TEST(Parallel, ManyShortRegions) {
  const Threads scope(2);
  std::vector<std::int64_t> values(64, 0);
  for (int round = 0; round < 20000; ++round) {
    parallel_for(64, 8, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) values[static_cast<std::size_t>(i)] += i;
    });
  }
  for (std::int64_t i = 0; i < 64; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], 20000 * i);
}

TEST(Parallel, WorkersThatFellAsleepWakeUp) {
  const Threads scope(2);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    expect_covered_once(100, 1);
  }
}

TEST(Parallel, SeveralUserThreadsAtOnce) {
  std::vector<std::thread> users;
  std::atomic<std::int64_t> total{0};
  for (int user = 0; user < 4; ++user) {
    users.emplace_back([&, user] {
      set_thread_count(1 + user);
      EXPECT_EQ(thread_count(), 1 + user);
      for (int round = 0; round < 2000; ++round) {
        std::atomic<std::int64_t> sum{0};
        parallel_for(100, 5, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) sum.fetch_add(i, std::memory_order_relaxed);
        });
        total.fetch_add(sum);
      }
    });
  }
  for (auto& user : users) user.join();
  EXPECT_EQ(total, std::int64_t{4} * 2000 * 4950);
}

TEST(Parallel, ThreadCountBelongsToTheThread) {
  const Threads scope(3);
  EXPECT_EQ(thread_count(), 3);
  std::thread([] { EXPECT_GE(thread_count(), 1); }).join();
  set_thread_count(0);
  EXPECT_GE(thread_count(), 1);
  EXPECT_THROW(set_thread_count(-1), ArgumentError);
  EXPECT_THROW(set_thread_count(100000), ArgumentError);
}

TEST(Parallel, RegionsAllocateNothing) {
  if (!testing::counts_allocations()) GTEST_SKIP() << "a sanitizer has its own malloc";
  const Threads scope(2);
  expect_covered_once(100, 1);
  const long before = testing::allocation_count();
  std::atomic<std::int64_t> sum{0};
  for (int round = 0; round < 1000; ++round) {
    parallel_for(100, 1, [&](std::int64_t begin, std::int64_t end) { sum.fetch_add(end - begin); });
  }
  EXPECT_EQ(testing::allocation_count(), before);
  EXPECT_EQ(sum, 100000);
}

TEST(Parallel, AForkedChildDoesTheWorkItself) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "TSan does not follow a fork of a process with threads";
#endif
  const Threads scope(2);
  expect_covered_once(100, 1);
  const pid_t child = fork();
  if (child == 0) {
    std::atomic<int> sum{0};
    parallel_for(100, 1,
                 [&](std::int64_t begin, std::int64_t end) { sum.fetch_add(static_cast<int>(end - begin)); });
    _exit(sum == 100 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace chainrule
