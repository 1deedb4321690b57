// Formulas that nobody would write.

#include <string>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/expression.hpp>

namespace cr = chainrule;

namespace {

std::string repeated(const std::string& part, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += part;
  return text;
}

// Each way to nest goes through the parser's stack: it ends long before the stack does.
TEST(HostileFormulas, DepthIsBounded) {
  constexpr int many = 100'000;
  for (const char* open : {"(", "-", "+", "sin(", "x^", "max(x, ", "1 < (", "2 (", "where(x, ", "((-"}) {
    EXPECT_THROW(cr::parse_expression(repeated(open, many) + "x"), cr::ArgumentError) << open;
    EXPECT_THROW(cr::parse_expression(repeated(open, many)), cr::ArgumentError) << open;
  }
  EXPECT_NO_THROW(cr::parse_expression(repeated("(", 50) + "x" + repeated(")", 50)));
}

TEST(HostileFormulas, LongOnesAreReadAndEvaluated) {
  const cr::Expression sum = cr::parse_expression("x" + repeated(" + x", 20'000));
  EXPECT_EQ(sum({cr::Tensor(1.0)}).item<double>(), 20'001);
  const cr::Expression product = cr::parse_expression(repeated("x ", 5'000));
  EXPECT_EQ(product({cr::Tensor(1.0)}).item<double>(), 1);
}

TEST(HostileFormulas, AnyBytesAreAFormulaOrAnError) {
  const std::string signs = "x1.e+-*/^()<>=!, \t\nsin(max\xc3\xa9\xff\xe2\x88\x92";
  std::uint64_t state = 1;
  int read = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (int k = 0; k < 1 + i % 24; ++k) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      text += signs[(state >> 33U) % signs.size()];
    }
    try {
      cr::parse_expression(text);
      ++read;
    } catch (const cr::ArgumentError&) {
    }
  }
  EXPECT_GT(read, 100) << "some are formulas";
}

}  // namespace
