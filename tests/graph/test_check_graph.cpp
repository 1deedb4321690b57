// Graphs that a careless pass could leave behind are refused, with the name of the pass.

#include <gtest/gtest.h>

#include <chainrule/control.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

#include "graph/graphs.hpp"
#include "graph/lower.hpp"
#include "graph/subgraph.hpp"

namespace cr = chainrule;

namespace {

using cr::testing::graph_of;
using cr::testing::input;

// The error's problem; empty where the graph is fine.
std::string problem(const cr::LoweredGraph& graph) {
  try {
    cr::check_graph(graph, "a_pass");
  } catch (const cr::StateError& error) {
    EXPECT_EQ(error.parts().function, "a_pass");
    return error.parts().problem;
  }
  return "";
}
bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(CheckGraph, ASoundGraphPasses) {
  const cr::Tensor x = input({2, 3});
  EXPECT_EQ(problem(graph_of({x}, {cr::sum(cr::exp(x) * 2.0), cr::transpose(x)})), "");
}

TEST(CheckGraph, AWrongShapeIsFound) {
  const cr::Tensor x = input({2, 3});
  const cr::Tensor y = cr::exp(x);
  y.node()->outputs[0].shape = {3, 2};
  EXPECT_TRUE(mentions(problem(graph_of({x}, {y * 2.0})), "specs"));
}

TEST(CheckGraph, AWrongDTypeIsFound) {
  const cr::Tensor x = input({2, 3});
  const cr::Tensor y = cr::exp(x);
  y.node()->outputs[0].dtype = cr::DType::float64;
  EXPECT_TRUE(mentions(problem(graph_of({x}, {y})), "specs"));
}

TEST(CheckGraph, AForeignPlaceholderIsFound) {
  const cr::Tensor x = input({3});
  EXPECT_TRUE(mentions(problem(graph_of({x}, {x + input({3})})), "no input of the graph"));
}

TEST(CheckGraph, AForeignValueIsFound) {
  const cr::Tensor x = input({3});
  EXPECT_TRUE(mentions(problem(graph_of({x}, {x + cr::tensor({1, 2, 3})})), "memory"));
}

TEST(CheckGraph, AnOutputThatDoesNotExistIsFound) {
  const cr::Tensor x = input({3});
  const cr::Tensor missing(x.node(), 1);
  EXPECT_TRUE(mentions(problem(graph_of({x}, {missing})), "output 1"));
}

TEST(CheckGraph, AnInputYoungerThanItsReaderIsFound) {
  const cr::Tensor x = input({3});
  const cr::Tensor y = cr::exp(x);
  y.node()->inputs[0] = cr::exp(x);
  EXPECT_TRUE(mentions(problem(graph_of({x}, {y})), "older"));
}

TEST(CheckGraph, TheSameInputTwiceIsFound) {
  const cr::Tensor x = input({3});
  EXPECT_TRUE(mentions(problem(graph_of({x, x}, {cr::exp(x)})), "two inputs"));
}

TEST(CheckGraph, MissingAttributesAreFound) {
  const cr::Tensor x = input({3});
  const cr::Tensor y = cr::sum(x);
  y.node()->attributes = nullptr;
  EXPECT_TRUE(mentions(problem(graph_of({x}, {y})), "attributes"));
}

TEST(CheckGraph, ABrokenBodyIsFound) {
  const cr::Tensor x = input({4, 3});
  const cr::ScanBody body = [](const std::vector<cr::Tensor>& carry, const std::vector<cr::Tensor>& xs) {
    return cr::ScanResult{{cr::tanh(carry[0] + xs[0])}, {carry[0]}};
  };
  const cr::ScanResult loop = cr::scan(body, {cr::zeros({3})}, {x});
  const auto graph = graph_of({x}, {loop.carry[0]});
  EXPECT_EQ(problem(graph), "");
  const cr::Node& node = *loop.carry[0].node();
  const auto& inner = node.get<std::shared_ptr<const cr::SubGraph>>(0);
  cr::Node& broken = *inner->outputs[0].node();
  const cr::TensorSpec sound = broken.outputs[0];
  broken.outputs[0].dtype = cr::DType::float64;
  EXPECT_TRUE(mentions(problem(graph), "specs"));
  broken.outputs[0] = sound;  // equal bodies are shared
}

// Each pass is followed by a check: one that breaks the graph is named.
TEST(CheckGraph, RunsAfterEachPass) {
  const bool before = cr::graph_checks().exchange(true);
  const cr::Tensor x = input({3});
  const cr::Tensor y = cr::exp(x);
  y.node()->outputs[0].dtype = cr::DType::float64;
  EXPECT_THROW(cr::run_passes(graph_of({x}, {y}), cr::cpu_device()), cr::StateError);
  cr::graph_checks() = before;
}

}  // namespace
