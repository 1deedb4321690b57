#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/train/metrics.hpp>

namespace cr = chainrule;
namespace train = chainrule::train;

namespace {

const nlohmann::json& reference() {
  static const auto json = [] {
    std::ifstream file(CHAINRULE_SOURCE_DIR "/tests/reference/train/metrics.json");
    return nlohmann::json::parse(file);
  }();
  return json;
}

cr::Tensor reals(const char* name, const cr::Shape& shape) {
  return cr::Tensor::from(reference()[name].get<std::vector<double>>(), shape);
}
cr::Tensor labels() {
  const auto values = reference()["labels"].get<std::vector<std::int64_t>>();
  return cr::Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

// Wilson's interval ends where (p̂ − p)² = p (1 − p) / n; its middle is (p̂ + 1/2n) / (1 + 1/n).
TEST(Metrics, TheErrorOfAnAccuracyIsWilsons) {
  for (const std::int64_t n : {1, 10, 200, 10'000}) {
    for (const double share : {0.0, 0.3, 0.87, 1.0}) {
      const double half = train::accuracy_error(share, n);
      const auto count = static_cast<double>(n);
      const double middle = (share + 0.5 / count) / (1 + 1 / count);
      for (const double p : {middle - half, middle + half})
        EXPECT_NEAR((share - p) * (share - p), p * (1 - p) / count, 1e-15) << share << ' ' << n;
      EXPECT_GT(half, 0) << "no number of examples makes certain";
    }
  }
  EXPECT_TRUE(std::isnan(train::accuracy_error(1, 0)));
}

TEST(Metrics, Classification) {
  const cr::Tensor logits = reals("logits", {60, 5});
  EXPECT_NEAR(train::accuracy(logits, labels()), reference()["accuracy"].get<double>(), 1e-12);
  EXPECT_NEAR(train::top_k_accuracy(logits, labels(), 3), reference()["top_3"].get<double>(), 1e-12);
  EXPECT_EQ(train::top_k_accuracy(logits, labels(), 5), 1);
  EXPECT_EQ(train::confusion_matrix(logits, labels()).to_vector<std::int64_t>(),
            reference()["confusion"].get<std::vector<std::int64_t>>());
  const auto scores = train::class_scores(logits, labels());
  const auto f1 = reference()["f1"].get<std::vector<double>>();
  for (std::size_t c = 0; c < 5; ++c) {
    EXPECT_NEAR(scores[c].precision, reference()["precision"][c].get<double>(), 1e-12);
    EXPECT_NEAR(scores[c].recall, reference()["recall"][c].get<double>(), 1e-12);
    EXPECT_NEAR(scores[c].f1, f1[c], 1e-12);
  }
  EXPECT_NEAR(train::metric("f1").compute(logits, labels()), std::accumulate(f1.begin(), f1.end(), 0.0) / 5,
              1e-12);
}

// scikit-learn's precision_score, recall_score and f1_score with average="macro" of [0, 0, 1, 1] and [0, 1,
// 1, 1]: what is neither a target nor a prediction counts as no class.
TEST(Metrics, AbsentClassesAreNotAveraged) {
  const cr::Tensor logits = cr::tensor({{2, 1, 0}, {1, 2, 0}, {0, 3, 1}, {0, 1, -1}});
  const cr::Tensor target = cr::Tensor::from(std::vector<std::int64_t>{0, 0, 1, 1}, {4});
  EXPECT_NEAR(train::metric("precision").compute(logits, target), 0.8333333333333333, 1e-15);
  EXPECT_NEAR(train::metric("recall").compute(logits, target), 0.75, 1e-15);
  EXPECT_NEAR(train::metric("f1").compute(logits, target), 0.7333333333333334, 1e-15);
}

TEST(Metrics, ValuesCountWhateverTheyAre) {
  EXPECT_EQ(train::counted_examples(cr::tensor({-100, 3, -100})), 3) << "of values";
  EXPECT_EQ(train::counted_examples(cr::Tensor::from(std::vector<std::int64_t>{-100, 3, -100}, {3})), 1);
}

TEST(Metrics, NamesTakeNumbers) {
  const cr::Tensor logits = reals("logits", {60, 5});
  for (const int k : {1, 2, 3, 4}) {
    EXPECT_EQ(train::metric("top_" + std::to_string(k)).compute(logits, labels()),
              train::top_k_accuracy(logits, labels(), k));
  }
  for (std::size_t c = 0; c < 5; ++c) {
    for (const char* name : {"precision", "recall", "f1"}) {
      EXPECT_NEAR(train::metric(std::string(name) + '_' + std::to_string(c)).compute(logits, labels()),
                  reference()[name][c].get<double>(), 1e-12);
    }
  }
  for (const char* name :
       {"top_0", "top_", "top_3x", "top_-1", "recall_", "accuracy_1", "f1_99999999999999999999"})
    EXPECT_THROW(train::metric(name), cr::ArgumentError) << name;
  EXPECT_THROW(train::metric("f1_5").compute(logits, labels()), cr::ArgumentError);
  for (const std::string& name : train::metric_names()) EXPECT_EQ(train::metric(name).name, name);
}

// The same rows, as the places of 12 examples.
TEST(Metrics, AClassAtEachPlace) {
  const cr::Tensor logits = reals("logits", {60, 5});
  const cr::Tensor places = cr::moveaxis(cr::reshape(logits, {12, 5, 5}), -1, 1);
  const cr::Tensor targets = cr::reshape(labels(), {12, 5});
  for (const char* name : {"accuracy", "top_3", "precision", "recall", "f1"}) {
    EXPECT_EQ(train::metric(name).compute(places, targets), train::metric(name).compute(logits, labels()))
        << name;
  }
  EXPECT_THROW(train::accuracy(places, labels()), cr::ShapeError);
}

TEST(Metrics, IgnoredTargetsAreLeftOut) {
  const cr::Tensor logits = reals("logits", {60, 5});
  const cr::Tensor rows = cr::arange(0, 60, 1, cr::DType::int64);
  const cr::Tensor some = cr::where(rows < 20, cr::full({}, -100, cr::DType::int64), labels());
  const cr::Tensor kept_logits = cr::slice(logits, 0, 20, 60);
  const cr::Tensor kept = cr::slice(labels(), 0, 20, 60);
  for (const char* name : {"accuracy", "top_3", "precision", "recall", "f1"}) {
    EXPECT_EQ(train::metric(name).compute(logits, some), train::metric(name).compute(kept_logits, kept))
        << name;
  }
  EXPECT_EQ(cr::sum(train::confusion_matrix(logits, some)).item<int>(), 40);
}

// Of several largest the first counts, and a NaN only where it is the first logit: whatever the dtype.
TEST(Metrics, TheFirstOfTheLargestLogitsIsThePrediction) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> logits{1,         2,         2,          //
                                   5,         5,         5,          //
                                   0,         nan,       1,          //
                                   nan,       infinity,  3,          //
                                   -infinity, -infinity, -infinity,  //
                                   -0.0,      0,         0,          //
                                   -3,        -2,        -1};
  const cr::Tensor target = cr::Tensor::from(std::vector<std::int64_t>{1, 0, 2, 0, 0, 0, 2}, {7});
  const cr::Tensor wrong = cr::Tensor::from(std::vector<std::int64_t>{2, 1, 1, 1, 2, 1, 0}, {7});
  for (const cr::DType dtype : {cr::DType::float32, cr::DType::float64, cr::DType::bfloat16}) {
    const cr::Tensor prediction = cr::Tensor::from(logits, {7, 3}).astype(dtype);
    EXPECT_EQ(train::accuracy(prediction, target), 1) << cr::dtype_name(dtype);
    EXPECT_EQ(train::accuracy(prediction, wrong), 0) << cr::dtype_name(dtype);
    const cr::Tensor of_columns = cr::Tensor::from(std::vector<std::int64_t>{1, 3, 1}, {3});
    EXPECT_EQ(train::accuracy(cr::transpose(prediction), of_columns), 1) << cr::dtype_name(dtype);
  }
}

TEST(Metrics, Regression) {
  const cr::Tensor p = reals("prediction", {40, 2});
  const cr::Tensor t = reals("target", {40, 2});
  EXPECT_NEAR(train::r2(p, t), reference()["r2"].get<double>(), 1e-12);
  EXPECT_NEAR(train::mean_absolute_error(p, t), reference()["mae"].get<double>(), 1e-12);
  EXPECT_NEAR(train::mean_squared_error(p, t), reference()["mse"].get<double>(), 1e-12);
  EXPECT_EQ(train::r2(cr::ones({3}), cr::ones({3})), 1);
  EXPECT_EQ(train::r2(cr::zeros({3}), cr::ones({3})), 0);
}

TEST(Metrics, OneLogitIsClassOneAgainstZero) {
  const cr::Tensor target = cr::arange(0, 2, 1, cr::DType::int64);
  EXPECT_EQ(train::accuracy(cr::tensor({-1, 2}), target), 1);
  EXPECT_EQ(train::accuracy(cr::tensor({1, 2}).reshape({2, 1}), target), 0.5);
}

TEST(Metrics, Mistakes) {
  EXPECT_THROW(train::metric("acuracy"), cr::ArgumentError);
  EXPECT_THROW(train::accuracy(cr::ones({3, 2}), cr::zeros({2}, cr::DType::int64)), cr::ShapeError);
  EXPECT_THROW(train::accuracy(cr::ones({2, 2}), cr::full({2}, 2, cr::DType::int64)), cr::ArgumentError);
  EXPECT_THROW(train::r2(cr::ones({3}), cr::ones({2})), cr::ShapeError);
  EXPECT_THROW(train::top_k_accuracy(cr::ones({2, 2}), cr::zeros({2}, cr::DType::int64), 0),
               cr::ArgumentError);
}

}  // namespace
