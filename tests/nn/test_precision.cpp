// The context's dtype policy: where layers cast, and that without one nothing changes.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

#include "graph/node.hpp"
#include "graph/op.hpp"

#include "reference.hpp"

namespace chainrule::nn {
namespace {

using test::relative_error;

constexpr DType f32 = DType::float32;
constexpr DType f64 = DType::float64;
constexpr DType bf16 = DType::bfloat16;
constexpr ContextOptions mixed{.dtypes = DTypePolicy{.compute = bf16}};

Sequential small_model() {
  return Sequential(Linear(6, 16), LayerNorm(16), BatchNorm(16), RMSNorm(16), PReLU(16), GELU(),
                    Residual(Linear(16, 16)), Dropout(0.25), Linear(16, 3));
}
Tensor examples(DType dtype = f32) {
  return random::normal(random::key(3), {32, 6}, 0, 1, f64).astype(dtype).eval();
}
Tensor classes() { return astype(floor(arange(0, 32) / 11), DType::int64).eval(); }

// The value, as far as it must be rounded to be a bfloat16.
Tensor rounded(const Tensor& x) { return x.astype(bf16).astype(f64); }

// The ops behind y, with those that turn one floating dtype into another marked.
std::vector<std::string> ops_of(const Tensor& y) {
  std::vector<std::string> names;
  const auto is_new = [](const Node& node) { return !node.evaluated.load(); };
  for (const Node* node : collect_nodes(std::span<const Tensor>(&y, 1), is_new)) {
    if (!is_new(*node)) continue;
    const bool casts = node->op == &ops::astype && is_floating(node->inputs[0].dtype());
    names.push_back(casts ? "cast" : std::string(node->op->name));
  }
  return names;
}

TEST(Precision, WithoutAPolicyNothingIsCast) {
  const Sequential model = small_model();
  eval(chainrule::detail::tensors_of(model));
  const auto loss = [&](std::optional<DTypePolicy> policy) {
    const Context scope({.train = true, .seed = 5, .dtypes = policy});
    return cross_entropy(model(examples()), classes());
  };
  const std::vector<std::string> plain = ops_of(loss({}));
  EXPECT_EQ(std::count(plain.begin(), plain.end(), "cast"), 0);
  EXPECT_EQ(ops_of(loss(DTypePolicy{})), plain) << "nor in float32 under a policy of float32";
  EXPECT_EQ(ops_of(loss(DTypePolicy{.compute = f32})), plain);
  const std::vector<std::string> narrow = ops_of(loss(DTypePolicy{.compute = bf16}));
  EXPECT_GE(std::count(narrow.begin(), narrow.end(), "cast"), 9) << "x, weight and bias of each Linear";
  EXPECT_FALSE(Context::dtypes().has_value());
  EXPECT_EQ(loss({}).item<float>(), loss(DTypePolicy{}).item<float>());
}

TEST(Precision, ProductsMultiplyWhatThePolicySays) {
  const Linear layer(40, 30);
  const Tensor x = random::normal({20, 40});
  const Context scope(mixed);
  const Tensor y = layer(x);
  EXPECT_EQ(y.dtype(), bf16);
  const Tensor product = matmul(rounded(x), transpose(rounded(layer.weight)));
  const Tensor exact = product + rounded(layer.bias);
  // One rounding of the product and one of the sum, each of half a unit in 8 bits.
  const Tensor bound = (abs(product) + abs(exact)) * 0x1p-8 + 1e-6;
  EXPECT_TRUE(all(abs(y.astype(f64) - exact) <= bound).item<bool>());
}

TEST(Precision, GradientsArriveInTheParametersDtype) {
  const Linear layer(40, 30);
  const Tensor x = random::normal({20, 40});
  const auto loss = [&](const Linear& l) { return mse_loss(l(x), zeros({20, 30})); };
  const Linear exact = grad(loss)(layer);
  const Context scope(mixed);
  auto [value, gradient] = value_and_grad(loss)(layer);
  EXPECT_EQ(value.dtype(), f32) << "losses are in the policy's reductions";
  EXPECT_EQ(gradient.weight.dtype(), f32);
  EXPECT_EQ(gradient.bias.dtype(), f32);
  // Each of the roundings on the way costs at most 2^-9 of its number.
  EXPECT_LT(relative_error(gradient.weight, exact.weight), 0x1p-6);
  EXPECT_LT(relative_error(gradient.bias, exact.bias), 0x1p-6);
  EXPECT_GT(relative_error(gradient.weight, exact.weight), 0x1p-16) << "it was float32 after all";
}

TEST(Precision, ReductionsAreThoseOfWiderNumbers) {
  const Tensor x = random::normal({8, 16}).astype(bf16).eval();
  const Tensor wide = x.astype(f32).eval();
  const LayerNorm layer_norm(16);
  const RMSNorm rms_norm(16, {.eps = 1e-6});
  const BatchNorm batch_norm(16);
  const Tensor t = astype(arange(0, 8), DType::int64);
  const auto expect_same = [](const Tensor& got, const Tensor& wanted, const char* what) {
    EXPECT_EQ(got.dtype(), f32) << what;
    EXPECT_EQ(got.to_vector<float>(), wanted.to_vector<float>()) << what;
  };
  const Context scope({.train = true, .dtypes = DTypePolicy{.compute = bf16}});
  expect_same(layer_norm(x), layer_norm(wide), "LayerNorm");
  expect_same(rms_norm(x), rms_norm(wide), "RMSNorm");
  expect_same(batch_norm(x), batch_norm(wide), "BatchNorm");
  expect_same(softmax(x), softmax(wide), "Softmax");
  expect_same(log_softmax(x), log_softmax(wide), "LogSoftmax");
  expect_same(cross_entropy(x, t), cross_entropy(wide, t), "cross_entropy");
  expect_same(cross_entropy(x, softmax(x)), cross_entropy(wide, softmax(wide)), "cross_entropy of shares");
  expect_same(nll_loss(x, t), nll_loss(wide, t), "nll_loss");
  expect_same(mse_loss(x, x * 0.5), mse_loss(wide, (x * 0.5).astype(f32)), "mse_loss");
  expect_same(kl_div(x, abs(x)), kl_div(wide, abs(wide)), "kl_div");
  expect_same(smooth_l1_loss(x, -x), smooth_l1_loss(wide, -wide), "smooth_l1_loss");
}

TEST(Precision, WiderNumbersStayWide) {
  const Context scope(mixed);
  const Tensor x = examples(f64);
  EXPECT_EQ(mse_loss(x, x).dtype(), f64);
  EXPECT_EQ(LayerNorm(6, {.dtype = f64})(x).dtype(), f64);
}

TEST(Precision, AllOfABfloat16Model) {
  // Parameters too: the running averages keep their dtype, and a step changes what it is to change.
  const Context scope({.train = true, .seed = 1, .dtypes = DTypePolicy{.parameters = bf16, .compute = bf16}});
  Sequential model = small_model();
  for (const Leaf& leaf : leaves(model)) {
    if (leaf.path.ends_with("tracked")) continue;
    EXPECT_EQ(leaf.tensor->dtype(), bf16) << leaf.path;
  }
  optim::SGD sgd({.lr = 0.5});
  auto step = compile(
      [&](const Tensor& x, const Tensor& t) {
        auto [loss, gradient] =
            value_and_grad([&](const Sequential& m) { return cross_entropy(m(x), t); })(model);
        sgd.update(model, gradient);
        return loss;
      },
      model, sgd);
  const double first = step(examples(), classes()).item<double>();
  double last = first;
  for (int i = 0; i < 60; ++i) last = step(examples(), classes()).item<double>();
  EXPECT_LT(last, first / 2);
  EXPECT_EQ(model[0].get_if<Linear>()->weight.dtype(), bf16);
  EXPECT_NE(model[2].get_if<BatchNorm>()->running_mean.to_vector<float>(), std::vector<float>(16, 0));
}

TEST(Precision, AnOptionIsStrongerThanThePolicy) {
  const Context scope({.dtypes = DTypePolicy{.parameters = f64}});
  EXPECT_EQ(Linear(2, 2).weight.dtype(), f64);
  EXPECT_EQ(Linear(2, 2, {.dtype = f32}).weight.dtype(), f32);
  EXPECT_EQ(Embedding(2, 2).weight.dtype(), f64);
  EXPECT_EQ(PReLU().weight.dtype(), f64);
  EXPECT_EQ(init::kaiming_normal({2, 2}).dtype(), f64);
  const Context inner({.dtypes = DTypePolicy{}});
  EXPECT_EQ(Linear(2, 2).weight.dtype(), f32);
}

TEST(Precision, ScopesNestAndEnd) {
  const Linear layer(2, 2);
  const Tensor x = ones({1, 2});
  {
    const Context outer(mixed);
    {
      const Context inner({.train = true});
      EXPECT_EQ(layer(x).dtype(), bf16) << "an inner scope takes over what it does not set";
      const Context innermost({.dtypes = DTypePolicy{}});
      EXPECT_EQ(layer(x).dtype(), f32);
    }
    EXPECT_EQ(layer(x).dtype(), bf16);
  }
  EXPECT_EQ(layer(x).dtype(), f32);
  EXPECT_THROW(Context({.dtypes = DTypePolicy{.parameters = DType::int32}}), DTypeError);
  EXPECT_THROW(Context({.dtypes = DTypePolicy{.compute = DType::boolean}}), DTypeError);
  EXPECT_THROW(Context({.dtypes = DTypePolicy{.reductions = DType::uint8}}), DTypeError);
  EXPECT_EQ(layer(x).dtype(), f32);
}

TEST(Precision, APlanBelongsToItsPolicy) {
  Linear layer(40, 30);
  const Tensor x = random::normal({20, 40}).eval();
  auto compiled = compile([&](const Tensor& in) { return layer(in); }, layer);
  const Tensor plain = compiled(x);
  {
    const Context scope(mixed);
    const Tensor narrow = compiled(x);
    EXPECT_EQ(narrow.dtype(), bf16);
    EXPECT_EQ(narrow.to_vector<float>(), layer(x).to_vector<float>());
    const Context inner({.dtypes = DTypePolicy{.compute = f64}});
    EXPECT_EQ(compiled(x).dtype(), f64);
  }
  EXPECT_EQ(compiled.trace_count(), 3);
  EXPECT_EQ(compiled(x).to_vector<float>(), plain.to_vector<float>());
  EXPECT_EQ(compiled.trace_count(), 3);
}

// AdamW around bfloat16 products: the parameters stay in float32, where small steps still count.
TEST(Precision, MixedTrainingLearnsWhatFloat32Learns) {
  const auto trained = [](std::optional<DTypePolicy> policy) {
    const Context scope({.train = true, .seed = 2, .dtypes = policy});
    Sequential model(Linear(6, 32), LayerNorm(32), ReLU(), Linear(32, 3));
    optim::AdamW adam({.lr = 1e-2});
    const auto loss_of = [](const Sequential& m, const Tensor& x, const Tensor& t) {
      return cross_entropy(m(x), t);
    };
    auto step = compile(
        [&](const Tensor& x, const Tensor& t) {
          auto [loss, gradient] = value_and_grad(loss_of)(model, x, t);
          adam.update(model, gradient);
          return loss;
        },
        model, adam);
    Tensor loss;
    for (int i = 0; i < 100; ++i) loss = step(examples(), classes());
    EXPECT_EQ(loss.dtype(), f32);
    EXPECT_EQ(model[0].get_if<Linear>()->weight.dtype(), f32);
    const Context look({.train = false});
    return mean(equal(argmax(model(examples()), 1), classes()).astype(f32)).item<double>();
  };
  EXPECT_EQ(trained({}), 1.0);
  EXPECT_EQ(trained(DTypePolicy{.compute = bf16}), 1.0);
}

}  // namespace
}  // namespace chainrule::nn
