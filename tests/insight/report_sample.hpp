#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "insight/report.hpp"

/// Invented runs, shaped like real ones, for the tests of the report and for looking at it.
namespace chainrule::sample {

inline double wave(double i) { return std::sin(12.9898 * i) * std::cos(4.1414 * i + 1); }

inline void add_learning(ReportData& d, int epochs) {
  ReportMetric accuracy{.name = "accuracy"};
  for (int e = 0; e < epochs; ++e) {
    const double train = 0.21 + 0.42 * std::exp(-0.34 * e);
    const double validation =
        0.325 + 0.3 * std::exp(-0.55 * e) + 0.0035 * std::max(0, e - 6) + 0.006 * wave(e);
    d.epochs.push_back({train, validation, 1e-3 * (0.5 + 0.5 * std::cos(3.14159 * e / epochs)),
                        4.0 + 0.2 * wave(e), 13'500 + 400 * wave(e + 3)});
    accuracy.train.push_back(1 - 0.36 * train);
    accuracy.validation.push_back(1 - 0.355 * validation);
  }
  d.metrics.push_back(accuracy);
  d.best_epoch = 6;
  for (int s = 0; s < epochs * 469; ++s) {
    const double level = 0.2 + 0.45 * std::exp(-s / 1500.0) + 1.65 * std::exp(-s / 60.0);
    d.steps.push_back({s, level * (1 + 0.3 * wave(s))});
  }
}

inline void add_layers(ReportData& d) {
  const std::vector<std::string> names = {"Sequential[0].Linear", "Sequential[1].BatchNorm",
                                          "Sequential[3].Linear", "Sequential[5].Linear"};
  for (std::size_t l = 0; l < names.size(); ++l) {
    ReportLayerHistory h{.layer = names[l]};
    for (int s = 0; s <= 4690; s += 20) {
      const auto x = static_cast<double>(s);
      const auto depth = static_cast<double>(l);
      h.steps.push_back(s);
      h.gradient_norm.push_back((0.2 + 1.4 * std::exp(-x / 900)) * std::pow(1.9, depth) *
                                (1 + 0.3 * wave(x + 7.0 * depth)));
      h.update_ratio.push_back((3e-4 + 6e-3 * std::exp(-x / 700)) * (1 + 0.4 * wave(x + depth)) *
                               (l == 1 ? 4 : 1));
      h.inactive_share.push_back(
          std::min(0.9, 0.04 + 0.1 * depth + 0.12 * (1 - std::exp(-x / 1500)) + 0.01 * wave(x)));
    }
    if (l == 3) h.inactive_share.clear();
    d.layers.push_back(h);
  }
}

inline ReportImage picture(std::size_t kind) {
  ReportImage image{.width = 28, .height = 28, .channels = 1};
  for (int r = 0; r < 28; ++r) {
    for (int c = 0; c < 28; ++c) {
      const double dx = c - 13.5, dy = r - 13.5, a = 4.0 + static_cast<double>(kind % 5) * 1.7;
      const bool body = std::fabs(dx) < a && std::fabs(dy) < 11;
      const bool sleeve = kind % 2 == 0 && dy < -3 && dy > -11 && std::fabs(dx) < 12;
      image.pixels.push_back(static_cast<std::uint8_t>(
          body || sleeve ? 150 + 60 * wave(r * 3.0 + c + static_cast<double>(kind)) : 0));
    }
  }
  return image;
}

inline void add_mistakes(ReportData& d) {
  d.class_names = {"T-shirt", "trouser", "pullover", "dress", "coat",
                   "sandal",  "shirt",   "sneaker",  "bag",   "ankle boot"};
  d.confusion =
      ReportConfusion{{827, 2, 16,  26, 5,   1, 115, 0, 8,   0, 3,  968, 0,  20,  4,  0,   4,  0,   1, 0,
                       15,  1, 790, 11, 105, 0, 75,  0, 3,   0, 21, 8,   10, 895, 30, 0,   33, 0,   3, 0,
                       0,   0, 98,  33, 808, 0, 60,  0, 1,   0, 0,  0,   0,  1,   0,  957, 0,  27,  1, 14,
                       112, 1, 88,  29, 69,  0, 690, 0, 11,  0, 0,  0,   0,  0,   0,  18,  0,  960, 0, 22,
                       3,   1, 4,   4,  5,   2, 6,   4, 971, 0, 0,  0,   0,  0,   0,  8,   1,  35,  0, 956}};
  for (std::size_t i = 0; i < 12; ++i) {
    const double p = 0.995 - 0.012 * static_cast<double>(i);
    d.mistakes.push_back({picture(i), i % 3 == 0 ? 6U : 0U, i % 3 == 0 ? 0U : 6U, p, (1 - p) * 0.8});
    d.correct.push_back({picture(i + 5), i % 10, i % 10, 0.6 + 0.03 * static_cast<double>(i), 0.6});
  }
  for (int b = 1; b <= 10; ++b) {
    const double c = b / 10.0 - 0.04;
    d.reliability.push_back(
        {c, std::min(1.0, c - 0.07 * std::sin(3.1 * c)), static_cast<std::int64_t>(12 * std::exp(0.63 * b))});
  }
}

inline void add_reproduction(ReportData& d) {
  d.reproduction = {
      .command = "chainrule train fashion-mnist --model mlp --epochs 10 --seed 7 --out runs/demo",
      .config =
          "[model]\nkind = \"mlp\"\nhidden = [256, 128]\n\n[optimizer]\nkind = \"adam\"\nlearning_rate = "
          "1e-3\n",
      .version = "0.1.0",
      .cpu = "AMD EPYC 9R14",
      .instruction_set = "AVX-512 (Zen 4)",
      .threads = 2,
      .seed = 7,
      .data_hash = "sha256:3c1f9b7e…"};
  d.model = {{"Sequential[0].Linear", "[N, 256]", 200'960, 401'408, 804'864},
             {"Sequential[1].BatchNorm", "[N, 256]", 512, 1'024, 3'072},
             {"Sequential[2].ReLU", "[N, 256]", 0, 256, 1'024},
             {"Sequential[3].Linear", "[N, 128]", 32'896, 65'536, 132'096},
             {"Sequential[5].Linear", "[N, 10]", 1'290, 2'560, 5'200}};
}

/// A classifier of clothes: every section but the plane and the regression.
inline ReportData classifier() {
  ReportData d{.run_name = "runs/demo", .created = "2025-03-01 14:05"};
  d.test_value = 0.8822;
  d.test_error = 0.0032;
  d.test_examples = 10'000;
  d.verdict = ReportVerdict{.findings = {},
                            .checks = {{"losses", "finite in 10 epochs", "finite", CheckStatus::ok, ""},
                                       {"test accuracy", "88.2 %", "above 10.0 %", CheckStatus::ok, ""}}};
  d.preflight = {
      {"data range", "0 to 255, mean 72.9", "scaled to [0, 1]", CheckStatus::ok,
       "Inputs were divided by 255."},
      {"class balance", "5,400 to 5,400", "no class below half the mean", CheckStatus::ok,
       "All ten classes are equally frequent."},
      {"loss at step 0", "2.310", "ln 10 = 2.303", CheckStatus::ok,
       "An untrained model of ten classes should know nothing."},
      {"parameters / examples", "235,658 / 54,000", "below 1 without regularization", CheckStatus::warn,
       "The model can memorize; watch the gap between training and validation."}};
  add_learning(d, 10);
  add_layers(d);
  add_mistakes(d);
  add_reproduction(d);
  return d;
}

/// Two spirals in the plane, and a verdict that is not good.
inline ReportData plane() {
  ReportData d{.run_name = "two moons", .created = "2025-03-01 14:05"};
  d.test_value = 0.965;
  d.test_error = 0.009;
  d.test_examples = 400;
  d.verdict = ReportVerdict{{{"lr·λmax = 0.5 × 12.4 = 6.2 > 2", "Sequential[1].Linear",
                              "λmax = 12.4 by 20 power iterations; loss 2.3 → 8.1·10⁴",
                              "2 is the stability limit of gradient descent on a quadratic.",
                              "Try a learning rate of at most 2/λmax = 0.16."},
                             {"dead share 0.62 > 0.5", "Sequential[2].ReLU", "10 of 16 units",
                              "Dead units pass no gradient.", "Use He initialization."}}};
  add_learning(d, 30);
  d.class_names = {"inner", "outer"};
  ReportBoundary b{
      .x_min = -2, .x_max = 2, .y_min = -1.5, .y_max = 1.5, .rows = 60, .columns = 80, .classes = 2};
  for (int f = 0; f < 6; ++f) {
    ReportBoundaryFrame frame{.label = "epoch " + std::to_string(f * 6)};
    for (std::size_t r = 0; r < b.rows; ++r) {
      for (std::size_t c = 0; c < b.columns; ++c) {
        const double x = -2 + 4.0 * static_cast<double>(c) / 79, y = -1.5 + 3.0 * static_cast<double>(r) / 59;
        const double p = 1 / (1 + std::exp(-1.4 * f * (y - 0.12 * f * std::sin(2.2 * x))));
        frame.probabilities.push_back(static_cast<float>(1 - p));
        frame.probabilities.push_back(static_cast<float>(p));
      }
    }
    b.frames.push_back(frame);
  }
  for (int i = 0; i < 160; ++i) {
    const double x = 1.8 * wave(i), side = i % 2 == 0 ? 1 : -1;
    b.points.push_back(
        {x, 0.6 * std::sin(2.2 * x) + side * (0.3 + 0.25 * std::fabs(wave(i + 50))), i % 2 == 0 ? 1U : 0U});
  }
  d.boundary = b;
  add_reproduction(d);
  return d;
}

/// A regression.
inline ReportData regression() {
  ReportData d{.run_name = "house prices", .created = "2025-03-01 14:05", .task = TaskKind::regression};
  d.test_metric = "RMSE";
  d.test_value = 0.482;
  d.test_error = 0.011;
  d.test_examples = 1'500;
  add_learning(d, 12);
  d.metrics.clear();
  for (int i = 0; i < 1500; ++i) {
    const double truth = 2.5 + 2 * wave(i);
    d.pairs.push_back({truth, 0.4 + 0.85 * truth + 0.35 * wave(i * 1.7 + 9)});
  }
  add_reproduction(d);
  return d;
}

}  // namespace chainrule::sample
