#include <cmath>
#include <ctime>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include <chainrule/error.hpp>
#include <chainrule/version.hpp>

#include "io/atomic_file.hpp"
#include "kernels/cpu/lanes.hpp"
#include "kernels/parallel.hpp"
#include "train/state.hpp"

namespace chainrule::train {
namespace {

io::Json number(double value) { return std::isfinite(value) ? io::Json(value) : io::Json(nullptr); }

io::Json numbers(const std::map<std::string, double>& values) {
  io::Json json = io::Json::object();
  for (const auto& [name, value] : values) json[name] = number(value);
  return json;
}

/// `2026-03-01 14:05 UTC`
std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  char text[32] = "";
  if (gmtime_r(&now, &parts) != nullptr) std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

/// `GCC 12.2.0`; Clang's version begins with its name.
std::string compiler_name() {
  const std::string version = __VERSION__;
  const bool is_number = !version.empty() && version[0] >= '0' && version[0] <= '9';
  return is_number ? "GCC " + version : version;
}

/// The processor as Linux names it; empty where it does not say.
std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

std::map<std::string, double> numbers_from(const io::Json& json) {
  std::map<std::string, double> values;
  for (const auto& [name, value] : json.items()) values[name] = number_or_unknown(value);
  return values;
}

Outcome outcome_from(const std::string& text) {
  for (const Outcome outcome :
       {Outcome::finished, Outcome::stopped_early, Outcome::stopped, Outcome::diverged}) {
    if (to_string(outcome) == text) return outcome;
  }
  throw std::out_of_range("outcome " + text);
}

void read_run_record(const io::Json& json, Run& run) {
  run.outcome = outcome_from(json.at("outcome").get<std::string>());
  run.step_count = json.at("steps").get<std::int64_t>();
  run.seconds = number_or_unknown(json.at("seconds"));
  run.verdict = json.at("verdict").get<std::string>();
  const io::Json& best = json.at("best_epoch");
  for (std::size_t i = 0; i < run.epochs.size(); ++i) {
    if (!best.is_null() && run.epochs[i].epoch == best.get<std::int64_t>()) run.best_epoch = i;
  }
}

void read_metrics_line(const io::Json& line, Run& run) {
  const std::string kind = line.at("kind").get<std::string>();
  if (kind == "epoch") run.epochs.push_back(epoch_from_json(line));
  if (kind == "step") run.steps.push_back(step_from_json(line));
  if (kind == "probe") run.probes.push_back(probe_from_json(line));
  if (kind == "activation") run.activations.push_back(activation_from_json(line));
}

}  // namespace

Run load_run(const std::string& folder) {
  Run run;
  run.folder = folder;
  const auto damaged = [&](const char* what) {
    return IoError({.function = "train::load_run",
                    .argument = "folder",
                    .problem = std::string("a file of the run is damaged: ") + what,
                    .got = folder,
                    .wanted = "run.json and metrics.jsonl as training writes them"});
  };
  try {
    if (std::filesystem::exists(folder + "/metrics.jsonl")) {
      for (const io::Json& line : io::read_json_lines(folder + "/metrics.jsonl"))
        read_metrics_line(line, run);
    }
    read_run_record(io::read_json(folder + "/run.json"), run);
  } catch (const nlohmann::json::exception& error) {
    throw damaged(error.what());
  } catch (const std::out_of_range& error) {
    throw damaged(error.what());
  }
  return run;
}

double number_or_unknown(const io::Json& json) { return json.is_null() ? unknown : json.get<double>(); }

io::Json to_json(const EpochRecord& r) {
  return {{"kind", "epoch"},
          {"epoch", r.epoch},
          {"loss", number(r.loss)},
          {"validation_loss", number(r.validation_loss)},
          {"metrics", numbers(r.metrics)},
          {"validation_metrics", numbers(r.validation_metrics)},
          {"learning_rate", number(r.learning_rate)},
          {"seconds", number(r.seconds)},
          {"examples_per_second", number(r.examples_per_second)}};
}

EpochRecord epoch_from_json(const io::Json& json) {
  EpochRecord r;
  r.epoch = json.at("epoch").get<std::int64_t>();
  r.loss = number_or_unknown(json.at("loss"));
  r.validation_loss = number_or_unknown(json.at("validation_loss"));
  r.metrics = numbers_from(json.at("metrics"));
  r.validation_metrics = numbers_from(json.at("validation_metrics"));
  r.learning_rate = number_or_unknown(json.at("learning_rate"));
  r.seconds = number_or_unknown(json.at("seconds"));
  r.examples_per_second = number_or_unknown(json.at("examples_per_second"));
  return r;
}

io::Json to_json(const StepRecord& r) {
  return {{"kind", "step"}, {"step", r.step}, {"loss", number(r.loss)}};
}

StepRecord step_from_json(const io::Json& json) {
  return {json.at("step").get<std::int64_t>(), number_or_unknown(json.at("loss"))};
}

io::Json to_json(const ProbeRecord& r) {
  return {{"kind", "probe"},
          {"step", r.step},
          {"parameter", r.parameter},
          {"gradient_norm", number(r.gradient_norm)},
          {"update_norm", number(r.update_norm)},
          {"parameter_norm", number(r.parameter_norm)}};
}

ProbeRecord probe_from_json(const io::Json& json) {
  return {.step = json.at("step").get<std::int64_t>(),
          .parameter = json.at("parameter").get<std::string>(),
          .gradient_norm = number_or_unknown(json.at("gradient_norm")),
          .update_norm = number_or_unknown(json.at("update_norm")),
          .parameter_norm = number_or_unknown(json.at("parameter_norm"))};
}

io::Json to_json(const ActivationRecord& r) {
  return {{"kind", "activation"},
          {"step", r.step},
          {"layer", r.layer},
          {"inactive_share", number(r.inactive_share)}};
}

ActivationRecord activation_from_json(const io::Json& json) {
  return {.step = json.at("step").get<std::int64_t>(),
          .layer = json.at("layer").get<std::string>(),
          .inactive_share = number_or_unknown(json.at("inactive_share"))};
}

void create_folder(const std::string& folder) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (!code) return;
  throw IoError({.function = "train::fit",
                 .argument = "run",
                 .problem = "the run's folder can't be made: " + code.message(),
                 .got = folder,
                 .wanted = "a folder that may be written"});
}

void write_metrics(const std::string& folder, const Run& run) {
  std::string text;
  const auto add = [&](const io::Json& json) { text += json.dump() + "\n"; };
  for (const EpochRecord& record : run.epochs) add(to_json(record));
  for (const StepRecord& record : run.steps) add(to_json(record));
  for (const ProbeRecord& record : run.probes) add(to_json(record));
  for (const ActivationRecord& record : run.activations) add(to_json(record));
  io::write_file(folder + "/metrics.jsonl", text, "train::fit");
}

void write_run_record(const std::string& folder, const Identity& identity, const State& state) {
  const Run& run = state.run;
  io::Json json = {
      {"version", CHAINRULE_VERSION},
      {"instruction_set", kernels::active_target()},
      {"threads", thread_count()},
      {"seed", identity.seed},
      {"batch_size", identity.batch_size},
      {"data_hash", identity.data_hash},
      {"validation_hash", identity.validation_hash},
      {"outcome", to_string(run.outcome)},
      {"steps", run.step_count},
      {"epochs", run.epochs.size()},
      {"best_epoch", run.best_epoch ? io::Json(run.epochs[*run.best_epoch].epoch) : io::Json(nullptr)},
      {"seconds", number(run.seconds)},
      {"verdict", run.verdict},
      {"created", utc_now()},
      {"command", state.command},
      {"compiler", compiler_name()},
      {"cpu", cpu_name()}};
  if (state.divergence) json["divergence"] = to_json(*state.divergence);
  io::write_json(folder + "/run.json", json);
}

}  // namespace chainrule::train
