// What is shown is what runs: every printed formula and derivative of the table is read back and compared
// with the kernel, with the rule and with central differences.

#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/expression.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "expression/program.hpp"
#include "graph/op.hpp"

namespace cr = chainrule;

namespace {

constexpr int samples = 40;

std::vector<const cr::OpDef*> elementwise_ops() {
  std::vector<const cr::OpDef*> ops;
  for (const cr::OpDef* op : cr::op_table()) {
    if (cr::expression::is_callable(*op) && op->kind == cr::OpKind::elementwise &&
        op->ranges.size() == op->arguments.size())
      ops.push_back(op);
  }
  return ops;
}

// Inputs off the kinks, so that differences across them do not count.
std::vector<double> draw(const cr::OpDef& op, std::mt19937& random) {
  std::vector<double> point;
  for (const cr::Range& range : op.ranges)
    point.push_back(std::uniform_real_distribution<double>(range.low, range.high)(random));
  for (const double kink : op.kinks) {
    if (std::abs(point[0] - kink) < 0.01) point[0] += 0.05;
  }
  if (op.element_rule == cr::ElementRule::logical || op.element_rule == cr::ElementRule::select)
    point[0] = std::round(std::abs(point[0]));
  return point;
}

std::vector<cr::Tensor> tensors(const cr::OpDef& op, const std::vector<double>& point) {
  std::vector<cr::Tensor> inputs;
  for (std::size_t i = 0; i < point.size(); ++i) {
    const bool condition =
        op.element_rule == cr::ElementRule::logical || (op.element_rule == cr::ElementRule::select && i == 0);
    inputs.push_back(condition ? cr::full({}, point[i] != 0, cr::DType::boolean)
                               : cr::full({}, point[i], cr::DType::float64));
  }
  return inputs;
}

double value_at(const cr::OpDef& op, const std::vector<double>& point) {
  return cr::expression::call_function(op, tensors(op, point)).astype(cr::DType::float64).item<double>();
}

std::vector<std::string> arguments(const cr::OpDef& op) { return {op.arguments.begin(), op.arguments.end()}; }

double difference(const cr::OpDef& op, std::vector<double> point, std::size_t input) {
  const double h = 1e-5;
  const double x = point[input];
  point[input] = x + h;
  const double above = value_at(op, point);
  point[input] = x - h;
  return (above - value_at(op, point)) / (2 * h);
}

TEST(DerivativeText, EveryFormulaIsItsKernel) {
  std::mt19937 random(1);
  int compared = 0;
  for (const cr::OpDef* op : elementwise_ops()) {
    SCOPED_TRACE(op->name);
    const cr::Expression formula = cr::parse_expression(cr::formula_text(op->name), arguments(*op));
    for (int i = 0; i < samples; ++i) {
      const std::vector<double> point = draw(*op, random);
      const double expected = value_at(*op, point);
      const double shown = formula(tensors(*op, point)).astype(cr::DType::float64).item<double>();
      EXPECT_NEAR(shown, expected, 1e-12 * std::max(1.0, std::abs(expected)));
    }
    ++compared;
  }
  EXPECT_GE(compared, 40);
}

TEST(DerivativeText, EveryPartialIsItsRuleAndItsDifference) {
  std::mt19937 random(2);
  for (const cr::OpDef* op : elementwise_ops()) {
    SCOPED_TRACE(op->name);
    const cr::DerivativeTexts texts = cr::derivative_text(op->name);
    std::vector<std::string> names = arguments(*op);
    names.push_back(texts.output);
    for (const cr::DerivativeText& text : texts.inputs) {
      SCOPED_TRACE(text.partial);
      const auto input =
          static_cast<std::size_t>(std::find(names.begin(), names.end(), text.input) - names.begin());
      const cr::Expression partial = cr::parse_expression(text.partial, names);
      for (int i = 0; i < samples; ++i) {
        const std::vector<double> point = draw(*op, random);
        std::vector<cr::Tensor> values = tensors(*op, point);
        values.push_back(cr::full({}, value_at(*op, point), cr::DType::float64));
        const double shown = partial(values).item<double>();
        const auto f = [&](const cr::Tensor& x) {
          std::vector<cr::Tensor> inputs = tensors(*op, point);
          inputs[input] = x;
          return cr::expression::call_function(*op, inputs);
        };
        const double rule = cr::grad(f)(values[input]).item<double>();
        EXPECT_NEAR(shown, rule, 1e-12 * std::max(1.0, std::abs(rule)));
        EXPECT_NEAR(shown, difference(*op, point, input), 1e-5 * std::max(1.0, std::abs(rule)));
      }
    }
  }
}

TEST(DerivativeText, EverySecondDerivativeIsTheRuleDifferentiated) {
  std::mt19937 random(3);
  for (const cr::OpDef* op : elementwise_ops()) {
    SCOPED_TRACE(op->name);
    const cr::DerivativeTexts texts = cr::derivative_text(op->name);
    if (texts.inputs.empty() || op->arguments.size() != 1) continue;
    SCOPED_TRACE(texts.inputs[0].second);
    const cr::Expression second =
        cr::parse_expression(texts.inputs[0].second, {texts.inputs[0].input, texts.output});
    const auto f = [&](const cr::Tensor& x) { return cr::expression::call_function(*op, std::span(&x, 1)); };
    for (int i = 0; i < samples; ++i) {
      const std::vector<double> point = draw(*op, random);
      const cr::Tensor x = cr::full({}, point[0], cr::DType::float64);
      const double expected = cr::grad(cr::grad(f))(x).item<double>();
      EXPECT_NEAR(second({x, cr::full({}, value_at(*op, point), cr::DType::float64)}).item<double>(),
                  expected, 1e-11 * std::max(1.0, std::abs(expected)));
    }
  }
}

TEST(DerivativeText, ReadsLikeABook) {
  const cr::DerivativeText sigmoid = cr::derivative_text("sigmoid").inputs.at(0);
  EXPECT_EQ(sigmoid.partial, "y (1 - y)");
  EXPECT_EQ(sigmoid.second, "y (1 - y) (1 - 2 y)");
  EXPECT_EQ(sigmoid.backward, "y\u0304 y (1 - y)");
  EXPECT_EQ(cr::derivative_text("tanh").inputs.at(0).partial, "1 - y^2");
  EXPECT_EQ(cr::derivative_text("exp2").inputs.at(0).partial, "y log(2)");
  const cr::DerivativeTexts product = cr::derivative_text("matmul", cr::TextStyle::latex);
  EXPECT_EQ(product.inputs.at(0).backward, "\\bar{y} b^\\top");
  EXPECT_EQ(product.inputs.at(1).backward, "a^\\top \\bar{y}");
}

TEST(DerivativeText, EveryOpAnswersInBothStyles) {
  for (const cr::OpDef* op : cr::op_table()) {
    SCOPED_TRACE(op->name);
    for (const cr::TextStyle style : {cr::TextStyle::plain, cr::TextStyle::latex}) {
      const cr::DerivativeTexts texts = cr::derivative_text(op->name, style);
      EXPECT_EQ(texts.inputs.empty(), op->not_differentiable != nullptr);
      EXPECT_FALSE(cr::formula_text(op->name, style).empty());
    }
  }
  EXPECT_THROW(cr::derivative_text("sigmoyd"), cr::ArgumentError);
}

}  // namespace
