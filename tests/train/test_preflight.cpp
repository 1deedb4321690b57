#include <cmath>

#include <chainrule/error.hpp>

#include "train/support.hpp"

namespace cr = chainrule;
namespace train = chainrule::train;

namespace {

train::Finding finding(const std::vector<train::Finding>& findings, const std::string& name) {
  for (const train::Finding& f : findings) {
    if (f.name == name) return f;
  }
  ADD_FAILURE() << name;
  return {};
}

TEST(Preflight, ColumnsOfSmallNumbersAreNotDuplicates) {
  std::vector<float> x;
  std::vector<int> y;
  for (int i = 0; i < 100; ++i) {
    x.insert(x.end(), {1e-8F * static_cast<float>(i), 1e-8F * static_cast<float>(i * i % 31)});
    y.push_back(i % 2);
  }
  cr::nn::Sequential model(cr::nn::Linear(2, 2));
  const auto findings = train::preflight(model, cr::data::from(x, {100, 2}, y));
  EXPECT_EQ(finding(findings, "columns").value, "0 of 2 constant, 0 duplicate");
}

TEST(Preflight, CountsMissingAndInfiniteValues) {
  std::vector<float> x;
  std::vector<int> y;
  for (int i = 0; i < 100; ++i) {
    x.push_back(i < 7 ? std::nanf("") : static_cast<float>(i));
    y.push_back(i % 2);
  }
  cr::nn::Sequential model(cr::nn::Linear(1, 2));
  cr::data::Dataset set = cr::data::from(x, {100, 1}, y);
  set.scaling = cr::data::Scaling::standardize(set);
  train::Finding inputs = finding(train::preflight(model, set), "inputs");
  EXPECT_EQ(inputs.status, train::CheckStatus::warn);
  EXPECT_NE(inputs.sentence.find("7 of 100"), std::string::npos) << inputs.sentence;
  x[50] = HUGE_VALF;
  inputs = finding(train::preflight(model, cr::data::from(x, {100, 1}, y)), "inputs");
  EXPECT_EQ(inputs.status, train::CheckStatus::fail);
}

TEST(Preflight, ExpectsTheLossOfAnsweringNothing) {
  const cr::data::Dataset set =
      cr::data::from(std::vector<float>{1, 2, 3, 4}, {4, 1}, std::vector<float>{3, -1, 0.5, 2});
  cr::nn::Sequential model(cr::nn::Linear(1, 1));
  const auto expected = [&](const train::Loss& loss) {
    return finding(train::preflight(model, set, loss), "loss at step 0").expectation;
  };
  // Σt²/4 = 14.25/4, Σ|t|/4 = 6.5/4; Huber with δ = 1: (2.5 + 0.5 + 0.125 + 1.5)/4
  EXPECT_EQ(expected(cr::nn::mse_loss), "mean square of the targets = 3.562");
  EXPECT_EQ(expected(cr::nn::l1_loss), "mean size of the targets = 1.625");
  EXPECT_NE(expected(cr::nn::huber_loss).find("1.156"), std::string::npos) << expected(cr::nn::huber_loss);
  auto classifier = cr::test::small_model();
  EXPECT_EQ(finding(train::preflight(classifier, cr::test::small_data()), "loss at step 0").expectation,
            "ln 2 = 0.6931");
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
