#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Charts as inline SVG. Colours come from the page's style sheet (classes c1 … c4), so that the same
/// drawing serves light, dark and paper. Text in specs is raw; the functions escape it.
namespace chainrule::report {

/// A line through points in the order of x. Values that cannot be drawn leave a gap.
struct Line {
  std::string label;
  std::string style = "c1";  ///< class: c1 … c4, with "dash" or "thin" if wanted
  std::vector<double> y;     ///< one value per x of the chart
};

/// A set of axes. The panels of a chart stand above each other and share the x-axis.
struct Panel {
  std::string label;  ///< printed over the panel: `loss`
  std::vector<Line> lines;
  double height = 190;
  bool log_scale = false;
  bool from_zero = false;  ///< the axis starts at 0
  double top = 0;          ///< the axis does not go past this, if above 0: 1 for shares
  /// Lines between which the area is filled, if both exist.
  std::optional<std::pair<std::size_t, std::size_t>> shade;
  std::string shade_style = "gap";  ///< class: "gap", or "gap near" for a spread around a line
};

struct Chart {
  std::string description;  ///< for those who cannot see it
  std::string x_label;      ///< of whole numbers: `epoch`
  std::vector<double> x;    ///< ascending
  std::vector<Panel> panels;
  std::optional<double> mark;  ///< a vertical line here: the best epoch
  std::string mark_label;
  bool tips = false;  ///< values in a tooltip at each x (for up to 80 of them)
};

/// Draws the chart; empty if there is nothing in it that can be drawn.
std::string line_chart(const Chart& chart);

/// Points against a straight line y = slope · x + offset, with both axes to scale of the data.
struct Scatter {
  std::string description;
  std::string x_label, y_label;
  std::vector<double> x, y;
  double slope = 1, offset = 0;
  bool same_axes = false;  ///< one range for both axes
};
std::string scatter_chart(const Scatter& scatter);

/// A point of a reliability diagram.
struct ReliabilityPoint {
  double confidence = 0, accuracy = 0;
  double error = 0;  ///< standard error of the accuracy
  double share = 0;  ///< of all predictions
};
std::string reliability_chart(const std::vector<ReliabilityPoint>& points, std::string_view description);

/// A range and how values map from it to pixels; the charts' own tool, public for its tests.
struct Axis {
  double low = 0, high = 1;
  double from = 0, to = 1;  ///< pixels at low and high
  bool log_scale = false;
  double operator()(double value) const;
  bool holds(double value) const;  ///< whether the value can be placed
};

/// Round numbers (1, 2 or 5 times a power of ten) inside [low, high], about `wanted`, at most 12.
std::vector<double> linear_ticks(double low, double high, int wanted = 5);
/// Powers of ten inside [low, high], thinned out past seven, with 2 and 5 times them if there are few.
std::vector<double> log_ticks(double low, double high);

}  // namespace chainrule::report
