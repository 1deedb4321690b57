// What the model makes of its inputs: the plane cut into classes, or predictions against the truth.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "insight/report_image.hpp"
#include "insight/report_sections.hpp"
#include "insight/report_svg.hpp"
#include "insight/report_text.hpp"

namespace chainrule::report {
namespace {

constexpr std::size_t max_frames = 12;
constexpr std::size_t max_grid_side = 96;
constexpr std::size_t max_points = 500;
constexpr std::size_t max_pairs_drawn = 1000;
constexpr double plane_width = 360;

constexpr Rgb white = {255, 255, 255};

/// The colour of one grid point: the likeliest class's, the paler the less likely; white where it is
/// no likelier than chance, so that the boundary is a white line.
Rgb plane_color(const float* probabilities, std::size_t classes) {
  const float* best = std::max_element(probabilities, probabilities + classes);
  if (!std::isfinite(*best) || classes < 2) return white;
  const double chance = 1.0 / static_cast<double>(classes);
  const double sureness = (static_cast<double>(*best) - chance) / (1 - chance);
  return mix(white, class_color(static_cast<std::size_t>(best - probabilities)), 0.6 * sureness);
}

std::string plane_png(const ReportBoundary& b, const ReportBoundaryFrame& frame) {
  const auto rows = thinned(b.rows, max_grid_side);
  const auto columns = thinned(b.columns, max_grid_side);
  std::vector<std::uint8_t> pixels;
  pixels.reserve(rows.size() * columns.size() * 3);
  // Row 0 of the grid lies at the bottom, row 0 of a picture at the top.
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    for (const std::size_t column : columns) {
      const Rgb c =
          plane_color(frame.probabilities.data() + (*row * b.columns + column) * b.classes, b.classes);
      pixels.insert(pixels.end(), {c.red, c.green, c.blue});
    }
  }
  return png_uri(pixels, columns.size(), rows.size(), 3);
}

double plane_height(const ReportBoundary& b) {
  const double ratio = (b.y_max - b.y_min) / (b.x_max - b.x_min);
  return plane_width * std::clamp(ratio, 0.4, 1.6);
}

/// A small sign at (x, y): a shape for each class, so that colour is not the only difference.
std::string sign_of(std::size_t label, double x, double y) {
  switch (label % 4) {
    case 0:
      return fmt::format("M{:.1f} {:.1f}a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0z", x - 3.4, y);
    case 1:
      return fmt::format("M{:.1f} {:.1f}h6v6h-6z", x - 3, y - 3);
    case 2:
      return fmt::format("M{:.1f} {:.1f}l4 7h-8z", x, y - 4.4);
    default:
      return fmt::format("M{:.1f} {:.1f}l4.2 4.2l-4.2 4.2l-4.2-4.2z", x, y - 4.2);
  }
}

/// The points once, for all frames to refer to.
std::string point_definitions(const ReportBoundary& b) {
  const Axis x{.low = b.x_min, .high = b.x_max, .from = 0, .to = plane_width};
  const Axis y{.low = b.y_min, .high = b.y_max, .from = plane_height(b), .to = 0};
  std::vector<std::string> paths(b.classes);
  for (const std::size_t i : thinned(b.points.size(), max_points)) {
    const ReportBoundaryPoint& p = b.points[i];
    if (x.holds(p.x) && y.holds(p.y)) paths[p.label] += sign_of(p.label, x(p.x), y(p.y));
  }
  std::string groups;
  for (std::size_t k = 0; k < paths.size(); ++k) {
    const Rgb c = class_color(k);
    if (!paths[k].empty()) {
      groups += fmt::format(R"(<path d="{}" fill="#{:02x}{:02x}{:02x}"/>)", paths[k], c.red, c.green, c.blue);
    }
  }
  return fmt::format(
      R"(<svg width="0" height="0" aria-hidden="true" class="defs"><defs><g id="plane-points" class="signs">{}</g></defs></svg>)",
      groups);
}

std::string boundary_frame(const ReportBoundary& b, const ReportBoundaryFrame& frame) {
  const double height = plane_height(b);
  const std::string label = escape(frame.label, 60);
  return fmt::format(
      R"(<figure class="frame"><svg viewBox="0 0 {0:.0f} {1:.0f}" role="img" aria-label="Decision regions, {2}">)"
      R"(<image href="{3}" width="{0:.0f}" height="{1:.0f}" preserveAspectRatio="none"/><use href="#plane-points"/></svg>)"
      R"(<figcaption>{2}</figcaption></figure>)",
      plane_width, height, label, plane_png(b, frame));
}

/// A class whose name is a number is called that.
std::string spoken_class_name(const ReportData& data, std::size_t index) {
  const std::string name = class_name(data, index);
  const bool is_number = name.find_first_not_of("0123456789") == std::string::npos;
  return is_number ? "class " + name : name;
}

/// The named classes with the shape and colour of their points.
std::string boundary_key(const ReportData& data, std::size_t classes) {
  std::string out;
  for (std::size_t k = 0; k < std::min<std::size_t>(classes, 12); ++k) {
    const Rgb c = class_color(k);
    out += fmt::format(
        R"(<li><svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><path d="{}" fill="#{:02x}{:02x}{:02x}"/></svg>{}</li>)",
        sign_of(k, 6, 6), c.red, c.green, c.blue, escape(spoken_class_name(data, k), 40));
  }
  return R"(<ul class="key">)" + out + "</ul>";
}

std::string points_download(const ReportData& data, const ReportBoundary& b) {
  if (b.points.empty()) return {};
  Csv csv{"x", "y", "class"};
  for (const std::size_t i : thinned(b.points.size(), max_points)) {
    csv.cell(b.points[i].x)
        .cell(b.points[i].y)
        .cell(std::string_view(class_name(data, b.points[i].label)))
        .end_row();
  }
  return R"(<p class="foot">)" + csv.link("points.csv") + "</p>";
}

/// Sums over the pairs that are finite.
struct Fit {
  std::vector<double> truth, predicted, residual;
  double rmse = 0, mae = 0, bias = 0, r2 = unknown_value;
};

Fit fit_of(const std::vector<ReportPair>& pairs) {
  Fit f;
  double mean = 0;
  for (const ReportPair& p : pairs) {
    if (!drawable(p.truth) || !drawable(p.predicted)) continue;
    f.truth.push_back(p.truth);
    f.predicted.push_back(p.predicted);
    f.residual.push_back(p.predicted - p.truth);
    mean += (p.truth - mean) / static_cast<double>(f.truth.size());
  }
  if (f.truth.empty()) return f;
  double squares = 0, spread = 0;
  const auto n = static_cast<double>(f.truth.size());
  for (std::size_t i = 0; i < f.truth.size(); ++i) {
    squares += f.residual[i] * f.residual[i];
    spread += (f.truth[i] - mean) * (f.truth[i] - mean);
    f.mae += std::fabs(f.residual[i]) / n;
    f.bias += f.residual[i] / n;
  }
  f.rmse = std::sqrt(squares / n);
  if (spread > 0) f.r2 = 1 - squares / spread;
  return f;
}

std::vector<double> picked(const std::vector<double>& values, const std::vector<std::size_t>& index) {
  std::vector<double> out;
  for (const std::size_t i : index) out.push_back(values[i]);
  return out;
}

}  // namespace

Section boundary_section(const ReportData& data) {
  Section section{"plane", "How it divides the plane", ""};
  if (!data.boundary || data.boundary->frames.empty()) return section;
  const ReportBoundary& b = *data.boundary;
  std::string frames;
  for (const std::size_t i : thinned(b.frames.size(), max_frames)) frames += boundary_frame(b, b.frames[i]);
  section.html =
      fmt::format(
          R"(<p class="note">Colour: the likeliest class, paler where the model is less sure. The first input runs from {} to {} to the right, the second from {} to {} upwards.</p>)",
          number(b.x_min, 3), number(b.x_max, 3), number(b.y_min, 3), number(b.y_max, 3)) +
      boundary_key(data, b.classes) + point_definitions(b) + R"(<div class="frames">)" + frames + "</div>" +
      points_download(data, b);
  return section;
}

Section regression_section(const ReportData& data) {
  Section section{"predictions", "Predictions against the truth", ""};
  if (data.task != TaskKind::regression) return section;
  const Fit f = fit_of(data.pairs);
  if (f.truth.empty()) return section;
  const auto index = thinned(f.truth.size(), max_pairs_drawn);
  Csv csv{"true", "predicted"};
  for (const std::size_t i : index) csv.cell(f.truth[i]).cell(f.predicted[i]).end_row();
  const std::string facts = fmt::format("RMSE {}, mean absolute error {}, mean residual {}, R² {}.",
                                        number(f.rmse), number(f.mae), number(f.bias, 2), number(f.r2, 3));
  const Scatter fit{.description = "Predicted against true values. " + facts,
                    .x_label = "true",
                    .y_label = "predicted",
                    .x = picked(f.truth, index),
                    .y = picked(f.predicted, index),
                    .same_axes = true};
  const Scatter residual{.description = "Residuals against predicted values. " + facts,
                         .x_label = "predicted",
                         .y_label = "residual: predicted − true",
                         .x = picked(f.predicted, index),
                         .y = picked(f.residual, index),
                         .slope = 0};
  std::string note;
  if (index.size() < data.pairs.size()) {
    note = fmt::format("{} of {} examples are drawn.", grouped(static_cast<std::int64_t>(index.size())),
                       grouped(static_cast<std::int64_t>(data.pairs.size())));
  }
  section.html =
      fmt::format("<p>{}</p>", facts) + R"(<div class="pair">)" +
      figure("Predicted and true", {{"point", "test example"}, {"ideal", "perfect"}}, scatter_chart(fit),
             note, csv.link("pairs.csv")) +
      figure("Residuals", {{"point", "test example"}, {"ideal", "no error"}}, scatter_chart(residual),
             "A trend or a funnel here is structure that the model misses.", "") +
      "</div>";
  return section;
}

}  // namespace chainrule::report
