// The transforms against loops, closed forms and each other.

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

#include "graph/op.hpp"

namespace cr = chainrule;

namespace {

using Tensors = std::vector<cr::Tensor>;

cr::Tensor normal(std::uint64_t seed, const cr::Shape& shape) {
  return cr::random::normal(cr::random::key(seed), shape, 0, 1, cr::DType::float64).eval();
}
void expect_near(const cr::Tensor& got, const cr::Tensor& wanted, double tolerance = 1e-13) {
  ASSERT_EQ(got.shape(), wanted.shape());
  const std::vector<double> a = got.to_vector<double>();
  const std::vector<double> b = wanted.to_vector<double>();
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], tolerance * std::fmax(1, std::fabs(b[i])));
}

// f = Σ x³ + (a·x)²: H = diag(6 x) + 2 a aᵀ.
TEST(Transforms, AHessianVectorProductIsTheClosedForm) {
  const cr::Tensor a = normal(1, {5});
  const cr::Tensor x = normal(2, {5});
  const cr::Tensor v = normal(3, {5});
  const auto f = [&](const cr::Tensor& t) { return cr::sum(t * t * t) + cr::square(cr::dot(a, t)); };
  expect_near(cr::hvp(f, x, v), 6.0 * x * v + 2.0 * a * cr::dot(a, v));
  expect_near(cr::hessian(f, x), 6.0 * x * cr::eye(5, cr::DType::float64) + 2.0 * cr::outer(a, a));
  // Over a tree: the Hessian of Σ u v has only mixed terms.
  const auto product = [](const Tensors& t) { return cr::sum(t[0] * t[1]); };
  const Tensors mixed = cr::hvp(product, Tensors{a, x}, Tensors{v, 2.0 * v});
  expect_near(mixed[0], 2.0 * v);
  expect_near(mixed[1], v);
}

// Σ c_i·sin(part i): each part's place in the gradient is c_i·cos of it, whatever the order and the gaps.
TEST(Transforms, TheGradientOfPartsThatDoNotOverlapIsJoined) {
  const cr::Tensor x = normal(5, {3, 12});
  const std::vector<std::pair<std::int64_t, std::int64_t>> orders[] = {
      {{0, 4}, {4, 5}, {5, 12}},           // side by side
      {{5, 12}, {0, 4}, {4, 5}},           // in another order
      {{8, 10}, {1, 3}, {5, 6}},           // with gaps
      {{0, 4}, {3, 6}, {6, 12}, {4, 4}}};  // overlapping, and an empty one
  for (const auto& parts : orders) {
    const auto f = [&](const cr::Tensor& t) {
      cr::Tensor sum = cr::zeros({}, t.dtype());
      double factor = 1;
      for (const auto& [start, end] : parts)
        sum = sum + factor++ * cr::sum(cr::sin(cr::slice(t, 1, start, end)));
      return sum;
    };
    std::vector<double> weight(12, 0.0);
    double factor = 1;
    for (const auto& [start, end] : parts) {
      for (std::int64_t i = start; i < end; ++i) weight[static_cast<std::size_t>(i)] += factor;
      factor += 1;
    }
    const cr::Tensor c = cr::Tensor::from(weight, {12});
    expect_near(cr::grad(f)(x), c * cr::cos(x));
    const cr::Tensor second = cr::reshape(c * -cr::sin(x), {36});
    expect_near(cr::reshape(cr::hessian(f, x), {36, 36}), cr::eye(36, cr::DType::float64) * second);
  }
}

// What is not finite in one part stays there, and a zero keeps its sign.
TEST(Transforms, JoinedPartsKeepTheirBits) {
  const double inf = std::numeric_limits<double>::infinity();
  const cr::Tensor a = cr::Tensor::from(std::vector<double>{-0.0, inf, -0.0}, {3});
  const cr::Tensor b = cr::Tensor::from(std::vector<double>{0.0, std::nan("")}, {2});
  const auto f = [&](const cr::Tensor& t) {
    return cr::sum(cr::slice(t, 0, 0, 3) * a) + cr::sum(cr::slice(t, 0, 3, 5) * b);
  };
  const std::vector<double> got = cr::grad(f)(cr::ones({5}, cr::DType::float64)).to_vector<double>();
  EXPECT_TRUE(got[0] == 0 && std::signbit(got[0]));
  EXPECT_EQ(got[1], inf);
  EXPECT_TRUE(got[2] == 0 && std::signbit(got[2]));
  EXPECT_TRUE(got[3] == 0 && !std::signbit(got[3]));
  EXPECT_TRUE(std::isnan(got[4]));
}

TEST(Transforms, StopGradientIsAConstant) {
  const cr::Tensor x = normal(4, {3});
  const auto f = [](const cr::Tensor& t) { return cr::sum(cr::stop_gradient(t) * t * t); };
  EXPECT_EQ(cr::stop_gradient(x).to_vector<double>(), x.to_vector<double>());
  // s t² with s held at x: 2 s x, not 3 x²; once more: 2 s.
  expect_near(cr::grad(f)(x), 2.0 * x * x);
  const auto slope = [&](const cr::Tensor& t) { return cr::sum(cr::grad(f)(t)); };
  expect_near(cr::grad(slope)(x), 2.0 * x);
  expect_near(cr::jvp(f, x, cr::ones_like(x)).second, cr::sum(2.0 * x * x));
  const auto gone = [](const cr::Tensor& t) { return cr::sum(cr::stop_gradient(cr::exp(t))); };
  EXPECT_EQ(cr::grad(gone)(x).to_vector<double>(), (std::vector<double>{0, 0, 0}));
}

TEST(Transforms, VjpReturnsTheValueAndThePullback) {
  const cr::Tensor w = normal(5, {2, 3});
  const auto [y, x_bar] = cr::vjp([&](const cr::Tensor& x) { return cr::matmul(w, x); }, normal(6, {3}),
                                  cr::tensor({1, -2}, cr::DType::float64));
  expect_near(y, cr::matmul(w, normal(6, {3})));
  expect_near(x_bar, w[0] - 2.0 * w[1]);
}

TEST(Vmap, ReadingAValueNamesTheAlternative) {
  const auto f = [](const cr::Tensor& x) { return cr::sum(x).item<double>() > 0 ? x : -x; };
  try {
    cr::vmap(f)(normal(7, {4, 3}));
    FAIL() << "no error";
  } catch (const cr::StateError& error) {
    EXPECT_NE(error.parts().problem.find("vmap"), std::string::npos);
    EXPECT_NE(error.parts().hint.find("where"), std::string::npos);
  }
  // The alternative, and that nothing is left behind by the error.
  const auto chosen = [](const cr::Tensor& x) { return cr::where(cr::sum(x) > 0.0, x, -x); };
  const cr::Tensor batch = normal(7, {4, 3});
  const cr::Tensor together = cr::vmap(chosen)(batch);
  for (int i = 0; i < 4; ++i) expect_near(together[i], chosen(batch[i]), 0);
}

TEST(Vmap, EveryExampleDrawsNumbersOfItsOwn) {
  constexpr int examples = 64;
  const auto noisy = [](const cr::Tensor& x) {
    return x + cr::random::uniform({8}, 0, 1, cr::DType::float64);
  };
  const auto draw = [&] {
    const cr::Context context({.seed = 3});
    return cr::vmap(noisy)(cr::zeros({examples, 8}, cr::DType::float64)).to_vector<double>();
  };
  std::vector<double> drawn = draw();
  EXPECT_EQ(drawn, draw());  // a seed gives the same numbers again
  // Independent: the correlation of neighbouring examples is 0 within five standard errors.
  double correlation = 0;
  for (std::size_t i = 0; i + 8 < drawn.size(); ++i) correlation += (drawn[i] - 0.5) * (drawn[i + 8] - 0.5);
  const auto pairs = static_cast<double>(drawn.size() - 8);
  EXPECT_NEAR(correlation / pairs * 12, 0, 5 / std::sqrt(pairs));
  std::sort(drawn.begin(), drawn.end());
  EXPECT_EQ(std::adjacent_find(drawn.begin(), drawn.end()), drawn.end());
  // Two draws of one example differ as well.
  const auto twice = [](const cr::Tensor& x) {
    return x + cr::random::uniform({}, 0, 1, cr::DType::float64) -
           cr::random::uniform({}, 0, 1, cr::DType::float64);
  };
  for (const double difference : cr::vmap(twice)(cr::zeros({4}, cr::DType::float64)).to_vector<double>())
    EXPECT_NE(difference, 0);
}

class EveryOpOnABatch : public testing::TestWithParam<const cr::OpDef*> {};

// A batch of no examples has the outputs' shapes behind a first axis of 0.
TEST_P(EveryOpOnABatch, MayBeEmpty) {
  const cr::OpDef& op = *GetParam();
  if (op.samples == nullptr) return;
  for (const cr::Sample& sample : op.samples()) {
    Tensors inputs;
    for (const cr::Tensor& x : sample.inputs) {
      cr::Shape shape = x.shape();
      shape.insert(0, 0);
      inputs.push_back(cr::zeros(shape, x.dtype()));
    }
    std::vector<cr::Tensor*> places;
    for (cr::Tensor& x : inputs) places.push_back(&x);
    Tensors originals = inputs;
    std::vector<cr::Tensor*> original_places;
    for (cr::Tensor& x : originals) original_places.push_back(&x);
    const Tensors together =
        cr::detail::batched(places, original_places, std::vector<int>(inputs.size(), 0),
                            [&] { return cr::make_outputs(op, inputs, sample.attributes); });
    const Tensors one = cr::make_outputs(op, sample.inputs, sample.attributes);
    ASSERT_EQ(together.size(), one.size());
    for (std::size_t k = 0; k < one.size(); ++k) {
      cr::Shape shape = one[k].shape();
      shape.insert(0, 0);
      EXPECT_EQ(together[k].shape(), shape) << sample.what;
      EXPECT_EQ(together[k].dtype(), one[k].dtype()) << sample.what;
      EXPECT_NO_THROW(together[k].eval()) << sample.what;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryOpOnABatch,
                         testing::ValuesIn(cr::op_table().begin(), cr::op_table().end()),
                         [](const auto& param) { return std::string(param.param->name); });

}  // namespace
