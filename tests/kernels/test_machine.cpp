#include <chainrule/machine.hpp>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>

namespace cr = chainrule;

namespace {

TEST(Machine, LimitsAreWhatAProcessorCanHave) {
  const cr::MachineLimits limits = cr::measure_machine(1, 0.1);
  EXPECT_EQ(limits.threads, 1);
  EXPECT_FALSE(limits.instruction_set.empty());
  // A vector has at most twice as many floats as doubles, and a division is never cheaper than a
  // multiply-add.
  EXPECT_GT(limits.float64_flops, 0);
  EXPECT_GT(limits.float32_flops, limits.float64_flops * 0.9);
  EXPECT_GT(limits.float32_flops, limits.float32_divisions);
  EXPECT_GT(limits.float32_divisions, 0);
#ifdef __OPTIMIZE__
  // Agner Fog's instruction tables: a vector division takes at least six times as long as a multiply-add, two
  // operations. A compiler that makes one chain of the ten lets divisions look several times as cheap.
  EXPECT_GT(limits.float32_flops / 2, 3 * limits.float32_divisions);
#endif
  EXPECT_GT(limits.float32_roots, 0);
  ASSERT_GE(limits.levels.size(), 3U);
  for (const auto& level : limits.levels) {
    EXPECT_GT(level.read_rate, 0) << level.name;
    EXPECT_GT(level.update_rate, 0) << level.name;
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
