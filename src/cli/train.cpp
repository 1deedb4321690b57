// chainrule train: a data set's name or a configuration file in, a run folder out.

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include <chainrule/ops.hpp>
#include <chainrule/report.hpp>
#include <chainrule/text.hpp>
#include <chainrule/threads.hpp>
#include <chainrule/train.hpp>

#include "cli/command.hpp"
#include "cli/progress.hpp"

namespace chainrule::cli {
namespace {

struct TrainArguments {
  std::string source;
  std::string name;
  std::string folder;
  std::optional<std::string> data, targets, target, task, delimiter, missing;
  std::optional<std::int64_t> epochs, batch_size, examples;
  std::optional<double> lr, noise;
  bool no_header = false;
  bool overfit_one_batch = false;
  bool resume = false;
  bool ignore_checks = false;
};

template <typename T>
void set(T& field, const std::optional<T>& option) {
  if (option) field = *option;
}

train::Config config_of(const Session& session, const TrainArguments& options) {
  const bool is_config = options.source.ends_with(".toml");
  train::Config config = is_config ? from_user_file([&] { return train::load_config(options.source); })
                                   : train::default_config(options.source);
  if (!is_config) config.name = std::filesystem::path(options.source).stem().string();
  if (!options.name.empty()) config.name = options.name;
  set(config.data.directory, options.data);
  set(config.data.targets, options.targets);
  set(config.data.target, options.target);
  set(config.data.task, options.task);
  set(config.data.delimiter, options.delimiter);
  set(config.data.missing, options.missing);
  set(config.data.examples, options.examples);
  set(config.data.noise, options.noise);
  if (options.no_header) config.data.header = "no";
  set(config.training.epochs, options.epochs);
  set(config.training.batch_size, options.batch_size);
  if (options.lr) config.optimizer.lr = options.lr;
  if (session.seed) config.seed = *session.seed;
  if (session.threads > 0) config.threads = session.threads;
  train::check_config(config);
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

/// "range 0..255, mean 72.9: scaled to [0, 1]": the raw features of the training part.
std::string range_text(const train::PreparedData& data) {
  const Tensor& x = data.training.features;
  const Tensor known = where(isnan(x.astype(DType::float32)), 0.0, x.astype(DType::float32));
  std::string text =
      fmt::format("range {:.4g}..{:.4g}, mean {:.3g}", min(known).item<double>(), max(known).item<double>(),
                  mean(known.astype(DType::float64)).item<double>());
  if (!data.training.scaling) return text;
  const bool unit = data.training.scaling->shift.rank() == 0;
  return text + (unit ? ": scaled to [0, 1]" : ": standardized");
}

std::string target_text(const train::PreparedData& data) {
  const bool classes = data.training.task == data::Task::classification;
  std::string text = classes ? fmt::format("{} classes", data.training.classes()) : "values to predict";
  if (data.format.table) text += fmt::format(" in column {}", data.format.table->target);
  return text;
}

void show_start(const train::PreparedData& data, nn::Module& model,
                const std::vector<train::Finding>& findings) {
  note(fmt::format("data               {} to train, {} to validate, {} to test · each {} {} · {} · {}",
                   grouped(data.training.size()), grouped(data.validation ? data.validation->size() : 0),
                   grouped(data.test.size()), to_string(data.training.example_shape()),
                   dtype_name(data.training.features.dtype()), range_text(data), target_text(data)));
  const std::int64_t count = parameter_count(model);
  std::string widths;
  for (const Leaf& leaf : leaves(model)) {
    if (leaf.tensor->rank() != 2) continue;
    if (widths.empty()) widths = std::to_string(leaf.tensor->size(1));
    widths += " → " + std::to_string(leaf.tensor->size(0));
  }
  const double kilobytes = static_cast<double>(count) * 4e-3;
  note(fmt::format(
      "model              {} · {} parameters · {}", widths, grouped(count),
      kilobytes < 1000 ? fmt::format("{:.1f} kB", kilobytes) : fmt::format("{:.1f} MB", kilobytes / 1000)));
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
    if (name == "accuracy" && std::isfinite(result.standard_error))
      text += fmt::format(" ± {:.4f}", result.standard_error);
  }
  text += fmt::format("   loss {:.4f}", result.test.loss);
  if (run.best_epoch) text += fmt::format(" · best epoch {}", *run.best_epoch + 1);
  return text + fmt::format(" · {:.1f} s of training · {}/report.html\n", run.seconds, run.folder) +
         fmt::format("next: chainrule predict {0} · chainrule evaluate {0} · chainrule explain {1}\n",
                     run.folder, loss);
}

// A model that can't learn one batch by heart has a mistake in it: nothing is written.
int overfit(const Session& session, const train::Config& config) {
  InterruptScope interrupt;
  if (config.threads > 0) set_thread_count(static_cast<int>(config.threads));
  const train::PreparedData data = train::load_data(config);
  const nn::Module model = train::build_model(config, data.training);
  train::Options how = train::build_options(config, data);
  how.stop = interrupt.token();
  how.callbacks.step = [&](const train::StepEvent&) { interrupt.poll(); };
  const train::Finding finding = train::overfit_one_batch(model, data.training, how);
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

/// The page is a view of what is saved already: without it the run is no less done.
void write_report_of(const train::Run& run) {
  try {
    write_report(run.folder);
  } catch (const std::exception& error) {
    note(std::string("the report could not be written: ") + error.what());
  }
}

int finish(const Session& session, const train::RunResult& result, const std::string& loss) {
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
      if (!session.json) print(to_text(result, loss));
      return ok;
  }
}

int run(const Session& session, const TrainArguments& options) {
  const train::Config config = from_user([&] { return config_of(session, options); });
  check_data_files(config.data);
  if (options.overfit_one_batch) return from_config(options.source, [&] { return overfit(session, config); });
  InterruptScope interrupt;
  Progress progress(session.json);
  train::RunOptions how;
  how.folder = options.folder.empty() ? "runs/" + config.name : options.folder;
  how.resume = options.resume;
  how.ignore_failed_checks = options.ignore_checks;
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
  if (!session.json && !options.resume && std::filesystem::exists(how.folder + "/run.json"))
    note(how.folder + " holds an earlier run, which this one replaces");
  const train::RunResult result = from_config(options.source, [&] { return train::run(config, how); });
  const int status = finish(session, result, loss_name(config, classes));
  std::fflush(stdout);
  write_report_of(result.run);
  return status;
}

}  // namespace

void add_train(CLI::App& app, Session& session) {
  CLI::App& command =
      add_command(app, session, "train", "Trains a model on a data set and writes a run folder",
                  "  chainrule train fashion-mnist\n"
                  "  chainrule train moons --epochs 100 --seed 3\n"
                  "  chainrule train table.csv --target price --run runs/table\n"
                  "  chainrule train features.npy --targets labels.npy\n"
                  "  chainrule train runs/moons/config.toml --run runs/again\n"
                  "  chainrule train spirals --overfit-one-batch");
  auto options = std::make_shared<TrainArguments>();
  command
      .add_option(
          "DATASET|FILE", options->source,
          "fashion-mnist, a toy set (xor, circles, moons, spirals, blobs, sine, cubic), a table (.csv, "
          ".tsv), arrays (.npz, .npy, IDX plain or gzip), or a configuration (.toml)")
      ->required();
  command.add_option("--name", options->name, "The run's name: it is written to runs/NAME");
  command.add_option("--run", options->folder, "The folder to write, in place of runs/NAME");
  command.add_option("--data", options->data, "Where the files of fashion-mnist lie, compressed or plain");
  command.add_option("--targets", options->targets, "The file of the targets, for .npy and IDX");
  command.add_option("--target", options->target, "The target's column in a table (default: the last)");
  command.add_option("--task", options->task,
                     "classification or regression (default: text and few whole numbers are classes)");
  command.add_option("--missing", options->missing, "What missing cells are: error, or mean");
  command.add_option("--delimiter", options->delimiter, "Between a table's cells (default: guessed)");
  command.add_flag("--no-header", options->no_header, "The table's first row is an example");
  command.add_option("--examples", options->examples, "How many examples of a toy set")->check(above_zero());
  command.add_option("--noise", options->noise, "Noise of a toy set (default: 0.1)");
  command.add_option("--epochs", options->epochs, "How often to go through the data")->check(above_zero());
  command.add_option("--batch-size", options->batch_size, "Examples per step")->check(above_zero());
  command.add_option("--lr", options->lr, "The learning rate")->check(above_zero());
  command.add_flag("--overfit-one-batch", options->overfit_one_batch,
                   "Learn one batch by heart: a model that can't has a mistake in it");
  command.add_flag("--resume", options->resume, "Go on from the folder's checkpoint");
  command.add_flag("--ignore-checks", options->ignore_checks,
                   "Train although a look at the data says that it can't work");
  command.callback(
      [&session, options] { session.run = [&session, options] { return run(session, *options); }; });
}

}  // namespace chainrule::cli
