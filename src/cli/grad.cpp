// chainrule grad: the derivative of a typed formula.

#include <charconv>
#include <cmath>
#include <map>
#include <memory>

#include <chainrule/explain.hpp>
#include <chainrule/text.hpp>

#include "cli/command.hpp"

namespace chainrule::cli {
namespace {

struct GradArguments {
  std::string formula;
  std::vector<std::string> at;
  bool steps = false;
  bool latex = false;
};

// "x=0.5"; the value may be a formula too: "x=pi/4".
std::pair<std::string, double> assignment(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw UsageError("--at " + quote(text) + " names no variable; wanted NAME=NUMBER, such as --at x=0.5");
  }
  const std::string value = text.substr(equals + 1);
  const Expression number = from_user([&] { return parse_expression(value); });
  if (!number.variables().empty()) {
    throw UsageError("--at " + quote(text) + " is no number; wanted NAME=NUMBER, such as --at x=0.5");
  }
  return {text.substr(0, equals), number({}).item<double>()};
}

// "x=2,y=atan2(1,2)" is two assignments: a comma outside of parentheses separates them.
std::vector<std::string> split_assignments(const std::string& text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : text) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0) {
      parts.emplace_back();
    } else if (c != ' ' || !parts.back().empty()) {
      parts.back() += c;
    }
  }
  return parts;
}

// The formula's variables that have no value, or the values that the formula has no variable for.
std::vector<double> values_of(const Expression& f, const GradArguments& options) {
  std::map<std::string, double> given;
  for (const std::string& option : options.at) {
    for (const std::string& text : split_assignments(option)) {
      const auto [name, value] = assignment(text);
      if (!given.emplace(name, value).second) throw UsageError("--at gives " + quote(name) + " twice");
    }
  }
  std::vector<double> values;
  for (const std::string& name : f.variables()) {
    const auto found = given.find(name);
    if (found == given.end()) {
      std::string hint = suggest(name, expression_functions());
      throw UsageError("the formula's variable " + quote(name) + " has no value; add --at " + name +
                       "=NUMBER" + (name.size() > 1 && !hint.empty() ? ", or " + hint : ""));
    }
    values.push_back(found->second);
    given.erase(found);
  }
  if (!given.empty()) throw UsageError("the formula has no variable " + quote(given.begin()->first));
  return values;
}

Json path_json(const ChainTrace& trace, const ChainPath& path) {
  Json names = Json::array();
  for (const std::size_t step : path.steps) names.push_back(trace.steps[step].text);
  return {{"steps", names}, {"factors", path.factors}, {"product", path.product}};
}

Json steps_json(const ChainTrace& trace) {
  Json steps = Json::array();
  for (const ChainStep& step : trace.steps) {
    Json inputs = Json::array();
    for (const ChainStep::Edge& edge : step.inputs) {
      inputs.push_back({{"step", edge.from}, {"derivative", edge.derivative}, {"value", edge.value}});
    }
    steps.push_back(
        {{"text", step.text}, {"value", step.value}, {"adjoint", step.adjoint}, {"inputs", inputs}});
  }
  return steps;
}

Json to_json(const ChainTrace& trace) {
  Json gradients = Json::array();
  for (const ChainGradient& gradient : trace.gradients) {
    Json paths = Json::array();
    for (const ChainPath& path : gradient.paths) paths.push_back(path_json(trace, path));
    gradients.push_back({{"variable", gradient.variable},
                         {"at", gradient.at},
                         {"derivative", gradient.text},
                         {"value", gradient.value},
                         {"numeric", gradient.numeric},
                         {"step", gradient.step},
                         {"error", gradient.error},
                         {"left", gradient.left},
                         {"right", gradient.right},
                         {"paths", paths},
                         {"all_paths", gradient.complete}});
  }
  return {{"expression", trace.text},   {"value", trace.value},   {"defined", trace.defined()},
          {"at_kink", trace.at_kink()}, {"gradients", gradients}, {"steps", steps_json(trace)}};
}

int run(const Session& session, const GradArguments& options) {
  const Expression f = from_user([&] { return parse_expression(options.formula); });
  const std::vector<double> at = values_of(f, options);
  const ChainTrace trace =
      from_user([&] { return trace_chain(f, at, options.latex ? TextStyle::latex : TextStyle::plain); });
  if (session.json) {
    print_json(to_json(trace));
  } else {
    print(to_text(trace, options.steps));
  }
  return trace.defined() ? ok : failed;
}

}  // namespace

void add_grad(CLI::App& app, Session& session) {
  CLI::App& command =
      add_command(app, session, "grad", "The derivative of a formula: symbols, numbers, chain rule, check",
                  "  chainrule grad \"sin(x)*exp(x)\" --at x=0.5\n"
                  "  chainrule grad \"sigmoid(w*x + b)^2\" --at w=0.5,x=2,b=0.1 --steps\n"
                  "  chainrule grad \"x^2 / 2\" --at x=pi/4 --latex\n"
                  "  chainrule grad \"log(x)\" --at x=2 --json");
  auto options = std::make_shared<GradArguments>();
  command
      .add_option("EXPRESSION", options->formula, "A formula: + - * / ^, parentheses, and the ops by name")
      ->required();
  command
      .add_option("--at", options->at,
                  "Values of variables: NAME=NUMBER, with commas between, or once for each")
      ->allow_extra_args(false);
  command.add_flag("--steps", options->steps,
                   "Show the tree, every local derivative, and the sum over paths");
  command.add_flag("--latex", options->latex, "Print formulas as LaTeX");
  command.callback(
      [&session, options] { session.run = [&session, options] { return run(session, *options); }; });
}

}  // namespace chainrule::cli
