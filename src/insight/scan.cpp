#include "insight/scan.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "expression/program.hpp"

namespace chainrule::insight {
namespace {

// y and y' at many points, computed in one dtype and read as double.
struct Curve {
  std::vector<double> x, y, slope;
};

Curve curve(const OpDef& op, std::vector<double> points, DType dtype) {
  const Tensor x = Tensor::from(points, {static_cast<std::int64_t>(points.size())}).astype(dtype);
  const auto f = [&](const Tensor& t) { return expression::call_function(op, std::span(&t, 1)); };
  const Tensor y = f(x);
  const Tensor slope = grad([&](const Tensor& t) { return sum(f(t)); })(x);
  return {std::move(points), y.astype(DType::float64).to_vector<double>(),
          slope.astype(DType::float64).to_vector<double>()};
}

std::vector<double> evenly(double low, double high, int count) {
  std::vector<double> points(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) points[static_cast<std::size_t>(i)] = low + (high - low) * i / (count - 1);
  return points;
}

// ---- saturation ----

constexpr double far = 40;
constexpr int grid = 8001;  // a step of 0.01
constexpr double small_share = 0.01;

// From one end of the line inwards: how many points in a row have a small derivative.
template <typename Iterator>
std::ptrdiff_t quiet_run(Iterator begin, Iterator end, double limit) {
  return std::find_if(begin, end, [&](double slope) { return !(std::abs(slope) < limit); }) - begin;
}

}  // namespace

std::optional<Saturation> find_saturation(const OpDef& op) {
  const Curve c = curve(op, evenly(-far, far, grid), DType::float64);
  Saturation result;
  std::size_t peak = c.x.size();
  for (std::size_t i = 0; i < c.x.size(); ++i) {
    if (!std::isfinite(c.slope[i])) continue;
    const double size = std::abs(c.slope[i]);
    const bool higher = size > result.peak * (1 + 1e-12);
    const bool nearer =
        size >= result.peak * (1 - 1e-12) && peak < c.x.size() && std::abs(c.x[i]) < std::abs(c.x[peak]);
    if (!higher && !nearer) continue;
    result.peak = std::max(result.peak, size);
    peak = i;
  }
  // At the edge of the scan, or beside a pole, what was found is no maximum.
  const bool inside = peak > 0 && peak + 1 < c.x.size() && std::isfinite(c.slope[peak - 1]) &&
                      std::isfinite(c.slope[peak + 1]);
  if (result.peak == 0 || !inside || result.peak > 1e6) return std::nullopt;
  result.peak_at = c.x[peak];
  const double limit = small_share * result.peak;
  const auto left = quiet_run(c.slope.begin(), c.slope.end(), limit);
  const auto right = quiet_run(c.slope.rbegin(), c.slope.rend(), limit);
  if (left > 0) result.below = c.x[static_cast<std::size_t>(left)];
  if (right > 0) result.above = c.x[c.x.size() - 1 - static_cast<std::size_t>(right)];
  if (!result.below && !result.above) return std::nullopt;
  return result;
}

// ---- float32 ----

namespace {

constexpr int points_per_side = 2000;

// Points from the middle outwards, on one side of 0, evenly in the logarithm, exact in float32.
std::vector<double> outwards(double sign, double near_zero, double far_away, int count) {
  std::vector<double> points;
  for (const double power : evenly(std::log(near_zero), std::log(far_away), count)) {
    points.push_back(static_cast<double>(static_cast<float>(sign * std::exp(power))));
  }
  return points;
}

struct Symptom {
  const char* what;
  bool shows_true_slope;
  bool (*has)(double y32, double slope32, double y64, double slope64);
};
constexpr Symptom symptoms[] = {
    {"y overflows to infinity", false,
     [](double y32, double, double y64, double) { return std::isinf(y32) && std::isfinite(y64); }},
    {"y becomes NaN", false,
     [](double y32, double, double y64, double) { return std::isnan(y32) && !std::isnan(y64); }},
    {"y underflows to 0", false, [](double y32, double, double y64, double) { return y32 == 0 && y64 != 0; }},
    {"y' becomes 0", true,
     [](double, double slope32, double, double slope64) { return slope32 == 0 && slope64 != 0; }},
    {"y' becomes NaN", false,
     [](double, double slope32, double, double slope64) {
       return std::isnan(slope32) && std::isfinite(slope64);
     }},
};

struct Pair {
  Curve single, twice;
  bool has(const Symptom& symptom, std::size_t i) const {
    return symptom.has(single.y[i], single.slope[i], twice.y[i], twice.slope[i]);
  }
  bool both_lost(std::size_t i) const {
    return !std::isfinite(twice.y[i]) || twice.y[i] == 0 || twice.slope[i] == 0;
  }
};

Pair both(const OpDef& op, const std::vector<double>& points) {
  return {curve(op, points, DType::float32), curve(op, points, DType::float64)};
}

// The first point of a side from which on the symptom stays, found on a grid and then between its points.
void find_symptom(const OpDef& op, const Symptom& symptom, double sign, const Pair& side,
                  std::vector<Float32Limit>& found) {
  std::size_t first = side.single.x.size();
  for (std::size_t i = side.single.x.size(); i-- > 0 && (side.has(symptom, i) || side.both_lost(i));) {
    if (side.has(symptom, i)) first = i;
  }
  if (first == side.single.x.size() || first == 0) return;
  Pair zoom = both(op, outwards(sign, std::abs(side.single.x[first - 1]), std::abs(side.single.x[first]),
                                points_per_side));
  std::size_t i = 0;
  while (i + 1 < zoom.single.x.size() && !zoom.has(symptom, i)) ++i;
  std::string what = symptom.what;
  if (symptom.shows_true_slope) what += fmt::format(" (true {:.1e})", zoom.twice.slope[i]);
  found.push_back({what, zoom.single.x[i]});
}

}  // namespace

std::vector<Float32Limit> find_float32_limits(const OpDef& op) {
  std::vector<Float32Limit> found;
  for (const double sign : {1.0, -1.0}) {
    const Pair side = both(op, outwards(sign, 1e-3, 1e4, points_per_side));
    for (const Symptom& symptom : symptoms) find_symptom(op, symptom, sign, side, found);
  }
  return found;
}

}  // namespace chainrule::insight
