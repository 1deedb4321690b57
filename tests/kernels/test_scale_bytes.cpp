#include "kernels/cpu/scale_bytes.hpp"

#include <limits>

#include <gtest/gtest.h>

#include "kernels/lane_checks.hpp"

namespace chainrule::kernels {
namespace {

class ScaleBytes : public checks::OnTarget {};

INSTANTIATE_TEST_SUITE_P(, ScaleBytes, checks::every_target(), checks::target_name);

// Every length; the difference and the product are each rounded once, which float64 shows: it holds both
// exactly.
TEST_P(ScaleBytes, RoundsTheDifferenceAndTheProduct) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> any(-300, 300);
  for (std::size_t n = 0; n <= 70; ++n) {
    std::vector<std::uint8_t> x(n);
    std::vector<float> shift(n), scale(n), out(n + 1, 7);
    for (std::size_t i = 0; i < n; ++i) {
      x[i] = static_cast<std::uint8_t>(random());
      shift[i] = any(random);
      scale[i] = any(random) / 1000;
    }
    scale_bytes(x.data(), shift.data(), scale.data(), static_cast<std::int64_t>(n), out.data());
    for (std::size_t i = 0; i < n; ++i) {
      const auto difference = static_cast<float>(double{static_cast<float>(x[i])} - double{shift[i]});
      EXPECT_EQ(out[i], static_cast<float>(double{difference} * double{scale[i]})) << i << " of " << n;
    }
    EXPECT_EQ(out[n], 7);
  }
}

TEST_P(ScaleBytes, EveryByteAndTheNumbersThatAreNone) {
  std::vector<std::uint8_t> x(256);
  for (std::size_t i = 0; i < 256; ++i) x[i] = static_cast<std::uint8_t>(i);
  std::vector<float> out(256);
  scale_bytes(x.data(), std::vector<float>(256, 1).data(), std::vector<float>(256, 0.5F).data(), 256,
              out.data());
  for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(out[i], (static_cast<float>(i) - 1) / 2);
  const std::vector<float> infinite(256, std::numeric_limits<float>::infinity());
  scale_bytes(x.data(), std::vector<float>(256, 1).data(), infinite.data(), 256, out.data());
  EXPECT_EQ(out[0], -infinite[0]);
  EXPECT_TRUE(std::isnan(out[1]));
  EXPECT_EQ(out[255], infinite[0]);
}

}  // namespace
}  // namespace chainrule::kernels
