// Dependencies run one way.

#include <map>
#include <optional>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "house/sources.hpp"

namespace {

// A folder may include those of lower levels and itself, not its neighbours on the same level.
const std::map<std::string, int>& levels() {
  static const std::map<std::string, int> result = {
      {"tensor", 0}, {"kernels", 1}, {"graph", 2},      {"ops", 3},         {"autodiff", 4}, {"linalg", 5},
      {"io", 5},     {"data", 6},    {"expression", 5}, {"probability", 7}, {"distance", 7}, {"nn", 8},
      {"optim", 9},  {"train", 10},  {"inference", 11}, {"insight", 11},    {"cli", 12},
  };
  return result;
}

// The files that join the kernels to the ops: they know both sides.
bool joins_kernels_to_ops(const std::string& path) {
  static const std::regex joints(R"(src/kernels/cpu/(device|matmul|table\w*)\.(cpp|hpp))");
  return std::regex_match(path, joints);
}

std::string folder_of(const std::string& path) { return path.substr(0, path.find('/')); }

std::optional<std::string> broken_rule(const std::string& path, const std::string& include) {
  if (include.front() != '"' || include.find('/') == std::string::npos)
    return {};  // a neighbour in the folder
  const std::string from = folder_of(path.substr(4));
  const std::string to = folder_of(include.substr(1));
  const std::string what = path + " includes " + include;
  if (to == from) return {};
  if (!levels().contains(to)) return what + ", which is no folder of src/";
  if (joins_kernels_to_ops(path) && levels().at(to) <= levels().at("ops")) return {};
  if (levels().at(to) >= levels().at(from)) return what + ": " + to + " is not below " + from;
  return {};
}

TEST(Layers, EveryFolderHasItsPlace) {
  for (const house::Source& source : house::sources("src")) {
    EXPECT_TRUE(levels().contains(folder_of(source.path.substr(4)))) << source.path;
  }
}

TEST(Layers, DependenciesRunOneWay) {
  for (const house::Source& source : house::sources("src")) {
    for (const std::string& include : house::includes(source)) {
      const auto problem = broken_rule(source.path, include);
      EXPECT_FALSE(problem.has_value()) << *problem;
    }
  }
}

// Whatever the program does, a user's program does too.
TEST(Layers, TheProgramKnowsThePublicHeadersAlone) {
  for (const house::Source& source : house::sources("src")) {
    if (!source.path.starts_with("src/cli/")) continue;
    for (const std::string& include : house::includes(source))
      EXPECT_TRUE(include.front() == '<' || include.starts_with("\"cli/"))
          << source.path << " includes " << include;
  }
}

TEST(Layers, TheRuleBites) {
  EXPECT_TRUE(broken_rule("src/tensor/shape.cpp", "\"graph/node.hpp\""));
  EXPECT_TRUE(broken_rule("src/kernels/cpu/sort.cpp", "\"graph/node.hpp\""));
  EXPECT_TRUE(broken_rule("src/io/csv.cpp", "\"linalg/solve.hpp\""));
  EXPECT_FALSE(broken_rule("src/io/csv.cpp", "\"csv_cells.hpp\""));
  EXPECT_FALSE(broken_rule("src/kernels/cpu/table.cpp", "\"ops/declarations.hpp\""));
  EXPECT_FALSE(broken_rule("src/nn/linear.cpp", "\"graph/node.hpp\""));
}

// Public headers: the standard library and each other.
TEST(Layers, PublicHeadersIncludeNoThirdParty) {
  static const std::regex allowed(R"(<(chainrule/[\w/]+\.hpp|[a-z_0-9]+)>)");
  for (const house::Source& source : house::sources("include")) {
    for (const std::string& include : house::includes(source)) {
      EXPECT_TRUE(std::regex_match(include, allowed)) << source.path << " includes " << include;
    }
  }
}

void collect_includes(const std::string& path, std::set<std::string>& seen) {
  if (!seen.insert(path).second) return;
  for (const std::string& include : house::includes(house::source(path))) {
    if (include.starts_with("<chainrule/"))
      collect_includes("include/" + include.substr(1, include.size() - 2), seen);
  }
}

TEST(Layers, TheOneHeaderIncludesAllOthers) {
  std::set<std::string> included;
  collect_includes("include/chainrule/chainrule.hpp", included);
  for (const house::Source& source : house::sources("include")) {
    EXPECT_TRUE(included.contains(source.path)) << source.path << " is missing in chainrule.hpp";
  }
}

// A dependency is wrapped in one place.
TEST(Layers, ThirdPartyHeadersStayInTheirPlace) {
  const std::vector<std::pair<std::regex, std::regex>> homes = {
      {std::regex(R"(<toml\+\+/.*)"), std::regex("src/io/.*")},
      {std::regex("<hwy/.*"), std::regex("src/kernels/cpu/.*")},
      {std::regex("<zlib.*"), std::regex("src/(io/.*|insight/report_image\\.cpp)")},
      {std::regex("<CLI/.*"), std::regex("src/cli/.*")},
  };
  for (const house::Source& source : house::sources("src")) {
    for (const std::string& include : house::includes(source)) {
      for (const auto& [header, home] : homes) {
        if (!std::regex_match(include, header)) continue;
        EXPECT_TRUE(std::regex_match(source.path, home)) << source.path << " includes " << include;
      }
    }
  }
}

}  // namespace
