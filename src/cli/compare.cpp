// chainrule compare: what differs between two runs, in configuration and in result.

#include <cmath>
#include <map>
#include <memory>
#include <sstream>

#include <fmt/format.h>

#include <chainrule/train.hpp>

#include "cli/command.hpp"

namespace chainrule::cli {
namespace {

struct Options {
  std::string first, second;
};

using Table = std::map<std::string, std::string>;

// Keys with their sections, from the text that `train` writes: one line each.
Table configuration(const std::string& run) {
  Table table;
  std::istringstream lines(train::to_toml(train::load_config(run + "/config.toml")));
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) section = line.substr(1, line.find(']') - 1) + ".";
    const auto equals = line.find(" = ");
    if (equals != std::string::npos) table[section + line.substr(0, equals)] = line.substr(equals + 3);
  }
  return table;
}

// The metrics of the epoch whose weights were kept.
std::map<std::string, double> results(const std::string& run) {
  const train::Run record = train::load_run(run);
  std::map<std::string, double> values;
  if (!std::isnan(record.seconds)) values["seconds"] = record.seconds;
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

int run(const Session& session, const Options& options) {
  Json json = {{"runs", {options.first, options.second}},
               {"configuration", Json::object()},
               {"results", Json::object()}};
  std::string text = fmt::format("{:<24}{:<20}{}\n", "", options.first, options.second);
  const Table first = configuration(options.first);
  const Table second = configuration(options.second);
  for (const auto& [key, value] : first) {
    if (second.at(key) == value) continue;
    json["configuration"][key] = {value, second.at(key)};
    text += fmt::format("{:<24}{:<20}{}\n", key, value, second.at(key));
  }
  if (json["configuration"].empty()) text += "the configurations are equal\n";
  const auto mine = results(options.first);
  const auto theirs = results(options.second);
  for (const auto& [name, value] : mine) {
    const auto found = theirs.find(name);
    if (found == theirs.end()) continue;
    json["results"][name] = {value, found->second};
    text +=
        fmt::format("{:<24}{:<20.6g}{:.6g}   ({:+.4g})\n", name, value, found->second, found->second - value);
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
  auto options = std::make_shared<Options>();
  command.add_option("RUN", options->first, "A run folder")->required()->check(CLI::ExistingDirectory);
  command.add_option("OTHER", options->second, "Another one")->required()->check(CLI::ExistingDirectory);
  command.callback(
      [&session, options] { session.run = [&session, options] { return run(session, *options); }; });
}

}  // namespace chainrule::cli
