#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/explain.hpp>

#include "insight/explain_text.hpp"
#include "insight/named.hpp"

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
  EXPECT_NEAR(*e.saturation->above, edge, 1e-9);
  EXPECT_NEAR(*e.saturation->below, -edge, 1e-9);
  EXPECT_NE(cr::to_text(e).find("|x| > 5.99"), std::string::npos) << "5.98645, rounded to the nearest";
  EXPECT_LE(e.worst_ulp, 8);
  for (const cr::DerivativeCheck& check : e.checks) EXPECT_TRUE(check.ok) << check.what;
  EXPECT_EQ(e.declared_in, "src/ops/activations.cpp");
}

// mpmath, 30 digits: the largest |y'|, where it is, and where |y'| falls to 1 % of it.
TEST(Explain, SaturationIsExact) {
  struct Known {
    const char* op;
    double peak, peak_at, below;
    bool has_above;
  };
  const double inf = std::numeric_limits<double>::infinity();
  const Known known[] = {
      {"tanh", 1, 0, -2.99322284612638089791266771378, true},
      {"gelu", 1.12890414518515478634074444226, 1.41421356237309504880168872421,
       -3.02166263409384040272297253398, false},
      {"silu", 1.09983932012886691695818492432, 2.39935728051546766783269729697,
       -6.14291570019561679295896931347, false},
      {"softplus", 1, inf, -4.59511985013458992685243405181, false},
      {"selu", 1.75809934084737685994021752081, 0, -4.60517018598809136803598290937, false},
      {"relu", 1, inf, 0, false},
  };
  for (const Known& k : known) {
    SCOPED_TRACE(k.op);
    const cr::Explanation e = cr::explain(k.op);
    ASSERT_TRUE(e.saturation.has_value());
    EXPECT_NEAR(e.saturation->peak, k.peak, 1e-9);
    if (std::isinf(k.peak_at)) {
      EXPECT_EQ(e.saturation->peak_at, k.peak_at);
    } else {
      EXPECT_NEAR(e.saturation->peak_at, k.peak_at,
                  1e-6);  // a maximum is flat: its place has half the digits
    }
    ASSERT_TRUE(e.saturation->below.has_value());
    EXPECT_NEAR(*e.saturation->below, k.below, 1e-9);
    EXPECT_EQ(e.saturation->above.has_value(), k.has_above);
  }
  EXPECT_NE(cr::to_text(cr::explain("relu")).find("max |y'| = 1; 0 for x < 0\n"), std::string::npos)
      << cr::to_text(cr::explain("relu"));
}

TEST(Explain, WhatDoesNotSaturateSaysNothing) {
  for (const char* op : {"exp", "sin", "square", "abs", "sqrt", "reciprocal"})
    EXPECT_FALSE(cr::explain(op).saturation.has_value()) << op;
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

// By hand, at x = (2, 1, 0.1): p = (0.659001, 0.242433, 0.098566), ∂p₁/∂x₂ = -p₁ p₂.
TEST(Explain, OpsOfAVectorHaveNumbers) {
  const cr::Explanation e = cr::explain("softmax", {2, 1, 0.1});
  ASSERT_EQ(e.rows.size(), 4U);
  const double z = std::exp(2) + std::exp(1) + std::exp(0.1);
  const double p[] = {std::exp(2) / z, std::exp(1) / z, std::exp(0.1) / z};
  EXPECT_NEAR(e.rows[0].values[0], p[0], 1e-15);
  EXPECT_NEAR(e.rows[1].values[1], -p[0] * p[1], 1e-15);
  EXPECT_NE(e.vector_check.find("ok"), std::string::npos);
  EXPECT_EQ(e.definition, "exp(x - m) / sum(exp(x - m)),  m = max(x)");
  EXPECT_EQ(cr::explain("logsumexp").definition, "log(sum(exp(x - m))) + m,  m = max(x)");
  for (const char* op : {"softmax", "logsumexp", "log_softmax"}) {
    for (const cr::TextStyle style : {cr::TextStyle::plain, cr::TextStyle::latex})
      EXPECT_EQ(cr::to_text(cr::explain(op, {}, style)).find("stop"), std::string::npos) << op;
  }
}

TEST(Explain, AnOpThatHalvesItsAxisGetsAnEvenVector) {
  const auto s = [](double x) { return 1 / (1 + std::exp(-x)); };
  const cr::Explanation e = cr::explain("glu");
  ASSERT_EQ(e.at.size(), 4U);
  ASSERT_FALSE(e.rows.empty());
  ASSERT_EQ(e.rows[0].values.size(), 2U);
  EXPECT_DOUBLE_EQ(e.rows[0].values[0], e.at[0] * s(e.at[2]));
  EXPECT_DOUBLE_EQ(e.rows[0].values[1], e.at[1] * s(e.at[3]));
  EXPECT_THROW(cr::explain("glu", {1, 2, 3}), cr::ShapeError);
}

TEST(Explain, UsesAreOfThingsThatExist) {
  std::vector<std::string> names = cr::described_names();
  for (const cr::OpSummary& op : cr::list_ops()) names.push_back(op.name);
  for (const std::string& name : cr::insight::used_names())
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  EXPECT_NE(cr::to_text(cr::explain("sigmoid")).find("use          "), std::string::npos);
}

TEST(Explain, WrongCallsAreAnswered) {
  EXPECT_THROW(cr::explain("sigmoyd"), cr::ArgumentError);
  EXPECT_THROW(cr::explain("sigmoid", {1, 2}), cr::ArgumentError);
}

// A terminal has 80 columns; what has no space can't be broken.
TEST(Explain, FitsATerminal) {
  for (const cr::OpSummary& op : cr::list_ops()) {
    std::istringstream lines(cr::to_text(cr::explain(op.name)));
    for (std::string line; std::getline(lines, line);) {
      const bool has_a_space = line.find(' ', line.find_first_not_of(' ')) != std::string::npos;
      EXPECT_TRUE(cr::insight::columns(line) <= 80 || !has_a_space) << op.name << ": " << line;
    }
  }
}

TEST(Explain, HalvesAreWrittenAsRanges) {
  const cr::Explanation e = cr::explain("glu");
  EXPECT_EQ(e.definition, "x[:, :2] sigmoid(x[:, 2:])");
  EXPECT_EQ(e.derivative.inputs[0].backward.find("slice"), std::string::npos);
  EXPECT_EQ(cr::explain("softmax").derivative.inputs[0].backward, "y (y\u0304 - sum(y\u0304 y))");
}

}  // namespace
