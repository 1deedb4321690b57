#include "insight/report.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include <chainrule/error.hpp>

#include "insight/report_sections.hpp"
#include "insight/report_style.hpp"
#include "insight/report_text.hpp"

namespace chainrule {
namespace report {
namespace {

constexpr std::size_t max_model_rows = 200;
constexpr std::size_t max_findings = 12;
constexpr std::size_t max_config_characters = 20'000;
constexpr std::size_t max_image_pixels = 4096UL * 4096UL;

[[noreturn]] void reject(std::string argument, std::string problem, std::string got, std::string wanted) {
  throw ArgumentError({.function = "render_report",
                       .argument = std::move(argument),
                       .problem = std::move(problem),
                       .got = std::move(got),
                       .wanted = std::move(wanted)});
}

/// A list that may be empty but otherwise has one value for each of something.
void check_length(const std::string& argument, std::size_t got, std::size_t wanted) {
  if (got == 0 || got == wanted) return;
  reject(argument, "the list has the wrong length", fmt::format("{} values", got),
         fmt::format("none or {}", wanted));
}

void check_histories(const ReportData& data) {
  for (const ReportMetric& m : data.metrics) {
    check_length(fmt::format("metrics[{}].train", m.name), m.train.size(), data.epochs.size());
    check_length(fmt::format("metrics[{}].validation", m.name), m.validation.size(), data.epochs.size());
  }
  for (const ReportLayerHistory& l : data.layers) {
    const std::string name = fmt::format("layers[{}]", l.layer);
    check_length(name + ".gradient_norm", l.gradient_norm.size(), l.steps.size());
    check_length(name + ".update_ratio", l.update_ratio.size(), l.steps.size());
    check_length(name + ".inactive_share", l.inactive_share.size(), l.steps.size());
  }
  if (data.best_epoch && *data.best_epoch >= data.epochs.size()) {
    reject("best_epoch", "no such epoch", fmt::format("{}", *data.best_epoch),
           fmt::format("below {}", data.epochs.size()));
  }
}

void check_confusion(const ReportData& data) {
  if (!data.confusion) return;
  const auto& counts = data.confusion->counts;
  const std::size_t classes =
      data.class_names.empty()
          ? static_cast<std::size_t>(std::llround(std::sqrt(static_cast<double>(counts.size()))))
          : data.class_names.size();
  if (counts.size() != classes * classes) {
    reject("confusion", "not a square matrix of the classes", fmt::format("{} counts", counts.size()),
           fmt::format("{} × {}", classes, classes));
  }
  const auto negative = std::find_if(counts.begin(), counts.end(), [](std::int64_t c) { return c < 0; });
  if (negative != counts.end()) {
    reject("confusion", "a count is negative", fmt::format("{} at {}", *negative, negative - counts.begin()),
           "0 or more");
  }
}

void check_examples(const ReportData& data, const std::string& list,
                    const std::vector<ReportExample>& examples) {
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const ReportImage& image = examples[i].image;
    const std::string name = fmt::format("{}[{}]", list, i);
    const bool sides_fit =
        image.width > 0 && image.height > 0 && image.width <= max_image_pixels / image.height;
    const bool fits = sides_fit && (image.channels == 1 || image.channels == 3) &&
                      image.pixels.size() == image.width * image.height * image.channels;
    if (!image.pixels.empty() && !fits) {
      reject(name + ".image", "the picture's bytes do not match its sides",
             fmt::format("{} bytes for {} × {} × {}", image.pixels.size(), image.width, image.height,
                         image.channels),
             "width × height × channels bytes, with 1 or 3 channels");
    }
    const std::size_t classes = data.class_names.size();
    if (classes > 0 && std::max(examples[i].predicted, examples[i].truth) >= classes) {
      reject(name, "no such class", fmt::format("{} and {}", examples[i].predicted, examples[i].truth),
             fmt::format("class indices below {}", classes));
    }
  }
}

void check_boundary(const ReportData& data) {
  if (!data.boundary) return;
  const ReportBoundary& b = *data.boundary;
  const auto below = [](double low, double high) { return drawable(low) && drawable(high) && low < high; };
  if (!below(b.x_min, b.x_max) || !below(b.y_min, b.y_max)) {
    reject("boundary", "the plane is empty",
           fmt::format("[{}, {}] × [{}, {}]", b.x_min, b.x_max, b.y_min, b.y_max),
           "finite ends, the first below the second");
  }
  constexpr std::size_t limit = 1U << 16U;
  if (b.rows == 0 || b.columns == 0 || b.classes < 2 || std::max({b.rows, b.columns, b.classes}) > limit) {
    reject("boundary", "no grid", fmt::format("{} × {} points, {} classes", b.rows, b.columns, b.classes),
           fmt::format("1 to {} rows and columns, 2 or more classes", limit));
  }
  for (const ReportBoundaryFrame& frame : b.frames) {
    if (frame.probabilities.size() != b.rows * b.columns * b.classes) {
      reject(fmt::format("boundary.frames[{}]", frame.label), "the wrong number of probabilities",
             fmt::format("{}", frame.probabilities.size()),
             fmt::format("{} × {} × {}", b.rows, b.columns, b.classes));
    }
  }
  for (const ReportBoundaryPoint& point : b.points) {
    if (point.label >= b.classes) {
      reject("boundary.points", "no such class", fmt::format("{}", point.label),
             fmt::format("below {}", b.classes));
    }
  }
}

void check(const ReportData& data) {
  check_histories(data);
  check_confusion(data);
  check_examples(data, "mistakes", data.mistakes);
  check_examples(data, "correct", data.correct);
  check_boundary(data);
}

std::string test_clause(const ReportData& data) {
  if (!drawable(data.test_value)) return {};
  const std::string examples = data.test_examples > 0 ? grouped(data.test_examples) + " " : std::string();
  if (data.test_metric == "accuracy") {
    return fmt::format("<strong>{}\u202F%</strong> of {}test examples right",
                       with_error(100 * data.test_value, 100 * data.test_error), examples);
  }
  return fmt::format("Test {} <strong>{}</strong>{}", escape(metric_name(data.test_metric), 40),
                     with_error(data.test_value, data.test_error),
                     data.test_examples > 0 ? " on " + examples + "examples" : std::string());
}

/// `Diverged at step 41: the loss went from 2.30 to 8.1·10⁴`
std::string divergence_clause(const ReportDivergence& d) {
  std::string text = fmt::format(R"(<strong class="sick">Diverged at step {}</strong>)", grouped(d.step));
  if (drawable(d.first_loss) && drawable(d.last_loss))
    text += fmt::format(": the loss went from {} to {}", number(d.first_loss, 3), number(d.last_loss, 3));
  return text;
}

std::string item(std::string_view term, const std::string& value, std::size_t limit = 300) {
  if (value.empty()) return {};
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", term, escape(value, limit));
}

std::string block(std::string_view title, std::string_view text) {
  if (text.empty()) return {};
  return fmt::format(R"(<h3>{}</h3><pre><code>{}</code></pre>)", title, escape(text, max_config_characters));
}

/// The configuration, each of its tables together where the page breaks it into columns.
std::string config_block(std::string_view text) {
  if (text.empty()) return {};
  text = text.substr(0, max_config_characters);
  std::string tables;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find("\n\n"), text.size());
    if (end > 0) tables += fmt::format("<span>{}</span>", escape(text.substr(0, end), max_config_characters));
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return fmt::format(R"(<h3>Configuration</h3><pre><code class="config">{}</code></pre>)", tables);
}

std::string finding_box(const ReportFinding& f) {
  std::string out = fmt::format("<p class=\"inequality\">{}</p><dl>", escape(f.inequality, 300));
  out += item("Where", f.layer) + item("Measured", f.numbers, 600) + item("Why it matters", f.why, 600) +
         item("Change", f.change, 600);
  return out + "</dl>";
}

/// `5 checks were made before the first step: 1 to look at (columns).`
std::string preflight_line(const ReportData& data) {
  if (data.preflight.empty()) return {};
  std::string names;
  std::size_t count = 0;
  for (const ReportCheck& c : data.preflight) {
    if (c.status == CheckStatus::ok) continue;
    ++count;
    names += (names.empty() ? "" : ", ") + c.name + (c.status == CheckStatus::fail ? " failed" : "");
  }
  const std::string what = count == 0 ? "all as expected" : fmt::format("{} to look at ({})", count, names);
  return fmt::format(R"(<p class="note">{} checks before the first step: {}.</p>)", data.preflight.size(),
                     escape(what, 300));
}

std::string check_list(const std::vector<ReportCheck>& checks) {
  if (checks.empty()) return {};
  std::string rows;
  for (const ReportCheck& c : checks) {
    rows += item(c.status == CheckStatus::ok ? "✓ " + c.name : "! " + c.name,
                 c.value + (c.expectation.empty() ? "" : " · expected: " + c.expectation));
  }
  return fmt::format("<details><summary>What was checked</summary><dl>{}</dl></details>", rows);
}

std::string verdict_title(const ReportVerdict& verdict) {
  const auto count = verdict.checks.size();
  const std::string checks = fmt::format("{} {}", count, count == 1 ? "check" : "checks");
  if (!verdict.findings.empty()) {
    const bool sick = verdict.findings[0].status == CheckStatus::fail;
    return fmt::format(
        "<b>{}</b> {}The first inequality that failed:", sick ? "Not healthy." : "Worth a look.",
        verdict.interrupted ? "The run was stopped before its last epoch. " : "");
  }
  if (verdict.interrupted) {
    return "<b>Interrupted.</b> The run was stopped before its last epoch" +
           (count > 0 ? "; of what there is, " + checks + " found nothing wrong." : ".");
  }
  if (count == 0) return "<b>No verdict.</b> The run left nothing that could be checked.";
  return fmt::format("<b>Healthy.</b> {} of the diagnosis found nothing wrong.", checks);
}

}  // namespace

std::vector<std::size_t> thinned(std::size_t count, std::size_t limit) {
  const std::size_t shown = std::min(count, std::max<std::size_t>(limit, 1));
  std::vector<std::size_t> index(shown);
  for (std::size_t i = 0; i < shown; ++i) {
    const double share = shown > 1 ? static_cast<double>(i) / static_cast<double>(shown - 1) : 1.0;
    index[i] = static_cast<std::size_t>(std::llround(share * static_cast<double>(count - 1)));
  }
  return index;
}

std::string metric_name(const std::string& name) {
  static const std::map<std::string, std::string> names = {
      {"f1", "F1"}, {"mae", "MAE"}, {"mse", "MSE"}, {"r2", "R²"}, {"rmse", "RMSE"}};
  const auto known = names.find(name);
  return known == names.end() ? name : known->second;
}

std::string class_name(const ReportData& data, std::size_t index) {
  return index < data.class_names.size() ? data.class_names[index] : fmt::format("{}", index);
}

std::string figure(std::string_view title, const std::vector<KeyEntry>& key, std::string_view drawing,
                   std::string_view note, std::string_view download) {
  if (drawing.empty()) return {};
  std::string entries;
  for (const KeyEntry& entry : key) {
    entries += fmt::format(R"(<li><i class="{}"></i>{}</li>)", entry.style, escape(entry.label));
  }
  std::string out =
      fmt::format(R"(<figure class="chart"><figcaption><h3>{}</h3><ul class="key">{}</ul></figcaption>{})",
                  escape(title, 60), entries, drawing);
  if (!note.empty()) out += fmt::format(R"(<p class="note">{}</p>)", escape(note, 300));
  if (!download.empty()) out += fmt::format(R"(<p class="foot">{}</p>)", download);
  return out + "</figure>";
}

std::string summary_sentence(const ReportData& data) {
  const std::string test = data.divergence ? divergence_clause(*data.divergence) : test_clause(data);
  std::string run;
  if (!data.epochs.empty())
    run = fmt::format("{} {}", data.epochs.size(), data.epochs.size() == 1 ? "epoch" : "epochs");
  double seconds = 0;
  for (const ReportEpoch& e : data.epochs) seconds += drawable(e.seconds) && e.seconds > 0 ? e.seconds : 0;
  if (seconds > 0) run += " in " + duration(seconds);
  const int threads = data.reproduction.threads;
  if (threads > 0 && !run.empty())
    run += fmt::format(" on {} {}", threads, threads == 1 ? "thread" : "threads");
  if (data.best_epoch) run += fmt::format("; best epoch {}", *data.best_epoch + 1);
  if (test.empty() && run.empty()) return {};
  if (run.empty()) return test + ".";
  return (test.empty() ? "Trained for " : test + " after ") + run + ".";
}

std::string verdict_box(const ReportData& data) {
  if (!data.verdict) return {};
  const auto& findings = data.verdict->findings;
  const bool calm = findings.empty();
  const char* style = data.verdict->healthy()                           ? "healthy"
                      : calm || findings[0].status != CheckStatus::fail ? "wary"
                                                                        : "sick";
  std::string out = fmt::format(R"(<div class="verdict {}"><p>{}</p>)", style, verdict_title(*data.verdict));
  if (!calm) out += finding_box(findings[0]);
  if (findings.size() > 1) {
    out += fmt::format("<details><summary>{} more</summary>", findings.size() - 1);
    for (std::size_t i = 1; i < std::min(findings.size(), max_findings); ++i) out += finding_box(findings[i]);
    out += "</details>";
  }
  return out + preflight_line(data) + check_list(data.verdict->checks) + "</div>";
}

Section model_section(const ReportData& data) {
  Section section{"model", "The model", ""};
  if (data.model.empty()) return section;
  double parameters = 0, flops = 0, bytes = 0;
  std::string rows;
  for (std::size_t i = 0; i < data.model.size(); ++i) {
    const ReportModelRow& row = data.model[i];
    parameters += static_cast<double>(std::max<std::int64_t>(row.parameters, 0));
    flops += static_cast<double>(std::max<std::int64_t>(row.flops, 0));
    bytes += static_cast<double>(std::max<std::int64_t>(row.bytes, 0));
    if (i >= max_model_rows) continue;
    rows += fmt::format(
        R"(<tr><th scope="row">{}</th><td class="text">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>)",
        escape_path(row.layer, 80), escape(row.output_shape, 60),
        row.parameters < 0 ? "—" : grouped(row.parameters), with_prefix(row.flops),
        with_prefix(row.bytes, "B"));
  }
  section.html = fmt::format(
      R"(<p class="note">Layers, in the order of the forward pass{}. For one example: FLOPs of the forward pass, memory of weights and output.</p>)"
      R"(<div class="scroll" tabindex="0"><table class="numbers model"><caption class="unseen">Layers</caption><thead><tr>)"
      R"(<th scope="col">Layer</th><th scope="col" class="text">Output shape</th><th scope="col">Parameters</th>)"
      R"(<th scope="col">FLOPs</th><th scope="col">Memory</th></tr></thead><tbody>{}</tbody><tfoot><tr><th scope="row">Total</th>)"
      R"(<td></td><td>{}</td><td>{}</td><td>{}</td></tr></tfoot></table></div>)",
      data.model.size() > max_model_rows
          ? fmt::format("; the first {} of {}", max_model_rows, data.model.size())
          : "",
      rows, grouped(whole(parameters)), with_prefix(whole(flops)), with_prefix(whole(bytes), "B"));
  return section;
}

Section reproduction_section(const ReportData& data) {
  const ReportReproduction& r = data.reproduction;
  std::string list =
      item("Made", data.created) + item("Version", r.version.empty() ? r.version : "Chainrule " + r.version) +
      item("Compiler", r.compiler) + item("CPU", r.cpu) + item("Instruction set", r.instruction_set);
  if (r.threads > 0) list += item("Threads", fmt::format("{}", r.threads));
  if (r.seed) list += item("Seed", fmt::format("{}", *r.seed));
  list += item("Data hash", r.data_hash);
  std::string html = block("Command", r.command);
  if (!list.empty()) html += R"(<dl class="facts">)" + list + "</dl>";
  return {"reproduce", "Reproduce", html + config_block(r.config)};
}

namespace {

std::vector<Section> sections_of(const ReportData& data) {
  std::vector<Section> all = {preflight_section(data),  learning_section(data),   layers_section(data),
                              mistakes_section(data),   confidence_section(data), boundary_section(data),
                              regression_section(data), model_section(data),      reproduction_section(data)};
  std::erase_if(all, [](const Section& s) { return s.html.empty(); });
  return all;
}

std::string header(const ReportData& data, const std::vector<Section>& sections) {
  std::string links;
  for (const Section& s : sections)
    links += fmt::format(R"(<li><a href="#{}">{}</a></li>)", s.id, escape(s.title));
  const std::string created =
      data.created.empty() ? "" : fmt::format("<span>{}</span>", escape(data.created, 60));
  const std::string sentence = summary_sentence(data);
  const std::string name = data.run_name.empty() ? "Training run" : escape(data.run_name, 100);
  std::string out = fmt::format(R"(<header><div class="run"><h1>{}</h1>{}</div>)", name, created);
  if (!sentence.empty()) out += fmt::format(R"(<p class="summary">{}</p>)", sentence);
  out += verdict_box(data);
  if (sections.size() > 1) out += fmt::format(R"(<nav aria-label="Sections"><ul>{}</ul></nav>)", links);
  return out + "</header>";
}

/// Data has limits section by section; should their sum still pass the page's, the largest go.
void fit_in(std::vector<Section>& sections, std::size_t budget) {
  std::size_t total = 0;
  for (const Section& s : sections) total += s.html.size();
  while (total > budget) {
    auto largest = std::max_element(sections.begin(), sections.end(), [](const Section& a, const Section& b) {
      return a.html.size() < b.html.size();
    });
    const std::string note =
        fmt::format(R"(<p class="note">Left out: these {} would make the page larger than {}.</p>)",
                    with_prefix(static_cast<std::int64_t>(largest->html.size()), "B"),
                    with_prefix(max_report_bytes, "B"));
    if (note.size() >= largest->html.size()) return;
    total -= largest->html.size() - note.size();
    largest->html = note;
  }
}

}  // namespace
}  // namespace report

std::string render_report(const ReportData& data) {
  report::check(data);
  auto sections = report::sections_of(data);
  const std::string header = report::header(data, sections);
  const std::string name = data.run_name.empty() ? "Training run" : report::escape(data.run_name, 100);
  std::string page = fmt::format(
      R"(<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{}</title>)"
      R"(<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">)"
      R"(<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">)"
      "<style>{}</style></head><body>{}<main>",
      name, report::style_sheet(), header);
  const std::string foot =
      fmt::format("</main><footer>Chainrule {}</footer><script>{}</script></body></html>\n",
                  report::escape(data.reproduction.version, 60), report::script());
  // Room for the tags around each section.
  report::fit_in(sections, max_report_bytes - page.size() - foot.size() - sections.size() * 200);
  for (const report::Section& s : sections) {
    page += fmt::format(
        R"(<section id="{0}" aria-labelledby="{0}-title"><h2 id="{0}-title">{1}</h2>{2}</section>)", s.id,
        report::escape(s.title), s.html);
  }
  return page + foot;
}

}  // namespace chainrule
