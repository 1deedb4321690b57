// The chainrule program: reads the command line, runs one command, turns what goes wrong into an exit status.

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <iostream>
#include <new>

#include <chainrule/context.hpp>
#include <chainrule/text.hpp>
#include <chainrule/threads.hpp>
#include <chainrule/version.hpp>

#include "cli/command.hpp"

namespace chainrule::cli {
namespace {

void describe(CLI::App& app) {
  app.name("chainrule");
  app.description("Train and run neural networks, and see the mathematics behind them.");
  app.footer(
      "Examples:\n"
      "  chainrule grad \"sin(x)*exp(x)\" --at x=0.5\n"
      "  chainrule explain sigmoid\n"
      "  chainrule train moons\n"
      "\n"
      "chainrule COMMAND --help has more of each command.\n"
      "Exit status: 0 done, 1 the run failed, 2 wrong usage.");
  app.set_version_flag("--version", version());
  app.require_subcommand(1);
}

// Descriptions stand in a column of their own; CLI11 keeps the line breaks that it is given.
std::string broken_in_lines(const std::string& text) {
  constexpr std::size_t width = 50;  // the column begins at 30
  std::string lines;
  std::size_t begin = 0;
  while (text.size() - begin > width) {
    const std::size_t space = text.rfind(' ', begin + width);
    if (space == std::string::npos || space <= begin) break;
    lines += text.substr(begin, space - begin) + "\n";
    begin = space + 1;
  }
  return lines + text.substr(begin);
}

void fit_terminal(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    for (CLI::Option* option : command->get_options())
      option->description(broken_in_lines(option->get_description()));
  }
}

void complain(const std::string& message) { std::fprintf(stderr, "chainrule: %s\n", message.c_str()); }

// CLI11 would answer an unknown command with a word that is not in anyone's vocabulary.
bool is_unknown_command(const CLI::App& app, const char* word, std::string& answer) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  if (word[0] == '-' || std::find(names.begin(), names.end(), word) != names.end()) return false;
  answer = "no command is called " + quote(word);
  const std::string hint = suggest(word, names);
  if (!hint.empty()) answer += "; " + hint;
  return true;
}

// The arguments as a shell would read them again.
std::string command_line(int argc, char** argv) {
  std::string text = "chainrule";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const bool plain =
        !argument.empty() && std::all_of(argument.begin(), argument.end(), [](unsigned char c) {
          return std::isalnum(c) != 0 ||
                 std::string_view("-_./=,:+@%").find(static_cast<char>(c)) != std::string_view::npos;
        });
    if (plain) {
      text += " " + std::string(argument);
      continue;
    }
    text += " '";
    for (const char c : argument) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    text += "'";
  }
  return text;
}

int parse(CLI::App& app, int argc, char** argv) {
  std::string answer;
  if (argc > 1 && is_unknown_command(app, argv[1], answer)) {
    complain(answer);
    return wrong_usage;
  }
  try {
    app.parse(argc, argv);
    return ok;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      app.exit(error, std::cout, std::cerr);
      return -1;  // help or version was asked for
    }
    complain(error.what() +
             std::string("\nRun chainrule --help, or chainrule COMMAND --help, for what there is."));
    return wrong_usage;
  }
}

int run_command(const Session& session) {
  try {
    set_thread_count(session.threads);
    seed(session.seed.value_or(0));
    return session.run();
  } catch (const UsageError& error) {
    complain(error.what());
    return wrong_usage;
  } catch (const Error& error) {
    complain(error.what());
  } catch (const std::bad_alloc&) {
    complain("not enough memory");
  } catch (const std::exception& error) {
    complain(error.what());
  }
  return failed;
}

int program(int argc, char** argv) {
  CLI::App app;
  Session session;
  session.command = command_line(argc, argv);
  describe(app);
  for (const auto add : {add_train, add_evaluate, add_predict, add_compare, add_explain, add_grad, add_ops,
                         add_check, add_bench, add_profile}) {
    add(app, session);
  }
  fit_terminal(app);
  const int status = parse(app, argc, argv);
  if (status != ok) return std::max(status, 0);
  return run_command(session);
}

}  // namespace
}  // namespace chainrule::cli

int main(int argc, char** argv) { return chainrule::cli::program(argc, argv); }
