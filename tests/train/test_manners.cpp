// A guest in the user's process: what training, saving, failing and products of every dtype leave as they
// found it.

#include <array>
#include <cfenv>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <locale>
#include <optional>
#include <sstream>

#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <chainrule/expression.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

#include "train/support.hpp"

namespace chainrule {
namespace {

// Sends a descriptor to a file while it lives, and tells how much arrived.
class Captured {
 public:
  Captured(int descriptor, const std::string& path) : descriptor_(descriptor), path_(path) {
    std::fflush(nullptr);
    kept_ = ::dup(descriptor);
    std::FILE* file = std::fopen(path.c_str(), "w");
    ::dup2(::fileno(file), descriptor);
    std::fclose(file);
  }
  std::string finish() {
    std::fflush(nullptr);
    ::dup2(kept_, descriptor_);
    ::close(kept_);
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  int descriptor_;
  int kept_;
  std::string path_;
};

// What belongs to the host program, as text: a difference shows which part it is.
std::string process_state() {
  std::ostringstream state;
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0) continue;
    state << "signal " << signal << ": " << action.sa_flags << ' '
          << reinterpret_cast<std::uintptr_t>(reinterpret_cast<void*>(action.sa_handler)) << '\n';
  }
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  for (int signal = 1; signal < NSIG; ++signal) state << ::sigismember(&mask, signal);
  const mode_t files = ::umask(0);
  ::umask(files);
  state << "\nlocale " << std::setlocale(LC_ALL, nullptr) << ", C++ " << std::locale().name() << "\nrounding "
        << std::fegetround() << "\numask " << files << "\nfolder " << std::filesystem::current_path() << '\n';
  for (char** variable = environ; *variable != nullptr; ++variable) state << *variable << '\n';
  return state.str();
}

// Whether every thread but this one has blocked SIGINT and SIGTERM.
bool other_threads_block_signals() {
  const std::string own = std::to_string(::gettid());
  bool blocked = true;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == own) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("SigBlk:", 0) != 0) continue;
      const std::uint64_t mask = std::stoull(line.substr(7), nullptr, 16);
      blocked = blocked && (mask >> (SIGINT - 1) & 1U) != 0 && (mask >> (SIGTERM - 1) & 1U) != 0;
    }
  }
  return blocked;
}

void use_everything(const std::string& folder) {
  nn::Sequential model = test::small_model();
  train::fit(model, test::small_data(), {.epochs = 2, .batch_size = 16, .run = folder + "/run"});
  model.save(folder + "/model.safetensors");
  nn::load(folder + "/run").predict(ones({3, 2}));
  for (const DType dtype : {DType::float32, DType::float64, DType::bfloat16}) {
    const Tensor a = random::uniform(random::key(1), {96, 128}, -1, 1).astype(dtype);
    matmul(a, transpose(a)).eval();
  }
  EXPECT_THROW(model.predict(ones({3, 5})), ShapeError);
  EXPECT_THROW(nn::load(folder + "/absent"), IoError);
  EXPECT_THROW(grad([](const Tensor& x) { return x; })(ones({2})), ShapeError);
  EXPECT_THROW(train::fit(model, test::small_data(), {.epochs = -1}), ArgumentError);
  // A run that diverges says so in its result alone.
  train::fit(model, test::small_data(), {.optimizer = optim::SGD({.lr = 1e30}), .epochs = 2});
}

TEST(Manners, TheProcessStaysAsItWas) {
  const test::MemoryFolder folder;
  std::fesetround(FE_TONEAREST);
  const std::string before = process_state();
  Captured out(STDOUT_FILENO, folder.file("out"));
  Captured err(STDERR_FILENO, folder.file("err"));
  use_everything(folder.file("."));
  const std::string printed = out.finish();
  const std::string complained = err.finish();
  EXPECT_EQ(printed, "");
  EXPECT_EQ(complained, "");
  EXPECT_EQ(process_state(), before);
}

TEST(Manners, ItsThreadsLeaveSignalsToTheProgram) {
  data::Loader loader(test::small_data(), {.batch_size = 16, .prefetch = 2});
  loader.next();
  matmul(ones({512, 512}), ones({512, 512})).eval();
  EXPECT_TRUE(other_threads_block_signals());
}

// ---- locale -------------------------------------------------------------------------------------

struct Comma : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

std::string got_of(const std::function<void()>& fails) {
  try {
    fails();
  } catch (const Error& error) {
    return error.parts().got;
  }
  return "nothing was thrown";
}

// Numbers that the library writes and reads, in each of its formats.
std::string texts(const std::string& folder) {
  std::ostringstream all;
  all.imbue(std::locale::classic());
  all << tensor({0.5, 12345.25}, DType::float64) << '\n' << tensor({1e10, 1e-10}, DType::float64) << '\n';
  all << got_of([] { nn::Dropout(1.5); }) << '\n' << got_of([] { optim::SGD({.lr = -0.25}); }) << '\n';
  all << got_of([] { nn::huber_loss(ones({2}), ones({2}), {.delta = -0.5}); }) << '\n';
  const std::string record = nn::to_json(nn::describe(nn::LeakyReLU(0.125)));
  all << record << '\n' << nn::record_from_json(record, "record").real("negative_slope") << '\n';
  train::Config config = train::default_config("moons");
  config.training.l2 = 0.0625;
  const std::string toml = train::to_toml(config);
  all << toml << train::parse_config("file", toml).training.l2 << '\n';
  std::ofstream(folder + "/table.csv") << "x,y\n0.5,1.25\n-1.5e3,2\n";
  all << read_csv(folder + "/table.csv").columns().size() << data::csv(folder + "/table.csv").features
      << '\n';
  all << parse_expression("0.5 * x + 1.25", {"x"})({tensor({2.5}, DType::float64)}) << '\n';
  all << format_expression(tensor({2.5}, DType::float64) * 0.25) << '\n';
  return all.str();
}

TEST(Manners, NumbersHaveAPointInEveryLocaleOfStreams) {
  const test::TemporaryFolder folder;
  const std::string expected = texts(folder.file("."));
  EXPECT_NE(expected.find("0.5"), std::string::npos);
  const std::locale before = std::locale::global(std::locale(std::locale(), new Comma));
  std::ostringstream probe;
  probe << 0.5;
  const std::string got = texts(folder.file("."));
  std::locale::global(before);
  EXPECT_EQ(probe.str(), "0,5") << "the locale of this test does nothing";
  EXPECT_EQ(got, expected);
}

TEST(Manners, NumbersHaveAPointInEveryLocaleOfC) {
  const test::TemporaryFolder folder;
  const std::string expected = texts(folder.file("."));
  const std::string make =
      "localedef -i de_DE -f UTF-8 '" + folder.file("de_DE.UTF-8") + "' > /dev/null 2>&1";
  const bool made = std::system(make.c_str()) == 0;
  ::setenv("LOCPATH", folder.file(".").c_str(), 1);
  const bool set = made && std::setlocale(LC_ALL, "de_DE.UTF-8") != nullptr;
  ::unsetenv("LOCPATH");
  if (!set) GTEST_SKIP() << "no locale with a decimal comma: localedef or its sources are not installed";
  std::array<char, 8> probe{};
  std::snprintf(probe.data(), probe.size(), "%.1f", 0.5);
  const std::string got = texts(folder.file("."));
  std::setlocale(LC_ALL, "C");
  EXPECT_STREQ(probe.data(), "0,5") << "the locale of this test does nothing";
  EXPECT_EQ(got, expected);
}

}  // namespace
}  // namespace chainrule
