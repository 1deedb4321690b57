#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

namespace {

using Json = nlohmann::json;

const char* const commands[] = {"train", "evaluate", "predict", "compare", "explain",
                                "grad",  "ops",      "check",   "bench",   "profile"};

TEST(Program, HelpHasExamplesEverywhere) {
  const program::Result help = program::run("--help");
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.output.find("Examples:"), std::string::npos);
  for (const std::string command : commands) {
    SCOPED_TRACE(command);
    EXPECT_NE(help.output.find(command), std::string::npos);
    const program::Result own = program::run(command + " --help");
    EXPECT_EQ(own.status, 0);
    EXPECT_NE(own.output.find("Examples:\n  chainrule " + command), std::string::npos) << own.output;
    for (const char* option : {"--json", "--threads", "--seed"})
      EXPECT_NE(own.output.find(option), std::string::npos);
  }
  EXPECT_EQ(program::run("--version").status, 0);
}

TEST(Program, BenchHoldsTimesAgainstFloors) {
  const program::Result result = program::run("bench exp matmul --sizes 4096 --seconds 0.001 --json");
  ASSERT_EQ(result.status, 0) << result.errors;
  const Json json = Json::parse(result.output);
  EXPECT_GT(json.at("machine").at("float32_flops_per_second").get<double>(), 0);
  ASSERT_EQ(json.at("rows").size(), 2U);
  for (const Json& row : json.at("rows")) {
    EXPECT_GT(row.at("seconds").get<double>(), 0);
    EXPECT_GT(row.at("floor_seconds").get<double>(), 0);
  }
  const Json& product = json.at("rows").at(1);
  EXPECT_EQ(product.at("flops").get<double>(), 2.0 * 64 * 64 * 64);
  EXPECT_EQ(product.at("bytes").get<double>(), 3.0 * 64 * 64 * 4);
}

TEST(Program, WrongUsageIsTwoAndSaysWhat) {
  const std::pair<std::string, std::string> wrong[] = {
      {"", "subcommand"},
      {"explian", "did you mean \"explain\""},
      {"explain", "NAME"},
      {"explain sigmoyd", "sigmoid"},
      {"train moons --epochs -1", "a number above 0 is wanted, got -1"},
      {"explain sigmoid --at 1,2", "a number for each argument"},
      {"explain sigmoid --at one", "--at"},
      {"grad 'x +'", "position"},
      {"grad 'x^2'", "--at x=NUMBER"},
      {"grad 'x^2' --at x", "NAME=NUMBER"},
      {"grad 'x^2' --at x=1 --at y=2", "no variable \"y\""},
      {"grad 'x^2' --at x=1 --at x=2", "twice"},
      {"grad 'expp(x)' --at x=1", "did you mean \"exp\""},
      {"grad 'x < 2' --at x=1", "floating"},
      {"grad 'x' --at x=1 --threads 0", "threads"},
      {"ops --no-such-option", "--no-such-option"},
      {"train", "DATASET"},
      {"train mooons", "did you mean \"moons\""},
      {"train moons --epochs -1", "--epochs"},
      {"train moons --seed 9223372036854775808", "9223372036854775807"},
      {"train fashion-mnits", "did you mean \"fashion-mnist\""},
      {"train no-such-file.csv", "there is no such file"},
      {"train no-such-file.toml", "no-such-file.toml"},
      {"evaluate /tmp", "not the folder of a run"},
      {"predict /tmp", "no folder of a run"},
      {"compare /tmp /tmp", "not the folder of a run"},
      {"evaluate no-such-folder", "no-such-folder"},
      {"check sigmoyd", "sigmoyd"},
      {"bench sofmax", "did you mean \"softmax\""},
      {"bench reshape", "nothing to time"},
      {"bench softmax --sizes 7", "256 to 2^30"},
  };
  for (const auto& [arguments, message] : wrong) {
    SCOPED_TRACE(arguments);
    const program::Result result = program::run(arguments);
    EXPECT_EQ(result.status, 2);
    EXPECT_EQ(result.output, "");
    EXPECT_NE(result.errors.find(message), std::string::npos) << result.errors;
  }
}

TEST(Program, GradPrintsValueDerivativeAndCheck) {
  const program::Result result = program::run("grad 'tanh(x)*exp(x)' --at x=0.5");
  EXPECT_EQ(result.status, 0) << result.errors;
  // d/dx tanh(x) eˣ = eˣ (1 − tanh²(x) + tanh(x))
  EXPECT_NE(result.output.find("= 2.058535"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("agrees to"), std::string::npos);
  const program::Result steps = program::run("grad 'tanh(x)*exp(x)' --at x=0.5 --steps");
  EXPECT_NE(steps.output.find("└─ exp(x)"), std::string::npos) << steps.output;
  EXPECT_NE(steps.output.find("sum"), std::string::npos);
  EXPECT_NE(program::run("grad 'x^2' --at x=pi/4 --latex").output.find("x^{2}"), std::string::npos);
}

TEST(Program, GradAsJson) {
  const program::Result result = program::run("grad 'x*y + exp(-y)' --at x=2 --at y=0.5 --json");
  ASSERT_EQ(result.status, 0) << result.errors;
  const Json json = Json::parse(result.output);
  EXPECT_DOUBLE_EQ(json.at("value").get<double>(), 1 + std::exp(-0.5));
  ASSERT_EQ(json.at("gradients").size(), 2);
  EXPECT_DOUBLE_EQ(json["gradients"][0].at("value").get<double>(), 0.5);
  EXPECT_DOUBLE_EQ(json["gradients"][1].at("value").get<double>(), 2 - std::exp(-0.5));
  EXPECT_EQ(json["gradients"][1].at("paths").size(), 2);
}

TEST(Program, ExplainPrintsWhatRuns) {
  const program::Result result = program::run("explain sigmoid");
  ASSERT_EQ(result.status, 0) << result.errors;
  for (const char* part : {"1 / (1 + exp(-x))", "y (1 - y)", "y (1 - y) (1 - 2 y)", "0.6224593", "0.2350037",
                           "max |y'| = 0.25 at x = 0", "declared in src/ops/activations.cpp"}) {
    EXPECT_NE(result.output.find(part), std::string::npos) << part << "\n" << result.output;
  }
  EXPECT_EQ(result.output.find("NOT OK"), std::string::npos);
  EXPECT_EQ(program::run("grad 'log(x)' --at x=-1").status, 1);
  EXPECT_NE(program::run("grad 'x*y' --at x=2,y=3").output.find("= 6"), std::string::npos);
  EXPECT_NE(program::run("grad 'x*y' --at 'x=atan2(0, 1), y=3'").output.find("= 0"), std::string::npos);
  EXPECT_NE(program::run("explain cross_entropy --at 2,1,0.1 --target 2").output.find("2.317030"),
            std::string::npos);
  EXPECT_EQ(program::run("explain cross_entropy --at 2,1 --target 7").status, 2);
  EXPECT_EQ(program::run("explain relu --target 0").status, 2);
  EXPECT_EQ(program::run("explain sigmoid --at -2").status, 0);
}

TEST(Program, CheckCounts) {
  const program::Result result = program::run("check sigmoid matmul --json");
  ASSERT_EQ(result.status, 0) << result.output;
  const Json json = Json::parse(result.output);
  EXPECT_EQ(json.at("ops"), 2);
  EXPECT_GT(json.at("cases").get<int>(), 0);
  EXPECT_EQ(json.at("failures"), 0);
  EXPECT_LT(json.at("worst_gradient_error").get<double>(), 1e-6);
}

TEST(Program, EveryOpIsExplained) {
  const program::Result list = program::run("ops --json");
  ASSERT_EQ(list.status, 0) << list.errors;
  const Json ops = Json::parse(list.output).at("ops");
  EXPECT_GE(ops.size(), 60);
  for (const Json& op : ops) {
    const auto name = op.at("name").get<std::string>();
    SCOPED_TRACE(name);
    EXPECT_FALSE(op.at("formula").get<std::string>().empty());
    const program::Result result = program::run("explain " + name + " --json");
    ASSERT_EQ(result.status, 0) << result.errors;
    const Json json = Json::parse(result.output);
    EXPECT_EQ(json.at("name"), name);
    for (const Json& check : json.at("checks")) EXPECT_TRUE(check.at("ok").get<bool>()) << check;
    EXPECT_EQ(program::run("explain " + name + " --latex").status, 0);
  }
}

}  // namespace
