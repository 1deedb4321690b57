// What a person sees while a run goes on, and what Ctrl-C does to it.

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include <unistd.h>

#include "cli/program.hpp"

namespace {

namespace fs = std::filesystem;

class Terminal : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = program::scratch() / ("chainrule-terminal-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string contents(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    return text.str();
  }

 private:
  fs::path folder_;
};

TEST_F(Terminal, ABarOnATerminalAndPlainLinesElsewhere) {
  // Long enough for the bar, which is drawn at most every 80 ms.
  const std::string much = "train moons --examples 250000 --epochs 3 --run ";
  const program::Result bar = program::run_on_terminal(
      {"train", "moons", "--examples", "250000", "--epochs", "3", "--run", path("bar")});
  EXPECT_EQ(bar.status, 0) << bar.output;
  EXPECT_NE(bar.output.find("\r\033[K"), std::string::npos) << "the line is redrawn";
  EXPECT_NE(bar.output.find("█"), std::string::npos);
  EXPECT_NE(bar.output.find("left "), std::string::npos);
  EXPECT_NE(bar.output.find("epoch 3/3"), std::string::npos);
  const program::Result plain = program::run(much + path("plain"));
  EXPECT_EQ(plain.status, 0) << plain.errors;
  EXPECT_EQ(plain.errors.find_first_of("\r\033"), std::string::npos) << plain.errors;
  EXPECT_EQ(plain.errors.find("█"), std::string::npos);
  EXPECT_NE(plain.errors.find("epoch 1/3"), std::string::npos);
  EXPECT_NE(plain.errors.find("left "), std::string::npos) << plain.errors;
  EXPECT_EQ(contents(path("bar") + "/model.safetensors"), contents(path("plain") + "/model.safetensors"));
}

TEST_F(Terminal, AnInterruptedRunGoesOnAsIfNothingHadHappened) {
  const std::vector<std::string> training = {"train", "spirals", "--epochs", "25", "--threads", "1", "--run"};
  const auto with = [&](const std::string& folder, const std::vector<std::string>& more) {
    std::vector<std::string> all = training;
    all.push_back(folder);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  ASSERT_EQ(program::wait(program::start(with(path("whole"), {}))), 0);
  const pid_t child = program::start(with(path("cut"), {}));
  program::wait_for(path("cut") + "/checkpoint");
  ASSERT_EQ(kill(child, SIGINT), 0);
  EXPECT_EQ(program::wait(child), 0);
  for (const char* file : {"checkpoint", "model.safetensors", "report.html", "run.json", "metrics.jsonl"})
    EXPECT_TRUE(fs::exists(path("cut") + "/" + file)) << file;
  ASSERT_FALSE(fs::exists(path("cut") + "/evaluation.json")) << "it was not over yet";
  EXPECT_EQ(program::wait(program::start(with(path("cut"), {"--resume"}))), 0);
  EXPECT_TRUE(fs::exists(path("cut") + "/evaluation.json"));
  EXPECT_EQ(contents(path("cut") + "/model.safetensors"), contents(path("whole") + "/model.safetensors"));
}

}  // namespace
