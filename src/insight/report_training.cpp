// Before, during: checks made before the first step, learning curves, statistics of the layers.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "insight/report_image.hpp"
#include "insight/report_sections.hpp"
#include "insight/report_svg.hpp"
#include "insight/report_text.hpp"

namespace chainrule::report {
namespace {

constexpr std::size_t max_checks = 40;
constexpr std::size_t max_epochs_drawn = 300;
constexpr std::size_t max_epochs_listed = 60;
constexpr std::size_t max_metrics = 4;
constexpr std::size_t max_step_points = 400;
constexpr std::size_t max_layers = 48;
constexpr std::size_t strip_width = 160;

const char* status_word(CheckStatus status) {
  return status == CheckStatus::ok ? "ok" : status == CheckStatus::warn ? "warn" : "fail";
}

const char* status_sign(CheckStatus status) {
  return status == CheckStatus::ok ? "✓" : status == CheckStatus::warn ? "!" : "✕";
}

/// The epochs that are drawn, column by column.
struct EpochColumns {
  std::vector<std::size_t> index;
  std::vector<double> epoch, train, validation, rate, seconds, speed;
};

EpochColumns columns_of(const ReportData& data) {
  EpochColumns c;
  c.index = thinned(data.epochs.size(), max_epochs_drawn);
  for (const std::size_t i : c.index) {
    const ReportEpoch& e = data.epochs[i];
    c.epoch.push_back(static_cast<double>(i + 1));
    c.train.push_back(e.train_loss);
    c.validation.push_back(e.validation_loss);
    c.rate.push_back(e.learning_rate);
    c.seconds.push_back(e.seconds);
    c.speed.push_back(e.examples_per_second);
  }
  return c;
}

bool any_drawable(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), drawable);
}

std::vector<double> picked(const std::vector<double>& values, const std::vector<std::size_t>& index) {
  std::vector<double> out;
  for (const std::size_t i : index) out.push_back(i < values.size() ? values[i] : unknown_value);
  return out;
}

/// Names the epochs whose loss is infinite or not a number although the run recorded others: the curve
/// has a gap there, and a gap alone is easy to overlook.
std::string gap_note(const EpochColumns& c) {
  std::string list;
  std::size_t found = 0;
  for (std::size_t i = 0; i < c.epoch.size(); ++i) {
    if (drawable(c.train[i])) continue;
    if (found++ < 8) list += fmt::format("{}{:.0f}", list.empty() ? "" : ", ", c.epoch[i]);
  }
  if (found == 0 || !any_drawable(c.train)) return {};
  return fmt::format("Training loss not finite, not drawn: epoch {}{}.", list, found > 8 ? " and more" : "");
}

Chart epoch_chart(const ReportData& data, const EpochColumns& c) {
  Chart chart{.x_label = "epoch", .x = c.epoch, .tips = true};
  if (data.best_epoch) {
    chart.mark = static_cast<double>(*data.best_epoch + 1);
    chart.mark_label = fmt::format("best epoch: {}", *data.best_epoch + 1);
  }
  return chart;
}

std::string first_to_last(std::string_view name, const std::vector<double>& values) {
  const auto first = std::find_if(values.begin(), values.end(), drawable);
  const auto last = std::find_if(values.rbegin(), values.rend(), drawable);
  if (first == values.end()) return {};
  return fmt::format(" {} from {} to {}.", name, number(*first), number(*last));
}

std::vector<KeyEntry> curve_key(bool train, bool validation) {
  std::vector<KeyEntry> key;
  if (train) key.push_back({"c1", "training"});
  if (validation) key.push_back({"c2 dash", "validation"});
  if (train && validation) key.push_back({"gap", "gap"});
  return key;
}

/// Both drawings of the loss behind two radio buttons: the style sheet shows one of them, so that the
/// toggle works without scripts.
std::string scale_toggle(const std::string& linear, const std::string& logarithmic) {
  if (logarithmic.empty()) return linear;
  return fmt::format(
      R"(<div class="toggle"><input type="radio" name="loss-scale" id="loss-linear" checked>)"
      R"(<label for="loss-linear">linear</label><input type="radio" name="loss-scale" id="loss-log">)"
      R"(<label for="loss-log">log</label><div class="linear">{}</div><div class="log">{}</div></div>)",
      linear, logarithmic);
}

std::string loss_figure(const ReportData& data, const EpochColumns& c) {
  const bool train = any_drawable(c.train);
  const bool validation = any_drawable(c.validation);
  if (!train && !validation) return {};
  Chart chart = epoch_chart(data, c);
  chart.description = "Loss by epoch." + first_to_last("Training", c.train) +
                      first_to_last("Validation", c.validation) + first_to_last("Learning rate", c.rate);
  Panel loss{.label = "loss", .lines = {{"training loss", "c1", c.train}}};
  if (validation) {
    loss.lines.push_back({"validation loss", "c2 dash", c.validation});
    loss.shade = {0, 1};
  }
  chart.panels.push_back(loss);
  if (any_drawable(c.rate)) {
    chart.panels.push_back({.label = "learning rate",
                            .lines = {{"learning rate", "c3", c.rate}},
                            .height = 64,
                            .from_zero = true});
  }
  const std::string linear = line_chart(chart);
  chart.panels[0].log_scale = true;
  chart.description += " Logarithmic scale.";
  Csv csv{"epoch", "train_loss", "validation_loss", "learning_rate", "seconds", "examples_per_second"};
  for (std::size_t i = 0; i < c.epoch.size(); ++i) {
    csv.cell(static_cast<std::int64_t>(c.epoch[i])).cell(c.train[i]).cell(c.validation[i]).cell(c.rate[i]);
    csv.cell(c.seconds[i]).cell(c.speed[i]).end_row();
  }
  return figure("Loss", curve_key(train, validation), scale_toggle(linear, line_chart(chart)), gap_note(c),
                csv.link("loss.csv"));
}

std::string metric_figure(const ReportData& data, const EpochColumns& c, const ReportMetric& metric,
                          bool with_speed) {
  const auto train = picked(metric.train, c.index);
  const auto validation = picked(metric.validation, c.index);
  if (!any_drawable(train) && !any_drawable(validation)) return {};
  Chart chart = epoch_chart(data, c);
  const std::string name = metric_name(metric.name);
  chart.description =
      name + " by epoch." + first_to_last("Training", train) + first_to_last("Validation", validation);
  Panel panel{.label = name, .top = 1};
  if (any_drawable(train)) panel.lines.push_back({"training " + name, "c1", train});
  if (any_drawable(validation)) panel.lines.push_back({"validation " + name, "c2 dash", validation});
  if (panel.lines.size() == 2) panel.shade = {0, 1};
  chart.panels.push_back(panel);
  if (with_speed && any_drawable(c.speed)) {
    chart.panels.push_back({.label = "examples per second",
                            .lines = {{"examples per second", "c4", c.speed}},
                            .height = 64,
                            .from_zero = true});
  }
  Csv csv{"epoch", "train", "validation"};
  for (std::size_t i = 0; i < c.epoch.size(); ++i) {
    csv.cell(static_cast<std::int64_t>(c.epoch[i])).cell(train[i]).cell(validation[i]).end_row();
  }
  std::string title = name;
  if (!title.empty() && title[0] >= 'a' && title[0] <= 'z')
    title[0] = static_cast<char>(title[0] - 'a' + 'A');
  return figure(title, curve_key(any_drawable(train), any_drawable(validation)), line_chart(chart), "",
                csv.link(metric.name + ".csv"));
}

/// Losses by step in at most `max_step_points` groups: mean, smallest, largest.
struct StepGroups {
  std::vector<double> step, mean, low, high;
  std::size_t dropped = 0;  ///< steps whose loss is not finite
};

StepGroups group_steps(const std::vector<ReportStep>& steps) {
  StepGroups g;
  const std::size_t size = std::max<std::size_t>(1, (steps.size() + max_step_points - 1) / max_step_points);
  for (std::size_t begin = 0; begin < steps.size(); begin += size) {
    const std::size_t end = std::min(steps.size(), begin + size);
    double sum = 0, low = 0, high = 0;
    std::size_t count = 0;
    for (std::size_t i = begin; i < end; ++i) {
      const double loss = steps[i].loss;
      if (!drawable(loss)) continue;
      low = count == 0 ? loss : std::min(low, loss);
      high = count == 0 ? loss : std::max(high, loss);
      sum += loss;
      ++count;
    }
    g.dropped += end - begin - count;
    g.step.push_back(static_cast<double>(steps[begin].step));
    g.mean.push_back(count > 0 ? sum / static_cast<double>(count) : unknown_value);
    g.low.push_back(count > 0 ? low : unknown_value);
    g.high.push_back(count > 0 ? high : unknown_value);
  }
  return g;
}

std::string steps_figure(const ReportData& data) {
  const StepGroups g = group_steps(data.steps);
  if (!any_drawable(g.mean)) return {};
  Chart chart{.x_label = "step", .x = g.step};
  chart.description =
      "Loss by step, on a logarithmic scale where it is positive." + first_to_last("Loss", g.mean);
  const bool grouped_steps = data.steps.size() > g.step.size();
  Panel panel{.label = "loss of one batch", .lines = {{"mean", "c1 thin", g.mean}}, .height = 250};
  if (grouped_steps) {
    panel.lines.push_back({"smallest", "hidden", g.low});
    panel.lines.push_back({"largest", "hidden", g.high});
    panel.shade = {1, 2};
    panel.shade_style = "gap near";
  }
  panel.log_scale = std::all_of(g.low.begin(), g.low.end(), [](double v) { return !drawable(v) || v > 0; });
  chart.panels.push_back(panel);
  Csv csv{"step", "mean_loss", "smallest", "largest"};
  for (std::size_t i = 0; i < g.step.size(); ++i) {
    csv.cell(g.step[i]).cell(g.mean[i]).cell(g.low[i]).cell(g.high[i]).end_row();
  }
  std::vector<KeyEntry> key = {{"c1", grouped_steps ? "mean of neighbouring steps" : "loss"}};
  if (grouped_steps) key.push_back({"gap near", "smallest to largest"});
  std::string note;
  if (g.dropped > 0)
    note = fmt::format("{} steps with a loss that is not finite.",
                       grouped(static_cast<std::int64_t>(g.dropped)));
  return figure("Loss by step", key, line_chart(chart), note, csv.link("steps.csv"));
}

/// What the curves say, for those who would rather read.
std::string learning_words(const ReportData& data) {
  if (!data.best_epoch) return {};
  const ReportEpoch& best = data.epochs[*data.best_epoch];
  const ReportEpoch& last = data.epochs.back();
  const std::size_t since = data.epochs.size() - 1 - *data.best_epoch;
  std::string out;
  if (drawable(best.train_loss) && drawable(best.validation_loss)) {
    out += fmt::format(
        "<p>At the best epoch, {}, the loss is {} on the training set and {} on the validation set: a gap of "
        "{}.</p>",
        *data.best_epoch + 1, number(best.train_loss, 3), number(best.validation_loss, 3),
        number(best.validation_loss - best.train_loss, 2));
  }
  if (since > 0 && drawable(last.train_loss) && drawable(last.validation_loss)) {
    out += fmt::format("<p>{} {} later it is {} and {}: a gap of {}.</p>", since,
                       since == 1 ? "epoch" : "epochs", number(last.train_loss, 3),
                       number(last.validation_loss, 3), number(last.validation_loss - last.train_loss, 2));
  }
  return out.empty() ? out : R"(<div class="words"><h3>In words</h3>)" + out + "</div>";
}

std::string epoch_table(const ReportData& data) {
  const auto rows = thinned(data.epochs.size(), max_epochs_listed);
  const std::size_t metrics = std::min(data.metrics.size(), max_metrics);
  std::string out =
      R"(<details><summary>The numbers, epoch by epoch</summary><div class="scroll" tabindex="0"><table class="numbers">)"
      R"(<caption>Loss, metrics, learning rate and speed of each epoch</caption><thead><tr>)"
      R"(<th scope="col">Epoch</th><th scope="col">Training loss</th><th scope="col">Validation loss</th>)";
  for (std::size_t m = 0; m < metrics; ++m) {
    out +=
        fmt::format(R"(<th scope="col">Validation {}</th>)", escape(metric_name(data.metrics[m].name), 40));
  }
  out +=
      R"(<th scope="col">Learning rate</th><th scope="col">Time</th><th scope="col">Examples/s</th></tr></thead><tbody>)";
  const auto cell = [&](double v, int digits) {
    out += fmt::format("<td>{}</td>", std::isnan(v) ? "—" : number(v, digits));
  };
  for (const std::size_t i : rows) {
    const ReportEpoch& e = data.epochs[i];
    out += fmt::format(R"(<tr{}><th scope="row">{}</th>)", data.best_epoch == i ? R"( class="best")" : "",
                       i + 1);
    cell(e.train_loss, 4);
    cell(e.validation_loss, 4);
    for (std::size_t m = 0; m < metrics; ++m) {
      const auto& values = data.metrics[m].validation;
      cell(i < values.size() ? values[i] : unknown_value, 4);
    }
    cell(e.learning_rate, 3);
    out += fmt::format(
        "<td>{}</td><td>{}</td></tr>", drawable(e.seconds) ? duration(e.seconds) : "—",
        std::fabs(e.examples_per_second) < 1e15 ? grouped(std::llround(e.examples_per_second)) : "—");
  }
  return out + "</tbody></table></div></details>";
}

/// One kind of statistic over all layers.
struct Statistic {
  std::string title, explanation, file;
  std::vector<double> ReportLayerHistory::*values;
  std::optional<ReportBand> typical;
  bool log_scale;
};

/// Where a value lies between the ends of the colour scale.
struct ColorScale {
  double low = 0, high = 1;
  bool log_scale = false;
  double operator()(double v) const {
    if (!log_scale) return (v - low) / (high - low);
    return v > 0 ? std::log(v / low) / std::log(high / low) : 0;
  }
};

std::optional<ColorScale> color_scale(const ReportData& data, const Statistic& s, std::size_t layers) {
  if (!s.log_scale) return ColorScale{};
  double low = std::numeric_limits<double>::infinity();
  double high = 0;
  for (std::size_t l = 0; l < layers; ++l) {
    for (const double v : data.layers[l].*s.values) {
      if (!drawable(v) || v < 1e-150) continue;
      low = std::min(low, v);
      high = std::max(high, v);
    }
  }
  if (high == 0) return std::nullopt;
  if (high < low * 1.01) high = low * 10;
  return ColorScale{low, high, true};
}

/// A layer's history as one row of pixels; values that are not finite stay transparent, and the hatching
/// of the page shows through.
std::string strip(const std::vector<double>& values, const ColorScale& scale, std::string_view description) {
  const auto columns = thinned(values.size(), strip_width);
  std::vector<std::uint8_t> pixels;
  for (const std::size_t i : columns) {
    const Rgb color = viridis(scale(values[i]));
    const bool known = drawable(values[i]);
    pixels.insert(pixels.end(),
                  {color.red, color.green, color.blue, static_cast<std::uint8_t>(known ? 255 : 0)});
  }
  return fmt::format(R"(<img class="strip" src="{}" width="{}" height="1" alt="{}">)",
                     png_uri(pixels, columns.size(), 1, 4), columns.size(), escape(description));
}

std::string guide_word(double value, const std::optional<ReportBand>& typical) {
  if (!typical || !drawable(value)) return {};
  if (value < typical->low) return R"( <span class="off" role="img" aria-label="below the guide">▼</span>)";
  if (value > typical->high) return R"( <span class="off" role="img" aria-label="above the guide">▲</span>)";
  return {};
}

std::string shown(double value, const Statistic& s) {
  return s.log_scale ? number(value, 2) : percent(value, 0);
}

/// The colours with their values, and the typical range as a bracket over them.
std::string color_key(const ColorScale& scale, const Statistic& s) {
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < 64; ++i) {
    const Rgb color = viridis(i / 63.0);
    pixels.insert(pixels.end(), {color.red, color.green, color.blue});
  }
  std::string bracket;
  if (s.typical) {
    const double begin = std::clamp(scale(s.typical->low), 0.0, 1.0);
    const double end = std::clamp(scale(s.typical->high), 0.0, 1.0);
    if (end > begin) {
      bracket = fmt::format(R"(<span class="bracket" style="margin-left:{:.1f}%;width:{:.1f}%"></span>)",
                            100 * begin, 100 * (end - begin));
    }
  }
  std::string note;
  if (s.typical) {
    const auto end = [&](double v) { return s.log_scale ? trimmed(v, 2) : percent(v, 0); };
    note =
        fmt::format("{} between {} and {} — a guide, not a verdict.",
                    bracket.empty() ? "Often" : "Bracket: often", end(s.typical->low), end(s.typical->high));
  }
  return fmt::format(
      R"(<div class="scale"><span>{}</span><span class="ramp">{}<img src="{}" width="64" height="1" )"
      R"(alt="colour scale from {} to {}"></span><span>{}</span><span class="note">{}</span></div>)",
      shown(scale.low, s), bracket, png_uri(pixels, 64, 1, 3), shown(scale.low, s), shown(scale.high, s),
      shown(scale.high, s), note);
}

std::string statistic_table(const ReportData& data, const Statistic& s, std::size_t layers) {
  const auto scale = color_scale(data, s, layers);
  if (!scale) return {};
  std::string rows;
  Csv csv{"layer", "step", "value"};
  std::int64_t first_step = 0, last_step = 0;
  for (std::size_t l = 0; l < layers; ++l) {
    const ReportLayerHistory& layer = data.layers[l];
    const std::vector<double>& values = layer.*s.values;
    if (!any_drawable(values)) continue;
    first_step = layer.steps.front();
    last_step = layer.steps.back();
    const double first = values.front(), last = values.back();
    rows += fmt::format(R"(<tr><th scope="row">{}</th><td>{}</td><td>{}</td><td>{}{}</td></tr>)",
                        escape_path(layer.layer, 60),
                        strip(values, *scale, fmt::format("from {} to {}", shown(first, s), shown(last, s))),
                        shown(first, s), shown(last, s), guide_word(last, s.typical));
    for (const std::size_t i : thinned(values.size(), 2400 / layers)) {
      csv.cell(std::string_view(layer.layer)).cell(layer.steps[i]).cell(values[i]).end_row();
    }
  }
  if (rows.empty()) return {};
  return fmt::format(
      R"(<div class="heat"><h3>{}</h3><p class="note">{}</p><table class="strips"><caption class="unseen">{} by layer and step; )"
      R"(brighter is larger</caption><thead><tr><th scope="col">Layer</th><th scope="col" class="ends">)"
      R"(<span>step {}</span><span>step {}</span></th><th scope="col">First</th><th scope="col">Last</th></tr></thead>)"
      R"(<tbody>{}</tbody></table>{}<p class="foot">{}</p></div>)",
      s.title, s.explanation, s.title, grouped(first_step), grouped(last_step), rows, color_key(*scale, s),
      csv.link(s.file));
}

}  // namespace

Section preflight_section(const ReportData& data) {
  Section section{"before", "Before the first step", ""};
  std::string items;
  for (std::size_t i = 0; i < std::min(data.preflight.size(), max_checks); ++i) {
    const ReportCheck& c = data.preflight[i];
    items += fmt::format(
        R"(<li class="{0}"><span class="sign" role="img" aria-label="{0}">{1}</span><span class="name">{2}</span>)"
        R"(<span class="value">{3}</span><span class="wanted">{4}{5}</span><span class="why">{6}</span></li>)",
        status_word(c.status), status_sign(c.status), escape(c.name, 80), escape(c.value, 120),
        c.expectation.empty() ? "" : "expected ", escape(c.expectation, 120), escape(c.sentence, 400));
  }
  if (!items.empty()) section.html = R"(<ul class="checks">)" + items + "</ul>";
  return section;
}

Section learning_section(const ReportData& data) {
  Section section{"learning", "Learning", ""};
  const EpochColumns c = columns_of(data);
  std::string figures = loss_figure(data, c);
  for (std::size_t m = 0; m < std::min(data.metrics.size(), max_metrics); ++m) {
    figures += metric_figure(data, c, data.metrics[m], m == 0);
  }
  figures += steps_figure(data);
  if (!figures.empty()) figures += learning_words(data);
  if (!figures.empty()) section.html = R"(<div class="pair">)" + figures + "</div>";
  if (!data.epochs.empty()) section.html += epoch_table(data);
  return section;
}

Section layers_section(const ReportData& data) {
  Section section{"layers", "Inside the model", ""};
  const std::size_t layers = std::min(data.layers.size(), max_layers);
  if (layers == 0) return section;
  const Statistic statistics[] = {
      {"Gradient norm",
       "How strongly the loss pulls at each layer. Falling by orders of magnitude towards the input, "
       "gradients vanish; growing, they explode.",
       "gradient_norm.csv", &ReportLayerHistory::gradient_norm, data.typical_gradient_norm, true},
      {"Update / weight", "How far one step moves the weights, relative to their size.", "update_ratio.csv",
       &ReportLayerHistory::update_ratio, data.typical_update_ratio, true},
      {"Dead or saturated", "Share of units that pass no gradient on.", "inactive_share.csv",
       &ReportLayerHistory::inactive_share, data.typical_inactive_share, false},
  };
  for (const Statistic& s : statistics) section.html += statistic_table(data, s, layers);
  if (!section.html.empty() && data.layers.size() > layers) {
    section.html += fmt::format(R"(<p class="note">The first {} of {} layers are shown.</p>)", layers,
                                data.layers.size());
  }
  return section;
}

}  // namespace chainrule::report
