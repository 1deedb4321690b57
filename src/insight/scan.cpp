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
constexpr double largest_peak = 1e6;
constexpr double same = 1e-12;  // two slopes that differ by less are one

double slope_at(const OpDef& op, double x) { return curve(op, {x}, DType::float64).slope[0]; }

// From one end of the line inwards: how many points in a row have a small derivative.
template <typename Iterator>
std::ptrdiff_t quiet_run(Iterator begin, Iterator end, double limit) {
  return std::find_if(begin, end, [&](double slope) { return !(std::abs(slope) < limit); }) - begin;
}

// Where a small derivative becomes a large one, between two points.
double edge_between(const OpDef& op, double quiet, double loud, double limit) {
  for (int i = 0; i < 60; ++i) {
    const double middle = quiet + (loud - quiet) / 2;
    (std::abs(slope_at(op, middle)) < limit ? quiet : loud) = middle;
  }
  return std::abs(quiet) < same ? 0 : quiet;
}

// The largest |y'| between two neighbours of the grid's largest, by golden section.
std::pair<double, double> refined_peak(const OpDef& op, double low, double high) {
  constexpr double golden = 0.6180339887498949;
  for (int i = 0; i < 60; ++i) {
    const double a = high - golden * (high - low);
    const double b = low + golden * (high - low);
    (std::abs(slope_at(op, a)) < std::abs(slope_at(op, b)) ? low : high) =
        std::abs(slope_at(op, a)) < std::abs(slope_at(op, b)) ? a : b;
  }
  const double x = low + (high - low) / 2;
  return {x, std::abs(slope_at(op, x))};
}

// The largest |y'| on the grid, and the point nearest to 0 that has it.
std::size_t peak_index(const Curve& c) {
  double largest = 0;
  for (const double slope : c.slope) {
    if (std::isfinite(slope)) largest = std::max(largest, std::abs(slope));
  }
  std::size_t peak = c.x.size();
  for (std::size_t i = 0; i < c.x.size(); ++i) {
    const bool is_largest = std::abs(c.slope[i]) >= largest * (1 - same);
    if (is_largest && (peak == c.x.size() || std::abs(c.x[i]) < std::abs(c.x[peak]))) peak = i;
  }
  return peak;
}

// Whether the derivative has settled where the line ends: what it comes close to there is its limit.
bool has_settled(const Curve& c, std::size_t end, std::size_t before) {
  return std::isfinite(c.slope[end]) &&
         std::abs(c.slope[end] - c.slope[before]) <= 1e-6 * std::abs(c.slope[end]);
}

// Fills in the peak; false where there is none: at a pole, or where the derivative grows without end.
bool find_peak(const OpDef& op, const Curve& c, Saturation& result) {
  const std::size_t last = c.x.size() - 1;
  const std::size_t peak = peak_index(c);
  if (peak > last || c.slope[peak] == 0) return false;
  result.peak = std::abs(c.slope[peak]);
  result.peak_at = c.x[peak];
  const auto is_peak = [&](std::size_t i) { return std::abs(c.slope[i]) >= result.peak * (1 - same); };
  if (is_peak(0) || is_peak(last)) {
    const bool right = is_peak(last);
    const std::size_t half_way = right ? last - grid / 4 : grid / 4;
    result.flat = is_peak(half_way);
    result.peak = std::abs(c.slope[right ? last : 0]);
    result.peak_at = right ? HUGE_VAL : -HUGE_VAL;
    return right ? has_settled(c, last, last - grid / 10) : has_settled(c, 0, grid / 10);
  }
  if (result.peak > largest_peak || !std::isfinite(c.slope[peak - 1]) || !std::isfinite(c.slope[peak + 1]))
    return false;
  result.flat = is_peak(peak - 1) || is_peak(peak + 1);
  const auto [x, value] = refined_peak(op, c.x[peak - 1], c.x[peak + 1]);
  if (!result.flat && value > result.peak * (1 + same)) result.peak_at = x, result.peak = value;
  return true;
}

}  // namespace

std::optional<Saturation> find_saturation(const OpDef& op) {
  const Curve c = curve(op, evenly(-far, far, grid), DType::float64);
  Saturation result;
  if (!find_peak(op, c, result)) return std::nullopt;
  const double limit = small_share * result.peak;
  const auto left = static_cast<std::size_t>(quiet_run(c.slope.begin(), c.slope.end(), limit));
  const auto right = static_cast<std::size_t>(quiet_run(c.slope.rbegin(), c.slope.rend(), limit));
  if (left == 0 && right == 0) return std::nullopt;
  const auto all_zero = [](auto begin, auto count) {
    return std::all_of(begin, begin + static_cast<std::ptrdiff_t>(count), [](double s) { return s == 0; });
  };
  result.zero = all_zero(c.slope.begin(), left) && all_zero(c.slope.rbegin(), right);
  const std::size_t last = c.x.size() - 1;
  if (left > 0) result.below = edge_between(op, c.x[left - 1], c.x[left], limit);
  if (right > 0) result.above = edge_between(op, c.x[last - right + 1], c.x[last - right], limit);
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
