// chainrule evaluate and predict: what a trained model makes of data.

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include <chainrule/io.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>
#include <chainrule/threads.hpp>
#include <chainrule/train.hpp>

#include "cli/command.hpp"
#include "cli/progress.hpp"

namespace chainrule::cli {
namespace {

constexpr std::int64_t shown_test_examples = 10;

struct EvaluateArguments {
  std::string run;
  std::string file;
  std::optional<std::int64_t> count;
};

/// The run's configuration; with no --threads, its threads are used.
train::Config config_of(const Session& session, const EvaluateArguments& options) {
  check_run_folder(options.run);
  const train::Config config =
      from_user_file([&] { return train::load_config(options.run + "/config.toml"); });
  if (session.threads == 0 && config.threads > 0) set_thread_count(static_cast<int>(config.threads));
  return config;
}

/// Whether the run was trained on other data than its configuration now leads to.
bool has_changed(const EvaluateArguments& options, const train::PreparedData& data) {
  const Json record = read_run_file(options.run, "run.json");
  const Json recorded = record.is_object() ? record.value("data_hash", Json(nullptr)) : Json(nullptr);
  if (!recorded.is_string() || recorded == data.training.hash()) return false;
  note("the data have changed since this run was trained: its test part may hold examples that it has seen");
  return true;
}

int evaluate(const Session& session, const EvaluateArguments& options) {
  const train::Config config = config_of(session, options);
  const train::PreparedData data = from_user_file([&] { return train::load_data(config); });
  const train::Options how = from_user([&] { return train::build_options(config, data); });
  nn::Module model = nn::load(options.run);
  const train::Evaluation test =
      train::evaluate(model, data.test, {.loss = how.loss, .metrics = how.metrics, .dtypes = how.dtypes});
  const bool changed = has_changed(options, data);
  Json metrics = Json::object();
  Json error = nullptr;
  const std::int64_t examples = train::counted_examples(train::counted_targets(config, test.targets));
  std::string text = fmt::format("test, {} examples\nloss        {:.6g}\n", grouped(examples), test.loss);
  for (const auto& [name, value] : test.metrics) {
    metrics[name] = value;
    text += fmt::format("{:<12}", name) +
            (name == "accuracy" ? fmt::format("{:.4f}", value) : fmt::format("{:.6g}", value));
    if (name == "accuracy" && examples > 0) {
      error = train::accuracy_error(value, examples);
      text += fmt::format(" ± {:.4f}", error.get<double>());
    }
    text += "\n";
  }
  if (session.json) {
    print_json({{"run", options.run},
                {"examples", examples},
                {"loss", test.loss},
                {"metrics", metrics},
                {"standard_error", error},
                {"data_changed", changed}});
  } else {
    print(text);
  }
  return ok;
}

/// What is predicted for, and where it is known what is true.
struct Examples {
  Tensor features;
  std::optional<data::Dataset> test;
};

Examples examples(const Session& session, const EvaluateArguments& options,
                  const train::Predictor& predictor) {
  Examples result;
  if (options.file.empty()) {
    const train::Config config = config_of(session, options);
    const train::PreparedData data = from_user_file([&] { return train::load_data(config); });
    result.test = data.test;
    result.features = data.test.features;
  } else {
    result.features = from_user_file([&] { return predictor.load(options.file); });
  }
  const std::int64_t rows = result.features.size(0);
  const std::int64_t wanted = options.count.value_or(options.file.empty() ? shown_test_examples : rows);
  result.features = slice(result.features, 0, 0, std::min(wanted, rows));
  return result;
}

Json class_json(const std::vector<double>& p, const std::vector<std::string>& names) {
  const auto best = static_cast<std::size_t>(std::max_element(p.begin(), p.end()) - p.begin());
  return {{"class", names.at(best)}, {"probability", p[best]}, {"probabilities", p}};
}

int predict(const Session& session, const EvaluateArguments& options) {
  const train::Predictor predictor = from_user_file([&] { return train::Predictor(options.run); });
  const Examples rows = examples(session, options, predictor);
  const std::vector<double> numbers = predictor.predict(rows.features).to_vector<double>();
  const auto count = static_cast<std::size_t>(rows.features.size(0));
  const std::size_t width = count > 0 ? numbers.size() / count : 0;
  const train::DataFormat& format = predictor.format();
  const bool classes = format.task == data::Task::classification;
  Json results = Json::array();
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    const auto row = numbers.begin() + static_cast<std::ptrdiff_t>(i * width);
    const std::vector<double> values(row, row + static_cast<std::ptrdiff_t>(width));
    results.push_back(classes ? class_json(values, format.class_names) : Json{{"values", values}});
    const Json& last = results.back();
    text +=
        fmt::format("{:>5}  ", i) + (classes ? fmt::format("{:<16}{:.4f}", last["class"].get<std::string>(),
                                                           last["probability"].get<double>())
                                             : fmt::format("{:.6g}", fmt::join(values, "  ")));
    if (classes && rows.test) {
      const auto truth = rows.test->targets[static_cast<std::int64_t>(i)].item<std::int64_t>();
      results.back()["truth"] = format.class_names.at(static_cast<std::size_t>(truth));
      text += "   is " + results.back()["truth"].get<std::string>();
    }
    text += "\n";
  }
  if (session.json) {
    print_json({{"run", options.run}, {"predictions", results}});
  } else {
    print(text);
  }
  return ok;
}

}  // namespace

void add_evaluate(CLI::App& app, Session& session) {
  CLI::App& command =
      add_command(app, session, "evaluate", "Loss and metrics of a run's model on its test part",
                  "  chainrule evaluate runs/moons\n"
                  "  chainrule evaluate runs/fashion-mnist --json");
  auto options = std::make_shared<EvaluateArguments>();
  command.add_option("RUN", options->run, "A run folder")->required()->check(CLI::ExistingDirectory);
  command.callback(
      [&session, options] { session.run = [&session, options] { return evaluate(session, *options); }; });
}

void add_predict(CLI::App& app, Session& session) {
  CLI::App& command =
      add_command(app, session, "predict", "What a run's model answers",
                  "  chainrule predict runs/moons\n"
                  "  chainrule predict runs/table new.csv\n"
                  "  chainrule predict runs/fashion-mnist picture.npy\n"
                  "  chainrule predict runs/fashion-mnist t10k-images-idx3-ubyte.gz --count 3 --json");
  auto options = std::make_shared<EvaluateArguments>();
  command.add_option("RUN", options->run, "A run folder")->required()->check(CLI::ExistingDirectory);
  command
      .add_option(
          "FILE", options->file,
          "Examples as the training data were, unscaled: .csv or .tsv with its columns, .npy, .npz, or "
          "IDX (default: the run's test part)")
      ->check(CLI::ExistingFile);
  command
      .add_option("--count", options->count,
                  "At most so many (default: all rows of a file, 10 of the test part)")
      ->check(above_zero());
  command.callback(
      [&session, options] { session.run = [&session, options] { return predict(session, *options); }; });
}

}  // namespace chainrule::cli
