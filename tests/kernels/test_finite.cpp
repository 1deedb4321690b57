#include "kernels/cpu/finite.hpp"

#include <cmath>
#include <limits>
#include <optional>

#include <chainrule/threads.hpp>

#include "kernels/lane_checks.hpp"
#include "kernels/views.hpp"

namespace chainrule::kernels {
namespace {

using namespace testing;

class Finite : public checks::OnTarget {};

INSTANTIATE_TEST_SUITE_P(, Finite, checks::every_target(), checks::target_name);

template <class T>
std::vector<T> extremes() {
  using Limits = std::numeric_limits<T>;
  return {Limits::max(), Limits::lowest(), Limits::denorm_min(), -Limits::denorm_min(), T{0}, -T{0}};
}
template <>
std::vector<bfloat16> extremes() {
  std::vector<bfloat16> values(6);
  const std::uint16_t bits[] = {0x7f7f, 0xff7f, 0x0001, 0x8001, 0, 0x8000};
  for (std::size_t i = 0; i < values.size(); ++i) values[i].bits = bits[i];
  return values;
}

// One number that is not finite at every place of every length, among the largest and smallest that are.
template <class T>
void check_every_place(DType dtype) {
  const auto good = extremes<T>();
  std::vector<T> bad;
  for (const float x : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                        std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN()})
    bad.push_back(T(x));
  for (std::int64_t n = 0; n <= 150; ++n) {
    std::vector<T> x;
    for (std::int64_t i = 0; i < n; ++i) x.push_back(good[static_cast<std::size_t>(i) % good.size()]);
    const Array array{x.data(), dtype, {n}, {1}};
    ASSERT_TRUE(all_finite(array)) << n;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const T before = std::exchange(x[i], bad[i % bad.size()]);
      ASSERT_FALSE(all_finite(array)) << i << " of " << n;
      x[i] = before;
    }
  }
}

TEST_P(Finite, EveryPlaceOfEveryLength) {
  check_every_place<float>(DType::float32);
  check_every_place<double>(DType::float64);
  check_every_place<bfloat16>(DType::bfloat16);
}

TEST_P(Finite, LargeArraysOnSeveralThreads) {
  const int before = thread_count();
  set_thread_count(3);
  std::vector<float> x(400001, 1e30F);
  const Array array{x.data(), DType::float32, {std::ssize(x)}, {1}};
  EXPECT_TRUE(all_finite(array));
  for (const std::size_t i : {0U, 65535U, 65536U, 133334U, 399999U, 400000U}) {
    x[i] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(all_finite(array)) << i;
    x[i] = 0;
  }
  set_thread_count(before);
}

TEST_P(Finite, IntegersAlwaysAre) {
  std::vector<std::int32_t> x(100, std::numeric_limits<std::int32_t>::max());
  EXPECT_TRUE(all_finite({x.data(), DType::int32, {100}, {1}}));
}

// The exponent above the largest element: 2^e itself needs one more.
template <class T>
void check_exponents(DType dtype) {
  const auto exponent_of = [&](std::vector<T> x) {
    return magnitude_exponent({x.data(), dtype, {std::ssize(x)}, {1}});
  };
  const auto number = [](double x) { return T(static_cast<float>(x)); };
  for (const int e : {-20, -1, 0, 1, 7, 100}) {
    const double power = std::ldexp(1.0, e);
    EXPECT_EQ(exponent_of({number(0), number(-power), number(power / 2)}), e + 1);
    EXPECT_EQ(exponent_of({number(power * 0.75), number(0)}), e);
  }
  using Limits = std::numeric_limits<T>;
  const int least = dtype == DType::float64 ? -1022 : -126;
  EXPECT_EQ(exponent_of({}), least);
  EXPECT_EQ(exponent_of({number(0)}), least);
  if constexpr (Limits::is_specialized) {
    EXPECT_EQ(exponent_of({Limits::lowest()}), Limits::max_exponent);
    EXPECT_EQ(exponent_of({Limits::denorm_min()}), least);
  }
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(exponent_of({number(1), T(infinity)}), std::nullopt);
  EXPECT_EQ(exponent_of({number(1), T(-infinity)}), std::nullopt);
  EXPECT_EQ(exponent_of({T(std::numeric_limits<float>::quiet_NaN())}), std::nullopt);
}

TEST_P(Finite, ExponentsAreAboveEveryElement) {
  check_exponents<float>(DType::float32);
  check_exponents<double>(DType::float64);
  check_exponents<bfloat16>(DType::bfloat16);
}

// Axes in another order are read as they lie.
TEST_P(Finite, ExponentsOfViews) {
  std::vector<float> x(24, 1);
  x[23] = 8;
  const auto exponent_of = [&](const Shape& shape, const Strides& strides) {
    return magnitude_exponent({x.data(), DType::float32, shape, strides});
  };
  EXPECT_EQ(exponent_of({4, 6}, {6, 1}), 4);
  EXPECT_EQ(exponent_of({6, 4}, {1, 6}), 4);
  EXPECT_EQ(exponent_of({3, 2, 4}, {1, 12, 3}), 4);
  EXPECT_EQ(exponent_of({2, 6}, {6, 1}), 1);
}

TEST(Gapless, IsWhatFillsItsMemory) {
  const auto gapless = [](const Shape& shape, const Strides& strides) {
    return is_gapless({nullptr, DType::float32, shape, strides});
  };
  EXPECT_TRUE(gapless({4, 6}, {6, 1}));
  EXPECT_TRUE(gapless({6, 4}, {1, 6}));
  EXPECT_TRUE(gapless({3, 2, 4}, {1, 12, 3}));
  EXPECT_TRUE(gapless({3, 1, 8}, {8, 5, 1}));
  EXPECT_TRUE(gapless({}, {}));
  EXPECT_TRUE(gapless({0, 4}, {9, 9}));
  EXPECT_FALSE(gapless({4, 5}, {6, 1})) << "a gap after each row";
  EXPECT_FALSE(gapless({4, 6}, {0, 1})) << "one row seen four times";
  EXPECT_FALSE(gapless({2, 2}, {1, 1})) << "an element seen twice";
  EXPECT_FALSE(gapless({4}, {-1})) << "from its end on";
}

}  // namespace
}  // namespace chainrule::kernels
