// An explanation as the terminal shows it: a label, then what it stands for, in columns.

#include "insight/explain_text.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <chainrule/explain.hpp>

namespace chainrule {
namespace insight {
namespace {

constexpr std::size_t line_width = 80;

// Where to end a line: at the last space that lets it fit, but not behind an operator; npos where none does.
std::size_t end_of_line(std::string_view text, std::size_t indent) {
  std::size_t end = std::string_view::npos;
  for (std::size_t at = text.find(' ', indent); at != std::string_view::npos; at = text.find(' ', at + 1)) {
    if (columns(text.substr(0, at)) > line_width) break;
    const std::string_view before = text.substr(0, at);
    const bool is_gap = before.ends_with(' ');
    const bool is_operator =
        before.ends_with(" =") || before.ends_with(" +") || before.ends_with(" -") || before.ends_with(" /");
    const bool is_division = text.substr(at + 1).starts_with("/ ");
    if (!is_gap && !is_operator && !is_division) end = at;
  }
  return end;
}

}  // namespace

std::string wrapped(std::string_view text, std::size_t indent) {
  constexpr std::string_view gap = "        ";
  std::string lines;
  std::string rest(text);
  const auto take = [&](std::size_t end, std::size_t begin_rest) {
    lines += rest.substr(0, end) + "\n";
    rest = std::string(indent, ' ') +
           rest.substr(std::min(rest.find_first_not_of(' ', begin_rest), rest.size()));
  };
  while (columns(rest) > line_width) {
    const std::size_t first = rest.find_first_not_of(' ');
    const std::size_t note = rest.find(gap, std::max(first, indent));
    const std::size_t end = end_of_line(rest, std::max(first, indent));
    if (note != std::string::npos) {
      const std::string tail = rest.substr(note);
      rest.resize(note);
      lines += wrapped(rest, indent);
      rest = std::string(indent, ' ') + tail.substr(std::min(tail.find_first_not_of(' '), tail.size()));
    } else if (end == std::string::npos) {
      break;
    } else {
      take(end, end);
    }
  }
  return lines + rest + "\n";
}

}  // namespace insight

namespace {

using insight::error_number;
using insight::padded;
using insight::short_number;

constexpr std::size_t label_width = 13;
constexpr std::size_t widest_worked = 45;  // columns of a step that others are lined up with

class Page {
 public:
  void line(const std::string& label, const std::string& text) {
    text_ += insight::wrapped(padded(label, label_width) + text, label_width);
  }
  void raw(const std::string& text, std::size_t indent = 4) { text_ += insight::wrapped(text, indent); }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string with_bar(const std::string& name) { return name.size() == 1 ? name + "\u0304" : name + "_bar"; }

std::string call(const Explanation& e) {
  std::string text = e.name + "(";
  for (std::size_t i = 0; i < e.arguments.size(); ++i) text += (i > 0 ? ", " : "") + e.arguments[i];
  return text + ")";
}

void head(const Explanation& e, Page& page) {
  const std::string properties = e.kind + (e.domain.empty() ? "" : " · " + e.domain);
  const bool says_more = e.formula != call(e) && !e.formula.empty();
  page.raw(call(e) + (says_more ? " = " + e.formula : "") + "        " + properties);
  if (!e.definition.empty())
    page.raw(std::string(e.name.size(), ' ') + " = " + e.definition + "        its definition" +
             std::string(e.kind == "elementwise" ? "" : ", over an axis"));
  page.raw(e.summary, 0);
  page.raw("");
}

std::string derivative_label(const Explanation& e, const DerivativeText& input) {
  return e.derivative.inputs.size() == 1 ? e.derivative.output + "'"
                                         : "∂" + e.derivative.output + "/∂" + input.input;
}

void derivatives(const Explanation& e, Page& page) {
  if (!e.not_differentiable.empty()) return page.line("derivative", "none: " + e.not_differentiable);
  std::size_t width = 4;
  for (const DerivativeText& input : e.derivative.inputs)
    width = std::max(width, insight::columns(derivative_label(e, input)) + 1);
  std::string label = "derivative";
  for (const DerivativeText& input : e.derivative.inputs) {
    if (input.partial.empty()) continue;
    page.line(label, padded(derivative_label(e, input), width) + "= " + input.partial +
                         (label.empty() ? ""
                                        : "        traced from the rule that backward runs; " +
                                              e.derivative.output + " = " + call(e)));
    label.clear();
    if (!input.second.empty())
      page.line("", padded(e.derivative.output + "''", width) + "= " + input.second +
                        "        the same rule, differentiated again");
  }
  label = "backward";
  for (const DerivativeText& input : e.derivative.inputs) {
    const std::string note = label.empty() ? ""
                                           : "        " + with_bar(e.derivative.output) +
                                                 " is the gradient arriving from the loss";
    page.line(label, padded(with_bar(input.input), width) + "= " + input.backward + note);
    label.clear();
  }
  if (!e.derivative.shapes.empty()) page.line("", "for " + e.derivative.shapes);
}

void worked(const Explanation& e, Page& page) {
  if (e.worked.empty()) return;
  std::string where = "at";
  for (std::size_t i = 0; i < e.at.size(); ++i)
    where += (i > 0 ? ", " : " ") + e.arguments[i] + " = " + short_number(e.at[i]);
  page.raw("");
  std::size_t width = 0;
  for (const WorkedValue& value : e.worked) {
    const std::size_t columns = insight::columns(value.text);
    if (columns <= widest_worked) width = std::max(width, columns);
  }
  const bool fits = insight::columns(where) < label_width;
  if (!fits) page.raw(where);
  std::string label = fits ? where : "";
  for (const WorkedValue& value : e.worked) {
    page.line(label, padded(value.text, width) + " = " + short_number(value.value));
    label.clear();
  }
}

// The example of an op of a whole vector: a row for y, and one for each of its derivatives.
void rows(const Explanation& e, Page& page) {
  if (e.rows.empty()) return;
  std::string where = "at x = (";
  for (std::size_t i = 0; i < e.at.size(); ++i) where += (i > 0 ? ", " : "") + short_number(e.at[i]);
  page.raw("\n" + where + ")");
  for (const WorkedRow& row : e.rows) {
    std::string numbers;
    for (const double value : row.values) numbers += fmt::format(" {:>9.6f}", value == 0 ? 0.0 : value);
    page.line("", padded(row.text, 8) + "=" + numbers);
  }
  page.line("check", e.vector_check);
}

void checks(const Explanation& e, Page& page) {
  if (e.at_kink)
    page.line("check", "a kink: no derivative exists here, and the rule's value is a convention");
  if (!e.checks.empty()) {
    std::size_t width = 5;
    for (const DerivativeCheck& check : e.checks) width = std::max(width, insight::columns(check.what) + 2);
    page.line("check", "float64, central differences, h = 1e-5");
    page.line("", padded("", width) + fmt::format("{:<15}{:<15}error", "rule", "numeric"));
    for (const DerivativeCheck& check : e.checks) {
      page.line(
          "", padded(check.what, width) + fmt::format("{:<15.9g}{:<15.9g}{:<9}{}", check.rule, check.numeric,
                                                      error_number(check.error), check.ok ? "ok" : "NOT OK"));
    }
  }
  if (e.samples > 0) {
    page.line(e.checks.empty() ? "check" : "",
              fmt::format("printed formula = kernel on {} sampled inputs: worst {:.3g} ULP", e.samples,
                          e.worst_ulp));
  }
}

void limits(const Explanation& e, Page& page) {
  if (e.saturation) {
    const Saturation& s = *e.saturation;
    std::string text = std::isinf(s.peak_at) && !s.flat
                           ? "|y'| comes close to " + short_number(s.peak) + " for " +
                                 (s.peak_at > 0 ? "large" : "very negative") + " x"
                           : "max |y'| = " + short_number(s.peak) +
                                 (s.flat ? "" : " at x = " + fmt::format("{:.5g}", s.peak_at));
    text += s.zero ? "; 0 for " : "; below 1 % of that for ";
    const bool symmetric = s.below && s.above && std::abs(*s.below + *s.above) < 1e-9 * *s.above;
    if (symmetric) text += "|x| > " + fmt::format("{:.3g}", *s.above);
    if (s.below && !symmetric) text += "x < " + fmt::format("{:.3g}", *s.below);
    if (s.above && !symmetric)
      text += std::string(s.below ? " and " : "") + "x > " + fmt::format("{:.3g}", *s.above);
    page.line("saturates", text);
    if (s.peak < 0.999) {
      double ten = 1;
      for (int i = 0; i < 10; ++i) ten *= s.peak;
      page.line("",
                fmt::format("ten in a row: activations alone scale the gradient by at most {}^10 = {:.1e}",
                            short_number(s.peak), ten));
    }
  }
  std::string label = "float32";
  for (const Float32Limit& limit : e.float32) {
    page.line(label, fmt::format("{} for x {} {:.4g}", limit.what, limit.at > 0 ? ">" : "<", limit.at));
    label.clear();
  }
}

}  // namespace

std::string to_text(const Explanation& e) {
  Page page;
  head(e, page);
  derivatives(e, page);
  worked(e, page);
  rows(e, page);
  checks(e, page);
  limits(e, page);
  if (!e.use.empty()) page.line("use", e.use);
  page.line("source", (e.source.empty() ? "" : e.source + " · ") + "declared in " + e.declared_in);
  return page.take();
}

}  // namespace chainrule
