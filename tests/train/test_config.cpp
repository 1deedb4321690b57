#include <nlohmann/json.hpp>

#include <chainrule/error.hpp>

#include "io/json.hpp"
#include "train/support.hpp"

namespace cr = chainrule;
namespace train = chainrule::train;

namespace {

TEST(Config, WrittenAndReadAgain) {
  train::Config config = train::default_config("moons");
  config.seed = 42;
  config.layers.insert(config.layers.begin() + 2, {.type = "Dropout", .p = 0.25});
  config.optimizer = {.name = "SGD", .lr = 0.1, .momentum = 0.9, .nesterov = true};
  config.schedule = {.name = "cosine", .warmup_epochs = 0.5};
  config.training.metrics = {"accuracy", "f1"};
  const std::string text = train::to_toml(config);
  const train::Config again = train::parse_config("config.toml", text);
  EXPECT_EQ(train::to_toml(again), text);
  EXPECT_EQ(again.layers[2].p, 0.25);
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
  config.layers.insert(config.layers.begin() + 2, {.type = "Dropout", .p = 0.1});
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

train::Finding finding(const std::vector<train::Finding>& findings, const std::string& name) {
  for (const train::Finding& f : findings) {
    if (f.name == name) return f;
  }
  ADD_FAILURE() << name;
  return {};
}

TEST(Preflight, HealthyDataAreFine) {
  auto model = cr::test::small_model();
  for (const train::Finding& f : train::preflight(model, cr::test::small_data()))
    EXPECT_EQ(f.status, train::CheckStatus::ok) << f.name << ": " << f.value << f.sentence;
}

TEST(Preflight, FindsWhatIsPlanted) {
  std::vector<float> x;
  std::vector<int> y;
  for (int i = 0; i < 200; ++i) {
    const auto v = static_cast<float>(i);
    x.insert(x.end(), {1000 + v, 1000 + v, 3});
    y.push_back(i < 190 ? 0 : 1);
  }
  cr::data::Dataset set = cr::data::from(x, {200, 3}, y);
  set.feature_names = {"a", "copy of a", "constant"};
  cr::nn::Sequential model(cr::nn::Linear(3, 2));
  const auto findings = train::preflight(model, set);
  EXPECT_EQ(finding(findings, "inputs").status, train::CheckStatus::warn);
  EXPECT_EQ(finding(findings, "class balance").status, train::CheckStatus::warn);
  EXPECT_NE(finding(findings, "columns").value.find("1 of 3 constant, 1 duplicate"), std::string::npos);
  EXPECT_EQ(finding(findings, "loss at step 0").status, train::CheckStatus::warn);
}

TEST(Preflight, OverfitsOneBatch) {
  auto model = cr::test::small_model();
  EXPECT_EQ(
      train::overfit_one_batch(model, cr::test::small_data(), {.optimizer = cr::optim::Adam({.lr = 0.05})})
          .status,
      train::CheckStatus::ok);
  EXPECT_EQ(train::overfit_one_batch(model, cr::test::small_data(), {.optimizer = cr::optim::SGD({.lr = 0})})
                .status,
            train::CheckStatus::fail);
}

}  // namespace
