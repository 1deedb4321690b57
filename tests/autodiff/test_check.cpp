#include <gtest/gtest.h>

#include <chainrule/check.hpp>
#include <chainrule/control.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

namespace cr = chainrule;

namespace {

using Tensors = std::vector<cr::Tensor>;

TEST(CheckGradients, AgreesOnARightFunction) {
  const auto f = [](const cr::Tensor& x) { return cr::sum(cr::sin(x) * cr::exp(x)); };
  const cr::GradientCheck check = cr::check_gradients(f, cr::tensor({0.5, -1, 2}));
  EXPECT_TRUE(check.ok());
  EXPECT_GT(check.cases, 6);
  EXPECT_LT(check.worst_error, 1e-9);
}

TEST(CheckGradients, NamesTheInputAndBothNumbers) {
  // x y with the derivative of y doubled.
  const auto wrong = cr::custom_vjp([](const Tensors& x) { return x[0] * x[1]; },
                                    [](const Tensors& x, const cr::Tensor&, const cr::Tensor& y_bar) {
                                      return Tensors{y_bar * x[1], y_bar * x[0] * 2.0};
                                    });
  const auto f = [&](const Tensors& x) { return Tensors{wrong(x)}; };
  const cr::GradientCheck check =
      cr::check_gradients(f, {cr::tensor({1.5}), cr::tensor({2.5})}, {.order = 1});
  ASSERT_FALSE(check.ok());
  for (const cr::GradientMismatch& mismatch : check.failures) {
    EXPECT_EQ(mismatch.input, 1U);
    EXPECT_NEAR(mismatch.got, 2 * mismatch.expected, 1e-9);
    EXPECT_NE(cr::to_string(mismatch).find("input 1"), std::string::npos);
  }
}

TEST(CheckGradients, SeesAWrongSecondDerivative) {
  // The first derivative of x² is right in value, but a constant to the rules.
  const auto wrong = cr::custom_vjp([](const Tensors& x) { return cr::square(x[0]); },
                                    [](const Tensors& x, const cr::Tensor&, const cr::Tensor& y_bar) {
                                      return Tensors{y_bar * cr::stop_gradient(x[0]) * 2.0};
                                    });
  const auto f = [&](const Tensors& x) { return Tensors{wrong(x)}; };
  EXPECT_TRUE(cr::check_gradients(f, {cr::tensor({1.5, -2})}, {.order = 1}).ok());
  EXPECT_FALSE(cr::check_gradients(f, {cr::tensor({1.5, -2})}, {.order = 2}).ok());
}

TEST(CheckGradients, LeavesIntegersAlone) {
  const auto f = [](const Tensors& x) { return Tensors{cr::take(x[0], x[1])}; };
  const Tensors inputs = {cr::tensor({{1, 2}, {3, 4}}), cr::arange(0, 2, 1, cr::DType::int64)};
  EXPECT_TRUE(cr::check_gradients(f, inputs).ok());
  EXPECT_THROW(cr::check_op("no_such_op"), cr::ArgumentError);
}

}  // namespace
