#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "io/json.hpp"
#include "train/support.hpp"

#include <nlohmann/json.hpp>

namespace cr = chainrule;
namespace train = chainrule::train;
namespace data = chainrule::data;
namespace optim = chainrule::optim;
using cr::test::small_data;
using cr::test::small_model;
using cr::test::weights;

namespace {

TEST(Fit, LearnsWhatNoLinearModelCan) {
  auto model = small_model();
  const data::Split split =
      data::stratified_split(data::xor_clouds({.examples = 500, .noise = 0.25, .seed = 2}), 0.2, 1);
  const train::Run run = train::fit(model, split.first,
                                    {.loss = cr::nn::cross_entropy,
                                     .optimizer = optim::Adam({.lr = 1e-2}),
                                     .epochs = 30,
                                     .batch_size = 32,
                                     .validation = split.second});
  EXPECT_EQ(run.outcome, train::Outcome::finished);
  ASSERT_EQ(run.epochs.size(), 30U);
  EXPECT_EQ(run.step_count, 30 * 13);
  ASSERT_TRUE(run.best_epoch.has_value());
  const train::Evaluation evaluation = train::evaluate(model, split.second);
  EXPECT_GT(evaluation.metrics.at("accuracy"), 0.97);
  EXPECT_DOUBLE_EQ(evaluation.loss, run.epochs[*run.best_epoch].validation_loss)
      << "the best epoch's weights are back";
  for (const train::EpochRecord& epoch : run.epochs) EXPECT_GE(epoch.validation_loss, evaluation.loss);
}

// One epoch of gradient descent by hand: the same batches, the same losses.
TEST(Fit, IsPlainGradientDescentUnderneath) {
  const auto dataset =
      data::from(std::vector<double>{1, 2, 3, 4, 5, 6}, {6, 1}, std::vector<double>{2, 4, 6, 8, 10, 12});
  cr::nn::Sequential model(cr::nn::Linear(1, 1, {.dtype = cr::DType::float64}));
  double w = cr::leaves(model)[0].tensor->item<double>();
  double b = cr::leaves(model)[1].tensor->item<double>();
  double loss = 0;
  for (int epoch = 0; epoch < 3; ++epoch) {
    loss = 0;
    double dw = 0;
    double db = 0;
    for (double x = 1; x <= 6; ++x) {
      const double error = w * x + b - 2 * x;
      loss += error * error / 6;
      dw += 2 * error * x / 6;
      db += 2 * error / 6;
    }
    w -= 0.02 * dw;
    b -= 0.02 * db;
  }
  const train::Run run =
      train::fit(model, dataset, {.optimizer = optim::SGD({.lr = 0.02}), .epochs = 3, .batch_size = 6});
  EXPECT_NEAR(cr::leaves(model)[0].tensor->item<double>(), w, 1e-12);
  EXPECT_NEAR(cr::leaves(model)[1].tensor->item<double>(), b, 1e-12);
  EXPECT_NEAR(run.epochs.back().loss, loss, 1e-12);
}

TEST(Fit, ClippingAndPenaltiesAreTheirFormulas) {
  const auto dataset = data::from(std::vector<double>{1, 0, 0, 1}, {2, 2}, std::vector<double>{5, -3});
  cr::nn::Sequential start(cr::nn::Linear(2, 1, {.bias = false, .dtype = cr::DType::float64}));
  const std::vector<double> w = cr::leaves(start)[0].tensor->to_vector<double>();
  const double l1 = 0.1;
  const double l2 = 0.2;
  std::vector<double> g = {w[0] - 5, w[1] + 3};  // of ½ Σ (wᵢ − tᵢ)²
  for (std::size_t i = 0; i < 2; ++i) g[i] += l1 * (w[i] > 0 ? 1 : -1) + l2 * w[i];
  const double norm = std::hypot(g[0], g[1]);
  auto model = start;
  train::fit(model, dataset,
             {.optimizer = optim::SGD({.lr = 1}),
              .epochs = 1,
              .batch_size = 2,
              .clip_norm = 0.5,
              .l1 = l1,
              .l2 = l2});
  const std::vector<double> after = cr::leaves(model)[0].tensor->to_vector<double>();
  for (std::size_t i = 0; i < 2; ++i) EXPECT_NEAR(after[i], w[i] - g[i] * 0.5 / (norm + 1e-6), 1e-12);
}

TEST(Fit, TheSameSeedGivesTheSameBits) {
  const auto run_with = [](std::uint64_t seed) {
    auto model = small_model();
    train::fit(model, small_data(), {.epochs = 3, .batch_size = 16, .seed = seed});
    return weights(model);
  };
  EXPECT_EQ(run_with(5), run_with(5));
  EXPECT_NE(run_with(5), run_with(6));
}

TEST(Fit, TheScheduleSetsTheRate) {
  auto model = small_model();
  std::vector<double> rates;
  train::Options options = {.optimizer = optim::SGD({.lr = 0.5}), .epochs = 2, .batch_size = 64};
  options.schedule = [](std::int64_t step) { return 1.0 / static_cast<double>(step + 1); };
  options.callbacks.step = [&](const train::StepEvent& event) { rates.push_back(event.learning_rate); };
  train::fit(model, small_data(), options);
  EXPECT_EQ(rates, (std::vector<double>{0.5, 0.25, 0.5 / 3, 0.125}));
}

TEST(Fit, StopsEarlyAndWhenAsked) {
  auto model = small_model();
  train::Options options = {.optimizer = optim::SGD({.lr = 0}),
                            .epochs = 20,
                            .batch_size = 16,
                            .validation = small_data(),
                            .early_stopping = {.patience = 3}};
  train::Run run = train::fit(model, small_data(), options);
  EXPECT_EQ(run.outcome, train::Outcome::stopped_early);
  EXPECT_EQ(run.epochs.size(), 4U) << "the first epoch is the best; three without improvement";

  std::stop_source source;
  options = {.epochs = 20, .batch_size = 16, .stop = source.get_token()};
  options.callbacks.step = [&](const train::StepEvent& event) {
    if (event.step == 9) source.request_stop();
  };
  run = train::fit(model, small_data(), options);
  EXPECT_EQ(run.outcome, train::Outcome::stopped);
  EXPECT_EQ(run.step_count, 9);
}

TEST(Fit, DivergenceIsExplained) {
  auto model = small_model();
  cr::nn::Sequential line(cr::nn::Linear(1, 1));
  // L = mean (w x + b − t)²: the Hessian's largest eigenvalue is known.
  const auto dataset = data::from(std::vector<float>{-2, -1, 1, 2}, {4, 1}, std::vector<float>{-4, -2, 2, 4});
  const double curvature = 2 * (4 + 1 + 1 + 4) / 4.0;  // 2 · mean x² = 5; the other one is 2
  train::Run run =
      train::fit(line, dataset,
                 {.optimizer = optim::SGD({.lr = 1.0}), .epochs = 500, .batch_size = 4, .probe_every = 1});
  EXPECT_EQ(run.outcome, train::Outcome::diverged);
  EXPECT_NE(run.verdict.find("lr·λmax = 1 × 5 = 5 > 2"), std::string::npos) << run.verdict;
  EXPECT_NE(run.verdict.find("Try lr ≤ 0.4"), std::string::npos) << run.verdict << curvature;
  EXPECT_NE(run.verdict.find("First to grow: 0."), std::string::npos) << run.verdict;
  run = train::fit(model, small_data(),
                   {.optimizer = optim::Adam({.lr = 1e20}), .epochs = 20, .batch_size = 16});
  EXPECT_EQ(run.outcome, train::Outcome::diverged);
  EXPECT_EQ(run.verdict.find("λmax"), std::string::npos) << run.verdict;
}

TEST(Fit, ProbesMeasureGradientAndUpdate) {
  cr::nn::Sequential model(cr::nn::Linear(1, 1, {.bias = false, .dtype = cr::DType::float64}));
  const double w = cr::leaves(model)[0].tensor->item<double>();
  const auto dataset = data::from(std::vector<double>{1}, {1, 1}, std::vector<double>{3});
  const train::Run run =
      train::fit(model, dataset,
                 {.optimizer = optim::SGD({.lr = 0.25}), .epochs = 1, .batch_size = 1, .probe_every = 1});
  ASSERT_EQ(run.probes.size(), 1U);
  EXPECT_EQ(run.probes[0].parameter, "0.weight");
  EXPECT_NEAR(run.probes[0].gradient_norm, std::abs(2 * (w - 3)), 1e-12);
  EXPECT_NEAR(run.probes[0].update_norm, 0.25 * std::abs(2 * (w - 3)), 1e-12);
  EXPECT_NEAR(run.probes[0].parameter_norm, std::abs(w), 1e-12);
}

TEST(Fit, RefusesWhatDoesNotFit) {
  auto model = small_model();
  EXPECT_THROW(train::fit(model, small_data(), {.epochs = 0}), cr::ArgumentError);
  EXPECT_THROW(train::fit(model, small_data(), {.batch_size = 0}), cr::ArgumentError);
  EXPECT_THROW(train::fit(model, small_data(), {.monitor = "f2"}), cr::ArgumentError);
  EXPECT_THROW(train::fit(model, small_data(), {.early_stopping = {.patience = 2}}), cr::ArgumentError);
  EXPECT_THROW(train::fit(model, small_data(), {.clip_norm = std::nan("")}), cr::ArgumentError);
  const auto wrong = data::from(std::vector<float>{1, 2, 3}, {1, 3}, std::vector<int>{0});
  EXPECT_THROW(train::fit(model, wrong, {}), cr::ShapeError);
}

TEST(RunFolder, HoldsTheRun) {
  const cr::test::MemoryFolder folder;
  auto model = small_model();
  const std::string run_folder = folder.file("runs/demo");
  const train::Run run = train::fit(
      model, small_data(), {.epochs = 3, .batch_size = 16, .validation = small_data(), .run = run_folder});
  const auto lines = cr::io::read_json_lines(run_folder + "/metrics.jsonl");
  int epochs = 0;
  for (const auto& line : lines) epochs += line.at("kind") == "epoch" ? 1 : 0;
  EXPECT_EQ(epochs, 3);
  const auto record = cr::io::read_json(run_folder + "/run.json");
  EXPECT_EQ(record.at("data_hash"), small_data().hash());
  EXPECT_EQ(record.at("outcome"), "finished");
  auto again = small_model(9);
  cr::nn::load_weights(again, run_folder + "/model.safetensors");
  EXPECT_EQ(weights(again), weights(model));
}

}  // namespace
