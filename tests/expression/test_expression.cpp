#include <cmath>
#include <string>
#include <utility>
#include <vector>

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

// NumPy's meaning: x[::-1] of 0 … 5 is 5 … 0, x[4:1:-2] is 4, 2.
TEST(Slices, AreWrittenAndReadAsRanges) {
  const cr::Tensor x = cr::arange(0, 6, 1, cr::DType::float64);
  const std::vector<cr::NamedTensor> names = {{x, "x"}};
  const auto values = [&](const std::string& text) {
    return cr::parse_expression(text)({x}).to_vector<double>();
  };
  EXPECT_EQ(values("x[::-1]"), (std::vector<double>{5, 4, 3, 2, 1, 0}));
  EXPECT_EQ(values("x[4:1:-2]"), (std::vector<double>{4, 2}));
  EXPECT_EQ(values("2 x[-2:] + 1"), (std::vector<double>{9, 11}));
  for (const auto& [slice, text] :
       std::vector<std::pair<cr::Slice, std::string>>{{{.start = 2}, "x[2:]"},
                                                      {{.stop = 3}, "x[:3]"},
                                                      {{.start = 1, .stop = 6, .step = 2}, "x[1::2]"},
                                                      {{.start = 4, .stop = 1, .step = -2}, "x[4:1:-2]"},
                                                      {{.step = -1}, "x[::-1]"},
                                                      {{.start = 3, .stop = 3}, "x[0:0]"}}) {
    const cr::Tensor part = x.at(slice).get();
    EXPECT_EQ(cr::format_expression(part, names), text);
    EXPECT_EQ(values(text), part.to_vector<double>()) << text;
  }
  EXPECT_THROW(cr::parse_expression("x[1]"), cr::ArgumentError);
  EXPECT_THROW(cr::parse_expression("x[::0]"), cr::ArgumentError);
  EXPECT_THROW(cr::parse_expression("x[:"), cr::ArgumentError);
  EXPECT_THROW(values("x[:, 1:]"), cr::ArgumentError);
}

// The gradient of parts that lie side by side is what their gradients make side by side.
TEST(Slices, GradientsOfAllPartsAreJoined) {
  const cr::Tensor x = cr::arange(0, 6, 1, cr::DType::float64);
  std::string text;
  const auto f = [&](const cr::Tensor& t) {
    return cr::sum(cr::sin(t.at(cr::Slice{.stop = 2}).get())) +
           cr::sum(cr::exp(t.at(cr::Slice{.start = 2}).get()));
  };
  const auto shown = [&](const cr::Tensor& t) {
    const std::vector<cr::NamedTensor> names = {{t, "t"}};
    text = cr::format_expression(cr::grad(f)(t), names);
    return cr::sum(t);
  };
  cr::grad(shown)(x);
  EXPECT_TRUE(text.starts_with("concatenate(")) << text;
  EXPECT_NE(text.find("cos(t[:2]), "), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("exp(t[2:]))")) << text;
  const auto read = cr::parse_expression(text)({x}).to_vector<double>();
  const auto expected = cr::grad(f)(x).to_vector<double>();
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(read[i], expected[i], 1e-14 * std::abs(expected[i]));
}

}  // namespace
