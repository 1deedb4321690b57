// Evaluation takes subnormal numbers for zero, unless a Context asks for them.

#include <vector>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/threads.hpp>
#include <chainrule/transforms.hpp>

#include "kernels/subnormals.hpp"

namespace cr = chainrule;

namespace {

class FlushedSubnormals : public testing::Test {
 protected:
  void SetUp() override {
    if (!cr::kernels::can_flush_subnormals) GTEST_SKIP() << "this processor is not told to flush";
  }
};

constexpr float smallest_normal = 1.17549435e-38F;

cr::Tensor tiny() { return cr::Tensor::from(std::vector<float>{1e-40F, -1e-40F, smallest_normal, 1}, {4}); }

TEST_F(FlushedSubnormals, AreZeroAsOperandsAndAsResults) {
  EXPECT_EQ((tiny() * 1e38F).to_vector<float>(), (std::vector<float>{0, 0, smallest_normal * 1e38F, 1e38F}));
  EXPECT_EQ((tiny() * 0.5F).to_vector<float>(), (std::vector<float>{0, 0, 0, 0.5F}));
  const cr::Tensor small = cr::full({2}, 1e-300, cr::DType::float64);
  EXPECT_EQ((small * 1e-10).to_vector<double>(), (std::vector<double>{0, 0}));
  EXPECT_FALSE(cr::kernels::subnormal_bits() != 0);  // the caller's own arithmetic is as it was
}

TEST_F(FlushedSubnormals, AContextKeepsThem) {
  const cr::Context keep({.flush_subnormals = false});
  EXPECT_EQ((tiny() * 0.5F).to_vector<float>(),
            (std::vector<float>{1e-40F / 2, -1e-40F / 2, smallest_normal / 2, 0.5F}));
  {
    const cr::Context inner({.train = true});  // says nothing of them
    EXPECT_NE((tiny() * 1.0F).to_vector<float>()[0], 0);
    const cr::Context flush({.flush_subnormals = true});
    EXPECT_EQ((tiny() * 1.0F).to_vector<float>()[0], 0);
  }
  EXPECT_NE((tiny() * 1.0F).to_vector<float>()[0], 0);
}

TEST_F(FlushedSubnormals, OnEveryThread) {
  cr::set_thread_count(3);
  const cr::Tensor x = cr::Tensor::from(std::vector<float>(1 << 20, 1e-39F), {1 << 20});
  const cr::Tensor a = cr::Tensor::from(std::vector<float>(256 * 256, 1e-39F), {256, 256});
  const cr::Tensor b = cr::full({256, 256}, 1e20, cr::DType::float32);
  EXPECT_EQ(cr::max(x * 2.0F).item<float>(), 0);
  EXPECT_EQ(cr::max(cr::matmul(a, b)).item<float>(), 0);
  {
    const cr::Context keep({.flush_subnormals = false});
    EXPECT_EQ(cr::min(x * 2.0F).item<float>(), 2e-39F);
    EXPECT_GT(cr::min(cr::matmul(a, b)).item<float>(), 2e-17F);
  }
  cr::set_thread_count(0);
}

// By the context in which a function is called, whatever the one in which it was traced: also of constants
// that are folded on the way, here 1e-30 · 1e-10.
TEST_F(FlushedSubnormals, ACompiledFunctionGoesByTheContextOfItsCall) {
  const auto scaled = [](const cr::Tensor& x) {
    return x * (cr::full({}, 1e-30, cr::DType::float32) * 1e-10F);
  };
  const cr::Tensor x = cr::tensor({1e38});
  auto compiled = cr::compile(scaled);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(compiled(x).item<float>(), 0);
    EXPECT_EQ(scaled(x).item<float>(), 0);
    const cr::Context keep({.flush_subnormals = false});
    EXPECT_NEAR(compiled(x).item<float>(), 1e-2, 1e-6);
    EXPECT_NEAR(scaled(x).item<float>(), 1e-2, 1e-6);
  }
}

// The C library's functions are exact for subnormal arguments: x^½, ∛x, log Γ(x) = −log x near 0.
TEST_F(FlushedSubnormals, AreSeenByFunctionsOfTheCLibrary) {
  const cr::Tensor x = cr::full({}, 1e-310, cr::DType::float64);
  EXPECT_NEAR(cr::pow(x, cr::full({}, 0.5, cr::DType::float64)).item<double>() / 1e-155, 1, 1e-12);
  EXPECT_NEAR(cr::cbrt(x).item<double>() / 4.641588833612779e-104, 1, 1e-12);
  EXPECT_NEAR(cr::lgamma(x).item<double>(), 713.80137882815, 1e-9);
}

// The step fails because its divisor counts as zero; running it once more to find the op must see the same.
TEST_F(FlushedSubnormals, AStepThatFailsByThemIsExplained) {
  cr::Tensor weight = cr::tensor({1e-39}).eval();
  auto step = cr::compile(
      [&] {
        auto [loss, gradient] = cr::value_and_grad(
            [](const cr::Tensor& w) { return cr::sum(w + 1e-10F / cr::stop_gradient(w)); })(weight);
        weight = weight - gradient * 0.0;
        return loss;
      },
      weight);
  try {
    step();
    FAIL() << "1e-10 / 0 was taken for finite";
  } catch (const cr::NumericError& error) {
    EXPECT_NE(error.parts().got.find("div("), std::string::npos) << error.parts().got;
    EXPECT_NE(error.parts().got.find("1e-39 is subnormal and counts as zero"), std::string::npos)
        << error.parts().got;
  }
  EXPECT_FALSE(cr::kernels::subnormal_bits() != 0);
  EXPECT_EQ(weight.to_vector<float>(), std::vector<float>{1e-39F});
}

TEST_F(FlushedSubnormals, AKernelThatThrowsLeavesTheCallersArithmetic) {
  const cr::Tensor index = cr::Tensor::from(std::vector<std::int64_t>{9}, {1});
  EXPECT_THROW(cr::take(tiny(), index, 0).eval(), cr::Error);
  EXPECT_EQ(cr::kernels::subnormal_bits(), 0U);
}

}  // namespace
