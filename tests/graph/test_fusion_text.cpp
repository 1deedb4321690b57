// CHAINRULE_LOG=plan says why two elementwise neighbours are not one pass.

#include <gtest/gtest.h>

#include <chainrule/ops.hpp>

#include "graph/plan.hpp"

namespace cr = chainrule;

namespace {

cr::Tensor input(const cr::Shape& shape) { return cr::make_placeholder({shape, cr::DType::float32}); }

// What the log says of a graph with these outputs.
std::string text_of(const std::vector<cr::Tensor>& outputs) {
  const std::vector<cr::Node*> nodes = cr::collect_nodes(outputs, [](const cr::Node&) { return true; });
  std::vector<cr::Keep> keep(nodes.size(), cr::Keep::inside);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (const cr::Tensor& output : outputs) {
      if (output.node() == nodes[i]) keep[i] = cr::Keep::stored;
    }
  }
  return cr::fusion_text(nodes, cr::fuse_elementwise(nodes, keep, cr::cpu_device()), keep, cr::cpu_device());
}
bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(FusionText, IsEmptyWhereAllIsFused) {
  const cr::Tensor x = input({8});
  EXPECT_EQ(text_of({cr::relu(cr::exp(x) * 2.0)}), "");
}

TEST(FusionText, NamesTheOtherReader) {
  const cr::Tensor x = input({4, 4});
  const cr::Tensor e = cr::exp(x);
  const std::string text = text_of({cr::relu(e) + 1.0, cr::matmul(e, x)});
  EXPECT_TRUE(mentions(text, "exp [4, 4] into relu [4, 4]: matmul [4, 4] reads its value too")) << text;
}

TEST(FusionText, NamesOtherShapes) {
  const cr::Tensor x = input({4});
  const std::string text = text_of({cr::exp(x) + input({3, 4})});
  EXPECT_TRUE(mentions(text, "exp [4] into add [3, 4]: they run over other shapes")) << text;
}

TEST(FusionText, NamesTheLimitOfAPass) {
  const cr::Tensor x = input({4});
  cr::Tensor y = x;
  for (int i = 0; i < 100; ++i) y = cr::sin(y);
  EXPECT_TRUE(mentions(text_of({y}), "too many steps or inputs"));
}

TEST(FusionText, NamesTheKernelThatIsNotShared) {
  const cr::Tensor x = input({4, 4});
  const std::string text = text_of({cr::relu(cr::matmul(x, x))});
  EXPECT_TRUE(mentions(text, "matmul [4, 4] into relu [4, 4]: matmul [4, 4] has a kernel of its own"))
      << text;
}

TEST(FusionText, NamesTheViewBetween) {
  const cr::Tensor x = input({4, 3});
  const std::string text = text_of({cr::exp(cr::permute(cr::sin(x), {1, 0}))});
  EXPECT_TRUE(mentions(text, "sin [4, 3] into exp [3, 4]: permute [3, 4], a view, stands between them"))
      << text;
}

}  // namespace
