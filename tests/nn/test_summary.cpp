#include <gtest/gtest.h>

#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>

namespace chainrule::nn {
namespace {

TEST(Summary, CountsWhatTheArithmeticSays) {
  Sequential model(Flatten(), Linear(784, 256), ReLU(), Dropout(0.2), Linear(256, 10));
  freeze(model, "1.*");
  const Summary s = summarize(model, {32, 28, 28});
  ASSERT_EQ(s.rows.size(), 5);
  EXPECT_EQ(s.rows[0].output_shape, (Shape{32, 784}));
  EXPECT_EQ(s.rows[1].type, "Linear");
  EXPECT_EQ(s.rows[1].path, "1");
  EXPECT_EQ(s.rows[1].parameters, 784 * 256 + 256);
  EXPECT_EQ(s.rows[1].trainable, 0);
  // 2 M N K for the product, M N for the bias.
  EXPECT_EQ(s.rows[1].flops, 2.0 * 32 * 784 * 256 + 32 * 256);
  EXPECT_EQ(s.rows[2].output_bytes, 4 * 32 * 256);
  EXPECT_EQ(s.rows[3].type, "Dropout");
  EXPECT_EQ(s.rows[3].output_shape, (Shape{32, 256})) << "in evaluation its input passes";
  EXPECT_EQ(s.total.parameters, 203530);
  EXPECT_EQ(s.total.trainable, 2570);
  EXPECT_EQ(s.total.output_shape, (Shape{32, 10}));
}

TEST(Summary, FollowsNestedAndUsersModules) {
  struct Gated {
    Linear value{3, 2}, gate{3, 2};
    Tensor operator()(const Tensor& x) const { return value(x) * chainrule::sigmoid(gate(x)); }
    void visit(Visitor& v) {
      v("value", value);
      v("gate", gate);
    }
  };
  const Sequential model(Residual(Sequential(Linear(3, 3), tanh)), Gated(), BatchNorm(2));
  const Summary s = summarize(model, {5, 3});
  std::vector<std::string> rows;
  for (const SummaryRow& row : s.rows) rows.push_back(row.path + " " + row.type);
  EXPECT_EQ(rows, (std::vector<std::string>{" Sequential", "0 Residual", "0.module.0 Linear",
                                            "0.module.1 Tanh", "1.value, 1.gate Linear", "2 BatchNorm"}));
  EXPECT_EQ(s.rows[0].flops, 5 * 2 + 5 * 2) << "the gate's own operations";
  EXPECT_EQ(s.rows[1].flops, 15) << "the sum of the skip connection";
  EXPECT_EQ(s.rows[4].parameters, 16);
  EXPECT_EQ(s.total.parameters, 12 + 16 + 4);
  EXPECT_EQ(s.total.flops, [&] {
    double flops = 0;
    for (const SummaryRow& row : s.rows) flops += row.flops;
    return flops;
  }());
}

TEST(Summary, PrintsATable) {
  const std::string text = summary(Sequential(Linear(784, 256), relu), {1, 784});
  EXPECT_NE(text.find("path  module"), std::string::npos) << text;
  EXPECT_NE(text.find("200,960"), std::string::npos) << text;
  EXPECT_NE(text.find("[1, 256]"), std::string::npos) << text;
  EXPECT_THROW(summary(Sequential(Linear(4, 2)), {1, 3}), ShapeError);
}

}  // namespace
}  // namespace chainrule::nn
