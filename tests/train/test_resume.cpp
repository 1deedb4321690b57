// Runs that are killed, resumed and compared bit by bit with one that was not.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include <chainrule/error.hpp>

#include "train/support.hpp"

namespace cr = chainrule;
namespace fs = std::filesystem;
namespace train = chainrule::train;
using cr::test::read_bytes;
using cr::test::small_data;
using cr::test::small_model;

namespace {

/// Every run happens in a child, so that all of them have the same threads.
pid_t in_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  try {
    work();
  } catch (const std::exception& error) {
    ::fprintf(stderr, "%s\n", error.what());
    ::_exit(1);
  }
  ::_exit(0);
}

int status_of(pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

train::Options options_for(const std::string& folder) {
  train::Options options = {.optimizer = cr::optim::Adam({.lr = 3e-3}),
                            .epochs = 6,
                            .batch_size = 16,
                            .validation = small_data(),
                            .seed = 11,
                            .probe_every = 5,
                            .run = folder,
                            .checkpoint_steps = 1,
                            .resume = true};
  options.schedule = [](std::int64_t step) { return 1.0 / (1.0 + 0.01 * static_cast<double>(step)); };
  return options;
}

void train_in(const std::string& folder) {
  auto model = small_model();
  train::fit(model, small_data(), options_for(folder));
}

void train_until(const std::string& folder, std::int64_t step) {
  auto model = small_model();
  train::Options options = options_for(folder);
  options.callbacks.step = [&](const train::StepEvent& event) {
    if (event.step == step) ::raise(SIGKILL);
  };
  train::fit(model, small_data(), options);
}

/// The numbers of metrics.jsonl without the seconds, which no two runs share.
std::string numbers_of(const std::string& folder) {
  std::string text = read_bytes(folder + "/metrics.jsonl");
  std::string result;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    result += line.substr(0, line.find("\"seconds\"")) + "\n";
    begin = end + 1;
  }
  return result;
}

void expect_equal_runs(const std::string& a, const std::string& b) {
  EXPECT_EQ(read_bytes(a + "/model.safetensors"), read_bytes(b + "/model.safetensors"));
  EXPECT_EQ(read_bytes(a + "/checkpoint/model.safetensors"), read_bytes(b + "/checkpoint/model.safetensors"));
  EXPECT_EQ(read_bytes(a + "/checkpoint/optimizer.safetensors"),
            read_bytes(b + "/checkpoint/optimizer.safetensors"));
  EXPECT_EQ(numbers_of(a), numbers_of(b));
}

TEST(Resume, AfterAKillInMidRun) {
  const cr::test::MemoryFolder folder;
  ASSERT_EQ(status_of(in_child([&] { train_in(folder.file("whole")); })), 0);
  for (const std::int64_t step : {1, 4, 7, 20}) {  // an epoch has 7 steps
    const std::string killed = folder.file("killed" + std::to_string(step));
    ASSERT_TRUE(WIFSIGNALED(status_of(in_child([&] { train_until(killed, step); }))));
    ASSERT_EQ(status_of(in_child([&] { train_in(killed); })), 0);
    expect_equal_runs(folder.file("whole"), killed);
  }
}

TEST(Resume, AfterKillsInMidWrite) {
  const cr::test::MemoryFolder folder;
  ASSERT_EQ(status_of(in_child([&] { train_in(folder.file("whole")); })), 0);
  // A checkpoint is written after every step, so that most kills fall into a write.
  const std::string killed = folder.file("killed");
  int kills = 0;
  for (int delay = 1; delay <= 40; delay += 3) {
    const pid_t child = in_child([&] { train_in(killed); });
    std::this_thread::sleep_for(std::chrono::milliseconds(delay));
    ::kill(child, SIGKILL);
    kills += WIFSIGNALED(status_of(child)) ? 1 : 0;
  }
  EXPECT_GT(kills, 3);
  ASSERT_EQ(status_of(in_child([&] { train_in(killed); })), 0);
  expect_equal_runs(folder.file("whole"), killed);
  for (const auto& entry : fs::directory_iterator(killed))
    EXPECT_FALSE(entry.path().filename().string().ends_with(".tmp"));
}

TEST(Resume, BetweenTheTwoRenames) {
  const cr::test::MemoryFolder folder;
  ASSERT_EQ(status_of(in_child([&] { train_in(folder.file("whole")); })), 0);
  const std::string killed = folder.file("killed");
  ASSERT_TRUE(WIFSIGNALED(status_of(in_child([&] { train_until(killed, 9); }))));
  fs::rename(killed + "/checkpoint", killed + "/checkpoint.old");
  fs::create_directory(killed + "/checkpoint.123.tmp");
  ASSERT_EQ(status_of(in_child([&] { train_in(killed); })), 0);
  expect_equal_runs(folder.file("whole"), killed);
  EXPECT_FALSE(fs::exists(killed + "/checkpoint.123.tmp"));
}

TEST(Resume, AStoppedRunContinues) {
  const cr::test::MemoryFolder folder;
  const auto run_with_stop = [&](const std::string& name, std::int64_t step) {
    auto model = small_model();
    std::stop_source source;
    train::Options options = options_for(folder.file(name));
    options.checkpoint_steps = 0;
    options.stop = source.get_token();
    options.callbacks.step = [&](const train::StepEvent& event) {
      if (event.step == step) source.request_stop();
    };
    return train::fit(model, small_data(), options).outcome;
  };
  EXPECT_EQ(run_with_stop("whole", -1), train::Outcome::finished);
  EXPECT_EQ(run_with_stop("stopped", 10), train::Outcome::stopped);
  EXPECT_EQ(run_with_stop("stopped", -1), train::Outcome::finished);
  expect_equal_runs(folder.file("whole"), folder.file("stopped"));
}

TEST(Resume, RefusesAnotherRunsCheckpoint) {
  const cr::test::MemoryFolder folder;
  auto model = small_model();
  train::Options options = options_for(folder.file("run"));
  options.epochs = 1;
  train::fit(model, small_data(), options);
  options.seed = 12;
  EXPECT_THROW(train::fit(model, small_data(), options), cr::StateError);
  options = options_for(folder.file("run"));
  options.optimizer = cr::optim::SGD();
  cr::nn::Sequential other(cr::nn::Linear(2, 2));
  EXPECT_THROW(train::fit(other, small_data(), options), cr::IoError);
  std::ofstream(folder.file("run") + "/checkpoint/state.json") << "{\"seed\": 1";
  EXPECT_THROW(train::fit(model, small_data(), options_for(folder.file("run"))), cr::IoError);
}

}  // namespace
