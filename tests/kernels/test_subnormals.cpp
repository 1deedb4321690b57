// Whether subnormal numbers count as zero is a thread's own affair, and the pool's threads follow their
// caller.

#include <array>
#include <atomic>

#include <gtest/gtest.h>

#include "kernels/parallel.hpp"
#include "kernels/subnormals.hpp"

namespace chainrule::kernels {
namespace {

// Computed by the processor, not by the compiler.
bool reads_as_zero(float tiny) {
  volatile float x = tiny;
  volatile float one = 1;
  return x * one == 0;
}
bool is_written_as_zero() {
  volatile float x = 1e-30F;
  volatile float y = 1e-10F;
  volatile float product = x * y;
  return product == 0;
}
bool flushes() { return reads_as_zero(1e-40F) && is_written_as_zero(); }

class Subnormals : public testing::Test {
 protected:
  void SetUp() override {
    if (!can_flush_subnormals) GTEST_SKIP() << "this processor is not told to flush";
  }
};

TEST_F(Subnormals, AScopeChangesThemAndPutsThemBack) {
  EXPECT_FALSE(flushes());
  {
    const SubnormalsScope flushed(true);
    EXPECT_TRUE(flushes());
    {
      const SubnormalsScope kept(false);
      EXPECT_FALSE(reads_as_zero(1e-40F));
      EXPECT_FALSE(is_written_as_zero());
    }
    EXPECT_TRUE(flushes());
    EXPECT_FALSE(reads_as_zero(1.2e-38F));  // the smallest normal number is 1.18e-38
  }
  EXPECT_FALSE(reads_as_zero(1e-40F));
  EXPECT_FALSE(is_written_as_zero());
}

#if defined(__x86_64__)
// A program may have asked for one of the two.
TEST_F(Subnormals, AScopePutsBackOneBitOfTwo) {
  set_subnormal_bits(0x8000);
  {
    const SubnormalsScope flushed(true);
    EXPECT_TRUE(flushes());
  }
  EXPECT_TRUE(is_written_as_zero());
  EXPECT_EQ(subnormal_bits(), 0x8000U);
  set_subnormal_bits(0);
}
#endif

TEST_F(Subnormals, TheThreadsOfThePoolFollowTheirCaller) {
  set_thread_count(4);
  constexpr int regions = 200, items = 64;
  for (int region = 0; region < regions; ++region) {
    const bool flush = region % 3 == 0;
    const SubnormalsScope scope(flush);
    std::array<std::atomic<int>, items> flushed{};
    parallel_for(items, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        flushed[static_cast<std::size_t>(i)] = flushes() ? 1 : 0;
        // Long enough for the others to come and take some.
        for (volatile int spin = 0; spin < 200;) spin = spin + 1;
      }
    });
    for (const std::atomic<int>& each : flushed) ASSERT_EQ(each.load(), flush ? 1 : 0) << region;
  }
  set_thread_count(0);
}

}  // namespace
}  // namespace chainrule::kernels
