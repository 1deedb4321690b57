#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "io/json.hpp"
#include "train/support.hpp"
#include "train/verdict.hpp"

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
  EXPECT_NE(run.verdict.find("First to grow: Sequential[0].Linear."), std::string::npos) << run.verdict;
  run = train::fit(model, small_data(),
                   {.optimizer = optim::Adam({.lr = 1e20}), .epochs = 20, .batch_size = 16});
  EXPECT_EQ(run.outcome, train::Outcome::diverged);
  EXPECT_EQ(run.verdict.find("λmax"), std::string::npos) << run.verdict;
}

const data::Dataset& points_on_a_line() {
  // L = mean (w x + b − t)²: the Hessian is diag(5, 2).
  static const data::Dataset points =
      data::from(std::vector<float>{-2, -1, 1, 2}, {4, 1}, std::vector<float>{-4, -2, 2, 4});
  return points;
}

train::Run descend(optim::SGDOptions sgd, double l2 = 0) {
  const cr::Context scope({.seed = 3});
  cr::nn::Sequential line(cr::nn::Linear(1, 1));
  return train::fit(
      line, points_on_a_line(),
      {.optimizer = optim::SGD(sgd), .epochs = 3000, .batch_size = 4, .l2 = l2, .probe_every = 50});
}

// Where the verdict says that the limit is, training turns from converging to diverging.
TEST(Fit, TheStabilityLimitIsTheOneOfTheMethod) {
  struct Case {
    optim::SGDOptions sgd;
    double l2;
    double limit;  // of lr · λ
    double curvature;
    const char* method;
  };
  const Case cases[] = {
      {{}, 0, 2, 5, "> 2, the stability limit of gradient descent on"},
      {{.momentum = 0.9}, 0, 3.8, 5, "> 3.8, the stability limit of gradient descent with momentum 0.9"},
      {{.momentum = 0.5, .dampening = 0.5}, 0, 6, 5, "> 6, "},
      {{.momentum = 0.9, .nesterov = true},
       0,
       3.8 / 2.8,
       5,
       "> 1.36, the stability limit of gradient descent with Nesterov"},
      {{.weight_decay = 3}, 0, 2, 8, "> 2, "},
      {{}, 3, 2, 8, "> 2, "},
  };
  for (const Case& c : cases) {
    optim::SGDOptions sgd = c.sgd;
    sgd.lr = 0.97 * c.limit / c.curvature;
    EXPECT_EQ(descend(sgd, c.l2).outcome, train::Outcome::finished) << c.method;
    sgd.lr = 1.03 * c.limit / c.curvature;
    const train::Run run = descend(sgd, c.l2);
    EXPECT_EQ(run.outcome, train::Outcome::diverged) << c.method;
    EXPECT_NE(run.verdict.find(c.method), std::string::npos) << run.verdict;
    EXPECT_NE(run.verdict.find("First to grow: Sequential[0].Linear.weight"), std::string::npos)
        << run.verdict;
  }
}

// A verdict knows one step number, the trainer's.
TEST(Fit, ANumberThatIsNotFiniteIsReportedAtTheTrainersStep) {
  train::Options options = {
      .optimizer = optim::SGD({.lr = 0}), .epochs = 3, .batch_size = 16, .probe_every = 3};
  std::int64_t steps = 0;
  options.callbacks.step = [&](const train::StepEvent& event) { steps = event.step; };
  std::vector<std::int64_t> y(103);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<std::int64_t>(i % 2);
  // The order is the seed's: one of these rows comes after the first batch.
  for (std::size_t row = 0; row < 103 && steps == 0; ++row) {
    auto model = small_model();
    std::vector<float> x(206, 0.5F);
    x[2 * row] = HUGE_VALF;
    const train::Run run = train::fit(model, data::from(x, {103, 2}, y), options);
    EXPECT_EQ(run.outcome, train::Outcome::diverged);
    EXPECT_NE(run.verdict.find("diverged at step " + std::to_string(steps + 1)), std::string::npos)
        << run.verdict;
    EXPECT_EQ(run.verdict.find("at step", run.verdict.find("at step") + 1), std::string::npos) << run.verdict;
  }
  EXPECT_GT(steps, 0);
}

TEST(Fit, TheFirstToGrowIsKnownAfterAFewSteps) {
  cr::nn::Sequential line(cr::nn::Linear(1, 1));
  const train::Run run =
      train::fit(line, points_on_a_line(),
                 {.optimizer = optim::SGD({.lr = 1e8}), .epochs = 100, .batch_size = 4, .probe_every = 50});
  EXPECT_EQ(run.outcome, train::Outcome::diverged);
  EXPECT_LT(run.step_count, 8);
  EXPECT_NE(run.verdict.find("First to grow: Sequential[0].Linear.weight"), std::string::npos) << run.verdict;
}

TEST(Fit, ParametersOfNestedModelsHaveTheirRegionsNames) {
  cr::nn::Sequential model(cr::nn::Linear(1, 4), cr::nn::Residual(cr::nn::Sequential(cr::nn::Linear(4, 4))),
                           cr::nn::Residual(cr::nn::Linear(4, 4)), cr::nn::Linear(4, 1));
  cr::nn::Module handle(model);
  const auto names = train::parameter_names(handle);
  EXPECT_EQ(names.at("0.weight"), "Sequential[0].Linear.weight");
  EXPECT_EQ(names.at("1.module.0.bias"), "Sequential[1].Residual.Sequential[0].Linear.bias");
  EXPECT_EQ(names.at("2.module.weight"), "Sequential[2].Residual.Linear.weight");
}

// A model that already fits starts with a loss of (nearly) zero, and a log density may be below it: neither
// says anything about how large a loss may become.
TEST(Fit, AFittedModelDoesNotDivergeByMovingALittle) {
  cr::nn::Sequential line(cr::nn::Linear(1, 1));
  *cr::leaves(line)[0].tensor = cr::Tensor::from(std::vector<float>{2}, {1, 1});
  *cr::leaves(line)[1].tensor = cr::Tensor::from(std::vector<float>{0}, {1});
  cr::nn::Sequential near = line;
  *cr::leaves(near)[1].tensor = cr::Tensor::from(std::vector<float>{1e-4F}, {1});
  for (cr::nn::Sequential* model : {&line, &near}) {
    train::Options options = {.optimizer = optim::Adam({.lr = 0.05}), .epochs = 40, .batch_size = 1};
    EXPECT_EQ(train::fit(*model, points_on_a_line(), options).outcome, train::Outcome::finished);
  }
}

TEST(Fit, NegativeLossesAreNoDivergence) {
  // −log of a normal density whose deviation is learned: far below zero for a good fit.
  const auto density = [](double offset) {
    return [offset](const cr::Tensor& z, const cr::Tensor& t) {
      return cr::mean(cr::square(z - t) * 100.0) + offset;
    };
  };
  for (const double offset : {-0.01, -3.0, -1000.0}) {
    cr::nn::Sequential line(cr::nn::Linear(1, 1));
    *cr::leaves(line)[0].tensor = cr::Tensor::from(std::vector<float>{2}, {1, 1});
    *cr::leaves(line)[1].tensor = cr::Tensor::from(std::vector<float>{0}, {1});
    train::Options options = {
        .loss = density(offset), .optimizer = optim::Adam({.lr = 0.05}), .epochs = 30, .batch_size = 1};
    EXPECT_EQ(train::fit(line, points_on_a_line(), options).outcome, train::Outcome::finished) << offset;
    options.optimizer = optim::SGD({.lr = 1});
    options.seed = 1;
    *cr::leaves(line)[1].tensor = cr::Tensor::from(std::vector<float>{1}, {1});
    EXPECT_EQ(train::fit(line, points_on_a_line(), options).outcome, train::Outcome::diverged) << offset;
  }
}

TEST(Fit, BatchesOfAllExamples) {
  const auto steps = [](const train::Options& options) {
    auto model = small_model();
    return train::fit(model, small_data(), options).step_count;
  };
  EXPECT_EQ(steps({.epochs = 3, .batch_size = 0}), 3);
  EXPECT_EQ(steps({.optimizer = optim::GradientDescent(), .epochs = 3}), 3);
  auto model = small_model();
  EXPECT_EQ(
      train::overfit_one_batch(model, small_data(), {.optimizer = optim::GradientDescent({.lr = 0.5})}).name,
      "overfit one batch");
}

TEST(Fit, PenaltiesOfGroupsAndClippingByValueAreTheirFormulas) {
  const auto dataset = data::from(std::vector<double>{1, 0, 0, 1}, {2, 2}, std::vector<double>{5, -3});
  const cr::Context scope({.seed = 2});
  cr::nn::Sequential start(cr::nn::Linear(2, 1, {.dtype = cr::DType::float64}));
  const std::vector<double> w = cr::leaves(start)[0].tensor->to_vector<double>();
  const double b = cr::leaves(start)[1].tensor->item<double>();
  const auto after = [&](train::Options options) {
    auto model = start;
    options.optimizer = optim::SGD({.lr = 1});
    options.epochs = 1;
    options.batch_size = 2;
    train::fit(model, dataset, options);
    std::vector<double> moved = cr::leaves(model)[0].tensor->to_vector<double>();
    moved.push_back(cr::leaves(model)[1].tensor->item<double>());
    return moved;
  };
  const double r0 = w[0] + b - 5;  // of ½ Σ rᵢ²
  const double r1 = w[1] + b + 3;
  const auto sign = [](double v) { return v > 0 ? 1.0 : -1.0; };
  std::vector<double> moved = after({.l1 = 0.7, .l2 = 0.5, .penalties = {{"*.bias", 0.1, 0.2}}});
  EXPECT_NEAR(moved[0], w[0] - (r0 + 0.7 * sign(w[0]) + 0.5 * w[0]), 1e-12);
  EXPECT_NEAR(moved[2], b - (r0 + r1 + 0.1 * sign(b) + 0.2 * b), 1e-12);
  moved = after({.l2 = 0.5, .penalties = {{"0.weight", 0.1, 0}}});
  EXPECT_NEAR(moved[1], w[1] - (r1 + 0.1 * sign(w[1])), 1e-12);
  EXPECT_NEAR(moved[2], b - (r0 + r1), 1e-12);
  moved = after({.clip_value = 0.75});
  EXPECT_NEAR(moved[0], w[0] - std::clamp(r0, -0.75, 0.75), 1e-12);
  EXPECT_NEAR(moved[1], w[1] - std::clamp(r1, -0.75, 0.75), 1e-12);
  EXPECT_NEAR(moved[2], b - std::clamp(r0 + r1, -0.75, 0.75), 1e-12);
}

TEST(Fit, APlateauLowersTheRate) {
  auto model = small_model();
  train::Options options = {.optimizer = optim::SGD({.lr = 0.1}), .epochs = 6, .batch_size = 64};
  options.plateau = optim::ReduceOnPlateau({.factor = 0.5, .patience = 1, .threshold = 0.9});
  std::vector<double> rates;
  options.callbacks.epoch = [&](const train::EpochRecord& record, const cr::nn::Module&) {
    rates.push_back(record.learning_rate);
  };
  train::fit(model, small_data(), options);
  EXPECT_EQ(rates, (std::vector<double>{0.1, 0.1, 0.1, 0.05, 0.05, 0.025}));
  options.monitor = "accuracy";
  EXPECT_THROW(train::fit(model, small_data(), options), cr::ArgumentError) << "accuracy is to grow";
}

TEST(Evaluate, StopsWhenAsked) {
  auto model = small_model();
  std::stop_source source;
  source.request_stop();
  const train::Evaluation evaluation = train::evaluate(model, small_data(), {.stop = source.get_token()});
  EXPECT_TRUE(std::isnan(evaluation.loss));
  EXPECT_TRUE(evaluation.metrics.empty());
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

TEST(Fit, ActivationsTellTheShareOfUnitsThatPassNoGradient) {
  // Units 0 and 1 of relu are dead: their inputs are below zero whatever the example. Unit 2 lives on one
  // example alone, which is enough. Of tanh's units, one is saturated on every example: tanh'(20) = 7e-18.
  const auto relu_layer = [](const std::vector<float>& bias) {
    cr::nn::Linear layer(1, 4);
    layer.weight = cr::ones({4, 1});
    layer.bias = cr::Tensor::from(bias, {4});
    return layer;
  };
  const auto dataset = data::from(std::vector<float>{0.1F, 0.2F, 1}, {3, 1}, std::vector<float>{1, 2, 3});
  cr::nn::Sequential model(relu_layer({-50, -2, -0.5F, 1}), cr::nn::ReLU(), cr::nn::Linear(4, 1),
                           relu_layer({20, 0, 0, 0}), cr::nn::Tanh(), cr::nn::Linear(4, 1));
  const train::Run run = train::fit(
      model, dataset, {.optimizer = optim::SGD({.lr = 0}), .epochs = 1, .batch_size = 3, .probe_every = 1});
  ASSERT_EQ(run.activations.size(), 2U);
  EXPECT_EQ(run.activations[0].layer, "1");
  EXPECT_EQ(run.activations[0].step, 1);
  EXPECT_DOUBLE_EQ(run.activations[0].inactive_share, 0.5);
  EXPECT_EQ(run.activations[1].layer, "4");
  EXPECT_DOUBLE_EQ(run.activations[1].inactive_share, 0.25);
}

TEST(Fit, ProbingNeedsNoLayerWithAName) {
  cr::nn::Module model([](const cr::Tensor& x) { return x * 1.0; });
  const auto dataset = data::from(std::vector<double>{1}, {1, 1}, std::vector<double>{3});
  const train::Run run = train::fit(
      model, dataset, {.optimizer = optim::SGD({.lr = 0.1}), .epochs = 1, .batch_size = 1, .probe_every = 1});
  EXPECT_TRUE(run.activations.empty());
}

TEST(Fit, RefusesWhatDoesNotFit) {
  auto model = small_model();
  EXPECT_THROW(train::fit(model, small_data(), {.epochs = 0}), cr::ArgumentError);
  EXPECT_THROW(train::fit(model, small_data(), {.batch_size = -1}), cr::ArgumentError);
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
