#include <fstream>
#include <stop_token>

#include <chainrule/error.hpp>
#include <chainrule/report.hpp>

#include "support/json_mutations.hpp"
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
  for (const char* part : {"accuracy", "loss at step 0", "0 Linear", "AdamW", "chainrule train"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
}

std::string page_of(const std::string& folder) {
  cr::write_report(folder);
  return cr::test::read_bytes(folder + "/report.html");
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(RunReport, SaysHowToMakeTheRunAgain) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("moons");
  config.data.examples = 200;
  config.training.epochs = 2;
  train::run(config, {.folder = folder.file("run"), .command = "chainrule train moons --epochs 2"});
  const std::string page = page_of(folder.file("run"));
  for (const char* part : {"<code>chainrule train moons --epochs 2</code>", "<dt>CPU</dt>", "<dt>Made</dt>",
                           "<dt>Version</dt>", "<dt>Compiler</dt>", "UTC"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
}

// 2 → 64 → 32 → 2 by hand: 192, 2,080 and 66 parameters; a Linear makes 2 · in · out products and sums.
TEST(RunReport, ListsTheLayersWithTheirCost) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("moons");
  config.data.examples = 200;
  config.training.epochs = 1;
  train::run(config, {.folder = folder.file("run")});
  const std::string page = page_of(folder.file("run"));
  const std::string table = page.substr(page.find("<section id=\"model\""));
  for (const char* part : {"0 Linear", "1 ReLU", "2 Linear", "3 ReLU", "4 Linear", "[1, 64]", "[1, 32]",
                           "[1, 2]", "<td>192</td>", "<td>2,080</td>", "<td>66</td>", "<td>2,338</td>"})
    EXPECT_NE(table.find(part), std::string::npos) << part;
  EXPECT_EQ(table.find("<td>0\u202FB</td></tr></tfoot>"), std::string::npos) << "the total memory is not 0";
}

TEST(RunReport, ShowsThePlaneDuringTheTraining) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("moons");
  config.data.examples = 200;
  config.training.epochs = 30;
  train::run(config, {.folder = folder.file("run")});
  const std::string page = page_of(folder.file("run"));
  EXPECT_EQ(occurrences(page, "<figure class=\"frame\">"), 12U);
  EXPECT_NE(page.find("before the first step"), std::string::npos);
  EXPECT_NE(page.find("the trained model"), std::string::npos);
  EXPECT_LE(page.size(), 1'000'000U);
}

void expect_a_page(const std::string& csv, bool with_plane) {
  SCOPED_TRACE(csv.substr(0, 40));
  const cr::test::MemoryFolder folder;
  std::ofstream(folder.file("table.csv")) << csv;
  train::Config config = train::default_config(folder.file("table.csv"));
  config.training.epochs = 3;
  train::run(config, {.folder = folder.file("run")});
  const std::string page = page_of(folder.file("run"));
  EXPECT_NE(page.find("Where it is wrong"), std::string::npos);
  EXPECT_EQ(page.find("How it divides the plane") != std::string::npos, with_plane);
}

TEST(RunReport, IsMadeOfAnyDataThatCanBeTrainedOn) {
  std::string constant = "a,b,kind\n", huge = "a,b,kind\n", plain = "a,b,kind\n";
  for (int i = 0; i < 60; ++i) {
    const std::string x = std::to_string(0.1 * (i % 17)), y = std::to_string(0.1 * (i % 13));
    const std::string kind = i % 2 == 0 ? ",yes\n" : ",no\n";
    constant += x + ",1" + kind;
    huge += x + "," + (i % 3 == 0 ? "1e300" : "-1e300") + kind;
    plain += x + "," + y + kind;
  }
  expect_a_page(plain, true);
  expect_a_page(constant, false);
}

// A model that answers NaN: its probabilities are no numbers, and the page says what there is.
TEST(RunReport, SurvivesWhatIsNotFinite) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("moons");
  config.data.examples = 200;
  config.training.epochs = 1;
  train::run(config, {.folder = folder.file("run")});
  const std::string file = folder.file("run") + "/evaluation.json";
  std::string text = cr::test::read_bytes(file);
  const std::size_t at = text.find('[', text.find("\"probabilities\""));
  text.insert(at + 1, "null, ");
  const std::size_t end = text.find(']', at);
  text.erase(text.rfind(',', end), end - text.rfind(',', end));
  std::ofstream(file) << text;
  EXPECT_NE(page_of(folder.file("run")).find("How it divides the plane"), std::string::npos);
}

TEST(RunReport, OneClassIsAClassifierToo) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("moons");
  config.data.examples = 200;
  config.training.epochs = 1;
  train::run(config, {.folder = folder.file("run")});
  const std::string file = folder.file("run") + "/evaluation.json";
  std::string text = cr::test::read_bytes(file);
  const std::size_t at = text.find("\"class_names\"");
  text.replace(text.find('[', at), text.find(']', at) + 1 - text.find('[', at), "[\"only\"]");
  std::ofstream(file) << text;
  EXPECT_NE(page_of(folder.file("run")).find("only"), std::string::npos);
}

TEST(RunReport, AStoppedRunIsNotCalledHealthy) {
  const cr::test::MemoryFolder folder;
  std::stop_source source;
  train::Config config = train::default_config("moons");
  config.data.examples = 200;
  train::RunOptions options{.folder = folder.file("run"), .stop = source.get_token()};
  options.callbacks.step = [&](const train::StepEvent& event) {
    if (event.epoch == 3) source.request_stop();
  };
  ASSERT_EQ(train::run(config, options).run.outcome, train::Outcome::stopped);
  const std::string page = page_of(folder.file("run"));
  EXPECT_EQ(page.find("Healthy"), std::string::npos);
  EXPECT_NE(page.find("stopped before its last epoch"), std::string::npos);
}

// f is a quadratic whose Hessian is known: see the test of the trainer's verdict.
TEST(RunReport, ADivergenceIsExplainedInParts) {
  const cr::test::MemoryFolder folder;
  cr::nn::Sequential line(cr::nn::Linear(1, 1));
  const auto dataset =
      cr::data::from(std::vector<float>{-2, -1, 1, 2}, {4, 1}, std::vector<float>{-4, -2, 2, 4});
  const train::Run run = train::fit(line, dataset,
                                    {.optimizer = cr::optim::SGD({.lr = 1.0}),
                                     .epochs = 500,
                                     .batch_size = 4,
                                     .probe_every = 1,
                                     .run = folder.file("run")});
  ASSERT_EQ(run.outcome, train::Outcome::diverged);
  const std::string page = page_of(folder.file("run"));
  for (const char* part :
       {"lr·λmax = 1 × 5 = 5 &gt; 2", "Try lr ≤ 0.4.", "Diverged at step", "first to grow: Sequential[0].",
        "stability limit", "Not healthy.", "<dt>Where</dt><dd>Sequential[0]."})
    EXPECT_NE(page.find(part), std::string::npos) << part;
}

TEST(RunReport, OfARegressionAndOfADivergence) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("sine");
  config.data.examples = 200;
  config.training.epochs = 2;
  train::run(config, {.folder = folder.file("sine")});
  cr::write_report(folder.file("sine"));
  EXPECT_NE(cr::test::read_bytes(folder.file("sine") + "/report.html").find("Test R² <strong>"),
            std::string::npos);
  config.optimizer = {.name = "SGD", .lr = 100};
  const train::RunResult result = train::run(config, {.folder = folder.file("diverged")});
  ASSERT_EQ(result.run.outcome, train::Outcome::diverged);
  cr::write_report(folder.file("diverged"));
  EXPECT_NE(cr::test::read_bytes(folder.file("diverged") + "/report.html").find("diverged at step"),
            std::string::npos);
}

// Every file of a run with every value of it replaced by something else: a page, or an error of ours.
TEST(RunReport, AnyDamageIsBorneOrNamed) {
  const cr::test::MemoryFolder folder;
  train::Config config = train::default_config("moons");
  config.data.examples = 60;
  config.training.epochs = 2;
  train::run(config, {.folder = folder.file("run")});
  for (const char* name : {"run.json", "preflight.json", "model.json", "planes.json", "evaluation.json"}) {
    SCOPED_TRACE(name);
    const std::string file = folder.file("run") + "/" + name;
    const std::string good = cr::test::read_bytes(file);
    for (const auto& document : cr::testing::mutations(nlohmann::ordered_json::parse(good))) {
      std::ofstream(file) << document.dump();
      try {
        cr::write_report(folder.file("run"));
      } catch (const cr::IoError&) {
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what() << "\n" << document.dump().substr(0, 400);
      }
    }
    std::ofstream(file) << good;
  }
}

TEST(RunReport, DamagedFoldersAreErrors) {
  const cr::test::MemoryFolder folder;
  EXPECT_THROW(cr::write_report(folder.file("nothing")), cr::IoError);
  std::filesystem::create_directory(folder.file("bad"));
  std::ofstream(folder.file("bad") + "/run.json") << "{\"version\": 3}";
  EXPECT_THROW(cr::write_report(folder.file("bad")), cr::IoError);
}

}  // namespace
