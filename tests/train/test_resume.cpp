// Runs that are killed, resumed and compared bit by bit with one that was not.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include <chainrule/error.hpp>

#include "io/atomic_file.hpp"
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

/// How many more calls of the observer until the process ends.
std::int64_t calls_to_live = 0;
void die_in_turn() {
  if (--calls_to_live == 0) ::raise(SIGKILL);
}

// The observer is called in the middle of each write, before each renaming and after it: each of these
// moments of several checkpoints is one that the process dies in.
TEST(Resume, AfterKillsInMidWrite) {
  const cr::test::MemoryFolder folder;
  ASSERT_EQ(status_of(in_child([&] { train_in(folder.file("whole")); })), 0);
  const std::string killed = folder.file("killed");
  for (std::int64_t call = 1; call <= 60; ++call) {
    const pid_t child = in_child([&] {
      calls_to_live = call;
      cr::io::observe_writes(die_in_turn);
      train_in(killed);
    });
    ASSERT_TRUE(WIFSIGNALED(status_of(child))) << call;
  }
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

// What a run has in memory alone when it stops early: the best weights, running averages, the moments.
TEST(Resume, AfterEarlyStoppingNothingIsTrained) {
  const cr::test::MemoryFolder folder;
  const auto options = [&](const std::string& name) {
    train::Options o = options_for(folder.file(name));
    o.optimizer = cr::optim::AdamW({.lr = 0.05});
    o.epochs = 40;
    o.early_stopping = {.patience = 2};
    return o;
  };
  const auto model = [] {
    const cr::Context scope({.seed = 4});
    return cr::nn::Sequential(cr::nn::Linear(2, 16), cr::nn::BatchNorm(16), cr::nn::ReLU(),
                              cr::nn::Dropout(0.2), cr::nn::Linear(16, 2));
  };
  const auto train_with = [&](const std::string& name, std::int64_t calls) {
    return status_of(in_child([&] {
      auto m = model();
      // The process ends between the checkpoint of the epoch that stops the run and what comes after it.
      train::Options o = options(name);
      calls_to_live = calls;
      if (calls > 0) {
        o.callbacks.epoch = [&](const train::EpochRecord& record, const cr::nn::Module&) {
          static double best = HUGE_VAL;
          static int waited = 0;
          waited = record.validation_loss < best ? 0 : waited + 1;
          best = std::min(best, record.validation_loss);
          if (waited == 2) cr::io::observe_writes(die_in_turn);
        };
      }
      const train::Run run = train::fit(m, small_data(), o);
      if (run.outcome != train::Outcome::stopped_early) ::_exit(2);
    }));
  };
  ASSERT_EQ(train_with("whole", 0), 0);
  const std::string whole = folder.file("whole");
  EXPECT_LT(train::load_run(whole).epochs.size(), 40U);
  // The last files are metrics.jsonl, model.safetensors and run.json; all calls before are the checkpoint's.
  for (std::int64_t call = 1; WIFSIGNALED(train_with("killed", call)); call += 7) {
    ASSERT_EQ(train_with("killed", 0), 0) << call;
    expect_equal_runs(whole, folder.file("killed"));
    fs::remove_all(folder.file("killed"));
  }
  const std::string before = read_bytes(whole + "/model.safetensors");
  ASSERT_EQ(train_with("whole", 0), 0);
  EXPECT_EQ(read_bytes(whole + "/model.safetensors"), before);
  expect_equal_runs(whole, folder.file("killed"));
}

TEST(Resume, MorePatienceContinuesARunThatStoppedEarly) {
  const cr::test::MemoryFolder folder;
  const auto train_with = [&](const std::string& name, std::int64_t patience) {
    auto model = small_model();
    train::Options options = options_for(folder.file(name));
    options.optimizer = cr::optim::SGD({.lr = 0});  // no epoch is better than the first
    options.schedule = nullptr;
    options.early_stopping = {.patience = patience};
    return train::fit(model, small_data(), options);
  };
  EXPECT_EQ(train_with("run", 2).epochs.size(), 3U);
  EXPECT_EQ(train_with("run", 2).epochs.size(), 3U);
  const train::Run longer = train_with("run", 4);
  EXPECT_EQ(longer.epochs.size(), 5U);
  EXPECT_EQ(longer.outcome, train::Outcome::stopped_early);
}

// Everything that a run spends lies between its two ends, so that the sum can't be above what passed.
TEST(Resume, SecondsAreCountedOnce) {
  const cr::test::MemoryFolder folder;
  const auto start = std::chrono::steady_clock::now();
  const auto run_with_stop = [&](std::int64_t step) {
    auto model = small_model();
    std::stop_source source;
    train::Options options = options_for(folder.file("run"));
    options.epochs = 1;
    options.stop = source.get_token();
    options.callbacks.step = [&](const train::StepEvent& event) {
      if (event.step != 3) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(400));
      if (step > 0) source.request_stop();
    };
    return train::fit(model, small_data(), options);
  };
  EXPECT_GE(run_with_stop(3).seconds, 0.4);
  const double seconds = run_with_stop(-1).seconds;
  EXPECT_GE(seconds, 0.4);
  EXPECT_LE(seconds, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

TEST(Resume, StoppedDuringTheValidation) {
  const cr::test::MemoryFolder folder;
  const auto run_with_stop = [&](const std::string& name, bool stopped) {
    auto model = small_model();
    std::stop_source source;
    train::Options options = options_for(folder.file(name));
    options.checkpoint_steps = 0;
    options.validation = cr::data::xor_clouds({.examples = 1200, .noise = 0.3, .seed = 5});  // three batches
    options.stop = source.get_token();
    options.loss = [&](const cr::Tensor& z, const cr::Tensor& t) {
      if (stopped && z.shape()[0] == 512) source.request_stop();  // the first batch of the validation
      return cr::nn::cross_entropy(z, t);
    };
    return train::fit(model, small_data(), options);
  };
  const train::Run stopped = run_with_stop("stopped", true);
  EXPECT_EQ(stopped.outcome, train::Outcome::stopped);
  EXPECT_EQ(stopped.epochs.size(), 0U) << "an epoch without its validation is not over";
  EXPECT_EQ(run_with_stop("stopped", false).outcome, train::Outcome::finished);
  run_with_stop("whole", false);
  expect_equal_runs(folder.file("whole"), folder.file("stopped"));
}

TEST(Resume, OnTheLastBatchOfAnEpoch) {
  const cr::test::MemoryFolder folder;
  ASSERT_EQ(status_of(in_child([&] { train_in(folder.file("whole")); })), 0);
  ASSERT_EQ(status_of(in_child([&] {
              auto model = small_model();
              std::stop_source source;
              train::Options options = options_for(folder.file("stopped"));
              options.stop = source.get_token();
              options.callbacks.step = [&](const train::StepEvent& event) {
                if (event.step == 7) source.request_stop();
              };
              train::fit(model, small_data(), options);
            })),
            0);
  ASSERT_EQ(status_of(in_child([&] { train_in(folder.file("stopped")); })), 0);
  expect_equal_runs(folder.file("whole"), folder.file("stopped"));
}

TEST(Resume, APlateauGoesOn) {
  const cr::test::MemoryFolder folder;
  const auto train_with = [&](const std::string& name, std::int64_t kill_at) {
    return status_of(in_child([&] {
      auto model = small_model();
      train::Options options = options_for(folder.file(name));
      options.optimizer = cr::optim::SGD({.lr = 0.5, .momentum = 0.9});
      options.epochs = 12;
      options.plateau = cr::optim::ReduceOnPlateau({.factor = 0.5, .patience = 0, .threshold = 0.2});
      options.callbacks.step = [&](const train::StepEvent& event) {
        if (event.step == kill_at) ::raise(SIGKILL);
      };
      train::fit(model, small_data(), options);
    }));
  };
  ASSERT_EQ(train_with("whole", -1), 0);
  const auto epochs = train::load_run(folder.file("whole")).epochs;
  EXPECT_LT(epochs.back().learning_rate, 0.5 * epochs.front().learning_rate) << "it was reduced";
  for (const std::int64_t step : {15, 40, 70}) {
    fs::remove_all(folder.file("killed"));
    ASSERT_TRUE(WIFSIGNALED(train_with("killed", step)));
    ASSERT_EQ(train_with("killed", -1), 0);
    expect_equal_runs(folder.file("whole"), folder.file("killed"));
  }
}

TEST(Resume, OtherOptionsAreRefusedByName) {
  const cr::test::MemoryFolder folder;
  const auto problem = [&](const std::function<void(train::Options&)>& change) -> std::string {
    auto model = small_model();
    train::Options options = options_for(folder.file("run"));
    options.epochs = 1;
    change(options);
    try {
      train::fit(model, small_data(), options);
    } catch (const cr::StateError& error) {
      return error.what();
    }
    return "";
  };
  using O = train::Options;
  EXPECT_EQ(problem([](O&) {}), "");
  EXPECT_EQ(problem([](O& o) { o.epochs = 2; }), "") << "more epochs are no other run";
  const auto expect_named = [&](const std::function<void(O&)>& change, const std::string& name) {
    EXPECT_NE(problem(change).find(name), std::string::npos) << name << ": " << problem(change);
  };
  expect_named([](O& o) { o.optimizer = cr::optim::Adam({.lr = 1e-4}); },
               "optimizer.lr was 0.003, now 0.0001");
  expect_named([](O& o) { o.optimizer = cr::optim::Adam({.lr = 3e-3, .beta2 = 0.99}); }, "optimizer.beta2");
  expect_named([](O& o) { o.optimizer = cr::optim::AdamW({.lr = 3e-3}); }, "optimizer.name");
  expect_named([](O& o) { o.schedule = nullptr; }, "schedule(");
  expect_named([](O& o) { o.l1 = 1e-3; }, "l1");
  expect_named([](O& o) { o.l2 = 1e-3; }, "l2");
  expect_named([](O& o) { o.penalties = {{"*.bias", 0, 0.1}}; }, "penalties.0.pattern");
  expect_named([](O& o) { o.clip_norm = 1; }, "clip_norm");
  expect_named([](O& o) { o.clip_value = 1; }, "clip_value");
  expect_named(
      [](O& o) {
        o.loss = [](const cr::Tensor& z, const cr::Tensor& t) { return cr::nn::cross_entropy(z, t); };
      },
      "loss");
  expect_named([](O& o) { o.plateau = cr::optim::ReduceOnPlateau(); }, "plateau");
  expect_named([](O& o) { o.batch_size = 32; }, "batch_size");
  auto model = small_model();
  model[2] = cr::nn::Dropout(0.5);
  EXPECT_THROW(train::fit(model, small_data(), options_for(folder.file("run"))), cr::StateError);
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
