// chainrule evaluate and predict: what a trained model makes of data.

#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>

#include <chainrule/io.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/train.hpp>

#include "cli/command.hpp"

namespace chainrule::cli {
namespace {

struct Options {
  std::string run;
  std::string file;
  std::int64_t count = 10;
};

train::PreparedData data_of(const Options& options) {
  return train::load_data(train::load_config(options.run + "/config.toml"));
}

int evaluate(const Session& session, const Options& options) {
  const train::PreparedData parts = data_of(options);
  nn::Module model = nn::load(options.run);
  const train::Evaluation test = train::evaluate(model, parts.test);
  Json metrics = Json::object();
  std::string text = fmt::format("test, {} examples\nloss        {:.6f}\n", parts.test.size(), test.loss);
  for (const auto& [name, value] : test.metrics) {
    metrics[name] = value;
    text += fmt::format("{:<12}{:.6f}", name, value);
    if (name == "accuracy") text += fmt::format(" ± {:.4f}", train::accuracy_error(value, parts.test.size()));
    text += "\n";
  }
  if (session.json) {
    print_json(
        {{"run", options.run}, {"examples", parts.test.size()}, {"loss", test.loss}, {"metrics", metrics}});
  } else {
    print(text);
  }
  return ok;
}

// The examples to predict: rows of an NPY file, or the first of the run's test part.
Tensor examples(const Options& options, const train::PreparedData& parts) {
  const Tensor all = options.file.empty() ? parts.test.features : Tensor(load_npy(options.file));
  const bool is_one = !options.file.empty() && all.shape() == parts.training.example_shape();
  const Tensor rows = is_one ? unsqueeze(all, 0) : all;
  return slice(rows, 0, 0, std::min(options.count, rows.size(0)));
}

Json class_json(const std::vector<double>& p, const data::Dataset& set) {
  const auto best = static_cast<std::size_t>(std::max_element(p.begin(), p.end()) - p.begin());
  return {{"class", set.class_names.at(best)}, {"probability", p[best]}, {"probabilities", p}};
}

int predict(const Session& session, const Options& options) {
  const train::PreparedData parts = data_of(options);
  const nn::Module model = nn::load(options.run);
  const Tensor rows = examples(options, parts);
  const Tensor x = parts.training.scaling ? (*parts.training.scaling)(rows) : rows.astype(DType::float32);
  const Tensor y = nn::predict(model, x);
  const bool classes = parts.training.task == data::Task::classification;
  const Tensor shown = classes ? softmax(y) : y;
  Json results = Json::array();
  std::string text;
  for (std::int64_t i = 0; i < shown.size(0); ++i) {
    const auto values = shown[i].astype(DType::float64).to_vector<double>();
    results.push_back(classes ? class_json(values, parts.training) : Json{{"values", values}});
    const Json& last = results.back();
    text += fmt::format("{:>5}  ", i) +
            (classes ? fmt::format("{:<16}{:.4f}", last["class"].get<std::string>(),
                                   last["probability"].get<double>())
                     : fmt::format("{:.6g}", fmt::join(values, "  "))) +
            "\n";
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
  auto options = std::make_shared<Options>();
  command.add_option("RUN", options->run, "A run folder")->required()->check(CLI::ExistingDirectory);
  command.callback(
      [&session, options] { session.run = [&session, options] { return evaluate(session, *options); }; });
}

void add_predict(CLI::App& app, Session& session) {
  CLI::App& command = add_command(app, session, "predict", "What a run's model answers",
                                  "  chainrule predict runs/moons\n"
                                  "  chainrule predict runs/fashion-mnist picture.npy\n"
                                  "  chainrule predict runs/fashion-mnist --count 3 --json");
  auto options = std::make_shared<Options>();
  command.add_option("RUN", options->run, "A run folder")->required()->check(CLI::ExistingDirectory);
  command.add_option("FILE.npy", options->file, "One example or several (default: the run's test part)")
      ->check(CLI::ExistingFile);
  command.add_option("--count", options->count, "At most so many")->check(above_zero());
  command.callback(
      [&session, options] { session.run = [&session, options] { return predict(session, *options); }; });
}

}  // namespace chainrule::cli
