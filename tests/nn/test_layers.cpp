#include <cmath>
#include <functional>
#include <map>

#include <gtest/gtest.h>

#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

#include "reference.hpp"

namespace chainrule::nn {
namespace {

using test::expect_close;
using test::read_reference;
using test::tensor_of;

constexpr double tolerance = 1e-12;
constexpr DType f64 = DType::float64;

// Σ y cos(0, 1, 2, ..): a loss that tells all elements apart.
Tensor weighted_sum(const Tensor& y) {
  return sum(y * reshape(cos(arange(0, static_cast<double>(y.size()), 1, f64)), y.shape()));
}

void check_layer(const std::string& name, Module layer, const nlohmann::json& reference) {
  const Context scope({.train = true});
  const nlohmann::json& expected = reference["layers"][name];
  for (const Leaf& leaf : leaves(layer)) {
    if (leaf.kind == LeafKind::parameter) *leaf.tensor = tensor_of(expected["parameters"][leaf.path]);
  }
  const Tensor x = tensor_of(expected["x"]);
  expect_close(layer(x), expected["y"], tolerance, name);
  Module gradient = grad([&](const Module& m) { return weighted_sum(m(x)); })(layer);
  std::size_t compared = 0;
  for (const Leaf& leaf : leaves(gradient)) {
    if (leaf.kind != LeafKind::parameter) continue;
    expect_close(*leaf.tensor, expected["gradients"][leaf.path], tolerance, name + " " + leaf.path);
    ++compared;
  }
  EXPECT_EQ(compared, expected["gradients"].size()) << name;
  if (!expected.contains("x_gradient")) return;
  const Tensor x_bar = grad([&](const Tensor& input) { return weighted_sum(layer(input)); })(x);
  expect_close(x_bar, expected["x_gradient"], tolerance, name + " x");
}

TEST(Layers, AgreeWithPyTorch) {
  const nlohmann::json reference = read_reference("nn/layers.json");
  const std::map<std::string, Module> layers = {
      {"linear", Linear(4, 3, {.dtype = f64})},
      {"linear_3d", Linear(4, 3, {.dtype = f64})},
      {"linear_no_bias", Linear(4, 3, {.bias = false, .dtype = f64})},
      {"layer_norm", LayerNorm(4, {.dtype = f64})},
      {"layer_norm_2d", LayerNorm(Shape{3, 4}, {.eps = 1e-3, .dtype = f64})},
      {"layer_norm_plain", LayerNorm(4, {.elementwise_affine = false})},
      {"rms_norm", RMSNorm(4, {.dtype = f64})},
      {"rms_norm_eps", RMSNorm(Shape{3, 4}, {.eps = 1e-2, .dtype = f64})},
      {"batch_norm", BatchNorm(4, {.dtype = f64})},
      {"batch_norm_3d", BatchNorm(3, {.dtype = f64})},
      {"embedding", Embedding(6, 3, {.dtype = f64})},
  };
  EXPECT_EQ(layers.size(), reference["layers"].size());
  for (const auto& [name, layer] : layers) check_layer(name, layer, reference);
}

TEST(Layers, ActivationsAgreeWithPyTorch) {
  const nlohmann::json reference = read_reference("nn/activations.json");
  const Tensor x = tensor_of(reference["x"]);
  const std::map<std::string, Module> modules = {{"ReLU", relu},
                                                 {"Sigmoid", sigmoid},
                                                 {"Tanh", tanh},
                                                 {"Identity", identity},
                                                 {"LeakyReLU", LeakyReLU(0.1)},
                                                 {"ELU", ELU(1.5)},
                                                 {"SELU", selu},
                                                 {"GELU", gelu},
                                                 {"GELU_tanh", GELU({.tanh = true})},
                                                 {"SiLU", silu},
                                                 {"Mish", mish},
                                                 {"Softplus", softplus},
                                                 {"LogSigmoid", log_sigmoid},
                                                 {"Softmax", softmax},
                                                 {"LogSoftmax", log_softmax},
                                                 {"Hardtanh", hardtanh},
                                                 {"ReLU6", relu6},
                                                 {"Hardswish", hardswish},
                                                 {"Hardsigmoid", hardsigmoid},
                                                 {"Softsign", softsign},
                                                 {"PReLU", PReLU()}};
  EXPECT_EQ(modules.size(), reference["y"].size());
  for (const auto& [name, module] : modules) expect_close(module(x), reference["y"][name], tolerance, name);
}

TEST(Layers, BatchNormKeepsRunningAverages) {
  const nlohmann::json running = read_reference("nn/layers.json")["running"];
  BatchNorm norm(4, {.momentum = 0.3, .dtype = f64});
  for (const auto& batch : running["batches"]) {
    const Context scope({.train = true});
    norm(tensor_of(batch));
    apply_updates(norm);
  }
  expect_close(norm.running_mean, running["running_mean"], tolerance, "mean");
  expect_close(norm.running_var, running["running_var"], tolerance, "var");
  EXPECT_EQ(norm.num_batches_tracked.item<int>(), 3);
  expect_close(norm(tensor_of(running["batches"][0])), running["y"], tolerance, "evaluation");
}

TEST(Layers, LinearStartsWithinItsBound) {
  seed(3);
  Linear layer(100, 400);
  double squares = 0;
  for (const float w : layer.weight.to_vector<float>()) {
    EXPECT_LE(std::fabs(w), 0.1);
    squares += w * w;
  }
  // The variance of a uniform on ±b is b²/3; its mean square over n draws has the standard error b² √(4/45 /
  // n).
  EXPECT_NEAR(squares / 40000, 0.01 / 3, 5 * 0.01 * std::sqrt(4.0 / 45 / 40000));
}

TEST(Layers, DropoutScalesWhatItKeeps) {
  const Dropout dropout(0.3);
  const Tensor x = ones({200, 500});
  EXPECT_EQ(dropout(x).node(), x.node()) << "in evaluation the input passes";
  const Context scope({.train = true, .seed = 4});
  const std::vector<float> y = dropout(x).to_vector<float>();
  std::int64_t kept = 0;
  for (const float value : y) {
    if (value == 0) continue;
    EXPECT_FLOAT_EQ(value, 1 / 0.7F);
    ++kept;
  }
  const double n = 1e5;
  EXPECT_NEAR(static_cast<double>(kept) / n, 0.7, 5 * std::sqrt(0.21 / n));
  EXPECT_NE(dropout(x).to_vector<float>(), y) << "each call draws anew";
  EXPECT_EQ(sum(Dropout(1.0)(x)).item<float>(), 0);
  EXPECT_EQ(sum(Dropout(0.0)(x)).item<float>(), 1e5F);
}

TEST(Layers, DropoutsGradientHasTheMaskOfItsOutput) {
  const Context scope({.train = true, .seed = 4});
  const Dropout dropout(0.5);
  const Tensor x = full({50}, 2.0, f64);
  const auto [y, x_bar] = value_and_grad([&](const Tensor& input) { return sum(square(dropout(input))); })(x);
  // y² sums 16 per kept element, its gradient is 2 · 4 · 2 there.
  EXPECT_DOUBLE_EQ(sum(x_bar).item<double>(), y.item<double>());
}

TEST(Layers, FlattenAndResidual) {
  EXPECT_EQ(Flatten()(zeros({5, 2, 3})).shape(), (Shape{5, 6}));
  EXPECT_EQ(Flatten(0)(zeros({5, 2, 3})).shape(), (Shape{30}));
  const Residual block{Module(ReLU())};
  EXPECT_EQ(block(tensor({-1, 2})).to_vector<float>(), (std::vector<float>{-1, 4}));
}

TEST(Layers, ErrorsSayWhatAndWhere) {
  const Sequential model(Flatten(), Linear(784, 256));
  try {
    model(zeros({128, 783}));
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_EQ(error.parts().function, "Linear");
    EXPECT_EQ(error.parts().region, "Sequential[1].Linear");
    EXPECT_NE(error.parts().got.find("[128, 783] float32"), std::string::npos);
    EXPECT_NE(error.parts().problem.find("784"), std::string::npos);
  }
  try {
    Linear(784, 10)(zeros({2, 28, 28}));
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_NE(error.parts().hint.find("Flatten"), std::string::npos);
  }
  EXPECT_THROW(Linear(0, 3), ArgumentError);
  EXPECT_THROW(Dropout(1.5), ArgumentError);
  EXPECT_THROW(Dropout(NAN), ArgumentError);
  EXPECT_THROW(LayerNorm(4)(zeros({2, 3})), ShapeError);
  EXPECT_THROW(LayerNorm(Shape{3, 4})(zeros({4})), ShapeError);
  EXPECT_THROW(RMSNorm(4)(zeros({})), ShapeError);
  EXPECT_THROW(BatchNorm(4)(zeros({4})), ShapeError);
  EXPECT_THROW(Embedding(4, 2)(zeros({3})), DTypeError);
  EXPECT_THROW(PReLU(3)(zeros({2, 4})), ShapeError);
  EXPECT_THROW(Module()(zeros({2})), StateError);
  const Context scope({.train = true});
  EXPECT_THROW(BatchNorm(4)(zeros({1, 4})), ShapeError);
}

}  // namespace
}  // namespace chainrule::nn
