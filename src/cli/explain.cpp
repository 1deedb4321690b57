// chainrule explain: what there is to know about an op.

#include <algorithm>
#include <memory>

#include <chainrule/explain.hpp>
#include <chainrule/text.hpp>

#include "cli/command.hpp"

namespace chainrule::cli {
namespace {

struct ExplainArguments {
  std::string name;
  std::vector<double> at;
  std::optional<double> target;
  bool latex = false;
};

template <typename T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json derivatives_json(const DerivativeTexts& texts) {
  Json inputs = Json::array();
  for (const DerivativeText& text : texts.inputs) {
    inputs.push_back({{"input", text.input},
                      {"partial", text.partial},
                      {"second", text.second},
                      {"backward", text.backward}});
  }
  return {{"output", texts.output}, {"shapes", texts.shapes}, {"inputs", inputs}};
}

Json numbers_json(const Explanation& e) {
  Json worked = Json::array();
  for (const WorkedValue& value : e.worked) worked.push_back({{"text", value.text}, {"value", value.value}});
  Json checks = Json::array();
  for (const DerivativeCheck& check : e.checks) {
    checks.push_back({{"what", check.what},
                      {"rule", check.rule},
                      {"numeric", check.numeric},
                      {"error", check.error},
                      {"ok", check.ok}});
  }
  Json limits = Json::array();
  for (const Float32Limit& limit : e.float32) limits.push_back({{"what", limit.what}, {"at", limit.at}});
  Json saturation = nullptr;
  if (e.saturation) {
    saturation = {{"peak", e.saturation->peak},
                  {"peak_at", e.saturation->peak_at},
                  {"flat", e.saturation->flat},
                  {"zero", e.saturation->zero},
                  {"below", optional_json(e.saturation->below)},
                  {"above", optional_json(e.saturation->above)}};
  }
  Json rows = Json::array();
  for (const WorkedRow& row : e.rows) rows.push_back({{"text", row.text}, {"values", row.values}});
  return {{"rows", rows},
          {"use", e.use},
          {"at", e.at},
          {"at_kink", e.at_kink},
          {"worked", worked},
          {"checks", checks},
          {"samples", e.samples},
          {"worst_ulp", e.worst_ulp},
          {"saturation", saturation},
          {"float32", limits}};
}

Json to_json(const Explanation& e) {
  Json json = {{"name", e.name},
               {"arguments", e.arguments},
               {"kind", e.kind},
               {"formula", e.formula},
               {"definition", e.definition},
               {"summary", e.summary},
               {"domain", e.domain},
               {"source", e.source},
               {"declared_in", e.declared_in},
               {"not_differentiable", e.not_differentiable},
               {"derivative", derivatives_json(e.derivative)}};
  json.update(numbers_json(e));
  return json;
}

Json to_json(const NamedExplanation& e) {
  Json parts = Json::object();
  for (const ExplainedPart& part : e.parts) parts[part.label] = part.lines;
  return {{"name", e.name},       {"kind", e.kind},     {"formula", e.formula},
          {"summary", e.summary}, {"source", e.source}, {"parts", parts}};
}

void check_name(const std::string& name) {
  std::vector<std::string> names = described_names();
  for (const OpSummary& op : list_ops()) names.push_back(op.name);
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  const std::string hint = suggest(name, names);
  throw UsageError("explain: nothing here is called " + quote(name) + "; " +
                   (hint.empty() ? "chainrule ops lists all ops" : hint));
}

int run(const Session& session, const ExplainArguments& options) {
  check_name(options.name);
  const TextStyle style = options.latex ? TextStyle::latex : TextStyle::plain;
  // truncated_normal is an op and an initializer that draws with it: the op has more to say.
  const std::vector<OpSummary> ops = list_ops();
  const bool is_op =
      std::any_of(ops.begin(), ops.end(), [&](const OpSummary& op) { return op.name == options.name; });
  const auto named = is_op ? std::optional<NamedExplanation>() : from_user([&] {
    return explain_named(options.name, {options.at, options.target, style});
  });
  if (named) {
    if (session.json) {
      print_json(to_json(*named));
    } else {
      print(to_text(*named));
    }
    return ok;
  }
  if (options.target) throw UsageError("--target is for losses, and " + quote(options.name) + " is an op");
  const Explanation explanation = from_user([&] { return explain(options.name, options.at, style); });
  if (session.json) {
    print_json(to_json(explanation));
  } else {
    print(to_text(explanation));
  }
  return ok;
}

}  // namespace

void add_explain(CLI::App& app, Session& session) {
  CLI::App& command = add_command(app, session, "explain", "What there is to know about an op, with numbers",
                                  "  chainrule explain sigmoid\n"
                                  "  chainrule explain sigmoid --at -2\n"
                                  "  chainrule explain atan2 --at 1,2\n"
                                  "  chainrule explain matmul --latex\n"
                                  "  chainrule explain gelu --json\n"
                                  "  chainrule explain cross_entropy --at 2,1,0.1 --target 2\n"
                                  "  chainrule explain huber_loss --at 3 --target 1");
  auto options = std::make_shared<ExplainArguments>();
  command
      .add_option("NAME", options->name,
                  "The name of an op (see chainrule ops), a loss, an optimizer, a schedule or an initializer")
      ->required();
  command
      .add_option("--at", options->at,
                  "Where to work out the example: a number for each argument, with commas between")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--target", options->target, "Losses: the class, or the target t of the example");
  command.add_flag("--latex", options->latex, "Print formulas as LaTeX");
  command.callback(
      [&session, options] { session.run = [&session, options] { return run(session, *options); }; });
}

}  // namespace chainrule::cli
