#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>

#include "insight/report.hpp"
#include "insight/report_sample.hpp"

namespace chainrule {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

/// A start tag with its attributes as text, or an end tag.
struct Tag {
  std::string name, attributes;
  bool closing = false, self_closing = false;
};

/// The tags of a page, without what stands inside style and script. Quotes may hold a '>'.
std::vector<Tag> tags_of(const std::string& page) {
  std::vector<Tag> tags;
  std::size_t i = 0;
  while ((i = page.find('<', i)) != std::string::npos) {
    std::size_t end = i + 1;
    for (char quote = 0; end < page.size() && (quote != 0 || page[end] != '>'); ++end) {
      if (quote != 0 && page[end] == quote) {
        quote = 0;
      } else if (quote == 0 && page[end] == '"') {
        quote = '"';
      }
    }
    std::string inner = page.substr(i + 1, end - i - 1);
    Tag tag;
    tag.closing = !inner.empty() && inner[0] == '/';
    tag.self_closing = !inner.empty() && inner.back() == '/';
    if (tag.closing) inner.erase(0, 1);
    const std::size_t name_end = std::min(inner.find_first_of(" /\n"), inner.size());
    tag.name = inner.substr(0, name_end);
    tag.attributes = inner.substr(name_end);
    i = end + 1;
    if (!tag.closing && (tag.name == "style" || tag.name == "script")) i = page.find("</" + tag.name, i);
    tags.push_back(tag);
  }
  return tags;
}

/// What is wrong with the nesting of the page's tags; empty if nothing.
std::string unbalanced(const std::string& page) {
  static const std::set<std::string> empty_elements = {"!doctype", "meta", "img", "input", "wbr"};
  std::vector<std::string> open;
  for (const Tag& tag : tags_of(page)) {
    if (tag.self_closing || empty_elements.contains(tag.name)) continue;
    if (tag.name.empty() || !std::isalpha(static_cast<unsigned char>(tag.name[0])))
      return "odd tag: " + tag.name;
    if (!tag.closing) {
      open.push_back(tag.name);
    } else if (open.empty() || open.back() != tag.name) {
      return "</" + tag.name + "> closes " + (open.empty() ? "nothing" : open.back());
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : "left open: " + open.back();
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// What every page has to be, whatever its data.
void expect_sound(const std::string& page) {
  EXPECT_LE(page.size(), max_report_bytes);
  EXPECT_EQ(unbalanced(page), "");
  std::set<std::string> ids;
  for (const Tag& tag : tags_of(page)) {
    if (tag.closing) continue;
    if (tag.name == "img") {
      EXPECT_TRUE(has(tag.attributes, "alt=\"")) << tag.attributes.substr(0, 80);
    }
    if (tag.name == "svg") {
      EXPECT_TRUE(has(tag.attributes, "aria-label=\"") || has(tag.attributes, "aria-hidden"))
          << tag.attributes;
    }
    for (const std::string attribute : {" src=\"", " href=\""}) {
      const std::size_t at = tag.attributes.find(attribute);
      if (at == std::string::npos) continue;
      const std::string value = tag.attributes.substr(at + attribute.size(), 5);
      EXPECT_TRUE(value == "data:" || value[0] == '#') << tag.name << ' ' << value;
    }
    const std::size_t id = tag.attributes.find(" id=\"");
    if (id != std::string::npos) {
      const std::string name = tag.attributes.substr(id + 5, tag.attributes.find('"', id + 5) - id - 5);
      EXPECT_TRUE(ids.insert(name).second) << "twice: " << name;
    }
    // A number that is not finite must not reach a coordinate.
    if (tag.name == "path" || tag.name == "rect" || tag.name == "circle" || tag.name == "text") {
      EXPECT_FALSE(has(tag.attributes, "nan") || has(tag.attributes, "inf")) << tag.attributes.substr(0, 200);
    }
  }
  EXPECT_FALSE(has(page, "http:") || has(page, "https:") || has(page, "@import") || has(page, "url("));
}

std::size_t count_of(const std::string& page, const std::string& name) {
  const auto tags = tags_of(page);
  return static_cast<std::size_t>(
      std::count_if(tags.begin(), tags.end(), [&](const Tag& t) { return !t.closing && t.name == name; }));
}

TEST(Report, SamplesAreSound) {
  // CHAINRULE_REPORT_DIR keeps the pages, for a look at them.
  const char* keep = std::getenv("CHAINRULE_REPORT_DIR");
  const std::filesystem::path folder = keep != nullptr ? keep : testing::TempDir();
  const std::vector<std::pair<std::string, ReportData>> samples = {
      {"classifier", sample::classifier()}, {"plane", sample::plane()}, {"regression", sample::regression()}};
  for (const auto& [name, data] : samples) {
    SCOPED_TRACE(name);
    const std::string page = render_report(data);
    expect_sound(page);
    std::ofstream(folder / ("report-" + name + ".html"), std::ios::binary) << page;
  }
}

TEST(Report, SaysInOneSentenceWhatCameOut) {
  const std::string page = render_report(sample::classifier());
  EXPECT_TRUE(
      has(page, "<strong>88.2 ± 0.3\u202F%</strong> of 10,000 test examples right after 10 epochs in 39.9"));
  EXPECT_TRUE(has(page, "on 2 threads; best epoch 7."));
  EXPECT_TRUE(has(page, "Healthy.</b> 2 checks"));
  EXPECT_TRUE(has(page, "4 checks before the first step: 1 to look at (parameters / examples)"));
  ReportData d;
  d.epochs.resize(1);
  EXPECT_TRUE(has(render_report(d), "Trained for 1 epoch."));
}

TEST(Report, BeginsADivergenceWithItsStep) {
  ReportData d;
  d.divergence = ReportDivergence{.step = 41, .first_loss = 2.3, .last_loss = 81'000};
  EXPECT_TRUE(has(render_report(d), "Diverged at step 41</strong>: the loss went from 2.30 to 81,000."));
  d.epochs.resize(2);
  EXPECT_TRUE(has(render_report(d), "to 81,000 after 2 epochs."));
}

TEST(Report, ProbabilitiesAreNotRoundedToCertainty) {
  ReportData d = sample::classifier();
  d.mistakes[0].predicted_probability = 0.99998;
  d.mistakes[0].true_probability = 1e-6;
  const std::string page = render_report(d);
  EXPECT_TRUE(has(page, "&gt;99.9\u202F%"));
  EXPECT_TRUE(has(page, "&lt;0.1\u202F%"));
}

TEST(Report, KeepsTheTablesOfTheConfigurationTogether) {
  ReportData d;
  d.reproduction.config = "seed = 0\n\n[model]\nkind = \"mlp\"\n";
  EXPECT_TRUE(has(render_report(d), "<span>seed = 0</span><span>[model]\nkind = &quot;mlp&quot;\n</span>"));
}

TEST(Report, NamesTheFirstFailedInequality) {
  const std::string page = render_report(sample::plane());
  EXPECT_TRUE(has(page, "lr·λmax = 0.5 × 12.4 = 6.2 &gt; 2"));
  EXPECT_TRUE(has(page, "Not healthy."));
  EXPECT_LT(page.find("lr·λmax"), page.find("dead share 0.62"));
}

TEST(Report, IsHealthyOnlyWhereSomethingWasChecked) {
  ReportData d;
  d.verdict = ReportVerdict{};
  EXPECT_FALSE(has(render_report(d), "Healthy"));
  EXPECT_TRUE(has(render_report(d), "No verdict."));
  d = sample::classifier();
  d.verdict->interrupted = true;
  EXPECT_FALSE(has(render_report(d), "Healthy"));
  EXPECT_TRUE(has(render_report(d), "Interrupted.</b>"));
}

TEST(Report, AVerdictIsShownWhole) {
  ReportData d;
  const std::string text = std::string(450, 'x') + " the end";
  d.verdict =
      ReportVerdict{{{.inequality = "a > b", .layer = "l", .numbers = text, .why = text, .change = text}}};
  const std::string page = render_report(d);
  std::size_t count = 0;
  for (std::size_t at = page.find(text); at != std::string::npos; at = page.find(text, at + 1)) ++count;
  EXPECT_EQ(count, 3U);
}

TEST(Report, PutsConfusionsIntoWords) {
  const std::string page = render_report(sample::classifier());
  EXPECT_TRUE(has(page, "T-shirt → shirt, <b>115</b>"));
  EXPECT_TRUE(has(page, "shirt → T-shirt, <b>112</b>"));
  EXPECT_LT(page.find("T-shirt → shirt"), page.find("shirt → T-shirt, <b>"));
  EXPECT_TRUE(has(page, "8,822 of 10,000 test examples are right, 1,178 are wrong"));
}

// By hand: 0.5 · |0.9 − 0.8| + 0.5 · |0.6 − 0.4| = 0.15.
TEST(Report, ComputesTheCalibrationError) {
  ReportData d;
  d.reliability = {{0.9, 0.8, 100}, {0.6, 0.4, 100}, {0.1, 0.9, 0}};
  EXPECT_TRUE(has(render_report(d), "ECE 0.150"));
  EXPECT_TRUE(has(render_report(d), "too sure of itself"));
}

// NumPy: t = [1, 2, 3, 4], p = [1, 2, 3, 6]: RMSE 1, MAE 0.5, mean residual 0.5, R² = 1 − 4/5.
TEST(Report, ComputesRegressionFigures) {
  ReportData d{.task = TaskKind::regression};
  d.pairs = {{1, 1}, {2, 2}, {3, 3}, {4, 6}, {nan, 1}, {1, inf}};
  EXPECT_TRUE(has(render_report(d), "RMSE 1.000, mean absolute error 0.5000, mean residual 0.50, R² 0.200."));
}

TEST(Report, LeavesOutWhatIsMissing) {
  const std::string page = render_report(ReportData{});
  expect_sound(page);
  EXPECT_EQ(count_of(page, "section"), 0U);
  EXPECT_EQ(count_of(page, "svg"), 0U);
  EXPECT_EQ(count_of(page, "nav"), 0U);
  ReportData d;
  d.epochs.resize(3);  // epochs without a single known number
  EXPECT_EQ(count_of(render_report(d), "svg"), 0U);
}

TEST(Report, EscapesEverything) {
  const std::string evil = "</script><script>alert(1)</script>\"'&<img src=x onerror=y>\xFF\x01\u202E";
  ReportData d = sample::classifier();
  d.boundary = sample::plane().boundary;
  d.boundary->frames[0].label = evil;
  d.run_name = d.created = d.test_metric = evil;
  d.verdict = ReportVerdict{{{evil, evil, evil, evil, evil}}};
  d.preflight = {{evil, evil, evil, CheckStatus::fail, evil}};
  d.metrics[0].name = evil;
  for (auto& layer : d.layers) layer.layer = evil;
  for (auto& name : d.class_names) name = evil;
  for (auto& row : d.model) row.layer = row.output_shape = evil;
  d.reproduction = {.command = evil,
                    .config = evil,
                    .version = evil,
                    .cpu = evil,
                    .instruction_set = evil,
                    .data_hash = evil};
  const std::string page = render_report(d);
  expect_sound(page);
  EXPECT_EQ(count_of(page, "script"), 1U);
  EXPECT_FALSE(has(page, "alert(1)</script>") || has(page, "<img src=x") || has(page, "\xFF") ||
               has(page, "\u202E"));
}

TEST(Report, SurvivesNumbersThatAreNotFinite) {
  for (const double odd : {nan, inf, -inf, 0.0, -1.0, 1e308, -1e308, 5e-324}) {
    SCOPED_TRACE(odd);
    ReportData d = sample::classifier();
    d.test_value = d.test_error = d.calibration_error = odd;
    for (std::size_t i = 0; i < d.epochs.size(); i += 2) {
      d.epochs[i] = {odd, odd, odd, odd, odd};
      d.metrics[0].train[i] = odd;
    }
    for (std::size_t i = 0; i < d.steps.size(); i += 3) d.steps[i].loss = odd;
    for (auto& layer : d.layers) layer.gradient_norm[5] = layer.update_ratio.back() = odd;
    d.mistakes[0].predicted_probability = d.mistakes[0].true_probability = odd;
    d.reliability[3].confidence = d.reliability[4].accuracy = odd;
    d.typical_update_ratio = ReportBand{odd, odd};
    d.boundary = sample::plane().boundary;
    d.boundary->frames[0].probabilities[7] = static_cast<float>(odd);
    d.boundary->points[0] = {odd, odd, 0};
    expect_sound(render_report(d));
    ReportData r{.task = TaskKind::regression};
    r.pairs = {{odd, 1}, {1, odd}, {odd, odd}};
    expect_sound(render_report(r));
    r.pairs = {{odd, odd}};
    r.epochs = {{odd, odd, odd, odd, odd}};
    expect_sound(render_report(r));
  }
}

TEST(Report, NamesEpochsThatAreNotDrawn) {
  ReportData d = sample::classifier();
  d.epochs[3].train_loss = inf;
  EXPECT_TRUE(has(render_report(d), "Training loss not finite, not drawn: epoch 4."));
}

TEST(Report, StaysBelowItsSizeWhateverComes) {
  ReportData d = sample::classifier();
  d.boundary = sample::plane().boundary;
  d.epochs.assign(20'000, d.epochs[0]);
  for (std::size_t i = 0; i < d.epochs.size(); ++i)
    d.epochs[i].train_loss = 1 + sample::wave(static_cast<double>(i));
  d.metrics.clear();
  d.best_epoch.reset();
  d.layers.assign(500, d.layers[0]);
  d.class_names.assign(300, std::string(5000, 'x'));
  d.confusion->counts.assign(90'000, 12'345);
  ReportExample large = d.mistakes[0];
  large.image = {.width = 300, .height = 300, .channels = 3, .pixels = std::vector<std::uint8_t>(270'000)};
  for (std::size_t i = 0; i < large.image.pixels.size(); ++i) {
    large.image.pixels[i] = static_cast<std::uint8_t>(i * i * 2654435761U >> 13);  // incompressible
  }
  d.mistakes.assign(1000, large);
  d.correct.assign(1000, large);
  d.model.assign(5000, d.model[0]);
  d.preflight.assign(5000, d.preflight[0]);
  d.reproduction.config.assign(3'000'000, '<');
  expect_sound(render_report(d));
}

TEST(Report, TakesTheLargestCounts) {
  ReportData d = sample::classifier();
  d.confusion->counts.assign(100, std::numeric_limits<std::int64_t>::max());
  d.reliability[0].count = d.test_examples = d.model[0].flops = std::numeric_limits<std::int64_t>::max();
  d.steps[5].step = std::numeric_limits<std::int64_t>::min();
  expect_sound(render_report(d));
}

TEST(Report, RejectsListsThatContradictEachOther) {
  const auto rejects = [](auto change) {
    ReportData d = sample::classifier();
    d.boundary = sample::plane().boundary;
    change(d);
    EXPECT_THROW(render_report(d), ArgumentError);
  };
  rejects([](ReportData& d) { d.metrics[0].train.pop_back(); });
  rejects([](ReportData& d) { d.layers[0].update_ratio.push_back(1); });
  rejects([](ReportData& d) { d.best_epoch = 10; });
  rejects([](ReportData& d) { d.confusion->counts.pop_back(); });
  rejects([](ReportData& d) { d.confusion->counts[3] = -1; });
  rejects([](ReportData& d) { d.mistakes[0].image.pixels.pop_back(); });
  rejects(
      [](ReportData& d) { d.mistakes[0].image.width = std::numeric_limits<std::size_t>::max() / 28 + 1; });
  rejects([](ReportData& d) { d.mistakes[0].image.channels = 2; });
  rejects([](ReportData& d) { d.correct[0].truth = 10; });
  rejects([](ReportData& d) { d.boundary->x_max = nan; });
  rejects([](ReportData& d) { d.boundary->rows = std::size_t{1} << 60U; });
  rejects([](ReportData& d) { d.boundary->frames[0].probabilities.pop_back(); });
  rejects([](ReportData& d) { d.boundary->points[0].label = 2; });
  try {
    ReportData d = sample::classifier();
    d.confusion->counts.pop_back();
    render_report(d);
  } catch (const ArgumentError& error) {
    EXPECT_TRUE(has(error.what(), "render_report") && has(error.what(), "confusion") &&
                has(error.what(), "99 counts"))
        << error.what();
  }
}

}  // namespace
}  // namespace chainrule
