// chainrule check: the derivatives of every op against differences, and what else the registry promises.

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include <chainrule/check.hpp>

#include "cli/command.hpp"

namespace chainrule::cli {
namespace {

struct CheckArguments {
  std::vector<std::string> names;
};

struct Totals {
  int differentiable = 0;
  int cases = 0;
  std::size_t failures = 0;
  double worst_gradient = 0;
  double worst_forward = 0;
};

Totals total(const std::vector<OpCheck>& checks) {
  Totals totals;
  for (const OpCheck& check : checks) {
    totals.differentiable += check.differentiable ? 1 : 0;
    totals.cases += check.cases;
    totals.failures += check.failures.size();
    totals.worst_gradient = std::max(totals.worst_gradient, check.worst_gradient_error);
    totals.worst_forward = std::max(totals.worst_forward, check.worst_forward_error);
  }
  return totals;
}

Json to_json(const std::vector<OpCheck>& checks) {
  Json ops = Json::array();
  for (const OpCheck& check : checks) {
    ops.push_back({{"name", check.name},
                   {"differentiable", check.differentiable},
                   {"cases", check.cases},
                   {"worst_gradient_error", check.worst_gradient_error},
                   {"worst_forward_error_ulp", check.worst_forward_error},
                   {"failures", check.failures}});
  }
  const Totals totals = total(checks);
  return {{"ops", checks.size()},
          {"differentiable", totals.differentiable},
          {"cases", totals.cases},
          {"failures", totals.failures},
          {"worst_gradient_error", totals.worst_gradient},
          {"worst_forward_error_ulp", totals.worst_forward},
          {"results", ops}};
}

std::string to_text(const std::vector<OpCheck>& checks) {
  std::string text;
  for (const OpCheck& check : checks) {
    const std::string gradient =
        check.differentiable ? fmt::format("{:.1e}", check.worst_gradient_error) : "-";
    text += fmt::format("{:<24}{:>6} cases   gradient {:<10} forward {:>6.2f} ULP   {}\n", check.name,
                        check.cases, gradient, check.worst_forward_error,
                        check.failures.empty() ? "ok" : "FAILED");
    for (const std::string& failure : check.failures) text += "    " + failure + "\n";
  }
  const Totals totals = total(checks);
  return text + fmt::format(
                    "{} ops, {} differentiable, all to second order; {} cases, {} failures; worst gradient "
                    "error {:.1e}, "
                    "worst float32 error {:.2f} ULP\n",
                    checks.size(), totals.differentiable, totals.cases, totals.failures,
                    totals.worst_gradient, totals.worst_forward);
}

int run(const Session& session, const CheckArguments& options) {
  GradientCheckOptions how;
  how.seed = session.seed.value_or(0);
  std::vector<OpCheck> checks;
  for (const std::string& name : options.names)
    checks.push_back(from_user([&] { return check_op(name, how); }));
  if (options.names.empty()) checks = check_registry(how);
  if (session.json) {
    print_json(to_json(checks));
  } else {
    print(to_text(checks));
  }
  return total(checks).failures == 0 ? ok : failed;
}

}  // namespace

void add_check(CLI::App& app, Session& session) {
  CLI::App& command =
      add_command(app, session, "check", "Checks every op: values, and derivatives to second order",
                  "  chainrule check\n"
                  "  chainrule check sigmoid softmax\n"
                  "  chainrule check --json");
  auto options = std::make_shared<CheckArguments>();
  command.add_option("NAME", options->names, "The ops to check (default: all)");
  command.callback(
      [&session, options] { session.run = [&session, options] { return run(session, *options); }; });
}

}  // namespace chainrule::cli
