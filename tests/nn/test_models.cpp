#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/io.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

#include "reference.hpp"

namespace chainrule::nn {
namespace {

using test::expect_close;
using test::read_reference;
using test::tensor_of;

// A module of a user's own: ten lines.
struct Gated {
  static constexpr std::string_view type_name = "Gated";
  Linear value, gate;
  Gated(std::int64_t in, std::int64_t out) : value(in, out), gate(in, out) {}
  Tensor operator()(const Tensor& x) const { return value(x) * chainrule::sigmoid(gate(x)); }
  void visit(Visitor& v) {
    v("value", value);
    v("gate", gate);
  }
};

std::vector<std::string> paths_of(const auto& tree) {
  std::vector<std::string> paths;
  for (const Leaf& leaf : leaves(tree)) paths.push_back(leaf.path);
  return paths;
}

class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("chainrule-nn-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

TEST(Models, PathsArePyTorchs) {
  Sequential model(Linear(4, 3), relu, BatchNorm(3), Residual(Sequential(Linear(3, 3, {.bias = false}))),
                   Gated(3, 2));
  EXPECT_EQ(paths_of(model),
            (std::vector<std::string>{"0.weight", "0.bias", "2.weight", "2.bias", "2.running_mean",
                                      "2.running_var", "2.num_batches_tracked", "3.module.0.weight",
                                      "4.value.weight", "4.value.bias", "4.gate.weight", "4.gate.bias"}));
  EXPECT_EQ(parameter_count(model), 15 + 6 + 9 + 8 + 8);
  EXPECT_EQ(model(zeros({5, 4})).shape(), (Shape{5, 2}));
  EXPECT_EQ(model.size(), 5);
  EXPECT_EQ(model[-1].type(), "Gated");
  EXPECT_NE(model[0].get_if<Linear>(), nullptr);
  EXPECT_EQ(model[0].get_if<ReLU>(), nullptr);
  EXPECT_THROW(model[5], ArgumentError);
}

TEST(Models, CopiesHaveTheirOwnParameters) {
  Sequential model(Linear(2, 2));
  Sequential copy = model;
  const std::vector<float> before = model[0].get_if<Linear>()->weight.to_vector<float>();
  copy[0].get_if<Linear>()->weight = zeros({2, 2});
  EXPECT_EQ(model[0].get_if<Linear>()->weight.to_vector<float>(), before);
}

TEST(Models, LambdasAreModules) {
  const Sequential model([](const Tensor& x) { return x * 2; }, relu);
  EXPECT_EQ(model(tensor({-1, 3})).to_vector<float>(), (std::vector<float>{0, 6}));
}

TEST(Models, FrozenParametersStay) {
  Sequential model(Linear(2, 3), Linear(3, 1));
  EXPECT_EQ(freeze(model, "0.*"), 2);
  const std::vector<float> before = model[0].get_if<Linear>()->weight.to_vector<float>();
  const std::vector<float> head = model[1].get_if<Linear>()->weight.to_vector<float>();
  optim::SGD sgd({.lr = 0.1});
  const auto loss = [](const Sequential& m) { return sum(m(ones({1, 2}))); };
  const Sequential gradient = grad(loss)(model);
  EXPECT_FALSE(leaves(gradient)[0].tensor->defined());
  sgd.update(model, gradient);
  EXPECT_EQ(model[0].get_if<Linear>()->weight.to_vector<float>(), before);
  EXPECT_NE(model[1].get_if<Linear>()->weight.to_vector<float>(), head);
}

// Two layers with one weight: one parameter that is used twice.
struct Tied {
  Parameter weight = tensor({1, 2, 3, 4}).reshape({2, 2});
  Tensor operator()(const Tensor& x) const { return matmul(matmul(x, weight), transpose(weight)); }
  void visit(Visitor& v) { v("weight", weight); }
};

TEST(Models, OneParameterUsedTwiceGetsTheGradientsOfBoth) {
  // f(W) = Σ x W Wᵀ with x = (1, 0): the first row of W times the sum of both rows. ∂f/∂W: the first row is
  // that sum plus the first row itself, the second one the first row.
  const Tied model;
  const Tied gradient = grad([](const Tied& m) { return sum(m(tensor({1, 0}).reshape({1, 2}))); })(model);
  EXPECT_EQ(gradient.weight.to_vector<float>(), (std::vector<float>{4 + 1, 6 + 2, 1, 2}));
  EXPECT_EQ(parameter_count(model), 4);
}

TEST(Models, AFileDoesNotTellWhatWasFrozen) {
  const Folder folder;
  Sequential model(Linear(2, 2));
  freeze(model, "*");
  model.save(folder.file("model.safetensors"));
  const Module again = load(folder.file("model.safetensors"));
  for (const Leaf& leaf : leaves(again)) EXPECT_EQ(leaf.kind, LeafKind::parameter);
}

TEST(Models, GoldRunAgreesWithPyTorch) {
  const nlohmann::json gold = read_reference("nn/gold_mlp.json");
  constexpr DType f64 = DType::float64;
  Sequential model(Flatten(), Linear(12, 8, {.dtype = f64}), Tanh(), Linear(8, 8, {.dtype = f64}), ReLU(),
                   Linear(8, 4, {.dtype = f64}));
  for (const Leaf& leaf : leaves(model)) *leaf.tensor = tensor_of(gold["start"][leaf.path]);
  const Tensor x = tensor_of(gold["x"]);
  const Tensor target = tensor_of(gold["target"]);
  const auto loss_of = [](const Sequential& m, const Tensor& a, const Tensor& b) {
    return cross_entropy(m(a), b);
  };
  const Sequential gradient = grad(loss_of)(model, x, target);
  for (const Leaf& leaf : leaves(gradient))
    expect_close(*leaf.tensor, gold["gradients"][leaf.path], 1e-11, leaf.path);

  optim::SGD sgd({.lr = 0.1, .momentum = 0.9});
  sgd.init(model);
  auto step = compile(
      [&](const Tensor& a, const Tensor& b) {
        auto [loss, g] = value_and_grad(loss_of)(model, a, b);
        sgd.update(model, g);
        return loss;
      },
      model, sgd);
  for (const double expected : gold["losses"])
    EXPECT_NEAR(step(x, target).item<double>(), expected, 1e-11 * expected);
  expect_close(model(x), gold["logits"], 1e-10, "logits");
  EXPECT_EQ(step.trace_count(), 1);
}

TEST(Models, LoadsWhatPyTorchWrote) {
  const nlohmann::json expected = read_reference("nn/mlp.json");
  Sequential model(Flatten(), Linear(6, 5), BatchNorm(5), ReLU(), Linear(5, 3, {.bias = false}));
  load_weights(model, CHAINRULE_SOURCE_DIR "/tests/reference/nn/mlp.safetensors");
  const Tensor x = astype(tensor_of(expected["x"]), DType::float32);
  expect_close(model.predict(x), expected["y"], 1e-6, "y");
}

TEST(Models, LoadingKeepsTheFilesPrecision) {
  const Folder folder;
  for (const DType dtype : {DType::float64, DType::bfloat16, DType::float32}) {
    Sequential model(Linear(3, 4), BatchNorm(4), PReLU(4), LayerNorm(4));
    for (const Leaf& leaf : leaves(model)) {
      if (is_floating(leaf.tensor->dtype())) *leaf.tensor = leaf.tensor->astype(dtype);
    }
    model.save(folder.file("model.safetensors"));
    const Module again = load(folder.file("model.safetensors"));
    const std::vector<Leaf> expected = leaves(model);
    const std::vector<Leaf> got = leaves(again);
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].tensor->dtype(), expected[i].tensor->dtype()) << got[i].path;
      EXPECT_EQ(got[i].tensor->to_vector<double>(), expected[i].tensor->to_vector<double>()) << got[i].path;
    }
    // Weights for a model that is there already take its precision.
    Sequential single(Linear(3, 4), BatchNorm(4), PReLU(4), LayerNorm(4));
    load_weights(single, folder.file("model.safetensors"));
    EXPECT_EQ(leaves(single)[0].tensor->dtype(), DType::float32);
  }
}

TEST(Models, SavesAndLoadsArchitectureAndWeights) {
  const Folder folder;
  const Sequential model(Flatten(), Linear(6, 5), BatchNorm(5), GELU({.tanh = true}), Dropout(0.25),
                         RMSNorm(5), LayerNorm(Shape{5}, {.eps = 1e-4, .bias = false}),
                         Residual(Sequential(Linear(5, 5, {.bias = false}))), PReLU(5), LeakyReLU(0.3),
                         Softmax(1));
  const Tensor x = random::normal(random::key(1), {3, 2, 3});
  model.save(folder.file("model.safetensors"));
  const Module again = load(folder.file("model.safetensors"));
  EXPECT_EQ(describe(again), describe(model));
  EXPECT_EQ(again.predict(x).to_vector<float>(), model.predict(x).to_vector<float>());
  std::filesystem::create_directories(folder.file("run"));
  model.save(folder.file("run/model.safetensors"));
  EXPECT_EQ(load(folder.file("run")).predict(x).to_vector<float>(), model.predict(x).to_vector<float>());
}

TEST(Models, EveryRegisteredLayerComesBackFromItsRecord) {
  const std::vector<Module> modules = {BatchNorm(3),
                                       Dropout(0.1),
                                       ELU(2),
                                       Embedding(3, 2),
                                       Flatten(2),
                                       GELU(),
                                       Hardsigmoid(),
                                       Hardswish(),
                                       Hardtanh(-2, 3),
                                       Identity(),
                                       LayerNorm(2),
                                       LeakyReLU(0.2),
                                       Linear(2, 3),
                                       LogSigmoid(),
                                       LogSoftmax(1),
                                       Mish(),
                                       PReLU(2),
                                       RMSNorm(2, {.eps = 1e-3}),
                                       ReLU(),
                                       ReLU6(),
                                       Residual(ReLU()),
                                       SELU(),
                                       Sequential(Linear(2, 2)),
                                       SiLU(),
                                       Sigmoid(),
                                       Softmax(0),
                                       Softplus(2),
                                       Softsign(),
                                       Tanh()};
  std::vector<std::string> types;
  for (const Module& module : modules) {
    const Record record = record_from_json(to_json(describe(module)), "record");
    EXPECT_EQ(describe(Registry::standard().build(record)), describe(module)) << module.type();
    types.emplace_back(module.type());
  }
  EXPECT_EQ(types, Registry::standard().types()) << "a registered layer is missing above";
}

TEST(Models, UsersModulesCanBeRegistered) {
  const Folder folder;
  const Sequential model(Gated(3, 2));
  model.save(folder.file("gated.safetensors"));
  EXPECT_THROW(load(folder.file("gated.safetensors")), IoError);
  Registry registry = Registry::standard();
  registry.add("Gated", [](const Record& record, const Registry&) {
    const Record& value = record.child("value");
    return Gated(value.integer("in_features"), value.integer("out_features"));
  });
  const Tensor x = ones({1, 3});
  EXPECT_EQ(load(folder.file("gated.safetensors"), registry).predict(x).to_vector<float>(),
            model.predict(x).to_vector<float>());
}

TEST(Models, LoadingRefusesWhatDoesNotFit) {
  const Folder folder;
  Sequential model(Linear(2, 3));
  model.save(folder.file("a"));
  Sequential wider(Linear(2, 4));
  const std::vector<float> before = wider[0].get_if<Linear>()->weight.to_vector<float>();
  EXPECT_THROW(load_weights(wider, folder.file("a")), IoError);
  EXPECT_EQ(wider[0].get_if<Linear>()->weight.to_vector<float>(), before);
  Sequential longer(Linear(2, 3), Linear(3, 1));
  EXPECT_THROW(load_weights(longer, folder.file("a")), IoError);
  longer.save(folder.file("b"));
  EXPECT_THROW(load_weights(model, folder.file("b")), IoError);
  EXPECT_THROW(load(folder.file("absent")), IoError);
  for (const char* architecture :
       {"", "[]", "{}", "{\"type\":3}", "{\"type\":\"Linear\"}", "{\"type\":\"Lineer\"}",
        "{\"type\":\"Sequential\",\"modules\":[]}",
        "{\"type\":\"Sequential\",\"modules\":{\"1\":{\"type\":\"ReLU\"}}}",
        "{\"type\":\"Linear\",\"options\":{\"in_features\":\"x\",\"out_features\":2,\"has_bias\":true}}",
        "{\"type\":\"Linear\",\"options\":{\"in_features\":-2,\"out_features\":2,\"has_bias\":true}}",
        "{\"type\":\"Linear\",\"options\":{\"in_features\":4611686018427387904,\"out_features\":"
        "4611686018427387904,\"has_bias\":true}}",
        "{\"type\":\"LayerNorm\",\"options\":{\"normalized_shape\":[1,2,3,4,5,6,7,8,9]}}"}) {
    save_safetensors(folder.file("c"), {}, {{"architecture", architecture}});
    EXPECT_THROW(load(folder.file("c")), IoError) << architecture;
  }
}

TEST(Models, PredictIgnoresTrainingAndServesThreads) {
  const Context scope({.train = true});
  const Sequential model(Linear(4, 8), Dropout(0.5), BatchNorm(8), ReLU(), Linear(8, 2));
  const Tensor x = random::normal(random::key(2), {3, 4}).eval();
  const std::vector<float> expected = model.predict(x).to_vector<float>();
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 50; ++k) wrong += model.predict(x).to_vector<float>() != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace chainrule::nn
