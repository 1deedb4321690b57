// Convergence rates on a quadratic with curvatures from μ to L, where theory gives them.

#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/transforms.hpp>

namespace chainrule::optim {
namespace {

constexpr double mu = 1;
constexpr double largest = 100;
constexpr double kappa = largest / mu;

// The error ‖x‖ after each step on f = ½ Σ λᵢ xᵢ² from x = 1.
template <typename Optimizer>
std::vector<double> errors_of(Optimizer optimizer, int steps) {
  const Tensor curvature = tensor({mu, 3, 10, 40, largest}, DType::float64);
  Parameter x = ones({5}, DType::float64);
  std::vector<double> errors;
  for (int i = 0; i < steps; ++i) {
    optimizer.update(x, grad([&](const Parameter& p) { return sum(curvature * square(p)) * 0.5; })(x));
    errors.push_back(norm(x).template item<double>());
  }
  return errors;
}

// (κ − 1) / (κ + 1) at the step 2 / (μ + L); no other step is better (Polyak, Introduction to optimization,
// 1987, section 1.4).
TEST(Convergence, OfGradientDescent) {
  const double rate = (kappa - 1) / (kappa + 1);
  const std::vector<double> errors = errors_of(GradientDescent({.lr = 2 / (mu + largest)}), 400);
  // The extreme curvatures shrink at this rate exactly; those between are gone.
  EXPECT_NEAR(errors[399] / errors[398], rate, 1e-10);
  EXPECT_NEAR(errors[399], std::sqrt(2.0) * std::pow(rate, 400), 1e-10);
  for (const double other : {0.9, 1.009}) {
    const std::vector<double> worse = errors_of(GradientDescent({.lr = other * 2 / (mu + largest)}), 400);
    EXPECT_GT(worse[399] / worse[398], rate + 1e-4) << other;
  }
  // Past 2 / L it diverges.
  EXPECT_GT(errors_of(GradientDescent({.lr = 2.05 / largest}), 400)[399], 1e3);
}

// (√κ − 1) / (√κ + 1) for the heavy ball x ← x − α g + β (x − x₋), α = 4 / (√L + √μ)² and β the rate's
// square (Polyak, Some methods of speeding up the convergence of iteration methods, 1964).
TEST(Convergence, OfTheHeavyBall) {
  const double rate = (std::sqrt(kappa) - 1) / (std::sqrt(kappa) + 1);
  const double lr = 4 / std::pow(std::sqrt(largest) + std::sqrt(mu), 2);
  const std::vector<double> errors = errors_of(SGD({.lr = lr, .momentum = rate * rate}), 120);
  // At the extremes the error is (a + b k) rateᵏ: the factor k disappears slowly from the mean rate.
  const double mean_rate = std::pow(errors[119] / errors[39], 1.0 / 80);
  EXPECT_LT(mean_rate, rate + std::log(120.0 / 40) / 80);
  EXPECT_GT(mean_rate, rate - 1e-3);
  EXPECT_LT(mean_rate, 0.9 * (kappa - 1) / (kappa + 1));
}

}  // namespace
}  // namespace chainrule::optim
