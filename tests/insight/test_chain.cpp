#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/explain.hpp>

namespace cr = chainrule;

namespace {

cr::ChainTrace trace(const std::string& formula, std::vector<double> at) {
  return cr::trace_chain(cr::parse_expression(formula), at);
}

TEST(Chain, TheSumOverPathsIsTheDerivative) {
  const char* const formulas[] = {
      "sin(x)*exp(x)", "sigmoid(w x + b)^2 - x",   "log(1 + exp(x y)) / (x^2 + y^2)", "max(x, y) sqrt(x)",
      "x^x",           "where(x < y, x y, exp(y))"};
  for (const char* formula : formulas) {
    SCOPED_TRACE(formula);
    const cr::Expression f = cr::parse_expression(formula);
    const std::vector<double> points = {0.7, 1.3, 0.4};
    const cr::ChainTrace t = cr::trace_chain(f, std::span(points).first(f.variables().size()));
    for (const cr::ChainGradient& gradient : t.gradients) {
      double sum = 0;
      for (const cr::ChainPath& path : gradient.paths) sum += path.product;
      EXPECT_TRUE(gradient.complete);
      EXPECT_NEAR(sum, gradient.value, 1e-12 * std::max(1.0, std::abs(gradient.value)));
      EXPECT_LT(gradient.error, 1e-8);
    }
  }
}

TEST(Chain, StepsHoldValuesAdjointsAndLocalDerivatives) {
  const cr::ChainTrace t = trace("sin(x)*exp(x)", {0.5});
  EXPECT_DOUBLE_EQ(t.value, std::sin(0.5) * std::exp(0.5));
  EXPECT_EQ(t.gradients.at(0).text, "sin(x) exp(x) + exp(x) cos(x)");
  EXPECT_NEAR(t.gradients[0].value, 2.237328, 1e-6);
  ASSERT_EQ(t.steps.size(), 4);
  const cr::ChainStep& sine = t.steps[1];
  EXPECT_EQ(sine.text, "sin(x)");
  EXPECT_EQ(sine.inputs.at(0).derivative, "cos(x)");
  EXPECT_DOUBLE_EQ(sine.inputs[0].value, std::cos(0.5));
  EXPECT_DOUBLE_EQ(sine.adjoint, std::exp(0.5));
}

TEST(Chain, PathsMayMultiply) {
  // Twenty doublings have 2²⁰ paths.
  std::string formula = "x";
  for (int i = 0; i < 7; ++i) formula = "(" + formula + ") * (" + formula + ")";
  const cr::ChainTrace t = trace(formula, {1});
  EXPECT_FALSE(t.gradients.at(0).complete);
  EXPECT_EQ(t.gradients[0].paths.size(), 64);
  EXPECT_DOUBLE_EQ(t.gradients[0].value, 128);
}

TEST(Chain, ConstantsAndUnusedVariables) {
  EXPECT_TRUE(trace("2 + 3", {}).gradients.empty());
  const std::vector<double> at = {1, 2};
  const cr::ChainTrace t = cr::trace_chain(cr::parse_expression("x^2", {"x", "y"}), at);
  EXPECT_DOUBLE_EQ(t.gradients.at(1).value, 0);
  EXPECT_TRUE(t.gradients[1].paths.empty());
}

TEST(Chain, WrongCallsAreAnswered) {
  EXPECT_THROW(trace("x + 1", {}), cr::ArgumentError);
  EXPECT_THROW(trace("x < 1", {2}), cr::ArgumentError);
}

TEST(Chain, TextShowsTreeAndPaths) {
  const std::string text = cr::to_text(trace("sin(x)*exp(x)", {0.5}), true);
  for (const char* part : {"f' = sin(x) exp(x) + exp(x) cos(x) = 2.237328", "├─ sin(x)",
                           "local derivative cos(x) = 0.8775826", "sin(x) exp(x) → exp(x) → x", "ok"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

TEST(Chain, OutsideOfTheDomainIsSaid) {
  const cr::ChainTrace result = trace("2 + log(x)", {-1});
  EXPECT_FALSE(result.defined());
  const std::string text = cr::to_text(result, false);
  EXPECT_NE(text.find("outside of the domain: log(x) is no number at -1"), std::string::npos) << text;
  EXPECT_EQ(text.find("differs"), std::string::npos) << text;
  EXPECT_FALSE(trace("sqrt(x)", {0}).defined()) << "its derivative is infinite";
  EXPECT_TRUE(trace("log(x)", {1e-7}).defined());
  EXPECT_LT(trace("log(x)", {1e-7}).gradients[0].error, 0.01) << "the step stays inside of the domain";
}

TEST(Chain, AKinkAndItsConvention) {
  const cr::ChainTrace result = trace("relu(x)", {0});
  EXPECT_TRUE(result.at_kink());
  EXPECT_DOUBLE_EQ(result.gradients[0].left, 0);
  EXPECT_NEAR(result.gradients[0].right, 1, 1e-9);
  const std::string text = cr::to_text(result, false);
  EXPECT_NE(text.find("a kink: relu(x) has no derivative at 0; the rule takes 0 there, by convention"),
            std::string::npos)
      << text;
  EXPECT_FALSE(trace("relu(x)", {1}).at_kink());
  // A kink that does not matter: relu(x)² has a derivative at 0.
  const std::string square = cr::to_text(trace("relu(x)^2", {0}), false);
  EXPECT_NE(square.find("agrees"), std::string::npos) << square;
}

}  // namespace
