// What there is to know about losses, optimizers, schedules and initializers: their formulas are read and
// differentiated, their code is traced.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <chainrule/explain.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/optim.hpp>

#include "insight/explain_text.hpp"
#include "insight/named.hpp"

namespace chainrule {
namespace {

using insight::error_number;
using insight::short_number;

struct Table {
  const char* kind;
  std::span<const Description> rows;
};
std::vector<Table> tables() {
  return {{"loss", nn::loss_table()},
          {"optimizer", optim::table()},
          {"schedule", optim::schedule_table()},
          {"initializer", nn::init::table()}};
}

// The value of a formula's variable in the worked example: a prediction y between 0 and 1 and a target t fit
// every loss.
double example_value(const std::string& variable) { return variable == "y" ? 0.25 : 1; }

// A formula of numbers as an expression; nothing where it is more than that, such as z[t].
std::optional<Expression> readable(std::string_view formula) {
  try {
    if (!formula.empty()) return parse_expression(formula);
  } catch (const ArgumentError&) {
  }
  return std::nullopt;
}

ExplainedPart derivative_part(const Expression& f, std::span<const double> at, TextStyle style) {
  ExplainedPart part{"derivative", {}};
  const ChainTrace shown = trace_chain(f, at, style);
  const ChainTrace plain = trace_chain(f, at);
  for (std::size_t i = 0; i < shown.gradients.size(); ++i) {
    const std::string& variable = shown.gradients[i].variable;
    if (variable != "y") continue;
    part.lines.push_back("∂L/∂y   = " + shown.gradients[i].text + "        traced from the formula");
    const Expression first = parse_expression(plain.gradients[i].text, f.variables());
    // A derivative that is a step has none of its own.
    try {
      part.lines.push_back("∂²L/∂y² = " + trace_chain(first, at, style).gradients[i].text +
                           "        differentiated again");
    } catch (const ArgumentError&) {
      part.lines.push_back("∂²L/∂y² = 0        wherever it exists");
    }
  }
  return part;
}

void explain_formula(NamedExplanation& e, const Expression& f, std::vector<double> at,
                     std::optional<double> target, TextStyle style) {
  const auto& names = f.variables();
  std::vector<double> point;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool is_target = names[i] == "t" && target;
    point.push_back(is_target ? *target : example_value(names[i]));
    if (names[i] == "y" && !at.empty()) point.back() = at[0];
    if (names[i] == "t" && !is_target && at.size() > 1) point.back() = at[1];
  }
  const ChainTrace trace = trace_chain(f, point, style);
  e.formula = trace.text;
  e.parts.push_back(derivative_part(f, point, style));
  std::string where;
  for (std::size_t i = 0; i < names.size(); ++i)
    where += (i > 0 ? ", " : "at ") + names[i] + " = " + short_number(point[i]);
  ExplainedPart worked{where, {"L       = " + short_number(trace.value)}};
  ExplainedPart check{"check", {}};
  for (const ChainGradient& g : trace.gradients) {
    if (g.variable != "y") continue;
    worked.lines.push_back("∂L/∂y   = " + short_number(g.value));
    check.lines.push_back(
        fmt::format("float64, central differences, h = 1e-5: rule {:.9g}, numeric {:.9g}, error {}   {}",
                    g.value, g.numeric, error_number(g.error),
                    trace.at_kink()  ? "a kink"
                    : g.error < 1e-6 ? "ok"
                                     : "NOT OK"));
  }
  e.parts.push_back(std::move(worked));
  if (!check.lines.empty()) e.parts.push_back(std::move(check));
}

}  // namespace

std::vector<std::string> described_names() {
  std::vector<std::string> names;
  for (const Table& table : tables()) {
    for (const Description& description : table.rows) names.emplace_back(description.name);
  }
  return names;
}

std::optional<NamedExplanation> explain_named(std::string_view name, const NamedOptions& options) {
  for (const Table& table : tables()) {
    const auto found = std::find_if(table.rows.begin(), table.rows.end(),
                                    [&](const Description& d) { return d.name == name; });
    if (found == table.rows.end()) continue;
    NamedExplanation e{.name = std::string(found->name),
                       .kind = table.kind,
                       .formula = std::string(found->formula),
                       .summary = std::string(found->summary),
                       .source = std::string(found->source),
                       .parts = {}};
    const bool is_loss = e.kind == "loss";
    const std::optional<Expression> f = readable(found->formula);
    if (name == "cross_entropy") {
      insight::explain_cross_entropy(e, options);
    } else if (e.kind == "optimizer") {
      insight::explain_optimizer(e, options.style);
    } else if (is_loss && f) {
      explain_formula(e, *f, options.at, options.target, options.style);
    } else if (f && options.style == TextStyle::latex) {
      std::vector<double> ones(f->variables().size(), 1);
      e.formula = trace_chain(*f, ones, options.style).text;
    }
    if (const std::string use = insight::use_of(name); !use.empty()) e.parts.push_back({"use", {use}});
    return e;
  }
  return std::nullopt;
}

std::string to_text(const NamedExplanation& e) {
  constexpr std::size_t label_width = 13;
  std::string text =
      insight::wrapped(e.name + (e.formula.empty() ? "" : " = " + e.formula) + "        " + e.kind, 4) +
      insight::wrapped(e.summary, 0);
  bool first = true;
  for (const ExplainedPart& part : e.parts) {
    if (first) text += "\n";
    first = false;
    const bool fits = insight::columns(part.label) < label_width;
    if (!fits) text += part.label + "\n";
    for (std::size_t i = 0; i < part.lines.size(); ++i)
      text += insight::wrapped(insight::padded(i == 0 && fits ? part.label : "", label_width) + part.lines[i],
                               label_width);
  }
  if (!e.source.empty())
    text += insight::wrapped(insight::padded("source", label_width) + e.source, label_width);
  return text;
}

}  // namespace chainrule
