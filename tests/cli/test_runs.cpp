// Training from the command line, end to end.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

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
    folder_ = program::scratch() / ("chainrule-runs-" + std::to_string(getpid()));
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
  EXPECT_EQ(Json::parse(evaluated.output).at("standard_error"), json.at("standard_error"));
  EXPECT_FALSE(Json::parse(evaluated.output).at("data_changed"));
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
  EXPECT_EQ(result.status, 2);
  EXPECT_NE(result.errors.find("bad.toml:4"), std::string::npos) << result.errors;
  EXPECT_NE(result.errors.find("epochs"), std::string::npos) << result.errors;
}

TEST_F(Runs, OneBatchIsLearntByHeart) {
  const program::Result result = program::run("train moons --overfit-one-batch --json");
  ASSERT_EQ(result.status, 0) << result.errors;
  EXPECT_TRUE(Json::parse(result.output).at("ok"));
}

TEST_F(Runs, MistakesThatShowWithTheDataHaveALineToo) {
  write("metric.toml", "[data]\nsource = \"moons\"\n\n[training]\nepochs = 3\nmetrics = [\"r2\"]\n");
  const program::Result metric = program::run("train " + path("metric.toml") + " --run " + path("m"));
  EXPECT_EQ(metric.status, 2);
  EXPECT_NE(metric.errors.find("metric.toml:6: "), std::string::npos) << metric.errors;
  EXPECT_NE(metric.errors.find("training.metrics"), std::string::npos) << metric.errors;
  write("cycle.toml",
        "[data]\nsource = \"moons\"\n[schedule]\nname = \"one_cycle\"\n[training]\nepochs = 1\n"
        "batch_size = 5000\n");
  const program::Result cycle = program::run("train " + path("cycle.toml") + " --run " + path("c"));
  EXPECT_EQ(cycle.status, 2);
  EXPECT_NE(cycle.errors.find("cycle.toml:4: "), std::string::npos) << cycle.errors;
}

TEST_F(Runs, OneBatchIsLearntAsTheConfigurationSays) {
  write("still.toml", "[data]\nsource = \"moons\"\n[optimizer]\nname = \"SGD\"\nlr = 0.0\n");
  EXPECT_EQ(program::run("train --overfit-one-batch " + path("still.toml")).status, 1)
      << "a learning rate of 0 learns nothing";
}

TEST_F(Runs, ComparisonShowsEveryDifference) {
  const std::string head = "[data]\nsource = \"moons\"\nexamples = 100\n[training]\nepochs = 2\n";
  const std::string last = "[[layer]]\ntype = \"Linear\"\n";
  write("a.toml", head + "[[layer]]\ntype = \"Linear\"\nunits = 8\n[[layer]]\ntype = \"ReLU\"\n" + last);
  write("b.toml", head + "[optimizer]\nname = \"SGD\"\n[[layer]]\ntype = \"Linear\"\nunits = 9\n" +
                      "[[layer]]\ntype = \"ELU\"\n" + last);
  for (const std::string name : {"a", "b"}) {
    const program::Result run = program::run("train " + path(name + ".toml") + " --run " + path(name));
    ASSERT_EQ(run.status, 0) << run.errors;
  }
  const program::Result result = program::run("compare " + path("a") + " " + path("b") + " --json");
  ASSERT_EQ(result.status, 0) << result.errors;
  const Json json = Json::parse(result.output);
  const Json& keys = json.at("configuration");
  EXPECT_EQ(keys.at("layer[0].units"), Json({"8", "9"}));
  EXPECT_EQ(keys.at("layer[1].type"), Json({"\"ReLU\"", "\"ELU\""}));
  EXPECT_EQ(keys.at("layer[1].alpha"), Json({nullptr, "1.0"})) << "only the second has it";
  EXPECT_EQ(keys.at("optimizer.beta1"), Json({"0.9", nullptr})) << "only the first has it";
  EXPECT_TRUE(json.at("results").contains("test accuracy"));
  EXPECT_TRUE(json.at("results").contains("test loss"));
  const program::Result text = program::run("compare " + path("a") + " " + path("b"));
  EXPECT_NE(text.output.find("—"), std::string::npos) << text.output;
}

TEST_F(Runs, AnotherRunInTheFolderLeavesNothingOfTheFirst) {
  ASSERT_EQ(program::run("train sine --epochs 2 --run " + path("a")).status, 0);
  ASSERT_TRUE(fs::exists(path("a") + "/evaluation.json"));
  ASSERT_TRUE(fs::exists(path("a") + "/checkpoint"));
  write("wild.toml", "[data]\nsource = \"sine\"\n[optimizer]\nname = \"SGD\"\nlr = 1e4\n");
  const program::Result wild = program::run("train " + path("wild.toml") + " --run " + path("a"));
  EXPECT_EQ(wild.status, 1);
  EXPECT_NE(wild.errors.find("replaces"), std::string::npos) << wild.errors;
  EXPECT_FALSE(fs::exists(path("a") + "/evaluation.json"));
  EXPECT_FALSE(fs::exists(path("a") + "/checkpoint")) << "it belonged to the first run";
}

TEST_F(Runs, NothingToResumeIsAnError) {
  const program::Result result = program::run("train moons --resume --run " + path("nowhere"));
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.errors.find("checkpoint"), std::string::npos) << result.errors;
  EXPECT_FALSE(fs::exists(path("nowhere")));
}

TEST_F(Runs, TheResultIsPrintedThoughTheReportFails) {
  // While it trains a folder that is not empty takes the report's place.
  std::thread disturbance([&] {
    program::wait_for(path("a") + "/data.json");
    fs::create_directories(path("a") + "/report.html/full");
  });
  const program::Result result = program::run("train moons --epochs 60 --run " + path("a"));
  disturbance.join();
  EXPECT_EQ(result.status, 0);
  EXPECT_NE(result.output.find("accuracy"), std::string::npos) << result.output;
  EXPECT_NE(result.errors.find("report could not be written"), std::string::npos) << result.errors;
}

TEST_F(Runs, EvaluateComputesWhatTheRunWasToldTo) {
  write("c.toml",
        "loss = \"mae\"\n[data]\nsource = \"sine\"\nexamples = 200\n[training]\nepochs = 2\nmetrics = "
        "[\"mae\"]\n");
  const program::Result trained = program::run("train " + path("c.toml") + " --json --run " + path("c"));
  ASSERT_EQ(trained.status, 0) << trained.errors;
  const Json expected = Json::parse(trained.output);
  const program::Result evaluated = program::run("evaluate " + path("c") + " --json");
  ASSERT_EQ(evaluated.status, 0) << evaluated.errors;
  const Json json = Json::parse(evaluated.output);
  EXPECT_EQ(json.at("metrics"), expected.at("test"));
  EXPECT_EQ(json.at("metrics").size(), 1U);
  // The loss is the metric.
  EXPECT_NEAR(json.at("loss").get<double>(), json.at("metrics").at("mae").get<double>(), 1e-6);
}

}  // namespace
