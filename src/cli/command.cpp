#include "cli/command.hpp"

#include <cstdio>

namespace chainrule::cli {

CLI::App& add_command(CLI::App& app, Session& session, const std::string& name,
                      const std::string& description, const std::string& examples) {
  CLI::App& command = *app.add_subcommand(name, description);
  command.footer("Examples:\n" + examples);
  command.add_flag("--json", session.json, "Print one JSON object instead of text");
  command.add_option("--threads", session.threads, "How many threads to use (default: one per core)")
      ->check(CLI::Range(1, 256));
  command.add_option("--seed", session.seed, "Where the random numbers start (default: 0)");
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

void print_json(const Json& value) {
  print(value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace chainrule::cli
