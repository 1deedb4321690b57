#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <chainrule/data.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/train.hpp>

/// A training run as a configuration file describes it. Running the same file again gives the same numbers.
namespace chainrule::cli {

struct Experiment {
  std::int64_t seed = 0;

  // [data]
  std::string data = "fashion-mnist";  ///< fashion-mnist, a toy set, or a file: .csv, .npz
  std::string directory;               ///< of fashion-mnist; empty: where Debian puts it
  std::string target;                  ///< the column of a CSV file; empty: the last
  std::int64_t examples = 1000;        ///< of a toy set
  double noise = 0.1;                  ///< of a toy set
  double validation = 0.1;             ///< share of the training part that chooses the best epoch
  double test = 0.2;                   ///< share held out where the data has no test part of its own

  // [model]
  std::vector<std::int64_t> hidden = {256, 128};
  std::string activation = "relu";
  double dropout = 0;

  // [optimizer]
  std::string optimizer = "adam";
  double lr = 1e-3;
  double weight_decay = 0;
  double momentum = 0;
  std::string schedule = "constant";  ///< or cosine: to 0 over the whole run

  // [training]
  std::int64_t epochs = 10;
  std::int64_t batch_size = 128;
  double clip_norm = 0;
  std::int64_t patience = 0;
};

/// What `train NAME` runs with: settings that suit the data set.
Experiment default_experiment(const std::string& data);
/// Throws IoError with line, key and the nearest valid key.
Experiment read_experiment(const std::string& path);
/// Every key, also those at their defaults.
std::string to_toml(const Experiment& experiment);

struct Parts {
  data::Dataset train, validation, test;
};
/// Loads, splits by the seed, and scales by what the training part alone says.
Parts load_parts(const Experiment& experiment);
nn::Sequential make_model(const Experiment& experiment, const data::Dataset& train);
optim::Optimizer make_optimizer(const Experiment& experiment);
train::Schedule make_schedule(const Experiment& experiment, std::int64_t examples);

}  // namespace chainrule::cli
