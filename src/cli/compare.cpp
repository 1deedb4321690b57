// chainrule compare: what differs between two runs, in configuration and in result.

#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <sstream>

#include <fmt/format.h>

#include <chainrule/train.hpp>

#include "cli/command.hpp"

namespace chainrule::cli {
namespace {

struct CompareArguments {
  std::string first, second;
};

using Table = std::map<std::string, std::string>;

// Keys with their sections, from the text that `train` writes: one line each. Tables of one name are counted.
Table configuration(const std::string& run) {
  const std::string text =
      from_user_file([&] { return train::to_toml(train::load_config(run + "/config.toml")); });
  Table table;
  std::map<std::string, int> counts;
  std::istringstream lines(text);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("[[")) {
      const std::string name = line.substr(2, line.find(']') - 2);
      section = fmt::format("{}[{}].", name, counts[name]++);
    } else if (line.starts_with('[')) {
      section = line.substr(1, line.find(']') - 1) + ".";
    } else if (const auto equals = line.find(" = "); equals != std::string::npos) {
      table[section + line.substr(0, equals)] = line.substr(equals + 3);
    }
  }
  return table;
}

void add_number(std::map<std::string, double>& values, const std::string& name, const Json& value) {
  if (value.is_number()) values[name] = value.get<double>();
}

// The metrics of the epoch whose weights were kept, and of the test part.
std::map<std::string, double> results(const std::string& run) {
  const train::Run record = from_user_file([&] { return train::load_run(run); });
  std::map<std::string, double> values;
  if (!std::isnan(record.seconds)) values["seconds"] = record.seconds;
  const Json evaluation = read_run_file(run, "evaluation.json");
  if (evaluation.is_object()) {
    add_number(values, "test loss", evaluation.value("loss", Json(nullptr)));
    const Json metrics = evaluation.value("metrics", Json::object());
    for (const auto& [name, value] : metrics.items()) add_number(values, "test " + name, value);
  }
  if (record.epochs.empty()) return values;
  const train::EpochRecord& kept =
      record.best_epoch ? record.epochs[*record.best_epoch] : record.epochs.back();
  values["best epoch"] = static_cast<double>(kept.epoch);
  if (!std::isnan(kept.validation_loss)) values["validation loss"] = kept.validation_loss;
  for (const auto& [name, value] : kept.validation_metrics) {
    if (!std::isnan(value)) values["validation " + name] = value;
  }
  return values;
}

/// Every key of either, with what each has for it.
template <typename T>
std::map<std::string, std::pair<std::optional<T>, std::optional<T>>> side_by_side(
    const std::map<std::string, T>& first, const std::map<std::string, T>& second) {
  std::map<std::string, std::pair<std::optional<T>, std::optional<T>>> both;
  for (const auto& [key, value] : first) both[key].first = value;
  for (const auto& [key, value] : second) both[key].second = value;
  return both;
}

template <typename T>
Json json_of(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

int run(const Session& session, const CompareArguments& options) {
  for (const std::string& folder : {options.first, options.second}) check_run_folder(folder);
  Json json = {{"runs", {options.first, options.second}},
               {"configuration", Json::object()},
               {"results", Json::object()}};
  std::string text = fmt::format("{:<30}{:<20}{}\n", "", options.first, options.second);
  const Table first = configuration(options.first);
  const Table second = configuration(options.second);
  const std::string absent = "—";
  for (const auto& [key, pair] : side_by_side(first, second)) {
    if (pair.first == pair.second) continue;
    json["configuration"][key] = {json_of(pair.first), json_of(pair.second)};
    text += fmt::format("{:<30}{:<20}{}\n", key, pair.first.value_or(absent), pair.second.value_or(absent));
  }
  if (json["configuration"].empty()) text += "the configurations are equal\n";
  for (const auto& [name, pair] : side_by_side(results(options.first), results(options.second))) {
    json["results"][name] = {json_of(pair.first), json_of(pair.second)};
    const auto shown = [&](const std::optional<double>& x) { return x ? fmt::format("{:.6g}", *x) : absent; };
    text += fmt::format("{:<30}{:<20}{}", name, shown(pair.first), shown(pair.second));
    if (pair.first && pair.second) text += fmt::format("   ({:+.4g})", *pair.second - *pair.first);
    text += "\n";
  }
  if (session.json) {
    print_json(json);
  } else {
    print(text);
  }
  return ok;
}

}  // namespace

void add_compare(CLI::App& app, Session& session) {
  CLI::App& command = add_command(app, session, "compare", "What differs between two runs",
                                  "  chainrule compare runs/a runs/b\n"
                                  "  chainrule compare runs/a runs/b --json");
  auto options = std::make_shared<CompareArguments>();
  command.add_option("RUN", options->first, "A run folder")->required()->check(CLI::ExistingDirectory);
  command.add_option("OTHER", options->second, "Another one")->required()->check(CLI::ExistingDirectory);
  command.callback(
      [&session, options] { session.run = [&session, options] { return run(session, *options); }; });
}

}  // namespace chainrule::cli
