// chainrule ops: every declaration.

#include <algorithm>
#include <memory>

#include <chainrule/explain.hpp>

#include "cli/command.hpp"

namespace chainrule::cli {
namespace {

Json to_json(const OpSummary& op) {
  Json derivatives = Json::object();
  for (const DerivativeText& text : derivative_text(op.name).inputs)
    derivatives[text.input] = text.partial.empty() ? text.backward : text.partial;
  return {{"name", op.name},
          {"formula", formula_text(op.name)},
          {"latex", formula_text(op.name, TextStyle::latex)},
          {"definition", definition_text(op.name)},
          {"summary", op.summary},
          {"domain", op.domain},
          {"differentiable", op.not_differentiable.empty()},
          {"derivatives", derivatives},
          {"source", op.source}};
}

std::string derivative_column(const OpSummary& op) {
  if (!op.not_differentiable.empty()) return "-";
  std::string text;
  for (const DerivativeText& input : derivative_text(op.name).inputs) {
    if (!text.empty()) text += ";  ";
    text += "∂" + input.input + ": " + (input.partial.empty() ? "see explain" : input.partial);
  }
  return text;
}

int print_ops(const Session& session) {
  Json all = Json::array();
  std::string text;
  for (const OpSummary& op : list_ops()) {
    if (session.json) {
      all.push_back(to_json(op));
      continue;
    }
    const std::string definition = definition_text(op.name);
    const std::string formula = definition.empty() ? formula_text(op.name) : definition;
    text += op.name + std::string(std::max<std::size_t>(20, op.name.size() + 1) - op.name.size(), ' ') +
            formula + "\n" + std::string(20, ' ') + "derivative  " + derivative_column(op) + "\n";
    if (!op.domain.empty()) text += std::string(20, ' ') + "domain      " + op.domain + "\n";
  }
  if (session.json) {
    print_json({{"ops", all}});
  } else {
    print(text);
  }
  return ok;
}

}  // namespace

void add_ops(CLI::App& app, Session& session) {
  CLI::App& command = add_command(app, session, "ops", "Every op: its formula, derivative and domain",
                                  "  chainrule ops\n"
                                  "  chainrule ops --json");
  command.callback([&session] { session.run = [&session] { return print_ops(session); }; });
}

}  // namespace chainrule::cli
