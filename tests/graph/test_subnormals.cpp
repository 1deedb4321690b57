// Evaluation takes subnormal numbers for zero, unless a Context asks for them.

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/context.hpp>
#include <chainrule/control.hpp>
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

// In a scan, too, whose body is a plan of its own.
TEST_F(FlushedSubnormals, AScanGoesByTheContextOfItsCall) {
  const auto scaled = [] {
    const auto body = [](const cr::Tensor& carry, const cr::Tensor& x) {
      return std::pair{carry * (cr::full({}, 1e-30, cr::DType::float32) * 1e-10F) + x, carry};
    };
    return cr::scan(body, cr::tensor({1e38}), cr::zeros({1, 1})).first.item<float>();
  };
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(scaled(), 0);
    const cr::Context keep({.flush_subnormals = false});
    EXPECT_NEAR(scaled(), 1e-2, 1e-6);
  }
}

// These are exact for subnormal arguments, on every thread: x^½, ∛x and log Γ(x) = −log x near 0.
TEST_F(FlushedSubnormals, AreSeenByFunctionsOfTheCLibrary) {
  const cr::Tensor x = cr::Tensor::from(std::vector<double>(100000, 1e-310), {100000});
  cr::set_thread_count(3);
  const auto expect = [](const cr::Tensor& y, double value) {
    EXPECT_NEAR(cr::min(y).item<double>() / value, 1, 1e-12);
    EXPECT_NEAR(cr::max(y).item<double>() / value, 1, 1e-12);
  };
  expect(cr::pow(x, cr::full({}, 0.5, cr::DType::float64)), 1e-155);
  expect(cr::cbrt(x), 4.641588833612779e-104);
  expect(cr::lgamma(x), 713.8013788281542);
  cr::set_thread_count(0);
}

// What the error says of a step whose loss is w + quotient(w), with a derivative of 1.
template <typename Quotient>
std::string failure_of(cr::Tensor& weight, const Quotient& quotient) {
  auto step = cr::compile(
      [&] {
        auto [loss, gradient] = cr::value_and_grad(
            [&](const cr::Tensor& w) { return cr::sum(w + quotient(cr::stop_gradient(w))); })(weight);
        weight = weight - gradient * 0.0;
        return loss;
      },
      weight);
  try {
    step();
  } catch (const cr::NumericError& error) {
    return error.parts().got;
  }
  return "no error";
}

// The step fails because its divisor counts as zero; running it once more to find the op must see the same.
TEST_F(FlushedSubnormals, AStepThatFailsByThemIsExplained) {
  cr::Tensor weight = cr::tensor({1e-39}).eval();
  const std::string fits = failure_of(weight, [](const cr::Tensor& w) { return 1e-10F / w; });
  EXPECT_NE(fits.find("div("), std::string::npos) << fits;
  EXPECT_NE(fits.find("1e-39 is subnormal and counts as zero"), std::string::npos) << fits;
  EXPECT_EQ(cr::kernels::subnormal_bits(), 0U);
  EXPECT_EQ(weight.to_vector<float>(), std::vector<float>{1e-39F});
  // 1e39 would be too much for float32 all the same.
  const std::string too_large = failure_of(weight, [](const cr::Tensor& w) { return 1.0F / w; });
  EXPECT_NE(too_large.find("overflows"), std::string::npos) << too_large;
}

TEST_F(FlushedSubnormals, AKernelThatThrowsLeavesTheCallersArithmetic) {
  const cr::Tensor index = cr::Tensor::from(std::vector<std::int64_t>{9}, {1});
  EXPECT_THROW(cr::take(tiny(), index, 0).eval(), cr::Error);
  EXPECT_EQ(cr::kernels::subnormal_bits(), 0U);
}

}  // namespace
