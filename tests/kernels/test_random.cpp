#include "kernels/cpu/random.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/lane_checks.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

constexpr std::int64_t key = 0x1234567890abcdefLL;

// Random123's known-answer vectors (kat_vectors, philox4x32 10).
TEST(Random, PhiloxKnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

/// Every instruction set's numbers.
class RandomOn : public checks::OnTarget {};
INSTANTIATE_TEST_SUITE_P(, RandomOn, checks::every_target(), checks::target_name);

TEST_P(RandomOn, ElementIsWordOfItsBlock) {
  const PhiloxKey words{0x90abcdef, 0x12345678};
  for (const std::int64_t offset : {0L, 1L, 6L, 1022L, (1L << 34) - 40L, -30L}) {
    std::vector<std::uint32_t> bits(3000);
    random_bits(key, offset, 3000, bits.data());
    for (std::int64_t i = 0; i < 3000; ++i) {
      const auto position = static_cast<std::uint64_t>(offset + i);
      const std::uint64_t block = position / 4;
      const PhiloxCounter want =
          philox({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), 0, 0}, words);
      // A range that runs past the last position is outside the contract.
      if (offset < 0 && offset + i >= 0) break;
      ASSERT_EQ(bits[static_cast<std::size_t>(i)], want[position % 4]) << offset << " + " << i;
    }
  }
}

/// Every kind gives the same values whether made at once or in pieces.
template <typename T, typename Make>
void expect_cut_free(Make&& make) {
  const std::int64_t n = 20000;
  std::vector<T> whole(n);
  make(0, n, whole.data());
  std::vector<T> pieces(n);
  std::int64_t step = 1;
  for (std::int64_t i = 0; i < n; i += step, step = (step * 7 + 3) % 1900 + 1) {
    make(i, std::min(step, n - i), pieces.data() + i);
  }
  EXPECT_EQ(whole, pieces);
  set_thread_count(3);
  std::vector<T> threaded(n);
  make(0, n, threaded.data());
  set_thread_count(0);
  EXPECT_EQ(whole, threaded);
}

TEST_P(RandomOn, CutsAndThreadsChangeNothing) {
  expect_cut_free<std::uint32_t>([](auto o, auto n, auto* out) { random_bits(key, o, n, out); });
  expect_cut_free<float>([](auto o, auto n, auto* out) { random_uniform(key, o, n, out); });
  expect_cut_free<double>([](auto o, auto n, auto* out) { random_uniform(key, o, n, out); });
  expect_cut_free<float>([](auto o, auto n, auto* out) { random_normal(key, o, n, out); });
  expect_cut_free<double>([](auto o, auto n, auto* out) { random_normal(key, o, n, out); });
  expect_cut_free<std::uint8_t>([](auto o, auto n, auto* out) { random_bernoulli(key, o, n, 0.3, out); });
}

/// Mean, variance and fourth moment within six standard errors of the distribution's.
template <typename T>
void expect_moments(const std::vector<T>& x, double mean, double variance, double fourth) {
  const auto n = static_cast<double>(x.size());
  double m1 = 0, m2 = 0, m4 = 0;
  for (const T value : x) {
    const double c = static_cast<double>(value) - mean;
    m1 += c / n;
    m2 += c * c / n;
    m4 += c * c * c * c / n;
  }
  EXPECT_NEAR(m1, 0, 6 * std::sqrt(variance / n));
  EXPECT_NEAR(m2, variance, 6 * std::sqrt((fourth - variance * variance) / n));
  EXPECT_NEAR(m4 / fourth, 1, 0.1);
}

TEST_P(RandomOn, MomentsOfUniformAndNormal) {
  const std::int64_t n = 1 << 18;
  std::vector<float> f(n);
  std::vector<double> d(n);
  random_uniform(key, 0, n, f.data());
  random_uniform(key, 0, n, d.data());
  expect_moments(f, 0.5, 1.0 / 12, 1.0 / 80);
  expect_moments(d, 0.5, 1.0 / 12, 1.0 / 80);
  for (std::size_t i = 0; i < f.size(); ++i) ASSERT_TRUE(f[i] >= 0 && f[i] < 1 && d[i] >= 0 && d[i] < 1);
  random_normal(key, 0, n, f.data());
  random_normal(key, 0, n, d.data());
  expect_moments(f, 0, 1, 3);
  expect_moments(d, 0, 1, 3);
}

// The normals are Box–Muller of the same words in double; Kolmogorov's distance is below its 1e-4 quantile.
TEST_P(RandomOn, NormalsAreBoxMullerOfTheWords) {
  const std::int64_t n = 1 << 17;
  std::vector<std::uint32_t> words(n);
  std::vector<float> z(n);
  random_bits(key, 0, n, words.data());
  random_normal(key, 0, n, z.data());
  for (std::size_t i = 0; i < z.size(); i += 2) {
    const double u = (words[i] + 0.5) * 0x1p-32;
    const double r = std::sqrt(-2 * std::log(u));
    const double angle = 2 * std::numbers::pi * words[i + 1] * 0x1p-32;
    // u is rounded to float: near 1 that is an error of 2^-25 in ln u.
    const double tolerance = 2e-6 + 6e-8 / std::max(r, 1e-3);
    ASSERT_NEAR(z[i], r * std::cos(angle), tolerance);
    ASSERT_NEAR(z[i + 1], r * std::sin(angle), tolerance);
  }
  std::sort(z.begin(), z.end());
  double distance = 0;
  for (std::size_t i = 0; i < z.size(); ++i) {
    const double cdf = 0.5 * std::erfc(-static_cast<double>(z[i]) / std::numbers::sqrt2);
    distance = std::max(distance, std::abs(cdf - (static_cast<double>(i) + 0.5) / static_cast<double>(n)));
  }
  EXPECT_LT(distance * std::sqrt(static_cast<double>(n)), 2.225);
}

TEST_P(RandomOn, BernoulliHasItsProbability) {
  const std::int64_t n = 1 << 18;
  std::vector<std::uint8_t> mask(n);
  const auto mean = [&](double p) {
    random_bernoulli(key, 5, n, p, mask.data());
    double sum = 0;
    for (const std::uint8_t x : mask) sum += x;
    return sum / static_cast<double>(n);
  };
  for (const double p : {0.1, 0.5, 0.9}) {
    EXPECT_NEAR(mean(p), p, 6 * std::sqrt(p * (1 - p) / static_cast<double>(n)));
  }
  EXPECT_EQ(mean(0), 0);
  EXPECT_EQ(mean(1), 1);
  EXPECT_EQ(mean(-3), 0);
  EXPECT_EQ(mean(7), 1);
  EXPECT_EQ(mean(std::numeric_limits<double>::quiet_NaN()), 0);
}

TEST(Random, DerivedKeysDiffer) {
  std::vector<std::int64_t> keys(1000);
  split(key, 1000, keys.data());
  std::set<std::int64_t> seen(keys.begin(), keys.end());
  for (std::int64_t i = 0; i < 1000; ++i) seen.insert(fold_in(key, i));
  std::int64_t first = 0;
  split(key, 1, &first);
  EXPECT_EQ(first, keys[0]);
  EXPECT_EQ(seen.size(), 2000U);
  EXPECT_EQ(seen.count(key), 0U);
}

}  // namespace
}  // namespace chainrule::kernels
