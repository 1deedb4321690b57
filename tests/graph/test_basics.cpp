#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/tensor.hpp>
#include <chainrule/transforms.hpp>

#include "tensor/sanitized.hpp"

namespace cr = chainrule;

namespace {

TEST(Basics, EvaluatesAndBroadcasts) {
  const cr::Tensor x = cr::tensor({{1, 2, 3}, {4, 5, 6}});
  const cr::Tensor y = x * 2 + cr::tensor({10, 20, 30});
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{12, 24, 36, 18, 30, 42}));
  EXPECT_EQ(cr::sum(x).item<int>(), 21);
  EXPECT_EQ(cr::sum(cr::transpose(x), {1}).to_vector<float>(), (std::vector<float>{5, 7, 9}));
  EXPECT_EQ(cr::matmul(x, cr::transpose(x)).to_vector<float>(), (std::vector<float>{14, 32, 32, 77}));
}

TEST(Basics, ScalarsDoNotWiden) {
  EXPECT_EQ((cr::tensor({1.0}) * 0.5).dtype(), cr::DType::float32);
  EXPECT_EQ((cr::arange(0, 3, 1, cr::DType::int32) + 1).dtype(), cr::DType::int32);
  EXPECT_EQ((cr::arange(0, 3, 1, cr::DType::int32) * 0.5).dtype(), cr::DType::float32);
  EXPECT_EQ((cr::ones({2}, cr::DType::bfloat16) * 0.5).dtype(), cr::DType::bfloat16);
  EXPECT_EQ((cr::ones({}, cr::DType::float64) * cr::ones({2})).dtype(), cr::DType::float64);
}

TEST(Basics, FirstAndSecondDerivative) {
  const auto f = [](const cr::Tensor& x) { return cr::sum(cr::exp(x) * cr::sigmoid(x)); };
  const auto df = cr::grad(f);
  const auto d2 = cr::grad([&](const cr::Tensor& x) { return cr::sum(df(x)); });
  const cr::Tensor x = cr::full({}, 0.5, cr::DType::float64);
  const double e = std::exp(0.5);
  const double s = 1 / (1 + std::exp(-0.5));
  const double s1 = s * (1 - s);
  const double s2 = s1 * (1 - 2 * s);
  EXPECT_NEAR(df(x).item<double>(), e * s + e * s1, 1e-14);
  EXPECT_NEAR(d2(x).item<double>(), e * s + 2 * e * s1 + e * s2, 1e-14);
}

TEST(Basics, NestedGradientSeesTheOuterVariable) {
  // d/dx [x · d/dy (x y²)] at y = x: d/dx [x · 2 x y] with y = x fixed inside → 2x·2x → grad of 2x³ is 6x².
  const auto outer = [](const cr::Tensor& x) {
    const auto inner = [&](const cr::Tensor& y) { return x * y * y; };
    return x * cr::grad(inner)(x);
  };
  EXPECT_NEAR(cr::grad(outer)(cr::full({}, 1.5, cr::DType::float64)).item<double>(), 6 * 1.5 * 1.5, 1e-12);
}

TEST(Basics, ReadingAValueInsideChangesNothing) {
  double seen = 0;
  const auto f = [&](const cr::Tensor& x) {
    const cr::Tensor y = cr::exp(x);
    seen = y.item<double>();
    return y * y;
  };
  const double g = cr::grad(f)(cr::full({}, 0.5, cr::DType::float64)).item<double>();
  EXPECT_NEAR(seen, std::exp(0.5), 1e-15);
  EXPECT_NEAR(g, 2 * std::exp(1.0), 1e-12);
}

TEST(Basics, ForwardModeVmapJacobianHessian) {
  const auto f = [](const cr::Tensor& x) { return cr::sum(x * x * x); };
  const cr::Tensor x = cr::tensor({1, 2, 3}, cr::DType::float64);
  const auto [value, dot] = cr::jvp(f, x, cr::tensor({1, 0, 1}, cr::DType::float64));
  EXPECT_DOUBLE_EQ(value.item<double>(), 36);
  EXPECT_DOUBLE_EQ(dot.item<double>(), 30);
  EXPECT_EQ(cr::hessian(f, x).to_vector<double>(), (std::vector<double>{6, 0, 0, 0, 12, 0, 0, 0, 18}));
  const cr::Tensor a = cr::tensor({{1, 2}, {3, 4}}, cr::DType::float64);
  const auto linear = [&](const cr::Tensor& v) { return cr::matmul(a, v); };
  EXPECT_EQ(cr::jacobian(linear, cr::tensor({1, 1}, cr::DType::float64)).to_vector<double>(),
            (std::vector<double>{1, 2, 3, 4}));
}

TEST(Basics, ALoopNeverGrowsAGraph) {
  cr::Tensor h = cr::tensor({1, 2});
  for (int i = 0; i < 2000; ++i) {
    h = h * 0.5 + 1.0;
    EXPECT_TRUE(std::isfinite(cr::sum(h).item<float>()));
  }
  EXPECT_NEAR(cr::sum(h).item<float>(), 4, 1e-5);
}

TEST(Basics, AMillionNodesDeep) {
  // A sanitizer makes each node several times as slow, and each stack frame several times as large.
  constexpr int nodes = cr::is_sanitized ? 100'000 : 1'000'000;
  cr::Tensor h = cr::zeros({2});
  for (int i = 0; i < nodes; ++i) h = h + 1;
  EXPECT_EQ(h.to_vector<float>(), (std::vector<float>{nodes, nodes}));
}

TEST(Basics, ErrorsAtTheCall) {
  EXPECT_THROW(cr::matmul(cr::ones({2, 3}), cr::ones({2, 3})), cr::ShapeError);
  EXPECT_THROW(cr::ones({2, 3}) + cr::ones({2}), cr::ShapeError);
  EXPECT_THROW(cr::ones({2}).item<float>(), cr::ShapeError);
  EXPECT_THROW(cr::Tensor(300).item<std::uint8_t>(), cr::DTypeError);
  EXPECT_THROW(cr::Tensor() + 1, cr::ArgumentError);
}

}  // namespace
