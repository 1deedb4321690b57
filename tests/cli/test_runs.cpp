// Training from the command line, end to end.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include "cli/program.hpp"

namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

class Runs : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("chainrule-runs-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string contents(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }

 private:
  fs::path folder_;
};

TEST_F(Runs, TrainEvaluatePredictCompare) {
  const program::Result trained = program::run("train moons --epochs 20 --json --run " + path("a"));
  ASSERT_EQ(trained.status, 0) << trained.errors;
  const Json json = Json::parse(trained.output);
  EXPECT_EQ(json.at("outcome"), "finished");
  // Two half circles with little noise are nearly separable.
  EXPECT_GT(json.at("test").at("accuracy").get<double>(), 0.95);
  for (const char* file : {"config.toml", "metrics.jsonl", "model.safetensors", "report.html", "run.json"}) {
    EXPECT_TRUE(fs::exists(path("a") + "/" + file)) << file;
  }
  const program::Result evaluated = program::run("evaluate " + path("a") + " --json");
  ASSERT_EQ(evaluated.status, 0) << evaluated.errors;
  EXPECT_EQ(Json::parse(evaluated.output).at("metrics"), json.at("test"));
  const program::Result predicted = program::run("predict " + path("a") + " --count 3 --json");
  ASSERT_EQ(predicted.status, 0) << predicted.errors;
  EXPECT_EQ(Json::parse(predicted.output).at("predictions").size(), 3);
  // Its configuration, run again, gives the same bits.
  ASSERT_EQ(program::run("train " + path("a") + "/config.toml --json --run " + path("b")).status, 0);
  EXPECT_EQ(contents(path("a") + "/model.safetensors"), contents(path("b") + "/model.safetensors"));
  const program::Result same = program::run("compare " + path("a") + " " + path("b") + " --json");
  ASSERT_EQ(same.status, 0) << same.errors;
  EXPECT_TRUE(Json::parse(same.output).at("configuration").empty());
}

TEST_F(Runs, DivergenceIsAFailedRunWithAVerdict) {
  write("wild.toml", "[data]\nsource = \"sine\"\n[optimizer]\nname = \"SGD\"\nlr = 1e4\n");
  const program::Result result = program::run("train " + path("wild.toml") + " --run " + path("wild"));
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.errors.find("diverged"), std::string::npos) << result.errors;
  EXPECT_TRUE(fs::exists(path("wild") + "/report.html"));
}

TEST_F(Runs, MistakesInAConfigurationHaveALine) {
  write("bad.toml", "[data]\nsource = \"moons\"\n[training]\nepoch = 3\n");
  const program::Result result = program::run("train " + path("bad.toml"));
  EXPECT_NE(result.status, 0);
  EXPECT_NE(result.errors.find("bad.toml:4"), std::string::npos) << result.errors;
  EXPECT_NE(result.errors.find("epochs"), std::string::npos) << result.errors;
}

TEST_F(Runs, OneBatchIsLearntByHeart) {
  const program::Result result = program::run("train moons --overfit-one-batch --json");
  ASSERT_EQ(result.status, 0) << result.errors;
  EXPECT_TRUE(Json::parse(result.output).at("ok"));
}

}  // namespace
