#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/explain.hpp>

namespace cr = chainrule;

namespace {

const cr::Float32Limit* limit(const cr::Explanation& e, const std::string& what) {
  for (const cr::Float32Limit& found : e.float32) {
    if (found.what.starts_with(what)) return &found;
  }
  return nullptr;
}

TEST(Explain, SigmoidSaturates) {
  const cr::Explanation e = cr::explain("sigmoid", {0.5});
  ASSERT_TRUE(e.saturation.has_value());
  EXPECT_DOUBLE_EQ(e.saturation->peak, 0.25);
  EXPECT_DOUBLE_EQ(e.saturation->peak_at, 0);
  // s(1 − s) = 0.01 / 4 where s = (1 ± √0.99) / 2, so x = log((1 + √0.99) / (1 − √0.99)).
  const double edge = std::log((1 + std::sqrt(0.99)) / (1 - std::sqrt(0.99)));
  EXPECT_NEAR(*e.saturation->above, edge, 0.011);
  EXPECT_NEAR(*e.saturation->below, -edge, 0.011);
  EXPECT_LE(e.worst_ulp, 8);
  for (const cr::DerivativeCheck& check : e.checks) EXPECT_TRUE(check.ok) << check.what;
  EXPECT_EQ(e.declared_in, "src/ops/activations.cpp");
}

TEST(Explain, ExponentialOverflowsWhereFloat32Ends) {
  const cr::Explanation e = cr::explain("exp");
  EXPECT_FALSE(e.saturation.has_value());
  const cr::Float32Limit* overflow = limit(e, "y overflows");
  ASSERT_NE(overflow, nullptr);
  EXPECT_NEAR(overflow->at, std::log(static_cast<double>(std::numeric_limits<float>::max())), 0.01);
}

TEST(Explain, WorkedNumbersEndInTheDerivative) {
  const cr::Explanation e = cr::explain("tanh", {0.25});
  ASSERT_GE(e.worked.size(), 2);
  EXPECT_DOUBLE_EQ(e.worked.back().value, 1 - std::tanh(0.25) * std::tanh(0.25));
}

TEST(Explain, AKinkIsCalledOne) {
  EXPECT_TRUE(cr::explain("relu", {0}).at_kink);
  EXPECT_FALSE(cr::explain("relu", {1}).at_kink);
  EXPECT_NE(cr::to_text(cr::explain("abs", {0})).find("kink"), std::string::npos);
}

TEST(Explain, WhatHasNoDerivativeSaysWhy) {
  const cr::Explanation e = cr::explain("equal");
  EXPECT_FALSE(e.not_differentiable.empty());
  EXPECT_TRUE(e.checks.empty());
  EXPECT_NE(cr::to_text(e).find("derivative   none"), std::string::npos);
}

TEST(Explain, DefinitionsArePrinted) {
  EXPECT_EQ(cr::explain("silu").definition, "x sigmoid(x)");
  EXPECT_EQ(cr::explain("matmul").derivative.inputs.at(0).backward, "matmul(y\u0304, transpose(b))");
}

TEST(Explain, WrongCallsAreAnswered) {
  EXPECT_THROW(cr::explain("sigmoyd"), cr::ArgumentError);
  EXPECT_THROW(cr::explain("sigmoid", {1, 2}), cr::ArgumentError);
}

}  // namespace
