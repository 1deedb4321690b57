#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chainrule/error.hpp>
#include <chainrule/machine.hpp>
#include <chainrule/train/config.hpp>

/// What the commands of the program share. Results go to stdout, progress to stderr; the exit status is 0, 1
/// (the run failed) or 2 (wrong usage).
namespace chainrule::cli {

using Json = nlohmann::ordered_json;

enum Exit : int { ok = 0, failed = 1, wrong_usage = 2 };

/// The options that every command takes, and what the chosen one will do.
struct Session {
  bool json = false;
  int threads = 0;  ///< 0: the cores that this process may use
  std::optional<std::uint64_t> seed;
  std::string command;  ///< as it was typed, quoted where a shell needs it
  std::function<int()> run;
};

/// Something that the command line got wrong, after it was read.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The result of f, where an ArgumentError means that the user wrote something wrong.
template <typename F>
auto from_user(const F& f) {
  try {
    return f();
  } catch (const ArgumentError& error) {
    throw UsageError(error.what());
  }
}

/// The same for f that reads what the user named: a file that is not there or makes no sense is wrong usage
/// too, and so are examples of another shape.
template <typename F>
auto from_user_file(const F& f) {
  try {
    return from_user(f);
  } catch (const IoError& error) {
    throw UsageError(error.what());
  } catch (const ShapeError& error) {
    throw UsageError(error.what());
  }
}

/// The same for f that uses the configuration `source`, where that is a file: a mistake in a key has its
/// line.
template <typename F>
auto from_config(const std::string& source, const F& f) {
  try {
    return f();
  } catch (const ArgumentError& error) {
    const std::string place =
        source.ends_with(".toml") ? train::place_in_config(source, error.parts().argument) : std::string();
    throw UsageError(place.empty() ? error.what() : place + ": " + error.what());
  }
}

/// Throws UsageError where the folder is not one that a run wrote.
void check_run_folder(const std::string& folder);
/// Throws UsageError where a file of data that a configuration names is not there: a slip of the pen. One that
/// is damaged is found when it is read.
void check_data_files(const train::DataConfig& data);
/// A file of a run; null where it is missing or damaged.
Json read_run_file(const std::string& folder, const std::string& name);

/// A subcommand with its examples at the end of its help, and the options that all commands share.
CLI::App& add_command(CLI::App& app, Session& session, const std::string& name,
                      const std::string& description, const std::string& examples);

/// For numbers above 0. CLI11's own check answers with the largest double, in 309 digits.
CLI::Validator above_zero();

/// Writes one JSON object to stdout. NaN and infinities become null.
void print_json(const Json& value);
void print(const std::string& text);
/// For --json of commands that measure.
Json machine_json(const MachineLimits& limits);

// One per file.
void add_bench(CLI::App& app, Session& session);
void add_check(CLI::App& app, Session& session);
void add_compare(CLI::App& app, Session& session);
void add_evaluate(CLI::App& app, Session& session);
void add_explain(CLI::App& app, Session& session);
void add_grad(CLI::App& app, Session& session);
void add_ops(CLI::App& app, Session& session);
void add_predict(CLI::App& app, Session& session);
void add_profile(CLI::App& app, Session& session);
void add_train(CLI::App& app, Session& session);

}  // namespace chainrule::cli
