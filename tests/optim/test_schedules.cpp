#include <map>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/optim.hpp>

#include "reference.hpp"

namespace chainrule::optim {
namespace {

TEST(Schedules, AgreeWithPyTorch) {
  const nlohmann::json reference = test::read_reference("optim/schedules.json");
  const std::map<std::string, Schedule> schedules = {
      {"step", StepDecay({.size = 7, .gamma = 0.3})},
      {"exponential", Exponential({.gamma = 0.93})},
      {"cosine", Cosine({.steps = 30, .end = 0.05})},
      {"linear", LinearRamp({.steps = 20, .start = 0.25, .end = 0.75})},
      {"one_cycle", OneCycle({.steps = 40})},
      {"one_cycle_linear",
       OneCycle(
           {.steps = 40, .warmup_share = 0.4, .initial_divisor = 10, .final_divisor = 100, .linear = true})},
      {"warmup", Warmup({.steps = 10, .start = 0.1, .then = Cosine({.steps = 30})})},
  };
  EXPECT_EQ(schedules.size(), reference["multipliers"].size());
  for (const auto& [name, schedule] : schedules) {
    const auto expected = reference["multipliers"][name].get<std::vector<double>>();
    // PyTorch's cosine rises again after its last step, ours stays.
    const std::size_t steps = name == "cosine" ? 31 : expected.size();
    for (std::size_t i = 0; i < steps; ++i) {
      EXPECT_NEAR(schedule(static_cast<std::int64_t>(i)), expected[i], 1e-12) << name << " " << i;
    }
  }
}

TEST(Schedules, PlateausAgreeWithPyTorch) {
  const nlohmann::json reference = test::read_reference("optim/schedules.json")["plateau"];
  ReduceOnPlateau plateau(
      {.factor = 0.5, .patience = 2, .threshold = 1e-3, .cooldown = 1, .min_multiplier = 0.1});
  for (std::size_t i = 0; i < reference["metrics"].size(); ++i) {
    EXPECT_NEAR(plateau.observe(reference["metrics"][i]), reference["multipliers"][i], 1e-15) << i;
  }
}

TEST(Schedules, EndsAndErrors) {
  EXPECT_EQ(Constant()(1000), 1);
  EXPECT_EQ(Cosine({.steps = 10, .end = 0.2})(1000), 0.2);
  EXPECT_EQ(LinearRamp({.steps = 10})(1000), 0);
  EXPECT_EQ(Warmup({.steps = 4})(2), 0.5);
  EXPECT_EQ(Warmup({.steps = 4})(4), 1);
  EXPECT_THROW(Cosine({.steps = 0}), ArgumentError);
  EXPECT_THROW(StepDecay({.size = 0}), ArgumentError);
  EXPECT_THROW(Exponential({.gamma = -1}), ArgumentError);
  EXPECT_THROW(OneCycle({.steps = 10, .warmup_share = 1}), ArgumentError);
  EXPECT_THROW(ReduceOnPlateau({.factor = 1}), ArgumentError);
}

}  // namespace
}  // namespace chainrule::optim
