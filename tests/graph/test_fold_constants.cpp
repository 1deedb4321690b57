// What is computed from constants becomes one, with the bits that its kernel gives.

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

#include "graph/graphs.hpp"
#include "graph/lower.hpp"

namespace cr = chainrule;

namespace {

using cr::testing::graph_of;
using cr::testing::input;

std::string folded(const cr::LoweredGraph& graph) {
  return cr::to_text(cr::fold_constants(graph, cr::cpu_device()));
}
cr::Tensor number(double value) { return cr::full({}, value, cr::DType::float32); }

TEST(FoldConstants, AScalarExpressionIsItsValue) {
  const cr::Tensor x = input({3});
  const auto graph = graph_of({x}, {x * (number(3) - number(1) / number(2))});
  EXPECT_EQ(folded(graph),
            "%0 = placeholder() float32[3]\n"
            "%1 = constant() {value=2.5, weak=false, dtype=float32} float32[]\n"
            "%2 = mul(%0, %1) float32[3]\n"
            "return %2\n");
}

TEST(FoldConstants, TheKernelsBitsAreKept) {
  const auto graph = graph_of({}, {cr::exp(number(0.1))});
  const cr::LoweredGraph result = cr::fold_constants(graph, cr::cpu_device());
  ASSERT_TRUE(cr::is_constant(result.outputs[0]));
  EXPECT_EQ(cr::constant_value(result.outputs[0]), cr::exp(cr::tensor({0.1})).to_vector<float>()[0]);
}

TEST(FoldConstants, ATensorOfOneNumberStaysOneNumber) {
  const cr::Tensor x = input({2, 3});
  const auto graph = graph_of({x}, {x + cr::reshape(cr::sqrt(cr::full({3, 2}, 4)) * 0.5, {2, 3})});
  EXPECT_EQ(folded(graph),
            "%0 = placeholder() float32[2, 3]\n"
            "%1 = constant() {value=1, weak=false, dtype=float32} float32[]\n"
            "%2 = broadcast_to(%1) {shape=[2, 3]} float32[2, 3]\n"
            "%3 = add(%0, %2) float32[2, 3]\n"
            "return %3\n");
}

TEST(FoldConstants, LargeIntegersAreExact) {
  const std::int64_t large = (std::int64_t{1} << 60) + 1;
  const cr::Tensor x = cr::Tensor(large) + cr::Tensor(std::int64_t{1});
  const std::string text = folded(graph_of({}, {x}));
  EXPECT_NE(text.find("value=1152921504606846978"), std::string::npos) << text;
}

TEST(FoldConstants, ConversionsAndPredicatesAreFolded) {
  const auto graph =
      graph_of({}, {cr::astype(number(2) + number(0.75), cr::DType::int32), number(1) < number(2)});
  const std::string text = folded(graph);
  EXPECT_NE(text.find("{value=2, weak=false, dtype=int32}"), std::string::npos) << text;
  EXPECT_NE(text.find("{value=1, weak=false, dtype=bool}"), std::string::npos) << text;
}

TEST(FoldConstants, WhatReadsAnInputStays) {
  const cr::Tensor x = input({});
  const auto graph = graph_of({x}, {cr::exp(x) * 2.0});
  EXPECT_EQ(folded(graph), cr::to_text(graph));
}

// A sum over a tensor of one number adds it up in an order of its own.
TEST(FoldConstants, TensorsAreNotAddedUp) {
  const auto graph = graph_of({}, {cr::sum(cr::full({1000}, 0.1))});
  EXPECT_EQ(folded(graph), cr::to_text(graph));
}

}  // namespace
