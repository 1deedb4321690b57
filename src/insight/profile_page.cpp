// A profile as one page: the roofline, where the step goes, what to change, and both tables.

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include <chainrule/version.hpp>

#include "insight/profile_parts.hpp"
#include "insight/report_style.hpp"
#include "insight/report_svg.hpp"
#include "insight/report_text.hpp"
#include "insight/units.hpp"
#include "io/atomic_file.hpp"

namespace chainrule {
namespace {

using insight::scaled;
using insight::short_duration;
using report::Axis;
using report::escape;
using report::percent;

constexpr std::size_t most_numbered = 15;  // kernels with a number in the plot
constexpr std::size_t most_rows = 400;

constexpr std::string_view extra_css = R"css(
.ball{fill-opacity:.5;stroke-width:1.5}.ball.c1{stroke:var(--c1)}.ball.c2{stroke:var(--c2)}.ball.c3{stroke:var(--c3)}.ball.c4{stroke:var(--c4)}
.ball:hover{fill-opacity:.85}
.roof{stroke:var(--ink);stroke-width:2;fill:none;stroke-linejoin:round}.roof.lower{stroke:var(--soft);stroke-width:1.3}
rect.c1{fill:var(--c1)}rect.c2{fill:var(--c2)}rect.c3{fill:var(--c3)}rect.c4{fill:var(--c4)}
svg text.number{fill:var(--ink);font-weight:600;text-anchor:middle;font-size:12px;paint-order:stroke;stroke:var(--paper);stroke-width:3px}
svg text.ink{fill:var(--ink)}
.key i.ball{width:10px;height:10px;border:0;border-radius:50%}.key i.c4{border-color:var(--c4)}
.key i.ball.c1{background:var(--c1)}.key i.ball.c2{background:var(--c2)}.key i.ball.c3{background:var(--c3)}.key i.ball.c4{background:var(--c4)}
.changes li{display:grid;grid-template-columns:5.5em 1fr;gap:0 18px;padding:14px 0;border-top:1px solid var(--line)}
.changes .gain{font-size:22px;font-weight:600;color:var(--c3);white-space:nowrap}
.changes .what{font-weight:600}.changes p{color:var(--soft);max-width:75ch}
section{margin-top:56px}
)css";

const char* style_of(ProfilePass pass) {
  switch (pass) {
    case ProfilePass::forward:
      return "c1";
    case ProfilePass::backward:
      return "c2";
    case ProfilePass::update:
      return "c3";
    default:
      return "c4";
  }
}

std::string text_at(double x, double y, std::string_view css, std::string_view text) {
  return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" class="{}">{}</text>)", x, y, css, escape(text));
}

std::string key_of(const std::vector<ProfileRow>& rows) {
  std::string text;
  const auto add = [&](const char* style, const std::string& name) {
    text += fmt::format(R"(<li><i class="ball {}"></i>{}</li>)", style, name);
  };
  const auto has = [&](ProfilePass pass) {
    return std::any_of(rows.begin(), rows.end(), [&](const ProfileRow& row) { return row.pass == pass; });
  };
  for (const ProfilePass pass : {ProfilePass::forward, ProfilePass::backward, ProfilePass::update}) {
    if (has(pass)) add(style_of(pass), to_string(pass));
  }
  if (has(ProfilePass::step) || has(ProfilePass::outside)) add(style_of(ProfilePass::step), "other");
  return R"(<ul class="key">)" + text + "</ul>";
}

/// What a kernel is, in one line for its tooltip.
std::string tip_of(const ProfileRow& row) {
  std::string text = row.name;
  if (!row.what.empty()) text += " " + row.what;
  if (!row.region.empty()) text += ", " + row.region;
  return text + fmt::format(" ({}): {}, {:.1f} % of the step; {} and {}; {:.0f} % of {}", to_string(row.pass),
                            short_duration(row.seconds), 100 * row.share,
                            scaled(row.flops / row.seconds, "FLOP/s"), scaled(row.bytes / row.seconds, "B/s"),
                            100 * row.of_limit(), row.bound);
}

// ---- the roofline ----

class Roofline {
 public:
  explicit Roofline(const Profile& profile) : profile_(profile) {
    for (std::size_t i = 0; i < profile.kernels.size(); ++i) {
      const ProfileRow& row = profile.kernels[i];
      if (row.flops > 0 && row.bytes > 0 && row.seconds > 0) drawn_.push_back(i);
    }
    choose_axes();
  }

  std::string draw() const {
    if (drawn_.empty()) return {};
    std::string description = fmt::format(
        "Roofline: floating-point operations per second against operations per byte, both on log "
        "scales, for {} kernels. The roof is {} at most; ",
        drawn_.size(), scaled(profile_.limits.float32_flops, "FLOP/s"));
    const ProfileRow& first = profile_.kernels[drawn_.front()];
    description += fmt::format("the slowest kernel, {}, reaches {}.", first.name,
                               scaled(first.flops / first.seconds, "FLOP/s"));
    return fmt::format(R"(<svg viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}{}{}</svg>)", width,
                       height, escape(description, 600), grid(), roofs(), balls());
  }

  /// Kernels without a place in it: they compute nothing.
  std::string note() const {
    std::string names;
    for (std::size_t i = 0; i < profile_.kernels.size(); ++i) {
      const ProfileRow& row = profile_.kernels[i];
      if (row.pass == ProfilePass::outside || std::find(drawn_.begin(), drawn_.end(), i) != drawn_.end())
        continue;
      if (names.find(row.name) == std::string::npos) names += (names.empty() ? "" : ", ") + row.name;
    }
    return names.empty() ? names : "Without a place here, since they count no operations: " + names + ".";
  }

 private:
  static constexpr double width = 960;
  static constexpr double height = 500;
  static constexpr double left = 92;
  static constexpr double right = width - 20;
  static constexpr double top = 30;
  static constexpr double bottom = height - 56;

  double intensity(std::size_t i) const { return profile_.kernels[i].flops / profile_.kernels[i].bytes; }
  double speed(std::size_t i) const { return profile_.kernels[i].flops / profile_.kernels[i].seconds; }
  double peak() const { return profile_.limits.float32_flops; }

  void choose_axes() {
    double low_x = 0.05;
    double high_x = 100;
    double low_y = peak() / 1e3;
    for (const std::size_t i : drawn_) {
      low_x = std::min(low_x, intensity(i) / 1.6);
      high_x = std::max(high_x, intensity(i) * 1.6);
      low_y = std::min(low_y, speed(i) / 2);
    }
    x_ = {.low = low_x, .high = high_x, .from = left, .to = right, .log_scale = true};
    y_ = {.low = low_y, .high = peak() * 2.2, .from = bottom, .to = top, .log_scale = true};
  }

  std::string grid() const {
    std::string lines;
    std::string labels;
    for (const double tick : report::log_ticks(y_.low, y_.high)) {
      lines += fmt::format("M{:.0f} {:.1f}H{:.0f}", left, y_(tick), right);
      labels += text_at(left - 8, y_(tick) + 4, "end", scaled(tick, "FLOP/s"));
    }
    for (const double tick : report::log_ticks(x_.low, x_.high)) {
      lines += fmt::format("M{:.1f} {:.0f}V{:.0f}", x_(tick), bottom, top);
      labels += text_at(x_(tick), bottom + 18, "mid", fmt::format("{:.3g}", tick));
    }
    labels +=
        text_at((left + right) / 2, bottom + 42, "mid soft", "operations per byte that is read or written");
    return fmt::format(R"(<path class="grid" d="{}"/>)", lines) + labels;
  }

  // Along a level's roof the speed is its bandwidth times the intensity.
  std::string roofs() const {
    std::string out;
    double last_label = -1e9;
    const double angle = -std::atan2(y_(1e3) - y_(1e4), x_(10) - x_(1)) * 180 / 3.14159265358979;
    for (std::size_t i = 0; i < profile_.limits.levels.size(); ++i) {
      const MachineLimits::Level& level = profile_.limits.levels[i];
      const double begin = std::max(x_.low, y_.low / level.update_rate);
      const double ridge = std::min(peak() / level.update_rate, x_.high);
      if (!(begin < ridge)) continue;
      out += fmt::format(R"(<path class="roof{}" d="M{:.1f} {:.1f}L{:.1f} {:.1f}{}"/>)",
                         i == 0 ? "" : " lower", x_(begin), y_(begin * level.update_rate), x_(ridge),
                         y_(ridge * level.update_rate), i == 0 ? fmt::format("H{:.1f}", right) : "");
      const double at = begin * std::pow(ridge / begin, 0.06);
      const double offset = y_(at * level.update_rate) + x_(at);  // tells parallels apart
      if (offset - last_label < 22 && i > 0) continue;
      last_label = offset;
      out += fmt::format(R"g(<g transform="translate({:.1f} {:.1f}) rotate({:.1f})">{}</g>)g", x_(at),
                         y_(at * level.update_rate) - 6, angle,
                         text_at(0, 0, "soft", level.name + " " + scaled(level.update_rate, "B/s")));
    }
    return out + text_at(right, y_(peak()) - 9, "end soft", "multiply-adds " + scaled(peak(), "FLOP/s"));
  }

  // Large ones first, so that none hides a smaller one.
  std::string balls() const {
    std::string circles;
    std::string numbers;
    for (const std::size_t i : drawn_) {
      const ProfileRow& row = profile_.kernels[i];
      const double cx = x_(intensity(i));
      const double cy = y_(speed(i));
      const double r = 3.5 + 40 * std::sqrt(std::max(0.0, row.share));
      circles += fmt::format(
          R"(<circle class="ball {}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle>)",
          style_of(row.pass), cx, cy, r, escape(tip_of(row), 400));
      if (i < most_numbered) numbers += text_at(cx, cy + 4, "number", fmt::format("{}", i + 1));
    }
    return circles + numbers;
  }

  const Profile& profile_;
  std::vector<std::size_t> drawn_;
  Axis x_;
  Axis y_;
};

// ---- where the step goes ----

std::string layer_bars(const Profile& p) {
  constexpr double width = 960;
  constexpr double bars = 300;
  constexpr double values = 130;
  constexpr double line = 30;
  std::vector<std::string> names;
  std::map<std::string, double> totals;
  double longest = 0;
  for (const ProfileRow& row : p.layers) {
    if (totals.find(row.name) == totals.end()) names.push_back(row.name);
    longest = std::max(longest, totals[row.name] += row.seconds);
  }
  if (!(longest > 0)) return {};
  std::string body;
  std::string description = "Time of each layer: ";
  double y = 4;
  for (const std::string& name : names) {
    body += text_at(bars - 12, y + 17, "end ink", name);
    double x = bars;
    for (const ProfileRow& row : p.layers) {
      if (row.name != name) continue;
      const double w = row.seconds / longest * (width - bars - values);
      body += fmt::format(
          R"(<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="20"><title>{}</title></rect>)",
          style_of(row.pass), x, y + 3, std::max(w, 0.5),
          escape(fmt::format("{}, {}: {}, {:.1f} %", name, to_string(row.pass), short_duration(row.seconds),
                             100 * row.share)));
      x += w;
    }
    body += text_at(
        x + 8, y + 17, "ink",
        fmt::format("{}  {:.1f} %", short_duration(totals[name]), 100 * totals[name] / p.profiled_seconds));
    description += fmt::format("{} {}; ", name, short_duration(totals[name]));
    y += line;
  }
  return fmt::format(R"(<svg viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>)", width, y + 4,
                     escape(description, 600), body);
}

// ---- tables ----

std::string number_cells(const ProfileRow& row) {
  const bool outside = row.pass == ProfilePass::outside;
  const auto rate = [&](double amount, const char* unit) {
    return amount > 0 && row.seconds > 0 ? scaled(amount / row.seconds, unit) : std::string();
  };
  return fmt::format(
      R"(<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class="text">{}</td><td>{}</td></tr>)",
      short_duration(row.seconds), percent(row.share), rate(row.flops, "FLOP/s"), rate(row.bytes, "B/s"),
      outside ? "" : escape(row.bound), outside ? "" : percent(row.of_limit(), 0));
}

constexpr std::string_view number_heads =
    R"(<th scope="col">Time</th><th scope="col">Share</th><th scope="col">FLOP/s</th><th scope="col">Bytes/s</th>)"
    R"(<th scope="col" class="text">Bound by</th><th scope="col">Of that limit</th></tr></thead><tbody>)";

std::string kernel_table(const Profile& p) {
  std::string rows;
  for (std::size_t i = 0; i < std::min(p.kernels.size(), most_rows); ++i) {
    const ProfileRow& row = p.kernels[i];
    const bool outside = row.pass == ProfilePass::outside;
    rows += fmt::format(R"(<tr><th scope="row">{}{}</th><td class="text">{}</td><td class="text">{}</td>)"
                        R"(<td class="text">{}</td><td>{:.3g}</td>)",
                        outside ? "" : fmt::format("{} ", i + 1), escape(row.name), escape(row.what),
                        escape(row.region), outside ? "" : to_string(row.pass), row.calls);
    rows += number_cells(row);
  }
  return R"(<div class="scroll" tabindex="0"><table class="numbers"><thead><tr><th scope="col">Kernel</th>)"
         R"(<th scope="col" class="text">On</th><th scope="col" class="text">Layer</th><th scope="col" class="text">Pass</th>)"
         R"(<th scope="col">Calls</th>)" +
         std::string(number_heads) + rows + "</tbody></table></div>";
}

std::string layer_table(const Profile& p) {
  std::string rows;
  for (std::size_t i = 0; i < std::min(p.layers.size(), most_rows); ++i) {
    const ProfileRow& row = p.layers[i];
    rows +=
        fmt::format(R"(<tr><th scope="row">{}</th><td class="text">{}</td>)", report::escape_path(row.name),
                    row.pass == ProfilePass::outside ? "" : to_string(row.pass));
    rows += number_cells(row);
  }
  return R"(<div class="scroll" tabindex="0"><table class="numbers"><thead><tr><th scope="col">Layer</th>)"
         R"(<th scope="col" class="text">Pass</th>)" +
         std::string(number_heads) + rows + "</tbody></table></div>";
}

std::string changes_list(const Profile& p) {
  if (p.changes.empty())
    return "<p>Nothing found that would save half a per cent: what the step does takes what it takes "
           "here.</p>";
  std::string items;
  for (const ProfileChange& change : p.changes) {
    items += fmt::format(
        R"(<li><span class="gain">−{}</span><div><span class="what">{}</span><p>{}</p></div></li>)",
        percent(change.gain), escape(change.change, 400), escape(change.why, 800));
  }
  return R"(<ol class="changes">)" + items + "</ol>";
}

/// "54 % is bound by multiply-adds, 30 % by L2, 16 % is overhead"
std::string bounds_text(const Profile& p) {
  std::map<std::string, double> shares;
  for (const ProfileRow& row : p.kernels) shares[row.bound] += row.share;
  std::vector<std::pair<std::string, double>> sorted(shares.begin(), shares.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(sorted.size(), 3); ++i) {
    text += fmt::format("{}{} {}", i == 0 ? "" : ", ", percent(sorted[i].second, 0), sorted[i].first);
  }
  return text;
}

std::string section(std::string_view id, std::string_view title, const std::string& body) {
  if (body.empty()) return {};
  return fmt::format(
      R"(<section id="{0}" aria-labelledby="{0}-title"><h2 id="{0}-title">{1}</h2>{2}</section>)", id, title,
      body);
}

std::string header(const Profile& p) {
  std::string facts = fmt::format("{} {}, {}", p.limits.threads, p.limits.threads == 1 ? "thread" : "threads",
                                  escape(p.limits.instruction_set));
  if (p.batch_size > 0) facts += fmt::format("</span><span>batch {}", p.batch_size);
  return fmt::format(
      R"(<header><div class="run"><h1>{}</h1><span>{}</span><span>{} steps looked at</span></div>)"
      R"(<p class="summary"><strong>{}</strong> a step. What binds it: {}.</p>)"
      R"(<p class="note">With the profile on a step takes {}, {:+.1f}{}%: what the rows below sum to. Times are the mean of )"
      R"(the faster half of short rounds, in which steps with and without it took turns.</p></header>)",
      escape(p.title), facts, p.steps, short_duration(p.step_seconds), escape(bounds_text(p)),
      short_duration(p.profiled_seconds), 100 * p.overhead(), "\u202F");
}

}  // namespace

std::string to_html(const Profile& p) {
  const Roofline roofline(p);
  std::string plot = roofline.draw();
  if (!plot.empty()) {
    plot =
        R"(<p class="note">Each circle is a kernel, its area the share of the step; the numbers are those of the table. )"
        R"(The closer to a roof, the less there is to gain without another algorithm.</p>)" +
        key_of(p.kernels) + R"(<figure class="chart">)" + plot + "</figure>";
    const std::string left_out = roofline.note();
    if (!left_out.empty()) plot += fmt::format(R"(<p class="note">{}</p>)", escape(left_out, 600));
  }
  return fmt::format(
             R"(<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{}</title>)"
             R"(<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">)"
             R"(<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">)"
             "<style>{}{}</style></head><body>",
             escape(p.title), report::style_sheet(), extra_css) +
         header(p) + "<main>" + section("changes", "The changes worth most", changes_list(p)) +
         section("roofline", "Roofline", plot) +
         section("layers", "Where the step goes", key_of(p.layers) + layer_bars(p) + layer_table(p)) +
         section("kernels", "Kernels", kernel_table(p)) +
         fmt::format("</main><footer>Chainrule {}</footer></body></html>\n", version());
}

void Profile::write_html(const std::string& path) const {
  io::write_file(path, to_html(*this), "Profile::write_html");
}

}  // namespace chainrule
