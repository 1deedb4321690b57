#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <chainrule/data.hpp>
#include <chainrule/nn.hpp>

#include "io/json.hpp"

/// What a classifier of two numbers makes of the plane, at several moments of its training.
namespace chainrule::train {

/// The part of the plane around a data set's points, a tenth wider on each side.
struct Plane {
  double x_min = 0, x_max = 0, y_min = 0, y_max = 0;
  std::vector<double> points;         ///< x, y, x, y, … of the examples that can be drawn
  std::vector<std::int64_t> classes;  ///< theirs
};

/// Absent where there is no plane to draw: examples that are not two numbers, more than 5,000 of them or 20
/// classes, a column that is constant, targets that are no classes. Points that are not finite are left out.
std::optional<Plane> plane_of(const data::Dataset& dataset);

/// Class probabilities over the plane, side × side × classes, the row of y_min first, with three decimals. A
/// probability that is not finite is null.
io::Json probabilities_json(const nn::Module& model, const data::Dataset& dataset, const Plane& plane);

/// The plane with its points and what the trained model makes of it.
io::Json plane_json(const nn::Module& model, const data::Dataset& dataset, const Plane& plane);

/// Keeps up to 12 of a run's epochs in `folder`/planes.json: `[{"epoch": 3, "probabilities": [...]}]`.
class PlaneRecorder {
 public:
  /// `resume`: goes on from the file that is there.
  PlaneRecorder(const data::Dataset& dataset, std::int64_t epochs, std::string folder, bool resume);
  /// After `epoch`, counted from 1; 0: before the first step.
  void record(std::int64_t epoch, const nn::Module& model);

 private:
  bool wants(std::int64_t epoch) const;
  const data::Dataset& dataset_;
  std::optional<Plane> plane_;
  std::int64_t epochs_;
  std::string file_;
  io::Json frames_;
};

}  // namespace chainrule::train
