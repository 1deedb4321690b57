#include <map>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/expression.hpp>
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

TEST(Schedules, TheirFormulasAreWhatRuns) {
  const std::map<std::string_view, Schedule> schedules = {
      {"Constant", Constant()},
      {"Cosine", Cosine({.steps = 20, .end = 0.1})},
      {"Exponential", Exponential({.gamma = 0.9})},
      {"LinearRamp", LinearRamp({.steps = 20, .start = 0.5, .end = 0.1})},
      {"StepDecay", StepDecay({.size = 3, .gamma = 0.9})},
      {"Warmup", Warmup({.steps = 20, .start = 0.5})},
  };
  const auto number = [](double x) { return full({}, x, DType::float64); };
  for (const Description& row : schedule_table()) {
    if (row.formula.empty()) continue;
    const Expression formula =
        parse_expression(row.formula, {"step", "steps", "start", "end", "gamma", "size"});
    for (const std::int64_t step : {0, 1, 7, 19}) {
      const Tensor expected = formula(
          {number(static_cast<double>(step)), number(20), number(0.5), number(0.1), number(0.9), number(3)});
      EXPECT_NEAR(schedules.at(row.name)(step), expected.item<double>(), 1e-14) << row.name << " " << step;
    }
  }
}

TEST(Schedules, EndsAndErrors) {
  EXPECT_EQ(Constant()(1000), 1);
  EXPECT_EQ(Cosine({.steps = 10, .end = 0.2})(1000), 0.2);
  EXPECT_EQ(LinearRamp({.steps = 10})(1000), 0);
  EXPECT_EQ(Warmup({.steps = 4})(2), 0.5);
  EXPECT_EQ(Warmup({.steps = 4})(4), 1);
  // A warm-up of exactly one step is the peak itself.
  EXPECT_EQ(OneCycle({.steps = 4, .warmup_share = 0.25})(0), 1);
  EXPECT_THROW(Cosine({.steps = 0}), ArgumentError);
  EXPECT_THROW(StepDecay({.size = 0}), ArgumentError);
  EXPECT_THROW(Exponential({.gamma = -1}), ArgumentError);
  EXPECT_THROW(OneCycle({.steps = 10, .warmup_share = 1}), ArgumentError);
  EXPECT_THROW(ReduceOnPlateau({.factor = 1}), ArgumentError);
}

}  // namespace
}  // namespace chainrule::optim
