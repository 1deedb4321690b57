// A chain trace as the terminal shows it.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <chainrule/explain.hpp>

#include "insight/explain_text.hpp"

namespace chainrule {
namespace insight {

std::string short_number(double value) { return fmt::format("{:.7g}", value == 0 ? 0.0 : value); }
std::string error_number(double value) { return value == 0 ? "0" : fmt::format("{:.1e}", value); }

std::size_t columns(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) == 0x80) continue;
    // U+0300 to U+036F, the combining marks, begin with CC or CD 80..AF.
    const bool combining = byte == 0xcc || (byte == 0xcd && i + 1 < text.size() &&
                                            static_cast<unsigned char>(text[i + 1]) < 0xb0);
    count += combining ? 0 : 1;
  }
  return count;
}

std::string padded(std::string_view text, std::size_t width) {
  const std::size_t used = columns(text);
  return std::string(text) + std::string(used < width ? width - used : 0, ' ');
}

}  // namespace insight

namespace {

using insight::error_number;
using insight::padded;
using insight::short_number;

constexpr std::size_t most_tree_lines = 200;

std::string parenthesized(double value) {
  const std::string text = short_number(value);
  return text.starts_with('-') ? "(" + text + ")" : text;
}

struct TreeLine {
  std::string text, value, derivative;
};

// The formula as a tree, result first. Shared steps are written once for every use.
class Tree {
 public:
  explicit Tree(const ChainTrace& trace) : trace_(trace) {}

  std::string text() {
    visit(trace_.steps.size() - 1, "", "", "");
    std::size_t text_width = 0;
    std::size_t value_width = 0;
    for (const TreeLine& line : lines_) {
      text_width = std::max(text_width, insight::columns(line.text));
      value_width = std::max(value_width, line.value.size());
    }
    std::string result;
    for (const TreeLine& line : lines_) {
      result += "  " + padded(line.text, text_width) + "   = " +
                (line.derivative.empty() ? line.value : padded(line.value, value_width) + line.derivative) +
                "\n";
    }
    if (lines_.size() == most_tree_lines) result += "  ...\n";
    return result;
  }

 private:
  void visit(std::size_t step, const std::string& lead, const std::string& child_lead,
             const std::string& derivative) {
    if (lines_.size() == most_tree_lines) return;
    const ChainStep& shown = trace_.steps[step];
    lines_.push_back({lead + shown.text, short_number(shown.value), derivative});
    for (std::size_t i = 0; i < shown.inputs.size(); ++i) {
      const ChainStep::Edge& edge = shown.inputs[i];
      const bool last = i + 1 == shown.inputs.size();
      const std::string number = short_number(edge.value);
      const std::string local =
          "   local derivative " + (edge.derivative == number ? number : edge.derivative + " = " + number);
      visit(edge.from, child_lead + (last ? "└─ " : "├─ "), child_lead + (last ? "   " : "│  "), local);
    }
  }

  const ChainTrace& trace_;
  std::vector<TreeLine> lines_;
};

std::string path_text(const ChainTrace& trace, const ChainPath& path) {
  std::string names;
  for (const std::size_t step : path.steps) names += (names.empty() ? "" : " → ") + trace.steps[step].text;
  std::string factors;
  for (const double factor : path.factors) factors += (factors.empty() ? "" : " · ") + parenthesized(factor);
  if (factors.empty()) factors = "1";
  return "  " + names + "\n      " + factors +
         (path.factors.size() > 1 ? " = " + short_number(path.product) : "") + "\n";
}

std::string paths_text(const ChainTrace& trace, const ChainGradient& gradient) {
  std::string text =
      "paths to " + gradient.variable + ", and the product of the local derivatives along each\n";
  std::string sum;
  for (const ChainPath& path : gradient.paths) {
    text += path_text(trace, path);
    sum += (sum.empty() ? "" : " + ") + parenthesized(path.product);
  }
  if (!gradient.complete) return text + "  ... and more paths\n";
  if (gradient.paths.empty()) return text + "  none: the derivative is 0\n";
  return text + "  sum   " + sum + (gradient.paths.size() > 1 ? " = " + short_number(gradient.value) : "") +
         "\n";
}

std::string derivative_name(const ChainTrace& trace, const ChainGradient& gradient) {
  return trace.gradients.size() == 1 ? "f'" : "∂f/∂" + gradient.variable;
}

std::string check_note(const ChainTrace& trace, const ChainGradient& g) {
  if (!trace.defined()) return "";
  if (trace.at_kink() && std::abs(g.right - g.left) > 1e-3 * std::max(1.0, std::abs(g.left)))
    return fmt::format("    numeric: {} from the left, {} from the right", fmt::format("{:.4g}", g.left),
                       fmt::format("{:.4g}", g.right));
  // Where one side is steeper than the other, a central difference is off by a multiple of its step.
  const double tolerance = trace.at_kink() ? 10 * g.step : 1e-6;
  return fmt::format("    numeric: {} {}", g.error < tolerance ? "agrees to" : "differs by",
                     error_number(g.error));
}

// What is out of the ordinary at this point.
std::string point_note(const ChainTrace& trace) {
  const auto of = [](const ChainStep& step, const ChainTrace& all) {
    return step.inputs.empty() ? std::string() : " at " + short_number(all.steps[step.inputs[0].from].value);
  };
  for (const ChainStep& step : trace.steps) {
    if (step.undefined) {
      return fmt::format("outside of the domain: {} is {}{}, so f has no derivative here\n", step.text,
                         std::isnan(step.value) ? "no number" : short_number(step.value), of(step, trace));
    }
  }
  if (!trace.defined()) return "f has no finite derivative here\n";
  for (const ChainStep& step : trace.steps) {
    if (step.at_kink)
      return fmt::format("a kink: {} has no derivative{}; the rule takes {} there, by convention\n",
                         step.text, of(step, trace), short_number(step.inputs[0].value));
  }
  return "";
}

}  // namespace

std::string to_text(const ChainTrace& trace, bool steps) {
  std::string where;
  for (const ChainGradient& gradient : trace.gradients) {
    where += (where.empty() ? "    at " : ", ") + gradient.variable + " = " + short_number(gradient.at);
  }
  std::size_t width = 1;
  for (const ChainGradient& gradient : trace.gradients)
    width = std::max(width, insight::columns(derivative_name(trace, gradient)));
  std::string text =
      padded("f", width) + " = " + trace.text + " = " + short_number(trace.value) + where + "\n";
  for (const ChainGradient& gradient : trace.gradients) {
    const std::string number = short_number(gradient.value);
    text += padded(derivative_name(trace, gradient), width) + " = " + gradient.text;
    if (std::isfinite(trace.value)) text += gradient.text == number ? "" : " = " + number;
    text += check_note(trace, gradient) + "\n";
  }
  text += point_note(trace);
  if (!steps || !std::isfinite(trace.value)) return text;
  text += "\ntree, each line with the derivative of the line above it with respect to this one\n" +
          Tree(trace).text();
  for (const ChainGradient& gradient : trace.gradients) text += "\n" + paths_text(trace, gradient);
  text += "\nnumeric check: float64, central differences\n";
  for (const ChainGradient& gradient : trace.gradients) {
    text += fmt::format("  {}   rule {:.10g}   numeric {:.10g}   h = {:.0e}   rel. error {}   {}\n",
                        derivative_name(trace, gradient), gradient.value, gradient.numeric, gradient.step,
                        error_number(gradient.error), gradient.error < 1e-6 ? "ok" : "NOT OK");
  }
  return text;
}

}  // namespace chainrule
