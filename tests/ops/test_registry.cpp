// One loop over the registry: what every declaration has to hold, whatever the op.

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include <chainrule/check.hpp>
#include <chainrule/ops.hpp>

#include "graph/device.hpp"
#include "kernels/cpu/lanes.hpp"

namespace cr = chainrule;

namespace {

class EveryOp : public testing::TestWithParam<const cr::OpDef*> {};

bool is_view_or_leaf(const cr::OpDef& op) {
  return op.kind == cr::OpKind::view || op.kind == cr::OpKind::leaf;
}

TEST_P(EveryOp, IsDeclaredInFull) {
  const cr::OpDef& op = *GetParam();
  EXPECT_STRNE(op.text.formula, "") << "no formula";
  EXPECT_STRNE(op.text.latex, "") << "no LaTeX";
  EXPECT_STRNE(op.text.summary, "") << "no summary";
  EXPECT_STRNE(op.text.domain, "") << "no domain";
  EXPECT_FALSE(op.arguments.empty()) << "no arguments";
  EXPECT_TRUE(op.samples != nullptr || op.ranges.size() == op.arguments.size())
      << "neither samples nor a range for each argument";
  EXPECT_TRUE(op.kind == cr::OpKind::elementwise || op.samples != nullptr) << "no samples";
  EXPECT_TRUE(op.kind == cr::OpKind::elementwise || op.infer != nullptr) << "no shape and dtype rule";
  EXPECT_TRUE(op.kind != cr::OpKind::view || op.view != nullptr) << "no view of memory";
  const bool needs_reference =
      op.kind == cr::OpKind::elementwise && op.attributes.empty() && op.ranges.size() > 0;
  EXPECT_TRUE(op.reference != nullptr || !needs_reference) << "no reference formula";
  if (op.not_differentiable != nullptr) {
    EXPECT_STRNE(op.not_differentiable, "");
  } else {
    const bool reverse = op.vjp != nullptr || op.partial != nullptr || op.definition != nullptr;
    const bool forward = op.jvp != nullptr || op.partial != nullptr || op.linear != cr::Linearity::none ||
                         op.definition != nullptr;
    EXPECT_TRUE(reverse)
        << "no vjp, partial derivatives or definition, and no reason why it is not differentiable";
    EXPECT_TRUE(forward) << "no jvp, partial derivatives, linearity or definition";
  }
  EXPECT_TRUE(op.batch != nullptr || op.kind == cr::OpKind::elementwise || op.definition != nullptr)
      << "no batching rule";
}

TEST_P(EveryOp, NamesItsArgumentsInTheFormula) {
  const cr::OpDef& op = *GetParam();
  for (std::string argument : {std::string(op.arguments[0])}) {
    argument = argument.substr(0, argument.find("..."));
    EXPECT_NE(std::string(op.text.formula).find("{" + argument + "}"), std::string::npos) << op.text.formula;
  }
}

TEST_P(EveryOp, RunsOnTheCpu) {
  const cr::OpDef& op = *GetParam();
  const cr::Device& device = cr::cpu_device();
  const bool lane = cr::kernels::find_lane_kernel(op.name, cr::DType::float32) != nullptr ||
                    cr::kernels::find_lane_kernel(op.name, cr::DType::boolean) != nullptr ||
                    op.name == "astype";
  const bool runs = !device.kernels(op).empty() || op.definition != nullptr || is_view_or_leaf(op) ||
                    (op.kind == cr::OpKind::elementwise && lane);
  EXPECT_TRUE(runs) << "neither kernel, lane, definition nor view";
}

TEST_P(EveryOp, PassesItsOwnChecks) {
  const cr::OpCheck check = cr::check_op(std::string(GetParam()->name));
  EXPECT_GT(check.cases, 0);
  for (const std::string& failure : check.failures) ADD_FAILURE() << failure;
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryOp, testing::ValuesIn(cr::op_table().begin(), cr::op_table().end()),
                         [](const auto& param) { return std::string(param.param->name); });

TEST(Registry, IsSortedAndUnique) {
  const auto table = cr::op_table();
  for (std::size_t i = 1; i < table.size(); ++i) EXPECT_LT(table[i - 1]->name, table[i]->name);
  for (const cr::OpDef* op : table) EXPECT_EQ(cr::find_op(op->name), op);
  EXPECT_EQ(cr::find_op("no_such_op"), nullptr);
}

// Text, because no program can list the names that a header declares.
TEST(Registry, HoldsEveryDeclaration) {
  std::ifstream file(std::string(CHAINRULE_SOURCE_DIR) + "/src/ops/declarations.hpp");
  std::stringstream text;
  text << file.rdbuf();
  const std::string header = text.str();
  std::set<std::string> declared;
  const std::regex list("extern const OpDef ([^;]+);");
  const std::regex name("[a-z_0-9]+");
  for (std::sregex_iterator match(header.begin(), header.end(), list), end; match != end; ++match) {
    const std::string names = (*match)[1];
    for (std::sregex_iterator word(names.begin(), names.end(), name); word != end; ++word)
      declared.insert(word->str());
  }
  std::set<std::string> listed;
  for (const cr::OpDef* op : cr::op_table()) listed.insert(std::string(op->name));
  EXPECT_EQ(declared, listed);
  EXPECT_GT(declared.size(), 100U);
}

}  // namespace
