#include <algorithm>
#include <limits>

#include <gtest/gtest.h>

#include "insight/diagnose.hpp"

namespace chainrule {
namespace {

using insight::diagnose;
using insight::Divergence;

/// Epochs with these losses, the best validation loss marked.
ReportData run_with(const std::vector<double>& train, const std::vector<double>& validation) {
  ReportData d;
  for (std::size_t i = 0; i < train.size(); ++i) d.epochs.push_back({train[i], validation[i]});
  d.best_epoch =
      static_cast<std::size_t>(std::min_element(validation.begin(), validation.end()) - validation.begin());
  return d;
}

std::string first_of(const ReportData& data) {
  const ReportVerdict verdict = diagnose(data, std::nullopt);
  return verdict.findings.empty() ? "" : verdict.findings[0].inequality;
}

ReportData good() { return run_with({1.0, 0.6, 0.4, 0.3, 0.25}, {0.9, 0.7, 0.6, 0.58, 0.6}); }

TEST(Diagnose, AGoodRunIsHealthyAndSaysWhatWasChecked) {
  ReportData d = good();
  d.confusion = ReportConfusion{{40, 10, 10, 40}};
  const ReportVerdict verdict = diagnose(d, std::nullopt);
  EXPECT_TRUE(verdict.healthy());
  EXPECT_GE(verdict.checks.size(), 4U);
  for (const ReportCheck& check : verdict.checks) EXPECT_FALSE(check.value.empty()) << check.name;
}

TEST(Diagnose, NothingToCheckIsNotHealthy) { EXPECT_FALSE(diagnose(ReportData{}, std::nullopt).healthy()); }

TEST(Diagnose, ALossThatIsNotFiniteFails) {
  ReportData d = good();
  d.epochs[2].validation_loss = std::numeric_limits<double>::infinity();
  EXPECT_NE(first_of(d).find("validation loss of epoch 3"), std::string::npos);
  // Without a validation set there is no validation loss to miss.
  for (ReportEpoch& e : d.epochs) e.validation_loss = unknown_value;
  EXPECT_EQ(first_of(d), "");
}

TEST(Diagnose, ALossThatDoesNotFall) {
  EXPECT_NE(first_of(run_with({0.5, 0.6}, {0.7, 0.6})).find("last training loss"), std::string::npos);
}

TEST(Diagnose, OverfittingPastTheBestEpoch) {
  const ReportData late = run_with({1.0, 0.6, 0.4, 0.3, 0.2}, {0.9, 0.5, 0.53, 0.57, 0.62});
  EXPECT_EQ(first_of(late), "validation loss 0.620 > 1.1 × 0.500");
  EXPECT_EQ(first_of(run_with({1.0, 0.6, 0.4, 0.3, 0.2}, {0.9, 0.5, 0.53, 0.52, 0.54})), "")
      << "8 % is noise";
  EXPECT_EQ(first_of(run_with({1.0, 0.6, 0.4, 0.2}, {0.9, 0.5, 0.57, 0.62})), "") << "two epochs are noise";
}

// 70 of 100 are of class 0; 60 right answers are fewer than by always answering 0.
TEST(Diagnose, NoBetterThanTheCommonestClass) {
  ReportData d = good();
  d.class_names = {"cat", "dog"};
  d.confusion = ReportConfusion{{45, 25, 15, 15}};
  EXPECT_EQ(first_of(d), "accuracy 60.0\u202F% ≤ 70.0\u202F%");
  d.confusion = ReportConfusion{{100, 0, 0, 0}};
  EXPECT_EQ(first_of(d), "") << "one class alone can't be told from others";
}

TEST(Diagnose, NoBetterThanTheMean) {
  ReportData d = good();
  d.task = TaskKind::regression;
  d.pairs = {{1, 2}, {2, 2}, {3, 2}};  // R² = 0
  EXPECT_EQ(first_of(d), "R² = 0 ≤ 0");
  d.pairs = {{1, 1}, {2, 2}, {3, 2.9}};
  EXPECT_EQ(first_of(d), "");
}

TEST(Diagnose, UpdatesThatAreTooLargeOrTooSmall) {
  ReportData d = good();
  ReportLayerHistory layer{.layer = "2 Linear"};
  for (int i = 0; i < 20; ++i) {
    layer.steps.push_back(i);
    layer.update_ratio.push_back(i < 10 ? 5.0 : 1e-3);
  }
  d.layers = {layer};
  EXPECT_EQ(first_of(d), "") << "the first steps may be large";
  for (double& r : d.layers[0].update_ratio) r = 0.5;
  EXPECT_EQ(first_of(d), "update / weight = 0.50 > 1e-1");
  for (double& r : d.layers[0].update_ratio) r = 2e-8;
  EXPECT_NE(first_of(d).find("< 1e-6"), std::string::npos);
  EXPECT_EQ(diagnose(d, std::nullopt).findings[0].layer, "2 Linear");
  EXPECT_EQ(diagnose(d, std::nullopt).findings[0].status, CheckStatus::warn);
}

TEST(Diagnose, UnitsThatAreDeadMostOfTheTime) {
  ReportData d = good();
  ReportLayerHistory layer{.layer = "1 ReLU"};
  layer.inactive_share = {0.2, 0.95, 0.96, 0.97, 0.98, 0.99};
  layer.steps = {1, 2, 3, 4, 5, 6};
  d.layers = {layer};
  EXPECT_NE(first_of(d).find("inactive share"), std::string::npos);
  d.layers[0].inactive_share = {0.2, 0.95, 0.3, 0.3, 0.3, 0.3};
  EXPECT_EQ(first_of(d), "") << "one look is no rule";
}

TEST(Diagnose, TheFirstLossIsThePreflights) {
  ReportData d = good();
  d.preflight = {{"loss at step 0", "9.1", "ln 10 = 2.303", CheckStatus::warn, "Sure and wrong."}};
  EXPECT_EQ(first_of(d), "loss at step 0 = 9.1, expected ln 10 = 2.303");
}

TEST(Diagnose, ADivergenceComesFirstWithItsInequality) {
  Divergence d{.step = 41,
               .first_loss = 2.3,
               .last_loss = 8.1e4,
               .learning_rate = 0.5,
               .largest_curvature = 12.4,
               .grown = "Sequential[2].Linear.weight",
               .growth = 310,
               .growth_steps = 5};
  ReportFinding f = diagnose(good(), d).findings.at(0);
  EXPECT_EQ(f.inequality, "lr·λmax = 0.5 × 12.4 = 6.2 > 2");
  EXPECT_EQ(f.layer, "Sequential[2].Linear.weight");
  EXPECT_EQ(f.change, "Try lr ≤ 0.16.");
  EXPECT_NE(f.numbers.find("‖g‖ × 310 in 5 steps"), std::string::npos) << f.numbers;
  // Without a curvature nothing is said of it.
  d.largest_curvature = unknown_value;
  d.first_not_finite = "First not finite: exp(93.4) = inf, at Sequential[2].Linear";
  f = insight::finding_of(d);
  EXPECT_EQ(f.inequality, d.first_not_finite);
  EXPECT_EQ((f.why + f.change).find("λmax"), std::string::npos);
}

}  // namespace
}  // namespace chainrule
