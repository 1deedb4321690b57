// Files that another program, a full disk or an enemy has written: every one is read, or refused with an
// error of ours.

#include <fstream>
#include <functional>

#include <nlohmann/json.hpp>

#include <chainrule/error.hpp>

#include "io/json.hpp"
#include "support/json_mutations.hpp"
#include "train/support.hpp"

namespace cr = chainrule;
namespace train = chainrule::train;

namespace {

using Json = nlohmann::ordered_json;

/// Whatever f throws is an error of ours. The number of calls that threw.
template <typename F>
int refusals(const std::vector<Json>& documents, const F& f) {
  int count = 0;
  for (const Json& document : documents) {
    try {
      f(document);
    } catch (const cr::Error& error) {
      ++count;
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what() << "\n" << document.dump().substr(0, 400);
    }
  }
  return count;
}

void write(const std::string& file, const std::string& text) { std::ofstream(file) << text; }

/// A run of two epochs with everything that a run writes.
train::Config small_run() {
  train::Config config = train::default_config("moons");
  config.data.examples = 60;
  config.training.epochs = 2;
  config.training.probe_every = 1;
  config.layers = {{.type = "Linear", .units = 4}, {.type = "ReLU"}, {.type = "Linear"}};
  return config;
}

TEST(HostileFiles, TheRecordOfARun) {
  const cr::test::MemoryFolder folder;
  train::run(small_run(), {.folder = folder.file("run")});
  const std::string file = folder.file("run") + "/run.json";
  const auto documents = cr::testing::mutations(cr::io::read_json(file));
  const int refused = refusals(documents, [&](const Json& document) {
    write(file, document.dump());
    train::load_run(folder.file("run"));
  });
  EXPECT_GT(refused, 10);
}

TEST(HostileFiles, TheMetricsOfARun) {
  const cr::test::MemoryFolder folder;
  train::run(small_run(), {.folder = folder.file("run")});
  const std::string file = folder.file("run") + "/metrics.jsonl";
  std::map<std::string, Json> lines;
  for (const cr::io::Json& line : cr::io::read_json_lines(file))
    lines[line.at("kind").get<std::string>()] = line;
  for (const auto& [kind, line] : lines) {
    SCOPED_TRACE(kind);
    const int refused = refusals(cr::testing::mutations(line), [&](const Json& document) {
      write(file, document.dump() + "\n");
      train::load_run(folder.file("run"));
    });
    EXPECT_GT(refused, 10);
  }
}

TEST(HostileFiles, TheStateOfACheckpoint) {
  const cr::test::MemoryFolder folder;
  train::Config config = small_run();
  train::run(config, {.folder = folder.file("run")});
  const std::string file = folder.file("run") + "/checkpoint/state.json";
  const Json state = cr::io::read_json(file);
  // Lists of records are tried with their first one alone.
  Json small = state;
  for (const char* list : {"steps", "probes", "epochs"}) {
    while (small.at(list).size() > 1) small.at(list).erase(small.at(list).size() - 1);
  }
  const auto documents = cr::testing::mutations(small);
  const auto dataset = train::load_data(config);
  const int refused = refusals(documents, [&](const Json& document) {
    write(file, document.dump());
    std::stop_source stop;  // a step is enough to know that the state was taken
    train::RunOptions options{.folder = folder.file("run"), .stop = stop.get_token(), .resume = true};
    stop.request_stop();
    train::run(config, options);
    std::filesystem::remove_all(folder.file("run") + "/checkpoint.old");
  });
  EXPECT_GT(refused, 50);
}

TEST(HostileFiles, Configurations) {
  const std::string good = train::to_toml(small_run());
  const std::string signs = "[]=\"'\n#.,{}-+eE0_\\\xff";
  int refused = 0;
  const auto read = [&](const std::string& text) {
    try {
      train::parse_config("hostile.toml", text);
    } catch (const cr::Error&) {
      ++refused;
    }
  };
  for (std::size_t i = 0; i < good.size(); i += 3) {
    read(good.substr(0, i));
    read(good.substr(i));
    std::string text = good;
    text[i] = signs[i % signs.size()];
    read(text);
    text.insert(i, std::string(1 + i % 70, signs[(i / 3) % signs.size()]));
    read(text);
  }
  EXPECT_GT(refused, 100);
  for (const char* open : {"[", "a = [", "a = {b = ", "[["}) {
    std::string text;
    for (int i = 0; i < 20'000; ++i) text += open;
    EXPECT_THROW(train::parse_config("deep.toml", text), cr::Error);
  }
}

}  // namespace
