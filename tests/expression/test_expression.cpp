#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/expression.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

namespace cr = chainrule;

namespace {

cr::Tensor number(double value) { return cr::full({}, value, cr::DType::float64); }

// A formula's own text after a walk through the graph.
std::string reprinted(const std::string& formula, cr::TextStyle style = cr::TextStyle::plain) {
  const cr::Expression f = cr::parse_expression(formula);
  std::vector<cr::Tensor> values;
  std::vector<cr::NamedTensor> names;
  for (const std::string& name : f.variables()) {
    values.push_back(cr::Tensor::from(std::vector<double>{0.5}, {}));
    names.push_back({values.back(), name});
  }
  return cr::format_expression(f(values), names, {.style = style});
}

double value_of(const std::string& formula, double x) {
  const cr::Expression f = cr::parse_expression(formula, {"x"});
  return f({number(x)}).item<double>();
}

std::string position_of_error(const std::string& formula, std::vector<std::string> variables = {}) {
  try {
    cr::parse_expression(formula, std::move(variables));
  } catch (const cr::ArgumentError& error) {
    return error.parts().got;
  }
  return "no error";
}

TEST(Format, OperatorsAndParentheses) {
  const std::vector<std::string> unchanged = {
      "a + b - c",
      "a / (b c)",
      "c (a + b)",
      "a^(b^c)",
      "(a^b)^c",
      "-a b",
      "-a^3",
      "a (b + c)^2",
      "exp(-a)",
      "2 a + 3",
      "a < b",
      "2^(-a)",
      "1 / a^2",
      "2 a / (3 b)",
      "a * 2^b",
      "tanh(a) + 1",
      "where(a < b, a, 0)",
  };
  for (const std::string& formula : unchanged) EXPECT_EQ(reprinted(formula), formula);
  EXPECT_EQ(reprinted("a - (b - c)"), "a - b + c");
  EXPECT_EQ(reprinted("(-a)^3"), "-a^3");
  EXPECT_EQ(reprinted("(a / b) * c"), "a c / b");
  EXPECT_EQ(reprinted("a^b^c"), "a^(b^c)");
}

TEST(Format, Rewrites) {
  EXPECT_EQ(reprinted("x * x"), "x^2");
  EXPECT_EQ(reprinted("x^2 x x^3"), "x^6");
  EXPECT_EQ(reprinted("1 * x + 0"), "x");
  EXPECT_EQ(reprinted("--x"), "x");
  EXPECT_EQ(reprinted("x * (1 / y)"), "x / y");
  EXPECT_EQ(reprinted("x + x"), "2 x");
  EXPECT_EQ(reprinted("1 - y - y"), "1 - 2 y");
  EXPECT_EQ(reprinted("-x + y"), "y - x");
  EXPECT_EQ(reprinted("6 x / (27 x^3)"), "2 / (9 x^2)");
  EXPECT_EQ(reprinted("x / 3"), "x / 3");
  EXPECT_EQ(reprinted("0.5 * x * 2"), "x");
  EXPECT_EQ(reprinted("x / x"), "x / x");
  EXPECT_EQ(reprinted("log(2) x"), "x log(2)");
}

TEST(Format, Latex) {
  EXPECT_EQ(reprinted("tanh(x) / x", cr::TextStyle::latex), "\\frac{\\tanh x}{x}");
  EXPECT_EQ(reprinted("x^(y + 1)", cr::TextStyle::latex), "x^{y + 1}");
  EXPECT_EQ(reprinted("log(x + 1)^2", cr::TextStyle::latex), "\\left(\\ln \\left(x + 1\\right)\\right)^{2}");
  EXPECT_EQ(reprinted("x (1 - x)", cr::TextStyle::latex), "x \\, \\left(1 - x\\right)");
}

TEST(Format, NamesValuesAndShapes) {
  const cr::Tensor x = cr::tensor({1, 2, 3});
  const cr::NamedTensor named{x, "x"};
  EXPECT_EQ(cr::format_expression(cr::sum(x * 2 + 1), std::span(&named, 1)), "sum(2 x + 1)");
  EXPECT_EQ(cr::format_expression(cr::exp(x)), "exp(tensor[3])");
  EXPECT_EQ(cr::format_expression(cr::sum(cr::ones({3})), {}), "sum(broadcast_to(1, shape=[3]))");
  EXPECT_EQ(cr::format_expression(x + cr::ones({3}), std::span(&named, 1)), "x + 1");
  EXPECT_THROW(cr::format_expression(cr::Tensor()), cr::ArgumentError);
}

TEST(Format, WhatNobodyCanReadIsRefused) {
  cr::Tensor doubling = cr::tensor({1, 2});
  for (int i = 0; i < 60; ++i) doubling = cr::exp(doubling) + cr::tanh(doubling);
  EXPECT_THROW(cr::format_expression(doubling), cr::ArgumentError);
  cr::Tensor deep = cr::tensor({1, 2});
  for (int i = 0; i < 100000; ++i) deep = cr::tanh(deep);
  EXPECT_THROW(cr::format_expression(deep), cr::ArgumentError);
}

TEST(Parse, ValuesAsInC) {
  const double x = 0.7;
  EXPECT_DOUBLE_EQ(value_of("tanh(x)*exp(x)", x), std::tanh(x) * std::exp(x));
  EXPECT_DOUBLE_EQ(value_of("2 x (1 - x)", x), 2 * x * (1 - x));
  EXPECT_DOUBLE_EQ(value_of("-x^2", x), -(x * x));
  EXPECT_DOUBLE_EQ(value_of("2^-x", x), std::pow(2, -x));
  EXPECT_DOUBLE_EQ(value_of("2^3^x", x), std::pow(2, std::pow(3, x)));
  EXPECT_DOUBLE_EQ(value_of("ln(x) + pi - e", x), std::log(x) + M_PI - M_E);
  EXPECT_DOUBLE_EQ(value_of("8 / 4 / x", x), 8 / 4.0 / x);
  EXPECT_DOUBLE_EQ(value_of("1e-3 + .5 + x·2 − 1", x), 1e-3 + .5 + x * 2 - 1);
  EXPECT_DOUBLE_EQ(value_of("max(x, 2)", x), 2);
  EXPECT_DOUBLE_EQ(value_of("x (2)", x), 2 * x);
  EXPECT_TRUE(cr::parse_expression("x < 1", {"x"})({number(x)}).item<bool>());
}

TEST(Parse, VariablesInOrderOfAppearance) {
  EXPECT_EQ(cr::parse_expression("b a + exp(b) + pi").variables(), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(cr::parse_expression("e + 1", {"e"}).variables(), std::vector<std::string>{"e"});
}

TEST(Parse, WorksOnArraysAndDifferentiates) {
  const cr::Expression f = cr::parse_expression("sum(x^2 / 2)");
  const auto loss = [&](const cr::Tensor& x) { return f({x}); };
  EXPECT_EQ(cr::grad(loss)(cr::tensor({1, -2, 3})).to_vector<float>(), (std::vector<float>{1, -2, 3}));
}

TEST(Parse, ErrorsSayWhere) {
  EXPECT_EQ(position_of_error("tanhh(x)"), "\"tanhh\" at position 1");
  EXPECT_EQ(position_of_error("2 + (x"), "the end of the text at position 7");
  EXPECT_EQ(position_of_error("2 + * x"), "\"*\" at position 5");
  EXPECT_EQ(position_of_error("x $ y"), "\"$\" at position 3");
  EXPECT_EQ(position_of_error("x + z", {"x"}), "\"z\" at position 5");
  EXPECT_EQ(position_of_error("maximum(x)"), "\"maximum\" at position 1");
  EXPECT_EQ(position_of_error("x)"), "\")\" at position 2");
  EXPECT_EQ(position_of_error("1e999"), "\"1e999\" at position 1");
  EXPECT_EQ(position_of_error(""), "the end of the text at position 1");
  EXPECT_NE(position_of_error(std::string(100000, '(')), "no error");
  EXPECT_NE(position_of_error(std::string(100000, '-')), "no error");
  try {
    cr::parse_expression("tanhh(x)");
  } catch (const cr::ArgumentError& error) {
    EXPECT_NE(error.parts().hint.find("tanh"), std::string::npos) << error.parts().hint;
  }
}

TEST(Parse, LongSumsAreFine) {
  std::string text = "x";
  for (int i = 0; i < 20000; ++i) text += " + x";
  EXPECT_DOUBLE_EQ(value_of(text, 1), 20001);
}

}  // namespace
