#include <gtest/gtest.h>
#include <cstdio>
#include <chainrule/compile.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

namespace cr = chainrule;
namespace nn = chainrule::nn;

TEST(First, Trains) {
  cr::seed(1);
  auto make = [] { cr::seed(1); return nn::Sequential(nn::Flatten(), nn::Linear(2, 16), nn::ReLU(), nn::Linear(16, 2)); };
  auto model = make();
  const cr::Tensor x = cr::random::normal({64, 2}).eval();
  const cr::Tensor y = cr::astype(cr::sum(x * x, {1}) > 1.0, cr::DType::int64).eval();
  auto loss_of = [](const nn::Sequential& m, const cr::Tensor& a, const cr::Tensor& b) { return nn::cross_entropy(m(a), b); };
  std::vector<double> eager, compiled;
  {
    cr::Context scope({.train = true, .seed = 5});
    cr::optim::Adam adam({.lr = 1e-2});
    for (int i = 0; i < 50; ++i) {
      auto [loss, g] = cr::value_and_grad(loss_of)(model, x, y);
      adam.update(model, g);
      eager.push_back(loss.item<double>());
    }
    EXPECT_EQ(adam.step_count(), 50);
  }
  {
    model = make();
    cr::Context scope({.train = true, .seed = 5});
    cr::optim::Adam adam({.lr = 1e-2});
    adam.init(model);
    auto step = cr::compile([&](const cr::Tensor& a, const cr::Tensor& b) {
      auto [loss, g] = cr::value_and_grad(loss_of)(model, a, b);
      adam.update(model, g);
      return loss;
    }, model, adam);
    for (int i = 0; i < 50; ++i) compiled.push_back(step(x, y).item<double>());
    EXPECT_EQ(step.trace_count(), 1);
    EXPECT_EQ(adam.step_count(), 50);
  }
  for (int i = 0; i < 50; i += 7) std::printf("%g %g\n", eager[i], compiled[i]);
  model.save("/tmp/nn_model.safetensors");
  auto again = nn::load("/tmp/nn_model.safetensors");
  EXPECT_EQ(again.predict(x).to_vector<float>(), model.predict(x).to_vector<float>());
}
