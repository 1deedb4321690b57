// chainrule train: a data set's name or a configuration file in, a run folder out.

#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include <chainrule/report.hpp>
#include <chainrule/train.hpp>

#include "cli/command.hpp"
#include "cli/progress.hpp"

namespace chainrule::cli {
namespace {

struct Options {
  std::string source;
  std::string name;
  std::string folder;
  std::optional<std::string> data;
  std::optional<std::int64_t> epochs, batch_size;
  std::optional<double> lr;
  bool overfit_one_batch = false;
  bool resume = false;
};

train::Config config_of(const Session& session, const Options& options) {
  const bool is_config = options.source.ends_with(".toml");
  train::Config config =
      is_config ? train::load_config(options.source) : train::default_config(options.source);
  if (!is_config) config.name = std::filesystem::path(options.source).stem().string();
  if (!options.name.empty()) config.name = options.name;
  if (options.data) config.data.directory = *options.data;
  if (options.epochs) config.training.epochs = *options.epochs;
  if (options.batch_size) config.training.batch_size = *options.batch_size;
  if (options.lr) config.optimizer.lr = *options.lr;
  if (session.seed) config.seed = *session.seed;
  if (session.threads > 0) config.threads = session.threads;
  return config;
}

void show_finding(const train::Finding& finding) {
  const char* status = finding.status == train::CheckStatus::ok     ? "ok"
                       : finding.status == train::CheckStatus::warn ? "look at this"
                                                                    : "wrong";
  const std::string expected = finding.expectation.empty() ? "" : ", expected " + finding.expectation;
  note(fmt::format("{:<18} {}{}   {}", finding.name, finding.value, expected, status));
  if (finding.status != train::CheckStatus::ok) note(fmt::format("{:<18} {}", "", finding.sentence));
}

void show_start(const train::PreparedData& data, nn::Module& model,
                const std::vector<train::Finding>& findings) {
  const bool classes = data.training.task == data::Task::classification;
  note(fmt::format("data               {} to train, {} to validate, {} to test · each {} · {}",
                   data.training.size(), data.validation ? data.validation->size() : 0, data.test.size(),
                   to_string(data.training.example_shape()),
                   classes ? fmt::format("{} classes", data.training.classes()) : "regression"));
  const std::int64_t count = parameter_count(model);
  std::string widths;
  for (const Leaf& leaf : leaves(model)) {
    if (leaf.tensor->rank() != 2) continue;
    if (widths.empty()) widths = std::to_string(leaf.tensor->size(1));
    widths += " → " + std::to_string(leaf.tensor->size(0));
  }
  note(fmt::format("model              {} · {} parameters · {:.1f} MB", widths, count,
                   static_cast<double>(count) * 4e-6));
  for (const train::Finding& finding : findings) show_finding(finding);
}

Json to_json(const train::RunResult& result) {
  Json metrics = Json::object();
  for (const auto& [name, value] : result.test.metrics) metrics[name] = value;
  Json checks = Json::array();
  for (const train::Finding& finding : result.preflight) {
    checks.push_back({{"name", finding.name},
                      {"value", finding.value},
                      {"expectation", finding.expectation},
                      {"ok", finding.status == train::CheckStatus::ok}});
  }
  const train::Run& run = result.run;
  return {{"run", run.folder},
          {"outcome", to_string(run.outcome)},
          {"epochs", run.epochs.size()},
          {"best_epoch", run.best_epoch ? Json(*run.best_epoch + 1) : Json(nullptr)},
          {"steps", run.step_count},
          {"seconds", run.seconds},
          {"verdict", run.verdict},
          {"preflight", checks},
          {"test_loss", result.test.loss},
          {"test", metrics},
          {"standard_error", result.standard_error}};
}

// The name under which explain knows the run's loss.
std::string loss_name(const train::Config& config, bool classes) {
  if (config.loss == "mae") return "l1_loss";
  if (config.loss == "huber") return "huber_loss";
  return classes ? "cross_entropy" : "mse_loss";
}

std::string to_text(const train::RunResult& result, const std::string& loss) {
  const train::Run& run = result.run;
  std::string text = "test";
  for (const auto& [name, value] : result.test.metrics) {
    text += fmt::format("   {} {:.4f}", name, value);
    if (name == "accuracy") text += fmt::format(" ± {:.4f}", result.standard_error);
  }
  text += fmt::format("   loss {:.4f}", result.test.loss);
  if (run.best_epoch) text += fmt::format(" · best epoch {}", *run.best_epoch + 1);
  return text + fmt::format(" · {:.1f} s of training · {}/report.html\n", run.seconds, run.folder) +
         fmt::format("next: chainrule predict {0} · chainrule evaluate {0} · chainrule explain {1}\n",
                     run.folder, loss);
}

// A model that can't learn one batch by heart has a mistake in it: nothing is written.
int overfit(const Session& session, const train::Config& config) {
  const train::PreparedData data = train::load_data(config);
  const nn::Module model = train::build_model(config, data.training);
  const train::Finding finding = train::overfit_one_batch(model, data.training);
  if (session.json) {
    print_json({{"name", finding.name},
                {"value", finding.value},
                {"expectation", finding.expectation},
                {"ok", finding.status == train::CheckStatus::ok},
                {"sentence", finding.sentence}});
  } else {
    print(fmt::format("{}: {}, expected {}\n{}\n", finding.name, finding.value, finding.expectation,
                      finding.sentence));
  }
  return finding.status == train::CheckStatus::fail ? failed : ok;
}

int run(const Session& session, const Options& options) {
  const train::Config config = from_user([&] { return config_of(session, options); });
  if (options.overfit_one_batch) return from_user([&] { return overfit(session, config); });
  InterruptScope interrupt;
  Progress progress(session.json);
  train::RunOptions how;
  how.folder = options.folder;
  how.resume = options.resume;
  how.stop = interrupt.token();
  how.callbacks.step = [&](const train::StepEvent& event) {
    interrupt.poll();
    progress.step(event);
  };
  how.callbacks.epoch = [&](const train::EpochRecord& record, const nn::Module&) {
    progress.epoch(record, config.training.epochs);
  };
  how.command = session.command;
  bool classes = true;
  how.preflight = [&](const train::PreparedData& data, nn::Module& model,
                      const std::vector<train::Finding>& findings) {
    classes = data.training.task == data::Task::classification;
    if (!session.json) show_start(data, model, findings);
  };
  const train::RunResult result = from_user([&] { return train::run(config, how); });
  write_report(result.run.folder);
  if (session.json) print_json(to_json(result));
  switch (result.run.outcome) {
    case train::Outcome::diverged:
      note(result.run.verdict);
      return failed;
    case train::Outcome::stopped:
      note(fmt::format("stopped; to go on: chainrule train {0}/config.toml --run {0} --resume",
                       result.run.folder));
      return ok;
    default:
      if (!session.json) print(to_text(result, loss_name(config, classes)));
      return ok;
  }
}

}  // namespace

void add_train(CLI::App& app, Session& session) {
  CLI::App& command =
      add_command(app, session, "train", "Trains a model on a data set and writes a run folder",
                  "  chainrule train fashion-mnist\n"
                  "  chainrule train moons --epochs 100 --seed 3\n"
                  "  chainrule train table.csv --run runs/table\n"
                  "  chainrule train runs/moons/config.toml --run runs/again\n"
                  "  chainrule train spirals --overfit-one-batch");
  auto options = std::make_shared<Options>();
  command
      .add_option(
          "DATASET|FILE.toml", options->source,
          "fashion-mnist, a toy set (xor, circles, moons, spirals, blobs, sine, cubic), a .csv or .npz file, "
          "or a configuration")
      ->required();
  command.add_option("--name", options->name, "The run's name: it is written to runs/NAME");
  command.add_option("--run", options->folder, "The folder to write, in place of runs/NAME");
  command.add_option("--data", options->data, "Where the files of fashion-mnist lie");
  command.add_option("--epochs", options->epochs, "How often to go through the data")->check(above_zero());
  command.add_option("--batch-size", options->batch_size, "Examples per step")->check(above_zero());
  command.add_option("--lr", options->lr, "The learning rate")->check(above_zero());
  command.add_flag("--overfit-one-batch", options->overfit_one_batch,
                   "Learn one batch by heart: a model that can't has a mistake in it");
  command.add_flag("--resume", options->resume, "Go on from the folder's checkpoint");
  command.callback(
      [&session, options] { session.run = [&session, options] { return run(session, *options); }; });
}

}  // namespace chainrule::cli
