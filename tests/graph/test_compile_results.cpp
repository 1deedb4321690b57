// What a compiled function may return, and state that appears while it is traced.

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/ops.hpp>

namespace cr = chainrule;

namespace {

TEST(CompileResults, AnArgumentIsReturnedAsItIs) {
  auto same = cr::compile([](const cr::Tensor& x) { return x; });
  auto turned = cr::compile([](const cr::Tensor& x) { return cr::transpose(x); });
  const cr::Tensor x = cr::tensor({{1, 2, 3}, {4, 5, 6}});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(same(x).to_vector<float>(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(turned(x).to_vector<float>(), (std::vector<float>{1, 4, 2, 5, 3, 6}));
  }
}

TEST(CompileResults, TheOldValueOfAStateIsReturnedBeforeItChanges) {
  cr::Tensor state = cr::tensor({1, 2}).eval();
  auto step = cr::compile(
      [&] {
        const cr::Tensor old = state;
        state = state * 2;
        return old;
      },
      state);
  EXPECT_EQ(step().to_vector<float>(), (std::vector<float>{1, 2}));
  EXPECT_EQ(step().to_vector<float>(), (std::vector<float>{2, 4}));
  EXPECT_EQ(state.to_vector<float>(), (std::vector<float>{4, 8}));
}

// A moment that the first step creates, beside a rate that no step changes.
struct Momentum {
  cr::Tensor rate = cr::tensor({0.5}).eval();
  std::vector<cr::Tensor> moment;
  void visit(cr::Visitor& v) {
    v.buffer("rate", rate);
    v("moment", moment);
  }
};

TEST(CompileResults, StateMayAppearInTheFirstStep) {
  Momentum momentum;
  auto step = cr::compile(
      [&](const cr::Tensor& gradient) {
        if (momentum.moment.empty()) momentum.moment.push_back(cr::zeros_like(gradient));
        momentum.moment[0] = momentum.moment[0] * 0.5 + gradient;
        return momentum.moment[0] * momentum.rate;
      },
      momentum);
  const cr::Tensor gradient = cr::tensor({2, 4}).eval();
  EXPECT_EQ(step(gradient).to_vector<float>(), (std::vector<float>{1, 2}));
  EXPECT_EQ(step(gradient).to_vector<float>(), (std::vector<float>{1.5, 3}));
  EXPECT_EQ(step(gradient).to_vector<float>(), (std::vector<float>{1.75, 3.5}));
  EXPECT_EQ(momentum.rate.item<float>(), 0.5F);
}

}  // namespace
