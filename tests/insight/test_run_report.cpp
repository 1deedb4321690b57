#include <fstream>

#include <chainrule/error.hpp>
#include <chainrule/report.hpp>

#include "train/support.hpp"

namespace cr = chainrule;
namespace train = chainrule::train;

namespace {

TEST(RunReport, ShowsWhatTheRunLeft) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("moons");
  config.data.examples = 200;
  config.training.epochs = 3;
  config.training.probe_every = 2;
  train::run(config, {.folder = folder.file("moons")});
  cr::write_report(folder.file("moons"));
  const std::string page = cr::test::read_bytes(folder.file("moons") + "/report.html");
  for (const char* part : {"accuracy", "loss at step 0", "0.weight", "AdamW", "chainrule train"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
}

TEST(RunReport, OfARegressionAndOfADivergence) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("sine");
  config.data.examples = 200;
  config.training.epochs = 2;
  train::run(config, {.folder = folder.file("sine")});
  cr::write_report(folder.file("sine"));
  EXPECT_NE(cr::test::read_bytes(folder.file("sine") + "/report.html").find("r2"), std::string::npos);
  config.optimizer = {.name = "SGD", .lr = 100};
  const train::RunResult result = train::run(config, {.folder = folder.file("diverged")});
  ASSERT_EQ(result.run.outcome, train::Outcome::diverged);
  cr::write_report(folder.file("diverged"));
  EXPECT_NE(cr::test::read_bytes(folder.file("diverged") + "/report.html").find("diverged at step"),
            std::string::npos);
}

TEST(RunReport, DamagedFoldersAreErrors) {
  const cr::test::MemoryFolder folder;
  EXPECT_THROW(cr::write_report(folder.file("nothing")), cr::IoError);
  std::filesystem::create_directory(folder.file("bad"));
  std::ofstream(folder.file("bad") + "/run.json") << "{\"version\": 3}";
  EXPECT_THROW(cr::write_report(folder.file("bad")), cr::IoError);
}

}  // namespace
