// Each pass on a small graph, as text.

#include <gtest/gtest.h>

#include <chainrule/ops.hpp>

#include "graph/graphs.hpp"
#include "graph/plan.hpp"

namespace cr = chainrule;

namespace {

using cr::testing::graph_of;
using cr::testing::input;

TEST(Passes, ATransposedProductIsComputedTransposed) {
  const cr::Tensor a = input({2, 3});
  const cr::Tensor b = input({3, 4});
  const auto graph = graph_of({a, b}, {cr::transpose(cr::matmul(a, b)) * 2.0});
  const std::string text = cr::to_text(cr::transpose_products(graph));
  EXPECT_NE(text.find("matmul(%3, %4) float32[4, 2]"), std::string::npos) << text;
  EXPECT_EQ(text.find("float32[2, 4]"), std::string::npos) << text;
}

TEST(Passes, AProductThatIsReadTwiceStays) {
  const cr::Tensor a = input({2, 3});
  const cr::Tensor b = input({3, 4});
  const cr::Tensor product = cr::matmul(a, b);
  const auto graph = graph_of({a, b}, {cr::transpose(product), cr::sum(product)});
  EXPECT_EQ(cr::to_text(cr::transpose_products(graph)), cr::to_text(graph));
}

TEST(Passes, ASumOfProductsIsComputedTransposed) {
  const cr::Tensor a = input({2, 3});
  const cr::Tensor b = input({3, 4});
  const cr::Tensor c = input({2, 5});
  const cr::Tensor d = input({5, 4});
  const cr::Tensor sum = cr::matmul(a, b) * 2.0 + cr::matmul(c, d);
  const std::string text = cr::to_text(cr::transpose_products(graph_of({a, b, c, d}, {cr::transpose(sum)})));
  EXPECT_EQ(text.find("float32[2, 4]"), std::string::npos) << text;
  EXPECT_NE(text.find("add("), std::string::npos) << text;
  // Not where a product is read as it is too, and not with anything but products in the sum.
  const cr::Tensor shared = cr::matmul(a, b);
  const cr::Tensor e = input({2, 4});
  for (const cr::Tensor& other : {shared + cr::matmul(c, d), cr::matmul(c, d) + e}) {
    const auto graph = graph_of({a, b, c, d, e}, {cr::transpose(other), cr::sum(shared)});
    EXPECT_EQ(cr::to_text(cr::transpose_products(graph)), cr::to_text(graph));
  }
}

TEST(Passes, TheRowsOfASliceAreCutUpWithoutACopy) {
  const cr::Tensor x = input({6, 40});
  const cr::Tensor part = cr::slice(x, 1, 4, 28);
  const auto kernels_of = [&](const cr::Tensor& y) {
    const auto plan = cr::build_plan(graph_of({x}, {cr::exp(y)}), cr::cpu_device(), {});
    std::string kernels;
    for (const cr::Instruction& instruction : plan->instructions)
      kernels += std::string(instruction.kernel) + " ";
    return kernels;
  };
  EXPECT_EQ(kernels_of(cr::reshape(part, {6, 4, 1, 6})), "elementwise ");
  EXPECT_EQ(kernels_of(cr::reshape(part, {2, 3, 24})), "elementwise ");
  EXPECT_EQ(kernels_of(cr::reshape(part, {3, 1, 2, 2, 12})), "elementwise ");
  EXPECT_EQ(kernels_of(cr::reshape(part, {3, 48})),
            "copy elementwise ");  // a row's end is nowhere near the next
}

TEST(Passes, AChainStoresWhatLeavesThePlan) {
  const cr::Tensor x = input({8});
  const cr::Tensor shared = cr::exp(x);
  const auto graph = graph_of({x}, {cr::sum(cr::relu(shared * 2.0) + 1.0), shared});
  const auto plan = cr::build_plan(graph, cr::cpu_device(), {});
  std::string kernels;
  for (const cr::Instruction& instruction : plan->instructions)
    kernels += std::string(instruction.kernel) + " ";
  EXPECT_EQ(kernels,
            "elementwise reduce ");  // the pass that goes on to relu also stores exp(x), which leaves
}

}  // namespace
