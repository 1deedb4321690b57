// A guest in the user's process, and a house that stays readable.

#include <regex>

#include <gtest/gtest.h>

#include "house/sources.hpp"

namespace {

// The program owns the terminal and the process; CHAINRULE_LOG is the one thing that a user asks the library
// to print.
bool may(const std::string& path, const std::string& call) {
  if (path.rfind("src/cli/", 0) == 0) return true;
  if (path == "src/graph/log.cpp") return call == "fprintf" || call == "stderr";
  return false;
}

std::vector<std::string> bad_calls(const std::string& line) {
  static const std::regex call(
      R"((?:^|[^\w.>])(printf|fprintf|puts|fputs|putchar|perror|exit|_exit|quick_exit|atexit|abort|signal|sigaction)"
      R"(|setlocale|fesetround|omp_set_num_threads|srand|setenv|putenv|umask|chdir)\s*\()"
      R"(|\b(stdout|stderr|cout|cerr|clog|set_terminate|set_new_handler)\b|std::locale::(global)\b)");
  std::vector<std::string> result;
  for (std::sregex_iterator it(line.begin(), line.end(), call), end; it != end; ++it) {
    for (std::size_t group = 1; group < it->size(); ++group) {
      if ((*it)[group].matched) result.push_back((*it)[group]);
    }
  }
  return result;
}

TEST(Manners, TheScanFindsWhatItLooksFor) {
  EXPECT_EQ(bad_calls("  std::exit(1);"), std::vector<std::string>{"exit"});
  EXPECT_EQ(bad_calls("std::cout << x;"), std::vector<std::string>{"cout"});
  EXPECT_EQ(bad_calls("::signal(SIGINT, f);"), std::vector<std::string>{"signal"});
  EXPECT_TRUE(bad_calls("scope.exit(); on_exit(f); snprintf(b, n, f);").empty());
}

TEST(Manners, TheLibraryNeitherPrintsNorExitsNorSetsGlobals) {
  for (const house::Source& source : house::sources("src")) {
    for (std::size_t i = 0; i < source.code.size(); ++i) {
      for (const std::string& call : bad_calls(source.code[i])) {
        EXPECT_TRUE(may(source.path, call)) << source.path << ":" << i + 1 << ": " << source.lines[i];
      }
    }
  }
}

// Nothing registers itself while the library is loaded: tables are written out.
TEST(Manners, NoStaticRegistration) {
  static const std::regex registration(R"(__attribute__\s*\(\(\s*constructor|\bREGISTER_\w+\s*\()");
  for (const house::Source& source : house::sources("src")) {
    for (std::size_t i = 0; i < source.code.size(); ++i) {
      EXPECT_FALSE(std::regex_search(source.code[i], registration)) << source.path << ":" << i + 1;
    }
  }
}

constexpr std::size_t longest_file = 650;
constexpr std::size_t longest_function = 100;

TEST(House, FilesStayReadable) {
  for (const char* folder : {"src", "include", "tests", "examples"}) {
    for (const house::Source& source : house::sources(folder)) {
      EXPECT_LE(source.lines.size(), longest_file) << source.path;
    }
  }
}

// Functions outside of classes begin and end in column one, as clang-format writes them.
TEST(House, FunctionsStayReadable) {
  for (const house::Source& source : house::sources("src")) {
    std::size_t start = 0;
    for (std::size_t i = 0; i < source.code.size(); ++i) {
      const std::string& line = source.code[i];
      if (line.empty() || line[0] == ' ' || line[0] == '#') continue;
      if (line.ends_with(") {") || line.ends_with(") const {") || line.ends_with("noexcept {")) start = i + 1;
      if (line != "}" || start == 0) continue;
      EXPECT_LE(i + 1 - start, longest_function) << source.path << ":" << start;
      start = 0;
    }
  }
}

}  // namespace
