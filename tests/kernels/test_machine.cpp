#include <chainrule/machine.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include <chainrule/error.hpp>

#include "kernels/cpu/machine.hpp"

namespace cr = chainrule;

namespace {

TEST(Machine, LimitsAreWhatAProcessorCanHave) {
  const cr::MachineLimits limits = cr::measure_machine(1, 0.1);
  EXPECT_EQ(limits.threads, 1);
  EXPECT_FALSE(limits.instruction_set.empty());
  EXPECT_GT(limits.float32_flops, 0);
  EXPECT_GT(limits.float64_flops, 0);
  EXPECT_GT(limits.float32_divisions, 0);
  EXPECT_GT(limits.float32_roots, 0);
  ASSERT_GE(limits.levels.size(), 3U);
  for (const auto& level : limits.levels) {
    EXPECT_GT(level.read_rate, 0) << level.name;
    EXPECT_GT(level.update_rate, 0) << level.name;
  }
}

// A rate counts ten chains of so many steps. That all of them were computed shows in the sum of their ends,
// which depends on each of the ten starts; a compiler may not make one chain of the ten then.
TEST(Machine, TheTimedChainsDoEveryStep) {
  const cr::kernels::LimitLoops loops = cr::kernels::limit_loops();
  const std::vector<double> doubles = {1.5, 2, 3, 0.25, 5, 0.75, 7, 1.25, 9, 0.5};
  const std::vector<float> floats(doubles.begin(), doubles.end());
  const auto sum = [&](auto end) {
    return std::accumulate(doubles.begin(), doubles.end(), 0.0,
                           [&](double total, double start) { return total + end(start); });
  };
  for (const int steps : {0, 1, 2, 5}) {
    // x/2 + 1/2 halves the distance to one, two divisions come back to their start.
    const double halved = sum([&](double x) { return 1 + (x - 1) * std::pow(0.5, steps); });
    const double divided = sum([&](double x) { return steps % 2 == 0 ? x : 1.5 / x; });
    const double rooted = sum([&](double x) { return std::pow(x, std::pow(0.5, steps)); });
    EXPECT_NEAR(loops.multiply_adds_float(floats.data(), steps), halved, 1e-5) << steps;
    EXPECT_NEAR(loops.multiply_adds_double(doubles.data(), steps), halved, 1e-12) << steps;
    EXPECT_NEAR(loops.divisions(floats.data(), steps), divided, 1e-5) << steps;
    EXPECT_NEAR(loops.roots(floats.data(), steps), rooted, 1e-5) << steps;
  }
}

TEST(Machine, AWorkingSetFindsItsLevel) {
  cr::MachineLimits limits{.threads = 2,
                           .levels = {{"L1", 1000, 1, 30}, {"L2", 8000, 1, 20}, {"memory", 0, 1, 10}}};
  EXPECT_EQ(limits.level_of(2000).name, "L1");
  EXPECT_EQ(limits.level_of(2001).name, "L2");
  EXPECT_EQ(limits.level_of(1e9).name, "memory");
  EXPECT_EQ(limits.bandwidth(1e9), 10);
  EXPECT_THROW(static_cast<void>(cr::MachineLimits().level_of(1)), cr::StateError);
}

TEST(Machine, RefusesNegativeArguments) {
  EXPECT_THROW(cr::measure_machine(-1), cr::ArgumentError);
  EXPECT_THROW(cr::measure_machine(1, -1.0), cr::ArgumentError);
}

}  // namespace
