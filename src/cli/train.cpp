// chainrule train: a data set's name or a configuration file in, a run folder out.

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include <chainrule/version.hpp>

#include "cli/command.hpp"
#include "cli/experiment.hpp"
#include "cli/progress.hpp"
#include "insight/run_report.hpp"
#include "io/atomic_file.hpp"
#include "kernels/cpu/lanes.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::cli {
namespace {

struct Options {
  std::string source;
  std::string run;
  std::optional<std::string> data;
  std::optional<std::int64_t> epochs, batch_size;
  std::optional<double> lr;
  bool overfit_one_batch = false;
  bool resume = false;
};

Experiment experiment_of(const Session& session, const Options& options) {
  const bool is_config = options.source.ends_with(".toml");
  Experiment e = is_config ? read_experiment(options.source) : default_experiment(options.source);
  if (options.data) e.directory = *options.data;
  if (options.epochs) e.epochs = *options.epochs;
  if (options.batch_size) e.batch_size = *options.batch_size;
  if (options.lr) e.lr = *options.lr;
  if (session.seed) e.seed = static_cast<std::int64_t>(*session.seed);
  return e;
}

std::string folder_of(const Options& options) {
  if (!options.run.empty()) return options.run;
  return "runs/" + std::filesystem::path(options.source).stem().string();
}

void show_data(const Experiment& e, const Parts& parts) {
  const std::string task = parts.train.task == data::Task::classification
                               ? fmt::format("{} classes", parts.train.classes())
                               : "regression";
  note(fmt::format("data       {}: {} to train, {} to validate, {} to test · examples {} · {}", e.data,
                   parts.train.size(), parts.validation.size(), parts.test.size(),
                   to_string(parts.train.example_shape()), task));
}

void show_model(nn::Sequential& model) {
  const std::int64_t count = parameter_count(model);
  std::string layers;
  for (const Leaf& leaf : leaves(model)) {
    if (leaf.tensor->rank() == 2)
      layers += (layers.empty() ? std::to_string(leaf.tensor->size(1)) : "") + " → " +
                std::to_string(leaf.tensor->size(0));
  }
  note(fmt::format("model      {} · {} parameters · {:.1f} MB", layers, count,
                   static_cast<double>(count) * 4e-6));
}

void show_preflight(const std::vector<ReportCheck>& checks) {
  for (const ReportCheck& check : checks) {
    const char* status = check.status == CheckStatus::ok ? "ok" : "look at this: ";
    note(fmt::format("{:<15}{}, expected {}   {}{}", check.name, check.value, check.expectation, status,
                     check.sentence));
  }
}

// A model that cannot learn one batch by heart has a mistake in it.
void shrink_to_one_batch(Experiment& e, Parts& parts) {
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < std::min(e.batch_size, parts.train.size()); ++i) rows.push_back(i);
  parts.train = parts.train.subset(rows);
  parts.validation = parts.train;
  parts.test = parts.train;
  e.dropout = 0;
  e.schedule = "constant";
  e.epochs = std::max<std::int64_t>(e.epochs, 200);
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::tm local{};
  localtime_r(&now, &local);
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local);
  return text;
}

void write_report(const std::string& folder, const Experiment& e, const std::vector<ReportCheck>& checks,
                  const train::Run& run, const train::Evaluation& test, const Parts& parts) {
  ReportData report = insight::report_of(run, test, parts.test);
  report.run_name = std::filesystem::path(folder).filename().string();
  report.created = now_text();
  report.preflight = checks;
  report.reproduction.command = "chainrule train " + folder + "/config.toml";
  report.reproduction.config = to_toml(e);
  report.reproduction.version = CHAINRULE_VERSION;
  report.reproduction.instruction_set = kernels::active_target();
  report.reproduction.threads = thread_count();
  report.reproduction.seed = static_cast<std::uint64_t>(e.seed);
  report.reproduction.data_hash = parts.train.hash();
  io::write_file(folder + "/report.html", render_report(report), "train");
}

train::Run fit(const Experiment& e, const Options& options, const Session& session, const std::string& folder,
               const Parts& parts, nn::Sequential& model) {
  InterruptScope interrupt;
  Progress progress(session.json);
  train::Options how;
  how.optimizer = make_optimizer(e);
  how.epochs = e.epochs;
  how.batch_size = e.batch_size;
  how.validation = parts.validation;
  how.early_stopping = {.patience = e.patience};
  how.schedule = make_schedule(e, parts.train.size());
  how.clip_norm = e.clip_norm;
  how.seed = static_cast<std::uint64_t>(e.seed);
  how.probe_every = 50;
  how.callbacks.step = [&](const train::StepEvent& event) {
    interrupt.poll();
    progress.step(event);
  };
  how.callbacks.epoch = [&](const train::EpochRecord& record, const nn::Module&) {
    progress.epoch(record, e.epochs);
  };
  how.stop = interrupt.token();
  how.run = folder;
  how.checkpoint_every = std::max<std::int64_t>(1, e.epochs / 10);
  how.resume = options.resume;
  return train::fit(model, parts.train, how);
}

Json to_json(const std::string& folder, const train::Run& run, const train::Evaluation& test,
             const Parts& parts) {
  Json metrics = Json::object();
  for (const auto& [name, value] : test.metrics) metrics[name] = value;
  return {{"run", folder},
          {"outcome", to_string(run.outcome)},
          {"epochs", run.epochs.size()},
          {"best_epoch", run.best_epoch ? Json(*run.best_epoch + 1) : Json(nullptr)},
          {"steps", run.step_count},
          {"seconds", run.seconds},
          {"verdict", run.verdict},
          {"test_examples", parts.test.size()},
          {"test_loss", test.loss},
          {"test", metrics}};
}

std::string to_text(const std::string& folder, const train::Run& run, const train::Evaluation& test,
                    const Parts& parts) {
  std::string text = "test";
  for (const auto& [name, value] : test.metrics) {
    text += fmt::format("   {} {:.4f}", name, value);
    if (name == "accuracy")
      text += fmt::format(" ± {:.4f} ({} examples)", insight::standard_error(value, parts.test.size()),
                          parts.test.size());
  }
  text += fmt::format("   loss {:.4f}", test.loss);
  if (run.best_epoch) text += fmt::format(" · best epoch {}", *run.best_epoch + 1);
  return text + fmt::format(" · {:.1f} s · {}/report.html\n", run.seconds, folder) +
         "next: chainrule evaluate " + folder + " · chainrule predict " + folder +
         " · chainrule explain relu\n";
}

int run(const Session& session, const Options& options) {
  Experiment e = from_user([&] { return experiment_of(session, options); });
  Parts parts = from_user([&] { return load_parts(e); });
  if (options.overfit_one_batch) shrink_to_one_batch(e, parts);
  nn::Sequential model = from_user([&] { return make_model(e, parts.train); });
  const std::string folder = folder_of(options);
  const std::vector<ReportCheck> checks = insight::preflight(model, parts.train);
  if (!session.json) {
    show_data(e, parts);
    show_model(model);
    show_preflight(checks);
  }
  const train::Run result = fit(e, options, session, folder, parts, model);
  io::write_file(folder + "/config.toml", to_toml(e), "train");
  const train::Evaluation test = train::evaluate(model, parts.test);
  write_report(folder, e, checks, result, test, parts);
  if (session.json) {
    print_json(to_json(folder, result, test, parts));
  } else {
    print(to_text(folder, result, test, parts));
  }
  if (result.outcome == train::Outcome::stopped)
    note("stopped; to go on: chainrule train " + folder + "/config.toml --run " + folder + " --resume");
  if (result.outcome != train::Outcome::diverged) return ok;
  note(result.verdict);
  return failed;
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
      .add_option("DATASET|FILE.toml", options->source,
                  "fashion-mnist, a toy set (xor, circles, moons, spirals, blobs, sine, cubic), a .csv or "
                  ".npz file, or a configuration")
      ->required();
  command.add_option("--run", options->run, "The folder to write (default: runs/NAME)");
  command.add_option("--data", options->data, "Where the files of fashion-mnist lie");
  command.add_option("--epochs", options->epochs, "How often to go through the data")
      ->check(CLI::PositiveNumber);
  command.add_option("--batch-size", options->batch_size, "Examples per step")->check(CLI::PositiveNumber);
  command.add_option("--lr", options->lr, "The learning rate")->check(CLI::PositiveNumber);
  command.add_flag("--overfit-one-batch", options->overfit_one_batch,
                   "Learn one batch by heart: a model that can't has a mistake in it");
  command.add_flag("--resume", options->resume, "Go on from the folder's checkpoint");
  command.callback(
      [&session, options] { session.run = [&session, options] { return run(session, *options); }; });
}

}  // namespace chainrule::cli
