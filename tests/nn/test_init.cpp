#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

namespace chainrule::nn {
namespace {

struct Moments {
  double mean = 0;
  double variance = 0;
  double largest = 0;
};

Moments moments(const Tensor& x) {
  Moments m;
  const std::vector<double> values = x.to_vector<double>();
  const double n = static_cast<double>(values.size());
  for (const double v : values) {
    m.mean += v / n;
    m.largest = std::max(m.largest, std::fabs(v));
  }
  for (const double v : values) m.variance += (v - m.mean) * (v - m.mean) / n;
  return m;
}

// Five standard errors of a variance over n draws: √(κ − 1) σ² / √n with kurtosis κ of 1.8 (uniform) or 3
// (normal).
void expect_variance(const Tensor& x, double variance, double kurtosis) {
  const double n = static_cast<double>(x.size());
  EXPECT_NEAR(moments(x).mean, 0, 5 * std::sqrt(variance / n));
  EXPECT_NEAR(moments(x).variance, variance, 5 * variance * std::sqrt((kurtosis - 1) / n));
}

TEST(Init, VariancesAreThoseOfThePapers) {
  seed(11);
  const Shape shape{200, 300};
  expect_variance(init::xavier_uniform(shape), 2.0 / 500, 1.8);
  expect_variance(init::xavier_normal(shape, {.gain = 3}), 18.0 / 500, 3);
  expect_variance(init::kaiming_uniform(shape), 2.0 / 300, 1.8);
  expect_variance(init::kaiming_normal(shape, {.mode = init::FanMode::fan_out}), 2.0 / 200, 3);
  expect_variance(init::kaiming_normal(shape, {.negative_slope = 1}), 1.0 / 300, 3);
  expect_variance(init::lecun_uniform(shape), 1.0 / 300, 1.8);
  expect_variance(init::lecun_normal(shape), 1.0 / 300, 3);
  EXPECT_LE(moments(init::xavier_uniform(shape)).largest, std::sqrt(6.0 / 500));
  EXPECT_EQ(init::fans({8, 4, 3, 3}).in, 36);
  EXPECT_EQ(init::fans({8, 4, 3, 3}).out, 72);
}

TEST(Init, OrthogonalMatricesAreOrthogonal) {
  for (const Shape& shape : {Shape{5, 9}, Shape{9, 5}, Shape{6, 6}, Shape{4, 3, 2}}) {
    const Tensor w = reshape(init::orthogonal(shape, {.gain = 2, .dtype = DType::float64}), {shape[0], -1});
    const Tensor product = w.size(0) <= w.size(1) ? matmul(w, transpose(w)) : matmul(transpose(w), w);
    const Tensor error = max(abs(product - 4.0 * eye(product.size(0), DType::float64)));
    EXPECT_LT(error.item<double>(), 1e-14) << to_string(shape);
  }
}

TEST(Init, TruncatedNormalHasItsMoments) {
  seed(5);
  // A standard normal within ±2 has the variance 1 − 4 φ(2) / (2 Φ(2) − 1) = 0.7737.
  const Moments m = moments(init::truncated_normal({100, 500}, {.dtype = DType::float64}));
  EXPECT_LE(m.largest, 2);
  EXPECT_NEAR(m.mean, 0, 0.02);
  EXPECT_NEAR(m.variance, 0.7737, 0.02);
  // Far in a tail: given Z > 5, its mean is φ(5) / (1 − Φ(5)) = 5.1865.
  const Tensor tail = init::truncated_normal({5000}, {.low = 5, .high = 40, .dtype = DType::float64});
  EXPECT_NEAR(moments(tail).mean, 5.1865, 0.02);
  EXPECT_GE(min(tail).item<double>(), 5);
}

TEST(Init, GainsAndErrors) {
  EXPECT_DOUBLE_EQ(init::gain("tanh"), 5.0 / 3);
  EXPECT_DOUBLE_EQ(init::gain("relu"), std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(init::gain("leaky_relu", 0.5), std::sqrt(1.6));
  EXPECT_THROW(init::gain("rellu"), ArgumentError);
  EXPECT_THROW(init::xavier_uniform({3}), ShapeError);
  EXPECT_THROW(init::orthogonal({0, 3}), ShapeError);
  EXPECT_THROW(init::truncated_normal({3}, {.low = 1, .high = 1}), ArgumentError);
  EXPECT_EQ(sum(init::constant({2, 3}, 1.5)).item<float>(), 9);
  for (std::size_t i = 1; i < init::table().size(); ++i)
    EXPECT_LT(init::table()[i - 1].name, init::table()[i].name);
}

TEST(Regularization, Penalties) {
  Sequential model(Linear(2, 1));
  *leaves(model)[0].tensor = tensor({{3, -4}});
  *leaves(model)[1].tensor = tensor({5});
  EXPECT_EQ(l1_penalty(model).item<float>(), 12);
  EXPECT_EQ(l2_penalty(model, "*.weight").item<float>(), 25);
  EXPECT_FLOAT_EQ(
      elastic_net_penalty(model, {.alpha = 0.1, .l1_ratio = 0.3, .pattern = "*.weight"}).item<float>(),
      0.1F * (0.3F * 7 + 0.7F * 25 / 2));
  EXPECT_THROW(l2_penalty(model, "*.wieght"), ArgumentError);
  const Sequential gradient = grad([](const Sequential& m) { return l2_penalty(m); })(model);
  EXPECT_EQ(leaves(gradient)[0].tensor->to_vector<float>(), (std::vector<float>{6, -8}));
}

TEST(Init, OptionsAreChecked) {
  EXPECT_THROW(init::xavier_uniform({2, 2}, {.gain = -1}), ArgumentError);
  EXPECT_THROW(init::xavier_normal({2, 2}, {.gain = NAN}), ArgumentError);
  EXPECT_THROW(init::orthogonal({2, 2}, {.gain = -1}), ArgumentError);
  EXPECT_THROW(init::kaiming_normal({2, 2}, {.negative_slope = NAN}), ArgumentError);
  EXPECT_THROW(init::gain("leaky_relu", INFINITY), ArgumentError);
}

TEST(Regularization, Clipping) {
  using Tree = std::map<std::string, Tensor>;
  const Tree gradient{{"a", tensor({3, 0})}, {"b", tensor({-4})}};
  EXPECT_FLOAT_EQ(global_norm(gradient).item<float>(), 5);
  EXPECT_EQ(clip_by_value(gradient, 2).at("b").item<float>(), -2);
  EXPECT_NEAR(clip_by_norm(gradient, 1).at("a").to_vector<float>()[0], 0.6, 1e-6);
  EXPECT_EQ(clip_by_norm(gradient, 10).at("b").item<float>(), -4);
  EXPECT_EQ(gradient.at("b").item<float>(), -4) << "the argument is left as it was";
  EXPECT_THROW(clip_by_norm(gradient, 0), ArgumentError);
}

}  // namespace
}  // namespace chainrule::nn
