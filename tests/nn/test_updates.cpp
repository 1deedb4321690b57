// What a forward pass records for the running averages, and where it ends up.

#include <cmath>
#include <optional>

#include <gtest/gtest.h>

#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/transforms.hpp>

#include "graph/context_state.hpp"

namespace chainrule::nn {
namespace {

constexpr DType f64 = DType::float64;

Tensor batch(double center) {
  return reshape(tensor({-1, 1}, f64), {2, 1}) + center;  // mean: the centre
}

double running_mean(const BatchNorm& norm) { return norm.running_mean.item<double>(); }

std::size_t recorded() { return context_state().updates.size(); }

TEST(Updates, TwoPassesBeforeAnUpdateBothCount) {
  // As in PyTorch: r ← 0.9 r + 0.1 m for each pass in turn.
  BatchNorm norm(1, {.dtype = f64});
  const Context scope({.train = true});
  norm(batch(1));
  norm(batch(2));
  apply_updates(norm);
  EXPECT_NEAR(running_mean(norm), 0.9 * 0.1 + 0.1 * 2, 1e-15);
  EXPECT_EQ(norm.num_batches_tracked.item<int>(), 2);
  EXPECT_EQ(recorded(), 0);
}

TEST(Updates, BothPassesOfTwoGradientsCount) {
  BatchNorm norm(1, {.dtype = f64});
  const Context scope({.train = true});
  const auto loss = [](const BatchNorm& m, const Tensor& x) { return sum(square(m(x))); };
  const BatchNorm first = grad(loss)(norm, batch(1));
  grad(loss)(norm, batch(2));
  optim::SGD sgd({.lr = 0.1});
  sgd.update(norm, first);
  EXPECT_NEAR(running_mean(norm), 0.9 * 0.1 + 0.1 * 2, 1e-15);
  EXPECT_EQ(norm.num_batches_tracked.item<int>(), 2);
}

TEST(Updates, PassesWithoutAnUpdateLeaveNothing) {
  const std::size_t before = recorded();
  BatchNorm norm(1, {.dtype = f64});
  {
    const Context scope({.train = true});
    for (int i = 0; i < 100; ++i) norm(batch(i));
    EXPECT_EQ(recorded(), before + 3) << "one per running value, however many passes";
    {
      const Context inner({.seed = 1});
      norm(batch(7));
    }
    EXPECT_EQ(recorded(), before + 3);
  }
  EXPECT_EQ(recorded(), before);
  apply_updates(norm);
  EXPECT_EQ(running_mean(norm), 0);
}

TEST(Updates, AnUpdateNeverMeetsAnotherModelAtItsAddress) {
  const Context scope({.train = true});
  std::optional<BatchNorm> norm(std::in_place, 1, BatchNormOptions{.dtype = f64});
  (*norm)(batch(5));
  norm.emplace(1, BatchNormOptions{.dtype = f64});  // in the same memory
  apply_updates(*norm);
  EXPECT_EQ(running_mean(*norm), 0);
}

TEST(Updates, TransformsRecordForTheCallersModel) {
  const Context scope({.train = true});
  const Tensor x = batch(3);
  const auto f = [&](const BatchNorm& m) { return m(x); };
  const auto scalar = [&](const BatchNorm& m) { return sum(square(m(x))); };
  const auto check = [&](const char* transform, const auto& run) {
    BatchNorm norm(1, {.dtype = f64});
    run(norm);
    apply_updates(norm);
    EXPECT_NEAR(running_mean(norm), 0.3, 1e-15) << transform;
    EXPECT_EQ(recorded(), 0) << transform;
  };
  check("vjp", [&](BatchNorm& m) { vjp(f, m, ones({2, 1}, f64)); });
  check("jvp", [&](BatchNorm& m) { jvp(f, m, m); });
  check("grad", [&](BatchNorm& m) { grad(scalar)(m); });
  check("hvp", [&](BatchNorm& m) { hvp(scalar, m, m); });
  check("vmap", [&](BatchNorm& m) {
    vmap([&](const BatchNorm& own, const Tensor& scale) { return own(x) * scale; }, {-1, 0})(m,
                                                                                             ones({4}, f64));
  });
}

// The gradient of a model with buffers has undefined tensors in it, in every transform.
TEST(Updates, TransformsOfAGradientPassOverBuffers) {
  BatchNorm norm(1, {.dtype = f64});
  const auto loss = [](const BatchNorm& m, const Tensor& x) { return sum(square(m(x))); };
  const Tensor x = stack({batch(1), batch(2), batch(4)});
  const BatchNorm each = vmap(grad(loss), {-1, 0})(norm, x);
  EXPECT_FALSE(each.running_mean.defined());
  for (std::int64_t i = 0; i < 3; ++i)
    EXPECT_EQ(each.bias[i].item<double>(), grad(loss)(norm, x[i]).bias.item<double>());
  // The Hessian of Σ(x̂ w + b)² is 2 Σ (x̂², x̂; x̂, 1), its product with (1, 0) is 2 Σ(x̂², x̂). In evaluation
  // mode x̂ = x / √(1 + eps), here with x = 0 and 2.
  const BatchNorm product = hvp([&](const BatchNorm& m) { return loss(m, x[0]); }, norm, norm);
  EXPECT_FALSE(product.running_mean.defined());
  const double scale = 1 / std::sqrt(1 + norm.eps);
  EXPECT_NEAR(product.weight.item<double>(), 2 * 4 * scale * scale, 1e-12);
  EXPECT_NEAR(product.bias.item<double>(), 2 * 2 * scale, 1e-12);
}

TEST(Updates, VmapOverAModelUpdatesEachOfItsCopies) {
  BatchNorm norm(1, {.dtype = f64});
  for (const Leaf& leaf : leaves(norm)) *leaf.tensor = stack({*leaf.tensor, *leaf.tensor, *leaf.tensor});
  const Context scope({.train = true});
  const Tensor x = stack({batch(1), batch(2), batch(3)});
  vmap([](const BatchNorm& m, const Tensor& own) { return m(own); })(norm, x);
  apply_updates(norm);
  ASSERT_EQ(norm.running_mean.shape(), (Shape{3, 1}));
  const std::vector<double> means = norm.running_mean.to_vector<double>();
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(means[i], 0.1 * static_cast<double>(i + 1), 1e-15);
}

TEST(Updates, VmapRefusesAnUpdatePerExampleOfSharedAverages) {
  const BatchNorm norm(1, {.dtype = f64});
  const Context scope({.train = true});
  const Tensor x = stack({batch(1), batch(2)});
  try {
    vmap([&](const Tensor& own) { return norm(own); })(x);
    FAIL() << "running averages of one model got a value for each example";
  } catch (const StateError& error) {
    EXPECT_EQ(error.parts().function, "vmap");
  }
  EXPECT_EQ(recorded(), 0);
}

TEST(Updates, AFailedTransformLeavesNothing) {
  const BatchNorm norm(1, {.dtype = f64});
  const Context scope({.train = true});
  const auto fails = [&](const BatchNorm& m) {
    m(batch(1));
    return sum(m(ones({2, 5}, f64)));
  };
  EXPECT_THROW(grad(fails)(norm), ShapeError);
  EXPECT_EQ(recorded(), 0);
}

}  // namespace
}  // namespace chainrule::nn
