// Equal nodes become one, and unequal ones do not.

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

#include "graph/graphs.hpp"
#include "graph/lower.hpp"

namespace cr = chainrule;

namespace {

using cr::testing::graph_of;
using cr::testing::input;

std::string shared(const cr::LoweredGraph& graph) {
  return cr::to_text(cr::eliminate_common_subexpressions(graph));
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(CommonSubexpressions, EqualNodesBecomeOne) {
  const cr::Tensor x = input({3});
  const auto graph = graph_of({x}, {cr::exp(x) + cr::exp(x) * 2.0});
  EXPECT_EQ(cr::to_text(cr::eliminate_common_subexpressions(graph)),
            "%0 = placeholder() float32[3]\n"
            "%1 = exp(%0) float32[3]\n"
            "%2 = constant() {value=2, weak=false, dtype=float32} float32[]\n"
            "%3 = mul(%1, %2) float32[3]\n"
            "%4 = add(%1, %3) float32[3]\n"
            "return %4\n");
}

TEST(CommonSubexpressions, WholeChainsBecomeOne) {
  const cr::Tensor x = input({3});
  const auto chain = [&] { return cr::exp(cr::sin(x) * 2.0); };
  const std::string text = shared(graph_of({x}, {chain(), chain()}));
  EXPECT_EQ(count(text, "sin("), 1U) << text;
  EXPECT_NE(text.find("return %4 %4"), std::string::npos) << text;
}

TEST(CommonSubexpressions, OtherInputsAttributesAndLeavesStayApart) {
  const cr::Tensor x = input({3, 4});
  const cr::Tensor y = input({3, 4});
  EXPECT_EQ(count(shared(graph_of({x, y}, {x - y, y - x})), "sub("), 2U);
  EXPECT_EQ(count(shared(graph_of({x}, {cr::sum(x, {0}), cr::sum(x, {1})})), "sum("), 2U);
  EXPECT_EQ(count(shared(graph_of({x, y}, {cr::exp(x), cr::exp(y)})), "exp("), 2U);
}

// 1/0 and 1/-0 differ.
TEST(CommonSubexpressions, ZeroHasTwoSigns) {
  const cr::Tensor x = input({3});
  const std::string text = shared(graph_of({x}, {x / cr::full({}, 0.0), x / cr::full({}, -0.0)}));
  EXPECT_EQ(count(text, "div("), 2U) << text;
}

TEST(CommonSubexpressions, DifferentRegionsShareToo) {
  const cr::Tensor x = input({3});
  std::vector<cr::Tensor> outputs;
  for (const char* region : {"a", "b"}) {
    const cr::Region open(region);
    outputs.push_back(cr::exp(x));
  }
  EXPECT_EQ(count(shared(graph_of({x}, outputs)), "exp("), 1U);
}

}  // namespace
