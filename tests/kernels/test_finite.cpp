#include "kernels/cpu/finite.hpp"

#include <limits>

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

}  // namespace
}  // namespace chainrule::kernels
