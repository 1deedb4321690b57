// Trainings whose products are in bfloat16, and ones in float64.

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/train/predictor.hpp>

#include "train/support.hpp"

namespace cr = chainrule;
namespace train = chainrule::train;
using cr::test::small_data;
using cr::test::small_model;
using cr::test::weights;

namespace {

constexpr cr::DTypePolicy mixed{.compute = cr::DType::bfloat16};

train::Config circles(const std::string& precision) {
  train::Config config = train::default_config("circles");
  config.data.examples = 600;
  config.data.noise = 0.05;
  config.training.epochs = 20;
  config.training.precision = precision;
  return config;
}

TEST(Precision, EveryPrecisionLearnsTheCircles) {
  std::vector<double> losses;
  for (const std::string precision : {"float32", "bfloat16", "float64"}) {
    SCOPED_TRACE(precision);
    const cr::test::MemoryFolder folder;
    const std::string run_folder = folder.file("run");
    train::PreparedData data;
    cr::DType parameters{};
    const train::RunResult result = train::run(
        circles(precision), {.folder = run_folder,
                             .preflight = [&](const train::PreparedData& prepared, cr::nn::Module& model,
                                              const std::vector<train::Finding>&) {
                               data = prepared;
                               parameters = cr::leaves(model)[0].tensor->dtype();
                             }});
    EXPECT_EQ(parameters, precision == "float64" ? cr::DType::float64 : cr::DType::float32);
    EXPECT_GE(result.test.metrics.at("accuracy"), 0.98);
    EXPECT_NE(result.test.predictions.dtype(), cr::DType::bfloat16);
    EXPECT_FALSE(cr::Context::dtypes().has_value());
    losses.push_back(result.test.loss);
    // The folder predicts as it was trained.
    const train::Predictor predictor(run_folder);
    EXPECT_EQ(predictor.format().precision, precision);
    const cr::Tensor expected = cr::softmax(result.test.predictions, 1);
    const cr::Tensor got = predictor.predict(data.test.features);
    EXPECT_LT(cr::max(cr::abs(got - expected)).item<double>(), 1e-6);
    EXPECT_NE(cr::test::read_bytes(run_folder + "/config.toml").find("precision = \"" + precision + '"'),
              std::string::npos);
  }
  EXPECT_NE(losses[0], losses[1]) << "products in bfloat16 round";
  EXPECT_NE(losses[0], losses[2]);
}

TEST(Precision, AnOptionIsTheContextsPolicy) {
  const auto trained = [](std::optional<cr::DTypePolicy> option, std::optional<cr::DTypePolicy> outer) {
    const cr::Context scope({.dtypes = outer});
    auto model = small_model();
    train::fit(model, small_data(), {.epochs = 2, .dtypes = option});
    return weights(model);
  };
  const std::vector<float> plain = trained({}, {});
  const std::vector<float> narrow = trained(mixed, {});
  EXPECT_NE(narrow, plain);
  EXPECT_EQ(trained({}, mixed), narrow);
  EXPECT_EQ(trained(mixed, cr::DTypePolicy{}), narrow) << "the option is the inner one";
  EXPECT_EQ(trained(cr::DTypePolicy{}, mixed), plain);
}

TEST(Precision, ACheckpointGoesOnInItsOwn) {
  const cr::test::MemoryFolder folder;
  const auto go = [&](std::optional<cr::DTypePolicy> dtypes, std::int64_t epochs) {
    auto model = small_model();
    train::fit(model, small_data(),
               {.epochs = epochs, .dtypes = dtypes, .run = folder.file("run"), .resume = true});
  };
  go(mixed, 1);
  try {
    go({}, 2);
    ADD_FAILURE() << "accepted";
  } catch (const cr::StateError& error) {
    EXPECT_NE(std::string(error.what()).find("dtypes.compute was \"bfloat16\""), std::string::npos)
        << error.what();
  }
  go(mixed, 2);
}

TEST(Precision, AConfigurationNamesIt) {
  const train::Config config = train::parse_config("t.toml", "[training]\nprecision = \"bfloat16\"\n");
  EXPECT_EQ(config.training.precision, "bfloat16");
  EXPECT_EQ(train::parse_config("t.toml", train::to_toml(config)).training.precision, "bfloat16");
  EXPECT_THROW(train::parse_config("t.toml", "[training]\nprecision = \"float16\"\n"), cr::IoError);
}

}  // namespace
