// Adam's update as one op: what it refuses, what its formula says, and where a compiled step puts its
// results.

#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/error.hpp>
#include <chainrule/explain.hpp>
#include <chainrule/expression.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/transforms.hpp>

#include "ops/declarations.hpp"

namespace chainrule {
namespace {

Tensor number(double value) { return full({}, value, DType::float64); }

std::vector<Tensor> update(const std::vector<Tensor>& inputs, double l2 = 0, double decay = 0) {
  return make_outputs(ops::adam_update, inputs, {0.9, 0.99, 1e-8, l2, decay});
}

TEST(AdamUpdate, RefusesWhatDoesNotFit) {
  const Tensor p = ones({2, 3});
  const auto with = [&](std::size_t i, const Tensor& x) {
    std::vector<Tensor> inputs{p, p, p, p, number(0.1), number(1)};
    inputs[i] = x;
    return inputs;
  };
  EXPECT_NO_THROW(update(with(0, p)));
  for (const std::size_t i : {1U, 2U, 3U}) {
    EXPECT_THROW(update(with(i, ones({3}))), ShapeError) << i;
    EXPECT_THROW(update(with(i, ones({2, 3}, DType::float64))), DTypeError) << i;
  }
  for (const std::size_t i : {4U, 5U}) {
    EXPECT_THROW(update(with(i, ones({1}, DType::float64))), ShapeError) << i;
    EXPECT_THROW(update(with(i, ones({}, DType::int64))), DTypeError) << i;
  }
  const Tensor whole = ones({2, 3}, DType::int64);
  EXPECT_THROW(update({whole, whole, whole, whole, number(0.1), number(1)}), DTypeError);
  try {
    update(with(2, ones({3})));
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_EQ(error.parts().argument, "m");
  }
}

// A first step from 0 is -lr whatever the size of the gradient, as long as the root of its square is above
// eps: here the mean of the squares is subnormal, 1e-41, its root 3e-21, and m / eps would be 1e10.
TEST(AdamUpdate, ATinyEpsIsNotWhatTheStepIsDividedBy) {
  const Tensor zero = zeros({40});
  const std::vector<Tensor> inputs{zero, full({40}, 1e-19, DType::float32), zero, zero, number(1), number(1)};
  const std::vector<Tensor> next = make_outputs(ops::adam_update, inputs, {0.9, 0.999, 1e-30, 0.0, 0.0});
  for (const float p : next[0].to_vector<float>()) EXPECT_NEAR(p, -1, 1e-3);
}

// g / (g + eps) = 3/4, where v is subnormal, and its root above eps once the means are corrected.
TEST(AdamUpdate, ASubnormalMeanOfSquaresCountsBesideASmallEps) {
  const auto first_step = [](double g, double eps, DType dtype) {
    const Tensor zero = zeros({5}, dtype);
    const std::vector<Tensor> inputs{zero, full({5}, g, dtype), zero, zero, number(1), number(1)};
    const std::vector<Tensor> next = make_outputs(ops::adam_update, inputs, {0.9, 0.999, eps, 0.0, 0.0});
    return next[0].to_vector<double>();
  };
  for (const double p : first_step(3e-18, 1e-18, DType::float32)) EXPECT_NEAR(p, -0.75, 1e-2);
  for (const double p : first_step(3e-153, 1e-153, DType::float64)) EXPECT_NEAR(p, -0.75, 1e-2);
}

TEST(AdamUpdate, ItsFormulaIsTheNewParameter) {
  const Tensor p = tensor({1.5, -2, 0.5}, DType::float64);
  const Tensor g = tensor({0.3, 4, -1e-3}, DType::float64);
  const Tensor m = tensor({0.1, -0.2, 0.5}, DType::float64);
  const Tensor v = tensor({0.5, 0.25, 2}, DType::float64);
  const Expression formula =
      parse_expression(formula_text("adam_update", TextStyle::plain),
                       {"p", "g", "m", "v", "lr", "t", "beta1", "beta2", "eps", "l2", "weight_decay"});
  for (const double l2 : {0.0, 0.5}) {
    for (const double decay : {0.0, 0.25}) {
      const Tensor expected = formula({p, g, m, v, number(0.125), number(3), number(0.9), number(0.99),
                                       number(1e-8), number(l2), number(decay)});
      const Tensor got = update({p, g, m, v, number(0.125), number(3)}, l2, decay)[0];
      EXPECT_LT(max(abs(got - expected)).item<double>(), 1e-14) << l2 << ", " << decay;
    }
  }
}

// ---- in compiled steps ----

struct Weights {
  Parameter w;
  void visit(Visitor& v) { v("w", w); }
};

// ½‖w‖², whose gradient is w itself: the same memory is parameter and gradient.
Tensor half_square(const Weights& weights) { return sum(square(weights.w)) * 0.5; }
Tensor itself(const Weights& weights) { return sum(weights.w * stop_gradient(weights.w)); }

template <typename Loss>
Tensor adam_step(const Loss& loss_of, Weights& weights, optim::Adam& adam) {
  auto [loss, gradient] = value_and_grad(loss_of)(weights);
  adam.update(weights, gradient);
  return loss;
}

// Kingma and Ba's algorithm on ½w², element by element.
double adam_on_half_square(double w, double lr, int steps) {
  double m = 0;
  double v = 0;
  for (int t = 1; t <= steps; ++t) {
    const double g = w;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    w -= lr * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
  }
  return w;
}

std::vector<double> some_values(std::size_t count) {
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(1 + 0.125 * static_cast<double>(i % 7));
  return values;
}

TEST(AdamUpdate, AGradientThatIsTheParameterItselfIsReadBeforeItIsOverwritten) {
  for (const auto loss_of : {half_square, itself}) {
    const std::vector<double> start = some_values(1000);
    Weights weights{Parameter(Tensor::from(start, {1000}))};
    optim::Adam adam({.lr = 0.05});
    adam.init(weights);
    auto step = compile([&] { return adam_step(loss_of, weights, adam); }, weights, adam);
    for (int i = 0; i < 10; ++i) step();
    const std::vector<double> got = weights.w.to_vector<double>();
    for (std::size_t i = 0; i < start.size(); ++i)
      ASSERT_NEAR(got[i], adam_on_half_square(start[i], 0.05, 10), 1e-12) << "element " << i;
  }
}

TEST(AdamUpdate, ParameterAndMeansAreWrittenInPlace) {
  Weights weights{Parameter(Tensor::from(some_values(1000), {1000}))};
  optim::Adam adam({.lr = 0.05});
  adam.init(weights);
  const Tensor x = Tensor::from(some_values(1000), {1000});
  auto step = compile(
      [&](const Tensor& y) {
        const auto loss_of = [&](const Weights& w) { return sum(square(w.w - y * 0.5)); };
        return adam_step(loss_of, weights, adam);
      },
      weights, adam);
  step(x);
  const auto addresses = [&] {
    std::map<std::string, const void*> result{{"w", weights.w.to_host().buffer.data()}};
    for (const Leaf& leaf : leaves(adam)) {
      if (leaf.path.starts_with("state.")) result[leaf.path] = leaf.tensor->to_host().buffer.data();
    }
    return result;
  };
  const auto before = addresses();
  ASSERT_EQ(before.size(), 3U);
  ASSERT_TRUE(before.contains("state.w.exp_avg"));
  for (int i = 0; i < 3; ++i) step(x);
  EXPECT_EQ(addresses(), before);
}

TEST(AdamUpdate, ABfloat16ParameterFollowsTheSameSteps) {
  const std::vector<double> start = some_values(100);
  for (const bool compiled : {false, true}) {
    Weights weights{Parameter(Tensor::from(start, {100}).astype(DType::bfloat16).eval())};
    optim::Adam adam({.lr = 0.05});
    adam.init(weights);
    auto step = compile([&] { return adam_step(half_square, weights, adam); }, weights, adam);
    for (int i = 0; i < 4; ++i) compiled ? step() : adam_step(half_square, weights, adam);
    ASSERT_EQ(weights.w.dtype(), DType::bfloat16);
    const std::vector<double> got = weights.w.astype(DType::float64).to_vector<double>();
    // Each step rounds parameter, means and update to 8 bits.
    for (std::size_t i = 0; i < start.size(); ++i)
      EXPECT_NEAR(got[i], adam_on_half_square(start[i], 0.05, 4), 4 * std::ldexp(start[i], -8)) << i;
  }
}

}  // namespace
}  // namespace chainrule
