// What theory says of networks before training, and of gradients per example.

#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

namespace chainrule::nn {
namespace {

constexpr DType f64 = DType::float64;

double mean_square(const Tensor& x) { return mean(square(x)).item<double>(); }

// He et al., Delving deep into rectifiers, ICCV 2015: E[x²] stays as it is through layers of relu.
TEST(Theory, HeInitializationKeepsTheSecondMomentThroughRelu) {
  seed(21);
  constexpr std::int64_t width = 1024;
  constexpr int layers = 8;
  // In one layer E[relu(z)²] over `width` units varies by √(5 / width), relatively: z is normal, and
  // relu(z)⁴ is 3/2 σ⁴ on average. Four deviations of all layers.
  const double allowed = 4 * std::sqrt(layers * 5.0 / width);
  Tensor x = random::normal({64, width}, 0, 1, f64);
  const double before = mean_square(x);
  for (int layer = 0; layer < layers; ++layer) {
    x = relu(matmul(x, transpose(init::kaiming_normal({width, width}, {.dtype = f64})))).eval();
  }
  EXPECT_NEAR(mean_square(x) / before, 1, allowed);
  // Half of that variance halves it in each layer.
  x = random::normal({64, width}, 0, 1, f64);
  for (int layer = 0; layer < layers; ++layer) {
    x = relu(matmul(x, transpose(init::lecun_normal({width, width}, f64)))).eval();
  }
  EXPECT_NEAR(std::log2(mean_square(x)), -layers, allowed / std::log(2));
}

// Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010:
// near 0 tanh is the identity, and the variance stays as it is.
TEST(Theory, XavierInitializationKeepsTheVarianceThroughTanhNearZero) {
  seed(22);
  constexpr std::int64_t width = 512;
  Tensor x = random::normal({64, width}, 0, 1e-3, f64);
  const double before = var(x).item<double>();
  for (int layer = 0; layer < 10; ++layer) {
    const Tensor w = init::xavier_normal({width, width}, {.dtype = f64});
    x = tanh(matmul(x, transpose(w))).eval();
  }
  // A linear layer's relative deviation is at most √(2 / width).
  EXPECT_NEAR(var(x).item<double>() / before, 1, 4 * std::sqrt(10 * 2.0 / width));
}

// A classifier that knows nothing gives every class 1/K: its loss is ln K.
TEST(Theory, AnUntrainedClassifierLosesLnK) {
  seed(23);
  for (const int classes : {2, 10, 100}) {
    Sequential model(Linear(32, 64, {.dtype = f64}), relu, Linear(64, classes, {.dtype = f64}));
    const Tensor x = random::normal({512, 32}, 0, 1, f64);
    const Tensor t = (random::uniform({512}, 0, 1, f64) * double(classes)).astype(DType::int64);
    const Tensor logits = model(x);
    const double loss = cross_entropy(logits, t).item<double>();
    // ln K + half the variance of the logits, to second order; they are small. The labels are drawn
    // independently, so that their logits' mean is known to √(variance / examples).
    const double spread = mean(var(logits, {1}, 0)).item<double>();
    EXPECT_LT(spread, 0.2);
    EXPECT_NEAR(loss, std::log(classes) + spread / 2, 4 * std::sqrt(spread / 512) + spread * spread)
        << classes;
  }
  const Tensor same = zeros({4, 7}, f64);
  EXPECT_NEAR(cross_entropy(same, zeros({4}, DType::int64)).item<double>(), std::log(7.0), 1e-15);
}

// 0 ≤ H(p) ≤ ln K, with equality for a certain and for a uniform p; the cross-entropy of p under q is at
// least H(p) (Gibbs).
TEST(Theory, EntropyIsBounded) {
  const auto entropy = [](const Tensor& z) { return -sum(softmax(z) * log_softmax(z), {-1}); };
  for (const double scale : {0.0, 1.0, 10.0, 1000.0}) {
    const Tensor z = random::normal(random::key(5), {200, 9}, 0, 1, f64) * scale;
    const Tensor h = entropy(z);
    EXPECT_GE(min(h).item<double>(), 0);
    EXPECT_LE(max(h).item<double>(), std::log(9.0) + 1e-15);
    const Tensor other = random::normal(random::key(6), {200, 9}, 0, 1, f64);
    const Tensor crossed = -sum(softmax(z) * log_softmax(other), {-1});
    EXPECT_GE(min(crossed - h).item<double>(), -1e-12);
  }
  EXPECT_NEAR(entropy(zeros({9}, f64)).item<double>(), std::log(9.0), 1e-15);
  EXPECT_EQ(entropy(tensor({1000, 0, 0}, f64)).item<double>(), 0);
}

// The gradients of every example in one batch, with the parameters shared, are those of the loop.
TEST(Theory, GradientsPerExampleAreThoseOfTheLoop) {
  seed(24);
  const Sequential model(Linear(3, 5, {.dtype = f64}), tanh, LayerNorm(5, {.dtype = f64}),
                         Linear(5, 4, {.dtype = f64}));
  const Tensor x = random::normal({6, 3}, 0, 1, f64).eval();
  const Tensor t = Tensor::from(std::vector<std::int64_t>{0, 3, 1, 1, 2, 0}, {6});
  const auto loss = [](const Sequential& m, const Tensor& one, const Tensor& label) {
    return cross_entropy(m(unsqueeze(one, 0)), unsqueeze(label, 0));
  };
  const Sequential together = vmap(grad(loss), {-1, 0, 0})(model, x, t);
  std::vector<Tensor> batched;
  for (const Leaf& leaf : leaves(together)) batched.push_back(*leaf.tensor);
  for (int i = 0; i < 6; ++i) {
    const Sequential alone = grad(loss)(model, x[i], t[i]);
    std::size_t k = 0;
    for (const Leaf& leaf : leaves(alone)) {
      const Tensor got = batched.at(k++)[i];
      ASSERT_EQ(got.shape(), leaf.tensor->shape()) << leaf.path;
      EXPECT_LT(max(abs(got - *leaf.tensor)).item<double>(), 1e-14) << leaf.path << " of example " << i;
    }
    EXPECT_EQ(k, batched.size());
  }
}

}  // namespace
}  // namespace chainrule::nn
