// Draws against the probabilities they were asked for, within four standard errors.

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>

namespace cr = chainrule;

namespace {

TEST(Random, CategoricalFollowsTheSoftmax) {
  constexpr int draws = 40000;
  const std::vector<double> p = {0.5, 0.2, 0.3};
  const cr::Tensor logits = cr::tensor({std::log(0.5), std::log(0.2), std::log(0.3)});
  const auto drawn = cr::random::categorical(cr::random::key(1), logits, {draws}).to_vector<std::int64_t>();
  for (std::size_t k = 0; k < p.size(); ++k) {
    const auto count =
        static_cast<double>(std::count(drawn.begin(), drawn.end(), static_cast<std::int64_t>(k)));
    EXPECT_NEAR(count / draws, p[k], 4 * std::sqrt(p[k] * (1 - p[k]) / draws));
  }
  EXPECT_THROW(cr::random::categorical(cr::random::key(1), cr::zeros({2, 0})), cr::ShapeError);
}

TEST(Random, APermutationHoldsEachNumberOnce) {
  const auto order = cr::random::permutation(cr::random::key(2), 1000).to_vector<std::int64_t>();
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (std::int64_t i = 0; i < 1000; ++i) EXPECT_EQ(sorted[static_cast<std::size_t>(i)], i);
  EXPECT_NE(order, sorted);
  EXPECT_TRUE(cr::random::permutation(cr::random::key(2), 0).to_vector<std::int64_t>().empty());
}

// On [-1, 1] the variance of a truncated standard normal is 1 - 2 phi(1) / (2 Phi(1) - 1) = 0.291125.
TEST(Random, TruncatedNormalStaysInsideAndHasItsMoments) {
  constexpr int draws = 40000;
  const cr::Tensor z =
      cr::random::truncated_normal(cr::random::key(3), {draws}, 0, 1, -1, 1, cr::DType::float64);
  EXPECT_GE(cr::min(z).item<double>(), -1);
  EXPECT_LE(cr::max(z).item<double>(), 1);
  EXPECT_NEAR(cr::mean(z).item<double>(), 0, 4 * std::sqrt(0.291125 / draws));
  EXPECT_NEAR(cr::var(z).item<double>(), 0.291125, 4 * 0.291125 * std::sqrt(2.0 / draws));
  EXPECT_THROW(cr::random::truncated_normal(cr::random::key(3), {2}, 0, 1, 1, -1), cr::ArgumentError);
}

// A bfloat16 has 8 bits: many draws round to an end of the interval, and the upper one is not part of it.
TEST(Random, Bfloat16IsDrawnToo) {
  constexpr int draws = 40000;
  constexpr cr::DType bf16 = cr::DType::bfloat16;
  const struct { double low, high; } intervals[] = {{0, 1}, {-0.25, 0.25}, {-2, 0}, {-3, -1}, {0.1, 0.3}};
  for (const auto [low, high] : intervals) {
    const cr::Tensor u = cr::random::uniform(cr::random::key(4), {draws}, low, high, bf16);
    ASSERT_EQ(u.dtype(), bf16);
    const std::vector<double> values = u.to_vector<double>();
    const double step = 0x1p-8 * std::max(std::abs(low), std::abs(high));
    const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
    EXPECT_LT(*greatest, high);
    EXPECT_GT(*greatest, high - 2 * step);
    EXPECT_NEAR(*least, low, step);
    const double mean = cr::mean(u.astype(cr::DType::float64)).item<double>();
    EXPECT_NEAR(mean, (low + high) / 2, 4 * (high - low) / std::sqrt(12.0 * draws) + step / 100);
  }
  const cr::Tensor z = cr::random::normal(cr::random::key(5), {draws}, 1, 2, bf16);
  ASSERT_EQ(z.dtype(), bf16);
  EXPECT_NEAR(cr::mean(z.astype(cr::DType::float64)).item<double>(), 1, 4 * 2 / std::sqrt(draws));
  EXPECT_NEAR(cr::var(z.astype(cr::DType::float64)).item<double>(), 4, 4 * 4 * std::sqrt(2.0 / draws));
  EXPECT_EQ(cr::random::truncated_normal(cr::random::key(6), {2}, 0, 1, -1, 1, bf16).dtype(), bf16);
  const cr::Tensor half = cr::full({draws}, 0.5, bf16);
  const cr::Tensor hits = cr::random::bernoulli(cr::random::key(7), half, {draws});
  EXPECT_NEAR(cr::mean(hits.astype(cr::DType::float64)).item<double>(), 0.5, 4 * 0.5 / std::sqrt(draws));
}

}  // namespace
