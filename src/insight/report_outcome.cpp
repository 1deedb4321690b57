// After: where the model is wrong, and whether its confidence can be trusted.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "insight/report_image.hpp"
#include "insight/report_sections.hpp"
#include "insight/report_svg.hpp"
#include "insight/report_text.hpp"

namespace chainrule::report {
namespace {

constexpr std::size_t max_matrix_classes = 30;
constexpr std::size_t max_download_classes = 100;
constexpr std::size_t max_pairs = 8;
constexpr std::size_t max_examples = 18;
constexpr std::size_t max_image_side = 48;
constexpr std::size_t max_bins = 50;

/// The matrix with its sums.
struct Matrix {
  std::size_t classes = 0;
  const std::vector<std::int64_t>* counts = nullptr;
  double total = 0, right = 0;
  double largest_error = 0;
  std::vector<double> row_sum;
  double at(std::size_t truth, std::size_t predicted) const {
    return static_cast<double>((*counts)[truth * classes + predicted]);
  }
};

Matrix matrix_of(const ReportData& data) {
  Matrix m{.classes = data.class_names.size(), .counts = &data.confusion->counts};
  if (m.classes == 0) m.classes = static_cast<std::size_t>(std::llround(std::sqrt(m.counts->size())));
  m.row_sum.assign(m.classes, 0);
  for (std::size_t t = 0; t < m.classes; ++t) {
    for (std::size_t p = 0; p < m.classes; ++p) {
      const double count = m.at(t, p);
      m.row_sum[t] += count;
      if (t == p) m.right += count;
      if (t != p) m.largest_error = std::max(m.largest_error, count);
    }
    m.total += m.row_sum[t];
  }
  return m;
}

/// Blue on the diagonal by the class's share, orange beside it by the largest mistake; the opacity
/// carries the value, so that it works on light and dark paper and
/// the number stays readable on it.
std::string matrix_cell(const Matrix& m, std::size_t truth, std::size_t predicted) {
  const double count = m.at(truth, predicted);
  if (count == 0) return R"(<td class="zero">0</td>)";
  const bool right = truth == predicted;
  const double scale = right ? m.row_sum[truth] : m.largest_error;
  const double strength = 0.06 + 0.69 * count / std::max(scale, 1.0);
  return fmt::format(R"(<td class="{}" style="--a:{:.2f}">{}</td>)", right ? "right" : "wrong", strength,
                     grouped(whole(count)));
}

std::string matrix_table(const ReportData& data, const Matrix& m) {
  if (m.classes > max_matrix_classes) {
    return fmt::format(
        R"(<p class="note">{} classes are too many for a matrix on a page; the pairs below matter most.</p>)",
        m.classes);
  }
  std::string out =
      R"(<p class="note">Rows: the true class. Columns: what was predicted. Blue is right, orange wrong; the stronger, the more.</p>)"
      R"(<div class="scroll" tabindex="0"><table class="confusion"><caption class="unseen">Confusion matrix</caption><thead><tr><td></td>)";
  for (std::size_t p = 0; p < m.classes; ++p) {
    out += fmt::format(R"(<th scope="col"><span>{}</span></th>)", escape(class_name(data, p), 24));
  }
  out += R"(<th scope="col"><span>right</span></th></tr></thead><tbody>)";
  for (std::size_t t = 0; t < m.classes; ++t) {
    out += fmt::format(R"(<tr><th scope="row">{}</th>)", escape(class_name(data, t), 24));
    for (std::size_t p = 0; p < m.classes; ++p) out += matrix_cell(m, t, p);
    out += fmt::format(R"(<td class="share">{}</td></tr>)",
                       m.row_sum[t] > 0 ? percent(m.at(t, t) / m.row_sum[t], 0) : std::string("—"));
  }
  return out + "</tbody></table></div>";
}

std::string matrix_download(const ReportData& data, const Matrix& m) {
  if (m.classes > max_download_classes) return {};
  Csv csv{"true", "predicted", "count"};
  for (std::size_t t = 0; t < m.classes; ++t) {
    for (std::size_t p = 0; p < m.classes; ++p) {
      if (m.at(t, p) == 0) continue;
      const auto count = (*m.counts)[t * m.classes + p];
      csv.cell(escape(class_name(data, t), 40)).cell(escape(class_name(data, p), 40)).cell(count).end_row();
    }
  }
  return R"(<p class="foot">)" + csv.link("confusion.csv") + "</p>";
}

/// The most frequent mistakes in words.
std::string confused_pairs(const ReportData& data, const Matrix& m) {
  struct Pair {
    std::size_t truth, predicted;
  };
  std::vector<Pair> pairs;
  for (std::size_t t = 0; t < m.classes; ++t) {
    for (std::size_t p = 0; p < m.classes; ++p) {
      if (t != p && m.at(t, p) > 0) pairs.push_back({t, p});
    }
  }
  const std::size_t count = std::min(pairs.size(), max_pairs);
  std::partial_sort(
      pairs.begin(), pairs.begin() + static_cast<std::ptrdiff_t>(count), pairs.end(), [&](Pair a, Pair b) {
        const double x = m.at(a.truth, a.predicted), y = m.at(b.truth, b.predicted);
        return x != y ? x > y : std::pair(a.truth, a.predicted) < std::pair(b.truth, b.predicted);
      });
  if (count == 0) return {};
  std::string items;
  for (std::size_t i = 0; i < count; ++i) {
    const auto [t, p] = pairs[i];
    items += fmt::format(R"(<li><span>{} → {}, <b>{}</b></span> <span class="note">{} of all {}</span></li>)",
                         escape(class_name(data, t), 40), escape(class_name(data, p), 40),
                         grouped(whole(m.at(t, p))), percent(m.at(t, p) / m.row_sum[t]),
                         escape(class_name(data, t), 40));
  }
  return R"(<div><h3>Most confused</h3><p class="note">truth → prediction, how often</p><ol class="pairs">)" +
         items + "</ol></div>";
}

/// The image, made smaller where it is larger than the page shows, by leaving out rows and columns.
std::string image_uri(const ReportImage& image) {
  const auto rows = thinned(image.height, max_image_side);
  const auto columns = thinned(image.width, max_image_side);
  std::vector<std::uint8_t> pixels;
  pixels.reserve(rows.size() * columns.size() * image.channels);
  for (const std::size_t r : rows) {
    for (const std::size_t c : columns) {
      const std::size_t at = (r * image.width + c) * image.channels;
      for (std::size_t k = 0; k < image.channels; ++k) pixels.push_back(image.pixels[at + k]);
    }
  }
  return png_uri(pixels, columns.size(), rows.size(), image.channels);
}

/// A probability that rounding would make certain is only said to be near that.
std::string probability_text(double p) {
  if (!drawable(p)) return {};
  if (p > 0.9995 && p < 1) return "&gt;99.9\u202F%";
  if (p < 0.0005 && p > 0) return "&lt;0.1\u202F%";
  return percent(p);
}

/// One line of an example's label: a class, its probability, a bar as long as that.
std::string probability_line(std::string_view css, std::string_view sign, std::string_view name,
                             double probability) {
  const double width = drawable(probability) ? std::clamp(100 * probability, 0.0, 100.0) : 0;
  return fmt::format(R"(<span class="p {}"><span class="who">{} {}</span><span class="num">{}</span>)"
                     R"(<span class="bar" style="width:{:.0f}%"></span></span>)",
                     css, sign, name, probability_text(probability), width);
}

std::string example_card(const ReportData& data, const ReportExample& e) {
  const std::string predicted = escape(class_name(data, e.predicted), 32);
  const std::string truth = escape(class_name(data, e.truth), 32);
  const bool right = e.predicted == e.truth;
  std::string lines =
      probability_line(right ? "yes" : "no", right ? "✓" : "✕", predicted, e.predicted_probability);
  if (!right) lines += probability_line("yes", "is", truth, e.true_probability);
  const std::string picture =
      e.image.pixels.empty()
          ? std::string()
          : fmt::format(R"(<img src="{}" width="{}" height="{}" alt="{}">)", image_uri(e.image),
                        e.image.width, e.image.height,
                        right ? "example of " + truth : fmt::format("{}, taken for {}", truth, predicted));
  return fmt::format(R"(<li>{}{}</li>)", picture, lines);
}

std::string example_grid(const ReportData& data, const std::vector<ReportExample>& examples,
                         std::string_view title, std::string_view note) {
  if (examples.empty()) return {};
  std::string out;
  for (std::size_t i = 0; i < std::min(examples.size(), max_examples); ++i)
    out += example_card(data, examples[i]);
  return fmt::format(R"(<h3>{}</h3><p class="note">{}</p><ul class="examples">{}</ul>)", title, note, out);
}

/// Expected calibration error (Guo et al., 2017): Σ nᵢ/N · |accuracyᵢ − confidenceᵢ|; with a sign, how
/// much confidence exceeds accuracy.
struct Calibration {
  double error = 0, excess = 0, total = 0;
};

Calibration calibration_of(const std::vector<ReportReliabilityBin>& bins) {
  Calibration c;
  for (const auto& bin : bins) {
    const double difference = bin.confidence - bin.accuracy;
    if (bin.count <= 0 || !drawable(difference)) continue;
    const auto count = static_cast<double>(bin.count);
    c.error += count * std::fabs(difference);
    c.excess += count * difference;
    c.total += count;
  }
  if (c.total > 0) c.error /= c.total, c.excess /= c.total;
  return c;
}

std::string calibration_words(const Calibration& c, double error) {
  std::string direction = "neither too sure nor too timid";
  if (c.excess > 0.25 * error) direction = "too sure of itself";
  if (c.excess < -0.25 * error) direction = "less sure than it could be";
  return fmt::format(
      R"(<p class="big">ECE {}</p><p>On average the stated confidence is {} percentage points away from the share that is right. )"
      R"(Taken together the model is {}.</p><p class="note">Points on the dashed line are calibrated; below it the model promises )"
      R"(too much. Whiskers: one standard error.</p>)",
      fixed(error, 3), fixed(100 * error, 1), error < 0.005 ? "well calibrated" : direction);
}

}  // namespace

Section mistakes_section(const ReportData& data) {
  Section section{"mistakes", "Where it is wrong", ""};
  if (data.task != TaskKind::classification) return section;
  if (data.confusion && !data.confusion->counts.empty()) {
    const Matrix m = matrix_of(data);
    if (m.total > 0) {
      section.html +=
          m.right == m.total
              ? fmt::format("<p>All {} test examples are right.</p>", grouped(whole(m.total)))
              : fmt::format("<p>{} of {} test examples are right, {} {} wrong.</p>", grouped(whole(m.right)),
                            grouped(whole(m.total)), grouped(whole(m.total - m.right)),
                            m.total - m.right == 1 ? "is" : "are");
      section.html += R"(<div class="matrix"><div>)" + matrix_table(data, m) + matrix_download(data, m) +
                      "</div>" + confused_pairs(data, m) + "</div>";
    }
  }
  section.html +=
      example_grid(data, data.mistakes, "Most confident mistakes",
                   "What it said (✕) and what it is, each with the probability that the model gave it.");
  section.html +=
      example_grid(data, data.correct, "Right, drawn at random", "For comparison: what it finds easy.");
  return section;
}

Section confidence_section(const ReportData& data) {
  Section section{"confidence", "Can its confidence be trusted?", ""};
  const Calibration c = calibration_of(data.reliability);
  if (c.total <= 0) return section;
  const double error = drawable(data.calibration_error) ? data.calibration_error : c.error;
  std::vector<ReliabilityPoint> points;
  Csv csv{"confidence", "accuracy", "count"};
  for (std::size_t i = 0; i < std::min(data.reliability.size(), max_bins); ++i) {
    const auto& bin = data.reliability[i];
    if (bin.count <= 0) continue;
    const auto count = static_cast<double>(bin.count);
    points.push_back({bin.confidence, bin.accuracy,
                      std::sqrt(std::max(0.0, bin.accuracy * (1 - bin.accuracy)) / count), count / c.total});
    csv.cell(bin.confidence).cell(bin.accuracy).cell(bin.count).end_row();
  }
  const std::string drawing = reliability_chart(
      points,
      fmt::format(
          "Reliability diagram: accuracy against confidence in {} bins. Expected calibration error {}.",
          points.size(), fixed(error, 3)));
  section.html = R"(<div class="pair">)" +
                 figure("Reliability", {{"c1", "this model"}, {"ideal", "calibrated"}, {"gapline", "error"}},
                        drawing, "", csv.link("reliability.csv")) +
                 R"(<div class="words">)" + calibration_words(c, error) + "</div></div>";
  return section;
}

}  // namespace chainrule::report
