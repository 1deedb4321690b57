#include "cli/command.hpp"

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace chainrule::cli {
namespace {

/// TOML, in which a run keeps its seed, has signed numbers of 64 bits.
CLI::Validator seed_number() {
  return CLI::Validator(
      [](const std::string& text) {
        std::int64_t value = 0;
        const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool fits = status == std::errc() && end == text.data() + text.size() && value >= 0;
        return fits ? std::string() : "a whole number from 0 to 9223372036854775807 is wanted, got " + text;
      },
      "SEED");
}

}  // namespace

CLI::App& add_command(CLI::App& app, Session& session, const std::string& name,
                      const std::string& description, const std::string& examples) {
  CLI::App& command = *app.add_subcommand(name, description);
  command.footer("Examples:\n" + examples);
  command.add_flag("--json", session.json, "Print one JSON object instead of text");
  command.add_option("--threads", session.threads, "How many threads to use (default: one per core)")
      ->check(CLI::Range(1, 256));
  command.add_option("--seed", session.seed, "Where the random numbers start (default: 0)")->check(seed_number());
  return command;
}

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

CLI::Validator above_zero() {
  return CLI::Validator(
      [](const std::string& text) {
        double value = 0;
        const bool is_number = CLI::detail::lexical_cast(text, value);
        return is_number && value > 0 ? std::string() : "a number above 0 is wanted, got " + text;
      },
      "POSITIVE");
}

void check_run_folder(const std::string& folder) {
  for (const char* name : {"config.toml", "run.json"}) {
    if (!std::filesystem::exists(std::filesystem::path(folder) / name))
      throw UsageError(folder + " is not the folder of a run: it has no " + name);
  }
}

void check_data_files(const train::DataConfig& data) {
  for (const std::string& path : {data.source, data.targets}) {
    const bool looks_like_a_file = path.find('/') != std::string::npos ||
                                   std::filesystem::path(path).has_extension() || path == data.targets;
    if (!path.empty() && looks_like_a_file && !std::filesystem::exists(path))
      throw UsageError(path + ": there is no such file");
  }
}

Json read_run_file(const std::string& folder, const std::string& name) {
  std::ifstream file(std::filesystem::path(folder) / name);
  Json json = Json::parse(file, nullptr, false);
  return json.is_discarded() ? Json(nullptr) : json;
}

void print_json(const Json& value) {
  print(value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace chainrule::cli
