#include <algorithm>
#include <cmath>
#include <fstream>

#include <nlohmann/json.hpp>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

#include "io/json.hpp"
#include "train/build.hpp"
#include "train/support.hpp"

namespace cr = chainrule;
namespace train = chainrule::train;

namespace {

TEST(Config, WrittenAndReadAgain) {
  train::Config config = train::default_config("moons");
  config.seed = 42;
  config.layers.insert(config.layers.begin() + 2, {.type = "Dropout", .options = {{"p", 0.25}}});
  config.optimizer = {.name = "SGD", .lr = 0.1, .momentum = 0.9, .nesterov = true};
  config.schedule = {.name = "cosine", .warmup_epochs = 0.5};
  config.training.metrics = {"accuracy", "f1"};
  const std::string text = train::to_toml(config);
  const train::Config again = train::parse_config("config.toml", text);
  EXPECT_EQ(train::to_toml(again), text);
  EXPECT_EQ(std::get<double>(again.layers[2].options.at("p")), 0.25);
  EXPECT_EQ(again.optimizer.momentum, 0.9);
  EXPECT_EQ(again.seed, 42U);
}

TEST(Config, MistakesNameTheLineAndTheNearestKey) {
  const auto problem = [](const std::string& text) -> std::string {
    try {
      train::parse_config("t.toml", text);
    } catch (const cr::IoError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_NE(problem("seed = 1\n[training]\nepoch = 3\n").find("t.toml:3"), std::string::npos);
  EXPECT_NE(problem("[training]\nepoch = 3\n").find("epochs"), std::string::npos);
  EXPECT_NE(problem("[optimizer]\nname = \"Adma\"\n").find("Adam"), std::string::npos);
  EXPECT_NE(problem("[[layer]]\ntype = \"ReLU\"\nunits = 3\n"), "accepted");
  for (const char* bad :
       {"seed = -1", "threads = -1", "[training]\nepochs = 0", "[optimizer]\nlr = -0.1",
        "[optimizer]\nlr = \"fast\"", "[data]\nvalidation_split = 1.5", "[optimizer]\nlr = nan",
        "loss = \"l2\"", "[training]\nmetrics = [\"acc\"]", "[[layer]]\ntype = \"Linea\""}) {
    EXPECT_NE(problem(bad), "accepted") << bad;
  }
}

TEST(Config, ValuesThatContradictEachOtherNameTheLine) {
  const std::pair<const char*, const char*> wrong[] = {
      {"[data]\ntest_split = 0.0\n", "t.toml:2"},
      {"[optimizer]\nname = \"Adam\"\nbeta1 = 1.0\n", "t.toml:3"},
      {"[optimizer]\nname = \"SGD\"\nnesterov = true\n", "t.toml:3"},
      {"[optimizer]\nname = \"SGD\"\nbeta1 = 0.5\n", "t.toml:3"},
      {"[data]\nvalidation_split = 0\n[training]\npatience = 3\n", "t.toml:4"},
      {"[training]\nmonitor = \"acuracy\"\n", "t.toml:2"},
      {"[training]\nbatch_size = 9223372036854775807\n", "t.toml:2"},
      {"[training]\nepochs = 9223372036854775807\n", "t.toml:2"},
      {"[[optimizer.group]]\nlr_multiplier = 2.0\n", "optimizer.group[0].pattern"},
      {"[[layer]]\ntype = \"LeakyReLU\"\nnegative_slope = \"steep\"\n", "t.toml:3"},
      {"[[layer]]\ntype = \"ReLU\"\np = 0.5\n", "t.toml:3"},
      {"[[layer]]\ntype = \"Linear\"\ninit = \"kaiming\"\n", "t.toml:3"},
  };
  for (const auto& [text, place] : wrong) {
    SCOPED_TRACE(text);
    try {
      train::parse_config("t.toml", text);
      ADD_FAILURE() << "accepted";
    } catch (const cr::IoError& error) {
      EXPECT_NE(std::string(error.what()).find(place), std::string::npos) << error.what();
    }
  }
  train::Config config = train::default_config("moons");
  config.seed = std::uint64_t{1} << 63;  // which TOML could not hold
  EXPECT_THROW(train::run(config, {.folder = "/nowhere"}), cr::ArgumentError);
  config = train::default_config("moons");
  config.training.metrics = {"mae"};
  EXPECT_THROW(train::run(config, {.folder = "/nowhere"}), cr::ArgumentError);
  config = train::default_config("moons");
  config.training.epochs = 1;
  config.training.batch_size = 100'000;
  config.schedule.name = "one_cycle";
  EXPECT_THROW(train::run(config, {.folder = "/nowhere"}), cr::ArgumentError);
}

TEST(Config, EveryOptimizerAndItsOptionsAreThere) {
  for (const cr::Description& optimizer : cr::optim::table()) {
    const std::string name(optimizer.name);
    SCOPED_TRACE(name);
    train::Config base = train::default_config("moons");
    base.optimizer = {.name = name};
    const std::string text = train::to_toml(base);
    const train::Config config = train::parse_config("t.toml", text);
    EXPECT_EQ(train::to_toml(config), text);
    for (const std::string& option : train::optimizer_options(name)) {
      // Plain gradient descent has a learning rate alone.
      if (name == "GradientDescent") continue;
      EXPECT_NE(text.find("\n" + option + " = "), std::string::npos) << option;
    }
    EXPECT_EQ(train::build_optimizer(config.optimizer).name(), name);
  }
  const train::Config config = train::parse_config("t.toml",
                                                   "[optimizer]\nname = \"RMSProp\"\neps = 0.5\ncentered = "
                                                   "true\n[[optimizer.group]]\npattern = \"*.bias\"\n"
                                                   "lr_multiplier = 2.0\nweight_decay = 0.25\n");
  const auto options = cr::nn::describe(train::build_optimizer(config.optimizer));
  EXPECT_EQ(options.real("eps"), 0.5);
  EXPECT_TRUE(options.flag("centered"));
  EXPECT_EQ(options.text("group_pattern"), "*.bias");
  EXPECT_EQ(options.real("group_weight_decay"), 0.25);
}

TEST(Config, WhatIsLeftOutIsTheOptimizersOwn) {
  for (const cr::Description& optimizer : cr::optim::table()) {
    const std::string name(optimizer.name);
    const std::string text = "[optimizer]\nname = \"" + name + "\"\n";
    const cr::optim::Optimizer built = train::build_optimizer(train::parse_config("t.toml", text).optimizer);
    const cr::optim::Optimizer own = name == "AdamW"     ? cr::optim::Optimizer(cr::optim::AdamW())
                                     : name == "Adam"    ? cr::optim::Optimizer(cr::optim::Adam())
                                     : name == "SGD"     ? cr::optim::Optimizer(cr::optim::SGD())
                                     : name == "RMSProp" ? cr::optim::Optimizer(cr::optim::RMSProp())
                                                         : cr::optim::Optimizer(cr::optim::GradientDescent());
    EXPECT_EQ(own.name(), name);
    EXPECT_EQ(built.learning_rate(), own.learning_rate()) << name;
    EXPECT_EQ(cr::nn::describe(built), cr::nn::describe(own)) << name;
  }
  EXPECT_EQ(cr::nn::describe(train::build_optimizer({})).real("weight_decay"), 0.01) << "PyTorch's AdamW";
  EXPECT_THROW(train::parse_config("t.toml", "[schedule]\nname = \"exponential\"\n"), cr::IoError);
  EXPECT_EQ(
      *train::parse_config("t.toml", "[schedule]\nname = \"exponential\"\ngamma = 0.9\n").schedule.gamma,
      0.9);
}

TEST(Config, AnIgnoredClassCountsInNoMetric) {
  train::Config config = train::default_config("moons");
  config.data.examples = 60;
  const train::PreparedData data = train::load_data(config);
  const cr::Tensor logits = cr::tensor({{1, 0}, {0, 1}, {1, 0}, {0, 1}, {0, 1}});
  const cr::Tensor classes = cr::Tensor::from(std::vector<std::int64_t>{0, 1, 1, 0, 1}, {5});
  const auto value = [&](const char* metric) {
    config.training.metrics = {metric};
    return train::build_options(config, data).metrics.at(0).compute(logits, classes);
  };
  EXPECT_EQ(value("accuracy"), 3.0 / 5);
  // Of class 0 1/2, of class 1 2/3.
  EXPECT_DOUBLE_EQ(value("precision"), 7.0 / 12);
  config.training.ignore_index = 1;
  EXPECT_EQ(value("accuracy"), 0.5);
  // An example of class 1 is no false positive of class 0: 1 and 0.
  EXPECT_DOUBLE_EQ(value("precision"), 0.5);
}

TEST(Run, AnIgnoredClassCountsInNoPartOfTheEvaluation) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("moons");
  config.data.examples = 200;
  config.training.epochs = 30;
  config.training.ignore_index = 1;
  const train::RunResult result = train::run(config, {.folder = folder.file("a")});
  const train::PreparedData data = train::load_data(config);
  std::int64_t zeros = 0;
  for (const std::int64_t label : data.test.targets.to_vector<std::int64_t>()) zeros += label == 0 ? 1 : 0;
  ASSERT_GT(zeros, 0);
  ASSERT_LT(zeros, data.test.size());
  // Told of class 0 alone, the model answers 0.
  EXPECT_EQ(result.test.metrics.at("accuracy"), 1);
  EXPECT_EQ(result.standard_error, train::accuracy_error(1, zeros));
  EXPECT_EQ(train::counted_examples(result.test.targets), zeros);
  const auto evaluation = cr::io::read_json(folder.file("a") + "/evaluation.json");
  EXPECT_EQ(evaluation.at("confusion").get<std::vector<std::int64_t>>(),
            (std::vector<std::int64_t>{zeros, 0, 0, 0}));
  EXPECT_TRUE(evaluation.at("mistakes").empty());
  std::int64_t binned = 0;
  for (const auto& bin : evaluation.at("reliability")) binned += bin.at("count").get<std::int64_t>();
  EXPECT_EQ(binned, zeros);
}

TEST(Config, EveryLayerOfTheRegistryIsThere) {
  train::Config config = train::default_config("moons");
  config.data.examples = 60;
  const train::PreparedData data = train::load_data(config);
  std::size_t tried = 0;
  for (const std::string& type : cr::nn::Registry::standard().types()) {
    if (type == "Embedding" || type == "Sequential") continue;
    SCOPED_TRACE(type);
    ++tried;
    const std::string text = "[[layer]]\ntype = \"Linear\"\nunits = 4\n[[layer]]\ntype = \"" + type + "\"\n" +
                             (type == "Linear" ? "units = 4\n" : "") +
                             "[[layer]]\ntype = \"Linear\"\nunits = 4\n[[layer]]\ntype = \"Linear\"\n";
    const train::Config read = train::parse_config("t.toml", "[data]\nsource = \"moons\"\n" + text);
    const std::string written = train::to_toml(read);
    EXPECT_EQ(train::to_toml(train::parse_config("t.toml", written)), written);
    cr::nn::Module model = train::build_model(read, data.training);
    EXPECT_EQ(cr::nn::predict(model, cr::ones({5, 2})).shape(), cr::Shape({5, 2}));
    EXPECT_NE(cr::nn::to_json(cr::nn::describe(model)).find("\"" + type + "\""), std::string::npos);
  }
  EXPECT_GE(tried, 25U);
}

TEST(Config, OptionsReachTheLayers) {
  train::Config config = train::parse_config(
      "t.toml",
      "[data]\nsource = \"moons\"\nexamples = 60\n[[layer]]\ntype = \"Linear\"\nunits = 3\ninit = "
      "\"orthogonal\"\n[[layer]]\ntype = \"Residual\"\nlayers = 2\n[[layer]]\ntype = \"Linear\"\nunits = "
      "3\nbias = "
      "false\n[[layer]]\ntype = \"LeakyReLU\"\nnegative_slope = 0.5\n[[layer]]\ntype = \"Linear\"\n");
  const train::PreparedData data = train::load_data(config);
  cr::nn::Module model = train::build_model(config, data.training);
  const cr::nn::Record record = cr::nn::describe(model);
  ASSERT_EQ(record.children.size(), 3U);
  const cr::nn::Record& block = record.child("1").child("module");
  EXPECT_FALSE(block.child("0").flag("has_bias"));
  EXPECT_EQ(block.child("1").real("negative_slope"), 0.5);
  const std::vector<cr::Leaf> parts = cr::leaves(model);
  // Orthogonal: 3 × 2 with orthonormal columns.
  const auto gram = cr::matmul(cr::transpose(*parts[0].tensor), *parts[0].tensor).to_vector<double>();
  EXPECT_NEAR(gram[0], 1, 1e-5);
  EXPECT_NEAR(gram[1], 0, 1e-5);
  EXPECT_EQ(parts[1].tensor->to_vector<double>(), (std::vector<double>{0, 0, 0}));
  std::vector<std::string> names(train::initializer_names().begin() + 1, train::initializer_names().end());
  names.insert(names.begin(), "constant");  // which needs a number
  std::vector<std::string> known;
  for (const cr::Description& d : cr::nn::init::table()) known.emplace_back(d.name);
  EXPECT_EQ(names, known);
  config.layers[1].layers = 4;
  EXPECT_THROW(train::build_model(config, data.training), cr::ArgumentError);
}

TEST(Config, LossesAndTheirOptions) {
  train::Config config = train::default_config("moons");
  config.data.examples = 200;
  const train::PreparedData data = train::load_data(config);
  const cr::Tensor z = cr::tensor({{1, 2}, {0.5, -1}, {3, 1}});
  const cr::Tensor t = cr::Tensor::from(std::vector<std::int64_t>{0, 1, 1}, {3});
  const auto value = [&](const std::string& text, const cr::Tensor& prediction) {
    const train::Config read = train::parse_config("t.toml", "[data]\nsource = \"moons\"\n" + text);
    train::Config with_loss = read;
    return train::build_loss(with_loss, data.training)(prediction, t).item<double>();
  };
  const cr::Tensor weight = cr::tensor({1, 3});
  EXPECT_NEAR(value("[training]\nclass_weights = [1, 3]\nlabel_smoothing = 0.2\n", z),
              cr::nn::cross_entropy(z, t, {.label_smoothing = 0.2, .weight = weight}).item<double>(), 1e-7);
  EXPECT_NEAR(value("[training]\nignore_index = 1\n", z),
              cr::nn::cross_entropy(z, t, {.ignore_index = 1}).item<double>(), 1e-7);
  // One output y for two classes: t = ±1 for hinge, 0 or 1 for binary cross entropy.
  const cr::Tensor y = cr::tensor({0.5, 0.25, -2}).reshape({3, 1});
  EXPECT_NEAR(train::build_loss({.loss = "hinge"}, data.training)(y, t).item<double>(), (1.5 + 0.75 + 3) / 3,
              1e-6);
  const double bce = (std::log1p(std::exp(0.5)) + std::log1p(std::exp(-0.25)) + std::log1p(std::exp(2))) / 3;
  EXPECT_NEAR(train::build_loss({.loss = "bce_with_logits"}, data.training)(y, t).item<double>(), bce, 1e-6);
  const cr::test::MemoryFolder folder;
  for (const char* loss : {"bce_with_logits", "hinge", "soft_margin"}) {
    SCOPED_TRACE(loss);
    config.loss = loss;
    config.training.epochs = 20;
    const train::RunResult result = train::run(config, {.folder = folder.file("a")});
    EXPECT_GT(result.test.metrics.at("accuracy"), 0.85);
    EXPECT_EQ(cr::io::read_json(folder.file("a") + "/evaluation.json").at("confusion").size(), 4U);
  }
  config.training.class_weights = {1, 2, 3};
  EXPECT_THROW(train::build_loss(config, data.training), cr::ArgumentError) << "two classes, three weights";
}

TEST(Config, LayersThatDoNotFit) {
  train::Config config = train::default_config("moons");
  const train::PreparedData prepared = train::load_data(config);
  config.layers.back().units = 7;
  EXPECT_THROW(train::build_model(config, prepared.training), cr::ArgumentError);
  config = train::default_config("moons");
  config.loss = "mse";
  EXPECT_THROW(train::run(config, {.folder = "/nowhere"}), cr::ArgumentError);
}

TEST(Run, WritesAllAndGivesTheSameNumbersFromItsOwnConfig) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("moons");
  config.data.examples = 300;
  config.training.epochs = 15;
  config.layers.insert(config.layers.begin() + 2, {.type = "Dropout", .options = {{"p", 0.1}}});
  const train::RunResult first = train::run(config, {.folder = folder.file("a")});
  EXPECT_GT(first.test.metrics.at("accuracy"), 0.9);
  const train::RunResult second =
      train::run(train::load_config(folder.file("a") + "/config.toml"), {.folder = folder.file("b")});
  EXPECT_EQ(cr::test::read_bytes(folder.file("a") + "/model.safetensors"),
            cr::test::read_bytes(folder.file("b") + "/model.safetensors"));
  EXPECT_EQ(first.test.loss, second.test.loss);
  const auto evaluation = cr::io::read_json(folder.file("a") + "/evaluation.json");
  EXPECT_EQ(evaluation.at("confusion").size(), 4U);
  EXPECT_EQ(evaluation.at("plane").at("probabilities").size(), 60U * 60U * 2U);
}

TEST(Run, RegressionFromACurve) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("cubic");
  config.data.noise = 0.05;
  const train::RunResult result = train::run(config, {.folder = folder.file("a")});
  EXPECT_GT(result.test.metrics.at("r2"), 0.95);
}

/// x and y = 5000 + 1000 x in a table.
std::string steep_line(const cr::test::MemoryFolder& folder) {
  std::string text = "x,y\n";
  for (int i = 0; i < 300; ++i)
    text += std::to_string(i % 100) + "," + std::to_string(5000.5 + 1000 * (i % 100)) + "\n";
  std::ofstream(folder.file("line.csv")) << text;
  return folder.file("line.csv");
}

TEST(Run, ScaledTargetsComeBackInTheirOwnUnits) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config(steep_line(folder));
  config.data.target_scaling = "standardize";
  config.training.metrics = {"r2", "mae"};
  const train::RunResult result = train::run(config, {.folder = folder.file("a")});
  EXPECT_GT(result.test.metrics.at("r2"), 0.99);
  // The metric is that of the predictions which are given back.
  const std::vector<double> predictions = result.test.predictions.to_vector<double>();
  const std::vector<double> targets = result.test.targets.to_vector<double>();
  double error = 0;
  for (std::size_t i = 0; i < targets.size(); ++i)
    error += std::abs(predictions[i] - targets[i]) / static_cast<double>(targets.size());
  EXPECT_NEAR(result.test.metrics.at("mae"), error, 1e-3 * error);
  EXPECT_GE(*std::min_element(targets.begin(), targets.end()), 5000);
  const train::Predictor model(folder.file("a"));
  const double at_50 = model.predict(cr::tensor({50}).reshape({1, 1})).item<double>();
  EXPECT_NEAR(at_50, 55000, 5000);
}

TEST(Run, APredictorScalesRawFeaturesOnce) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("moons");
  config.data.examples = 200;
  config.training.epochs = 3;
  train::run(config, {.folder = folder.file("a")});
  const train::PreparedData data = train::load_data(config);
  const train::Predictor predictor(folder.file("a"));
  const cr::nn::Module model = cr::nn::load(folder.file("a"));
  const cr::Tensor by_hand = cr::softmax(model.predict((*data.training.scaling)(data.test.features)));
  const std::vector<float> p = predictor.predict(data.test.features).to_vector<float>();
  const std::vector<float> expected = by_hand.to_vector<float>();
  ASSERT_EQ(p.size(), expected.size());
  for (std::size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(p[i], expected[i], 1e-6);
  EXPECT_EQ(predictor.format().class_names, data.training.class_names);
  EXPECT_THROW(predictor.predict(cr::ones({4, 3})), cr::ShapeError);
  EXPECT_THROW(train::Predictor("/nowhere"), cr::IoError);
  std::ofstream(folder.file("a") + "/data.json") << "{\"task\": 3}";
  EXPECT_THROW(train::Predictor(folder.file("a")), cr::IoError);
}

TEST(Run, PointsThatAreNotFiniteLeaveTheReportWhole) {
  const cr::test::MemoryFolder folder;
  std::string text = "a,b,class\n";
  for (int i = 0; i < 100; ++i)
    text += (i % 10 == 0 ? std::string() : std::to_string(i)) + "," + std::to_string(i % 7) + "," +
            (i < 50 ? "no" : "yes") + "\n";
  std::ofstream(folder.file("gaps.csv")) << text;
  train::Config config = train::default_config(folder.file("gaps.csv"));
  config.data.missing = "mean";
  config.training.epochs = 2;
  train::run(config, {.folder = folder.file("a")});
  const auto plane = cr::io::read_json(folder.file("a") + "/evaluation.json").at("plane");
  EXPECT_EQ(plane.at("points").size(), 2 * plane.at("labels").size());
  for (const auto& coordinate : plane.at("points")) EXPECT_TRUE(coordinate.is_number());
}

}  // namespace
