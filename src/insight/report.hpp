#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

/// The page that a person opens after a training run: plain data in, one HTML file out. Whoever fills
/// the struct (a trainer's callback, a run folder) needs nothing of HTML, and the page nothing of
/// tensors.
namespace chainrule {

/// The value of every number that is not known. It is left out of the page, as are NaN and infinities
/// that a run produced, which the page counts and names where it would have drawn them.
inline constexpr double unknown_value = std::numeric_limits<double>::quiet_NaN();

/// No page is larger than this, whatever the data.
inline constexpr std::size_t max_report_bytes = 1'000'000;

enum class TaskKind { classification, regression };
enum class CheckStatus { ok, warn, fail };

/// One check: before the first step, or of the diagnosis.
struct ReportCheck {
  std::string name;         ///< `loss at step 0`
  std::string value;        ///< `2.310`
  std::string expectation;  ///< `ln 10 = 2.303`
  CheckStatus status = CheckStatus::ok;
  std::string sentence;  ///< what it means
};

/// One inequality that a diagnosis found broken.
struct ReportFinding {
  std::string inequality;  ///< with its numbers: `lr·λmax = 0.5 × 12.4 = 6.2 > 2`
  std::string layer;       ///< where: `Sequential[1].Linear`; may be empty
  std::string numbers;     ///< what was measured
  std::string why;         ///< why it matters
  std::string change;      ///< what to change
  CheckStatus status = CheckStatus::fail;
};

/// The outcome of a diagnosis; healthy when checks were made, none failed, and the run came to its end.
struct ReportVerdict {
  std::vector<ReportFinding> findings;  ///< the most important first
  std::vector<ReportCheck> checks;      ///< all that were made
  bool interrupted = false;             ///< the run was stopped before its last epoch
  bool healthy() const { return findings.empty() && !checks.empty() && !interrupted; }
};

/// How a run diverged.
struct ReportDivergence {
  std::int64_t step = 0;  ///< its last one
  double first_loss = unknown_value;
  double last_loss = unknown_value;
};

/// One epoch. Unknown numbers stay `unknown_value`.
struct ReportEpoch {
  double train_loss = unknown_value;
  double validation_loss = unknown_value;
  double learning_rate = unknown_value;
  double seconds = unknown_value;
  double examples_per_second = unknown_value;
};

/// A metric over the epochs. Each list is empty or has one value per epoch.
struct ReportMetric {
  std::string name;  ///< `accuracy`
  std::vector<double> train;
  std::vector<double> validation;
};

/// The loss of one step (or the mean of several: the page thins long lists out itself).
struct ReportStep {
  std::int64_t step = 0;
  double loss = unknown_value;
};

/// Statistics of one layer. Each list is empty or as long as `steps`.
struct ReportLayerHistory {
  std::string layer;  ///< its path: `Sequential[0].Linear`
  std::vector<std::int64_t> steps;
  std::vector<double> gradient_norm;   ///< ‖∂L/∂w‖₂
  std::vector<double> update_ratio;    ///< ‖Δw‖₂ / ‖w‖₂ of one step
  std::vector<double> inactive_share;  ///< share of dead or saturated units, in [0, 1]
};

/// A range that healthy runs are often in; printed as a guide.
struct ReportBand {
  double low = 0;
  double high = 0;
};

/// K × K counts, row-major: the row is the true class, the column the predicted one.
struct ReportConfusion {
  std::vector<std::int64_t> counts;
};

/// A small picture: row-major bytes, 1 (gray) or 3 (RGB) of them per pixel.
struct ReportImage {
  std::size_t width = 0;
  std::size_t height = 0;
  std::size_t channels = 1;
  std::vector<std::uint8_t> pixels;
};

/// One example with its prediction.
struct ReportExample {
  ReportImage image;
  std::size_t predicted = 0;  ///< class index
  std::size_t truth = 0;      ///< class index
  double predicted_probability = unknown_value;
  double true_probability = unknown_value;
};

/// One bin of predictions by confidence.
struct ReportReliabilityBin {
  double confidence = 0;  ///< mean confidence of the bin
  double accuracy = 0;    ///< share that was right
  std::int64_t count = 0;
};

/// Class probabilities over a grid, at one moment of the training.
struct ReportBoundaryFrame {
  std::string label;                 ///< `epoch 3`
  std::vector<float> probabilities;  ///< rows × columns × classes; row 0 lies at y_min
};

struct ReportBoundaryPoint {
  double x = 0;
  double y = 0;
  std::size_t label = 0;
};

/// What a model of two inputs makes of the plane.
struct ReportBoundary {
  double x_min = 0, x_max = 1, y_min = 0, y_max = 1;
  std::size_t rows = 0, columns = 0, classes = 0;
  std::vector<ReportBoundaryFrame> frames;  ///< in the order of training
  std::vector<ReportBoundaryPoint> points;
};

struct ReportPair {
  double truth = 0;
  double predicted = 0;
};

/// What someone needs to get the same numbers again.
struct ReportReproduction {
  std::string command;
  std::string config;  ///< TOML
  std::string version;
  std::string compiler;
  std::string cpu;
  std::string instruction_set;
  int threads = 0;
  std::optional<std::uint64_t> seed;
  std::string data_hash;
};

/// One row of the model's table. Negative numbers are unknown.
struct ReportModelRow {
  std::string layer;
  std::string output_shape;
  std::int64_t parameters = -1;
  std::int64_t flops = -1;  ///< forward pass of one example
  std::int64_t bytes = -1;  ///< parameters and activations
};

/// Everything the page can show. A section without data is left out.
struct ReportData {
  std::string run_name;
  std::string created;  ///< `2025-03-01 14:05`
  TaskKind task = TaskKind::classification;

  std::string test_metric = "accuracy";
  double test_value = unknown_value;
  double test_error = unknown_value;  ///< standard error
  std::int64_t test_examples = 0;

  std::optional<ReportDivergence> divergence;  ///< absent: the run did not diverge
  std::optional<ReportVerdict> verdict;        ///< absent: no diagnosis was made
  std::vector<ReportCheck> preflight;

  std::vector<ReportEpoch> epochs;
  std::vector<ReportMetric> metrics;
  std::optional<std::size_t> best_epoch;  ///< index into `epochs`; shown counted from 1
  std::vector<ReportStep> steps;

  std::vector<ReportLayerHistory> layers;
  std::optional<ReportBand> typical_gradient_norm = ReportBand{1e-3, 10};
  std::optional<ReportBand> typical_update_ratio = ReportBand{1e-4, 1e-2};
  std::optional<ReportBand> typical_inactive_share = ReportBand{0, 0.5};

  std::vector<std::string> class_names;  ///< may be empty: classes are then numbered
  std::optional<ReportConfusion> confusion;
  std::vector<ReportExample> mistakes;  ///< the most confident first
  std::vector<ReportExample> correct;   ///< drawn at random
  std::vector<ReportReliabilityBin> reliability;
  double calibration_error = unknown_value;  ///< ECE; computed from the bins when unknown

  std::optional<ReportBoundary> boundary;
  std::vector<ReportPair> pairs;  ///< regression: test examples

  std::vector<ReportModelRow> model;
  ReportReproduction reproduction;
};

/// Renders the page: one HTML file of at most `max_report_bytes`, that loads nothing from outside and
/// can be read without scripts, in print, in the dark and on a telephone. All text is escaped, numbers
/// that are not finite leave gaps, long lists are thinned out (which the page says).
///
/// Throws `ArgumentError` where lists contradict each other: a metric whose length is not the number of
/// epochs, a confusion matrix that is not K × K, an image without its pixels, a class index past the
/// last class, a grid without its probabilities.
std::string render_report(const ReportData& data);

}  // namespace chainrule
