#include "train/plane.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

#include "io/atomic_file.hpp"
#include "train/evaluation.hpp"

namespace chainrule::train {
namespace {

constexpr std::int64_t side = 60;
constexpr std::int64_t most_points = 5000;
constexpr std::int64_t most_classes = 20;
constexpr std::int64_t most_frames = 12;
constexpr double margin = 0.1;

struct Ends {
  double low = HUGE_VAL, high = -HUGE_VAL;
  void add(double x) {
    low = std::min(low, x);
    high = std::max(high, x);
  }
  /// Wider by the margin; false where there is nothing between the ends.
  bool widen() {
    const double room = margin * (high - low);
    low -= room;
    high += room;
    return std::isfinite(low) && std::isfinite(high) && low < high;
  }
};

}  // namespace

std::optional<Plane> plane_of(const data::Dataset& dataset) {
  const bool drawn = dataset.task == data::Task::classification && dataset.classes() >= 2 &&
                     dataset.classes() <= most_classes && dataset.example_shape() == Shape{2} &&
                     dataset.size() > 0 && dataset.size() <= most_points;
  if (!drawn) return std::nullopt;
  Plane plane;
  const std::vector<double> points = dataset.features.to_vector<double>();
  const std::vector<std::int64_t> classes = dataset.targets.to_vector<std::int64_t>();
  Ends x, y;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const double px = points[2 * i];
    const double py = points[2 * i + 1];
    if (!std::isfinite(px) || !std::isfinite(py)) continue;
    x.add(px);
    y.add(py);
    plane.points.insert(plane.points.end(), {px, py});
    plane.classes.push_back(classes[i]);
  }
  if (!x.widen() || !y.widen()) return std::nullopt;
  plane.x_min = x.low, plane.x_max = x.high;
  plane.y_min = y.low, plane.y_max = y.high;
  return plane;
}

io::Json probabilities_json(const nn::Module& model, const data::Dataset& dataset, const Plane& plane) {
  const Context scope({.train = false});
  const Tensor x = broadcast_to(unsqueeze(linspace(plane.x_min, plane.x_max, side), 0), {side, side});
  const Tensor y = broadcast_to(unsqueeze(linspace(plane.y_min, plane.y_max, side), 1), {side, side});
  const Tensor grid = reshape(stack({x, y}, 2), {side * side, 2});
  const Tensor scores = model(dataset.scaling ? (*dataset.scaling)(grid) : grid);
  io::Json json = io::Json::array();
  for (const double p : class_probabilities(scores.astype(DType::float64)).to_vector<double>())
    json.push_back(std::isfinite(p) ? io::Json(std::round(p * 1000) / 1000) : io::Json(nullptr));
  return json;
}

io::Json plane_json(const nn::Module& model, const data::Dataset& dataset, const Plane& plane) {
  return {{"x_min", plane.x_min},   {"x_max", plane.x_max},
          {"y_min", plane.y_min},   {"y_max", plane.y_max},
          {"side", side},           {"probabilities", probabilities_json(model, dataset, plane)},
          {"points", plane.points}, {"labels", plane.classes}};
}

PlaneRecorder::PlaneRecorder(const data::Dataset& dataset, std::int64_t epochs, std::string folder,
                             bool resume)
    : dataset_(dataset),
      plane_(plane_of(dataset)),
      epochs_(epochs),
      file_(std::move(folder) + "/planes.json"),
      frames_(io::Json::array()) {
  std::error_code ignored;
  if (!plane_ || !resume) {
    std::filesystem::remove(file_, ignored);  // of an earlier run in this folder
    return;
  }
  try {
    if (std::filesystem::exists(file_, ignored)) frames_ = io::read_json(file_);
  } catch (const IoError&) {
    frames_ = io::Json::array();  // pictures alone: what is lost of them is no reason not to go on
  }
  if (!frames_.is_array()) frames_ = io::Json::array();
}

/// The start, and the epochs at which one more share of the run is over. The last one is left to the trained
/// model itself.
bool PlaneRecorder::wants(std::int64_t epoch) const {
  if (!plane_ || epoch >= epochs_) return false;
  const std::int64_t shares = std::min(epochs_, most_frames - 1);
  return epoch == 0 || epoch * shares / epochs_ != (epoch - 1) * shares / epochs_;
}

void PlaneRecorder::record(std::int64_t epoch, const nn::Module& model) {
  if (!wants(epoch) || (epoch == 0 && !frames_.empty())) return;
  // A run that was killed and resumed goes through some epochs again.
  io::Json kept = io::Json::array();
  for (const io::Json& frame : frames_) {
    if (frame.is_object() && frame.contains("epoch") && io::is_integer<std::int64_t>(frame["epoch"]) &&
        frame["epoch"].get<std::int64_t>() < epoch)
      kept.push_back(frame);
  }
  kept.push_back({{"epoch", epoch}, {"probabilities", probabilities_json(model, dataset_, *plane_)}});
  frames_ = std::move(kept);
  io::write_file(file_, frames_.dump() + "\n", "train::run");
}

}  // namespace chainrule::train
