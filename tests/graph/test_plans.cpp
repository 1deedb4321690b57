// The plans of a few dozen small graphs, as text that is checked in: a refactoring does not change them, and
// whoever changes them on purpose sees in the difference what became of each. To write them again:
//
//   CHAINRULE_WRITE_PLANS=1 build/release/tests/test_graph --gtest_filter='*Plans.*'
//
// and read the difference before it is committed.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "graph/plan_graphs.hpp"

namespace cr = chainrule;

namespace {

const std::filesystem::path folder = std::filesystem::path(CHAINRULE_SOURCE_DIR) / "tests/reference/plans";

class Plans : public testing::TestWithParam<PlanGraph> {};

TEST_P(Plans, AreTheOnesOnRecord) {
#if defined(__clang__)
  GTEST_SKIP() << "f(a) * g(b) calls f first, and GCC, by whose programs the plans are recorded, calls g";
#endif
  const std::string text = cr::to_text(*plan_of(GetParam()));
  const std::filesystem::path path = folder / (GetParam().name + ".txt");
  if (std::getenv("CHAINRULE_WRITE_PLANS") != nullptr) std::ofstream(path) << text;
  std::stringstream recorded;
  recorded << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, recorded.str()) << path << ": see the head of tests/graph/test_plans.cpp";
}

// In release builds too, every pass leaves a sound graph behind.
TEST_P(Plans, AreBuiltFromSoundGraphs) {
  const bool before = cr::graph_checks().exchange(true);
  EXPECT_NO_THROW(plan_of(GetParam()));
  cr::graph_checks() = before;
}

INSTANTIATE_TEST_SUITE_P(Graphs, Plans, testing::ValuesIn(plan_graphs()),
                         [](const auto& param) { return param.param.name; });

TEST(PlansOnRecord, BelongToAGraph) {
  std::set<std::string> names;
  for (const PlanGraph& graph : plan_graphs())
    EXPECT_TRUE(names.insert(graph.name + ".txt").second) << graph.name;
  for (const auto& file : std::filesystem::directory_iterator(folder))
    EXPECT_TRUE(names.contains(file.path().filename().string())) << file.path();
  EXPECT_GE(names.size(), 30U);
}

}  // namespace
