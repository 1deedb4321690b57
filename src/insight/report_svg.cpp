#include "insight/report_svg.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "insight/report_text.hpp"

namespace chainrule::report {
namespace {

constexpr double width = 480;
constexpr double left = 58;
constexpr double right = width - 14;
constexpr double panel_head = 26;  // room for a panel's label
constexpr double panel_gap = 14;
constexpr double axis_height = 46;  // ticks and label of the x-axis
constexpr std::size_t max_tips = 80;
constexpr double least_on_log = 1e-150;  // below, quotients overflow

using Range = std::pair<double, double>;

/// The range of the values that can be placed; nothing if there are none.
std::optional<Range> range_of(const std::vector<double>& values, bool positive) {
  std::optional<Range> range;
  for (const double v : values) {
    if (!drawable(v) || (positive && v < least_on_log)) continue;
    range = range ? Range{std::min(range->first, v), std::max(range->second, v)} : Range{v, v};
  }
  return range;
}

/// Room around the data, and a width where all values are the same.
Range padded(Range range, double share) {
  double room = (range.second - range.first) * share;
  // A spread below rounding would put every tick on the same number.
  const double least = std::max({std::fabs(range.first), std::fabs(range.second), 1e-9}) * 1e-6;
  if (range.second - range.first < least) room = std::max(0.1 * std::fabs(range.first), least);
  return {range.first - room, range.second + room};
}

std::optional<Axis> panel_axis(const Panel& panel, double top, double bottom) {
  std::vector<double> all;
  for (const Line& line : panel.lines) all.insert(all.end(), line.y.begin(), line.y.end());
  const auto range = range_of(all, panel.log_scale);
  if (!range) return std::nullopt;
  Axis axis{.from = bottom, .to = top, .log_scale = panel.log_scale};
  if (panel.log_scale) {
    axis.low = range->first / 1.15;
    axis.high = range->second * 1.15;
    return axis;
  }
  std::tie(axis.low, axis.high) = padded(*range, 0.06);
  if (range->first >= 0 && (panel.from_zero || range->first < 0.35 * range->second)) axis.low = 0;
  if (panel.top > 0 && range->second <= panel.top) axis.high = std::min(axis.high, panel.top);
  if (!(axis.high > axis.low)) axis.low = axis.high - std::max(0.1, 0.1 * std::fabs(axis.high));
  return axis;
}

std::vector<double> ticks_of(const Axis& axis, int wanted) {
  return axis.log_scale ? log_ticks(axis.low, axis.high) : linear_ticks(axis.low, axis.high, wanted);
}

/// Labels of a logarithmic axis; a tick that is far from 1 makes all of them powers of ten.
std::string log_tick_label(double value, const std::vector<double>& ticks) {
  if (ticks.front() < 0.9e-3 || ticks.back() > 1.1e4) return scientific(value, 1);
  if (value > 999) return grouped(std::llround(value));
  return fixed(value, std::max(0, static_cast<int>(std::ceil(-std::log10(value) - 1e-9))));
}

/// Labels with as many decimals as the distance between ticks needs.
std::string tick_label(double value, const std::vector<double>& ticks, bool log_scale) {
  if (log_scale) return log_tick_label(value, ticks);
  if (ticks.size() < 2) return trimmed(value);
  const double step = ticks[1] - ticks[0];
  const double largest = std::max(std::fabs(ticks.front()), std::fabs(ticks.back()));
  if (largest >= 1e6 && largest < 1e9 && step >= 1e4)
    return value == 0 ? "0" : trimmed(value / 1e6) + "\u202FM";
  if (largest >= 1e6 || step < 1e-4) return number(value, 3);
  if (step >= 1) return grouped(std::llround(value));
  return fixed(value, static_cast<int>(std::ceil(-std::log10(step) - 1e-9)));
}

/// The line as an SVG path; a point between two gaps becomes a dot (a round cap of length 0).
std::string path_of(const std::vector<double>& xs, const std::vector<double>& ys, const Axis& x,
                    const Axis& y) {
  std::string path;
  std::size_t run = 0;
  const std::size_t count = std::min(xs.size(), ys.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (!x.holds(xs[i]) || !y.holds(ys[i])) {
      if (run == 1) path += "h0";
      run = 0;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", run++ == 0 ? 'M' : 'L', x(xs[i]), y(ys[i]));
  }
  if (run == 1) path += "h0";
  return path;
}

/// The area between two lines, as one polygon per stretch where both can be drawn.
std::string area_between(const std::vector<double>& xs, const Line& a, const Line& b, const Axis& x,
                         const Axis& y) {
  std::string path;
  std::string back;
  const std::size_t count = std::min({xs.size(), a.y.size(), b.y.size()});
  for (std::size_t i = 0; i <= count; ++i) {
    if (i == count || !x.holds(xs[i]) || !y.holds(a.y[i]) || !y.holds(b.y[i])) {
      if (!back.empty()) path += back + "Z";
      back.clear();
      continue;
    }
    const double px = x(xs[i]);
    path += fmt::format("{}{:.1f} {:.1f}", back.empty() ? 'M' : 'L', px, y(a.y[i]));
    back = fmt::format("L{:.1f} {:.1f}", px, y(b.y[i])) + back;
  }
  return path;
}

std::string text_at(double x, double y, std::string_view css, std::string_view text) {
  return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" class="{}">{}</text>)", x, y, css, escape(text));
}

std::string grid(const Axis& y, int wanted) {
  std::string out;
  const auto ticks = ticks_of(y, wanted);
  std::string lines;
  for (const double tick : ticks) {
    lines += fmt::format("M{:.0f} {:.1f}H{:.0f}", left, y(tick), right);
    out += text_at(left - 8, y(tick) + 4, "end", tick_label(tick, ticks, y.log_scale));
  }
  return fmt::format(R"(<path class="grid" d="{}"/>)", lines) + out;
}

std::string x_axis(const Axis& x, double bottom, std::string_view label, bool whole_numbers) {
  std::string out = fmt::format(R"(<path class="axis" d="M{:.0f} {:.1f}H{:.0f}"/>)", left, bottom, right);
  auto ticks = ticks_of(x, 6);
  if (whole_numbers) std::erase_if(ticks, [](double tick) { return tick != std::round(tick); });
  for (const double tick : ticks) {
    out += text_at(x(tick), bottom + 17, "mid", tick_label(tick, ticks, x.log_scale));
  }
  return out + text_at((left + right) / 2, bottom + 38, "mid soft", label);
}

std::string panel_body(const Panel& panel, const Chart& chart, const Axis& x, const Axis& y) {
  std::string out = grid(y, panel.height > 120 ? 5 : 2);
  out += text_at(left, std::min(y.from, y.to) - 11, "soft", panel.label);
  if (panel.shade && std::max(panel.shade->first, panel.shade->second) < panel.lines.size()) {
    const auto& [a, b] = *panel.shade;
    out += fmt::format(R"(<path class="{}" d="{}"/>)", panel.shade_style,
                       area_between(chart.x, panel.lines[a], panel.lines[b], x, y));
  }
  for (const Line& line : panel.lines) {
    out += fmt::format(R"(<path class="line {}" d="{}"/>)", line.style, path_of(chart.x, line.y, x, y));
  }
  return out;
}

std::string mark_at(const Chart& chart, const Axis& x, double top, double bottom) {
  if (!chart.mark || !x.holds(*chart.mark)) return {};
  const double at = x(*chart.mark);
  // The label stands on the side that has room.
  const bool on_left = at > (left + right) / 2;
  return fmt::format(R"(<path class="mark" d="M{:.1f} {:.1f}V{:.1f}"/>)", at, top - 8, bottom) +
         text_at(at + (on_left ? -5 : 5), top - 11, on_left ? "end strong" : "strong", chart.mark_label);
}

/// One invisible stripe per x, with the values there as its title and a hairline while pointed at.
std::string tips_of(const Chart& chart, const Axis& x, const std::vector<Axis>& ys, double top,
                    double bottom) {
  std::string out;
  for (std::size_t i = 0; i < chart.x.size(); ++i) {
    const double at = x(chart.x[i]);
    const double begin = i == 0 ? left : (x(chart.x[i - 1]) + at) / 2;
    const double end = i + 1 == chart.x.size() ? right : (at + x(chart.x[i + 1])) / 2;
    std::string title = fmt::format("{} {}", chart.x_label, number(chart.x[i], 6));
    if (chart.x[i] == std::floor(chart.x[i])) title = fmt::format("{} {:.0f}", chart.x_label, chart.x[i]);
    std::string dots;
    for (std::size_t p = 0; p < chart.panels.size(); ++p) {
      for (const Line& line : chart.panels[p].lines) {
        if (i >= line.y.size()) continue;
        title += fmt::format("\n{}: {}", line.label, number(line.y[i]));
        if (!ys[p].holds(line.y[i])) continue;
        dots += fmt::format(R"(<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3.5"/>)", line.style, at,
                            ys[p](line.y[i]));
      }
    }
    out += fmt::format(
        R"(<g class="tip"><title>{}</title><rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>)"
        R"(<path d="M{:.1f} {:.1f}V{:.1f}"/>{}</g>)",
        escape(title, 400), begin, top, std::max(0.0, end - begin), bottom - top, at, top, bottom, dots);
  }
  return out;
}

std::string svg(double w, double h, std::string_view description, std::string_view body) {
  return fmt::format(R"(<svg viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>)", w, h,
                     escape(description, 600), body);
}

}  // namespace

double Axis::operator()(double value) const {
  const double t = log_scale ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return from + t * (to - from);
}

bool Axis::holds(double value) const {
  return drawable(value) && (!log_scale || value >= least_on_log) && value >= low && value <= high;
}

std::vector<double> linear_ticks(double low, double high, int wanted) {
  const double rough = (high - low) / std::max(1, wanted);
  if (!drawable(low) || !drawable(high) || !(rough > 0)) return {};
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * (1 - 1e-9)) {
      step = factor * power;
      break;
    }
  }
  const double first = std::ceil(low / step - 1e-9);
  std::vector<double> ticks;
  for (int i = 0; i < 12 && (first + i) * step <= high + 1e-9 * step; ++i) {
    ticks.push_back((first + i) * step + 0.0);  // + 0.0 makes a zero of -0
  }
  return ticks;
}

std::vector<double> log_ticks(double low, double high) {
  if (!(low > 0) || !(high > low) || !drawable(high)) return {};
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  const int stride = std::max(1, (last - first + 6) / 7);
  std::vector<double> ticks;
  for (int e = first; e <= last; e += stride) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor > 1 && last - first > 2) break;
      const double tick = factor * std::pow(10, e);
      if (tick >= low && tick <= high) ticks.push_back(tick);
    }
  }
  return ticks;
}

std::string line_chart(const Chart& chart) {
  const auto x_range = range_of(chart.x, false);
  if (!x_range) return {};
  Axis x{.low = x_range->first, .high = x_range->second, .from = left + 6, .to = right - 6};
  if (!(x.high > x.low)) x.low -= 0.5, x.high += 0.5;
  std::string body;
  std::vector<Axis> axes;
  Chart drawn = chart;
  drawn.panels.clear();
  double top = 0;
  double bottom = 0;
  for (const Panel& panel : chart.panels) {
    top = bottom + (axes.empty() ? 0 : panel_gap) + panel_head;
    const auto y = panel_axis(panel, top, top + panel.height);
    if (!y) continue;
    bottom = top + panel.height;
    body += panel_body(panel, chart, x, *y);
    axes.push_back(*y);
    drawn.panels.push_back(panel);
  }
  if (axes.empty()) return {};
  // The mark lies under everything: the panels' labels keep clear of it by their halo.
  body = mark_at(chart, x, axes[0].to, bottom) + body + x_axis(x, bottom, chart.x_label, true);
  if (chart.tips && chart.x.size() <= max_tips) body += tips_of(drawn, x, axes, axes[0].to, bottom);
  return svg(width, bottom + axis_height, chart.description, body);
}

std::string scatter_chart(const Scatter& scatter) {
  auto x_range = range_of(scatter.x, false);
  auto y_range = range_of(scatter.y, false);
  if (!x_range || !y_range) return {};
  if (scatter.same_axes) {
    x_range = Range{std::min(x_range->first, y_range->first), std::max(x_range->second, y_range->second)};
    y_range = x_range;
  }
  const auto [x_low, x_high] = padded(*x_range, 0.05);
  const auto [y_low, y_high] = padded(*y_range, 0.05);
  constexpr double bottom = 340;
  const Axis x{.low = x_low, .high = x_high, .from = left, .to = right};
  const Axis y{.low = y_low, .high = y_high, .from = bottom, .to = panel_head};
  std::string body = grid(y, 5) + text_at(left, panel_head - 11, "soft", scatter.y_label);
  std::string dots;
  for (std::size_t i = 0; i < std::min(scatter.x.size(), scatter.y.size()); ++i) {
    if (x.holds(scatter.x[i]) && y.holds(scatter.y[i])) {
      dots += fmt::format("M{:.1f} {:.1f}h0", x(scatter.x[i]), y(scatter.y[i]));
    }
  }
  // The reference line, cut to the frame.
  const double low = scatter.slope > 0 ? std::max(x_low, (y_low - scatter.offset) / scatter.slope) : x_low;
  const double high =
      scatter.slope > 0 ? std::min(x_high, (y_high - scatter.offset) / scatter.slope) : x_high;
  const double y0 = scatter.slope * low + scatter.offset;
  const double y1 = scatter.slope * high + scatter.offset;
  body += fmt::format(R"(<path class="dots" d="{}"/>)", dots);
  if (high > low && y0 >= y_low - 1e-9 * (y_high - y_low) && y0 <= y_high) {
    body += fmt::format(R"(<path class="ideal" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>)", x(low), y(y0), x(high),
                        y(y1));
  }
  return svg(width, bottom + axis_height, scatter.description,
             body + x_axis(x, bottom, scatter.x_label, false));
}

std::string reliability_chart(const std::vector<ReliabilityPoint>& points, std::string_view description) {
  constexpr double bottom = 330;
  constexpr double bars = 396;  // the foot of the histogram
  const Axis x{.low = 0, .high = 1, .from = left, .to = right};
  const Axis y{.low = 0, .high = 1, .from = bottom, .to = panel_head};
  std::string gaps, whiskers, line, dots, counts;
  double largest = 0;
  for (const auto& p : points) largest = std::max(largest, p.share);
  for (const auto& p : points) {
    if (!x.holds(p.confidence) || !y.holds(p.accuracy)) continue;
    const double at = x(p.confidence);
    gaps += fmt::format("M{:.1f} {:.1f}V{:.1f}", at, y(p.confidence), y(p.accuracy));
    whiskers += fmt::format("M{:.1f} {:.1f}V{:.1f}", at, y(std::clamp(p.accuracy - p.error, 0.0, 1.0)),
                            y(std::clamp(p.accuracy + p.error, 0.0, 1.0)));
    line += fmt::format("{}{:.1f} {:.1f}", line.empty() ? 'M' : 'L', at, y(p.accuracy));
    dots += fmt::format(
        R"(<g class="dot"><title>{}</title><circle class="c1" cx="{:.1f}" cy="{:.1f}" r="4.5"/></g>)",
        escape(fmt::format("confidence {}, right {}, {} of the predictions", percent(p.confidence),
                           percent(p.accuracy), percent(p.share))),
        at, y(p.accuracy));
    if (largest > 0) counts += fmt::format("M{:.1f} {:.1f}v{:.1f}", at, bars, -38 * p.share / largest);
  }
  if (line.empty()) return {};
  const Axis foot{.low = 0, .high = 1, .from = left, .to = right};
  const std::string body =
      grid(y, 5) + text_at(left, panel_head - 11, "soft", "share that is right") +
      fmt::format(R"(<path class="ideal" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>)", x(0), y(0), x(1), y(1)) +
      fmt::format(R"(<path class="gapline" d="{}"/><path class="line c1 thin" d="{}"/>)", gaps, line) +
      fmt::format(R"(<path class="whisker" d="{}"/>{}<path class="bars" d="{}"/>)", whiskers, dots, counts) +
      text_at(left, bottom + 22, "soft", "how many predictions") + x_axis(foot, bars, "confidence", false);
  return svg(width, bars + axis_height, description, body);
}

}  // namespace chainrule::report
