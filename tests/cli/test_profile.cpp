// chainrule profile, from the outside.

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include "cli/program.hpp"

namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

class ProfileCommand : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = program::scratch() / ("chainrule-profile-" + std::to_string(getpid()));
    fs::create_directories(folder_);
    std::ofstream(path("moons.toml"))
        << "[data]\nsource = \"moons\"\nexamples = 300\n[training]\nbatch_size = 32\n"
           "epochs = 1\n[[layer]]\ntype = \"Linear\"\nunits = 16\n"
           "[[layer]]\ntype = \"ReLU\"\n[[layer]]\ntype = \"Linear\"\n";
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) names.insert(entry.path().string());
    return names;
  }
  static std::string contents(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }

 private:
  fs::path folder_;
};

TEST_F(ProfileCommand, SaysWhereTheTimeGoesAndWritesWhatIsAskedForAlone) {
  const std::set<std::string> before = files();
  const program::Result shown =
      program::run("profile " + path("moons.toml") + " --steps 20 --seconds 0.01 --html " +
                   path("page.html") + " --trace " + path("trace.json"));
  ASSERT_EQ(shown.status, 0) << shown.errors;
  for (const char* part : {"training step of", "batch 32", "with the profile on", "matmul",
                           "Sequential[0].Linear", "forward", "backward", "optimizer.AdamW"})
    EXPECT_NE(shown.output.find(part), std::string::npos) << part << "\n" << shown.output;
  std::set<std::string> expected = before;
  expected.insert({path("page.html"), path("trace.json")});
  EXPECT_EQ(files(), expected);
  EXPECT_TRUE(contents(path("page.html")).starts_with("<!doctype html>"));
  EXPECT_TRUE(Json::parse(contents(path("trace.json"))).contains("traceEvents"));
}

TEST_F(ProfileCommand, JsonAddsUp) {
  const program::Result result =
      program::run("profile " + path("moons.toml") + " --steps 20 --seconds 0.01 --threads 1 --json");
  ASSERT_EQ(result.status, 0) << result.errors;
  const Json json = Json::parse(result.output);
  EXPECT_EQ(json.at("steps"), 20);
  EXPECT_EQ(json.at("machine").at("threads"), 1);
  for (const char* table : {"kernels", "layers"}) {
    double seconds = 0;
    double share = 0;
    for (const Json& row : json.at(table)) {
      seconds += row.at("seconds").get<double>();
      share += row.at("share").get<double>();
    }
    EXPECT_NEAR(seconds / json.at("profiled_seconds").get<double>(), 1, 1e-9);
    EXPECT_NEAR(share, 1, 1e-9);
  }
}

TEST_F(ProfileCommand, ARunIsLeftAsItIs) {
  ASSERT_EQ(program::run("train " + path("moons.toml") + " --run " + path("run")).status, 0);
  const std::set<std::string> before = files();
  const std::string model = contents(path("run") + "/model.safetensors");
  const program::Result result = program::run("profile " + path("run") + " --steps 8 --seconds 0.01");
  ASSERT_EQ(result.status, 0) << result.errors;
  EXPECT_EQ(files(), before);
  EXPECT_EQ(contents(path("run") + "/model.safetensors"), model);
}

TEST_F(ProfileCommand, MistakesAreUsageErrors) {
  const auto expect_usage = [](const std::string& arguments, const std::string& part) {
    const program::Result result = program::run(arguments);
    EXPECT_EQ(result.status, 2) << arguments;
    EXPECT_NE(result.errors.find(part), std::string::npos) << result.errors;
    EXPECT_EQ(result.output, "");
  };
  expect_usage("profile", "FILE|RUN");
  expect_usage("profile nowhere.toml", "there is no such file");
  expect_usage("profile nowhere", "neither a configuration");
  expect_usage("profile " + path(""), "is not the folder of a run");
  expect_usage("profile " + path("moons.toml") + " --steps 0", "above 0");
  expect_usage("profile " + path("moons.toml") + " --html /no/such/folder/page.html", "there is no folder");
  std::ofstream(path("bad.toml")) << "[training]\nbatch_sise = 3\n";
  expect_usage("profile " + path("bad.toml"), "batch_size");
  std::ofstream(path("moved.toml")) << "[data]\nsource = \"" << path("moved.csv") << "\"\ntarget = \"y\"\n";
  expect_usage("profile " + path("moved.toml"), "moved.csv: there is no such file");
}

}  // namespace
