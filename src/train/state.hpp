#pragma once

#include <deque>
#include <optional>

#include <chainrule/train/fit.hpp>

#include <nlohmann/json.hpp>

#include "io/json.hpp"
#include "train/steps.hpp"
#include "train/verdict.hpp"

/// Where a training stands: all that a checkpoint holds besides the model's and the optimizer's tensors.
namespace chainrule::train {

/// The next step to make.
struct Position {
  std::int64_t epoch = 0;  // counted from 0
  std::int64_t batch = 0;  // of the epoch
  std::int64_t step = 0;   // of the run
};

struct State {
  Position position;
  Run run;
  double best_value = unknown;
  std::int64_t epochs_without_improvement = 0;
  double first_loss = unknown;
  double lowest_loss = unknown;      // the lowest mean over five steps
  double zero_loss = unknown;        // of predicting zero
  std::deque<double> recent_losses;  // the last five
  std::optional<optim::ReduceOnPlateau> plateau;
  double epoch_seconds = 0;  // spent in this epoch before the last checkpoint
  std::vector<Tensor> best;  // the model's leaves in the best epoch
  Collector collected;       // this epoch's predictions so far
  std::optional<VerdictFacts> divergence;
  std::string command;  // that started the run
};

/// What no later run may mix up with another run's.
struct Identity {
  std::uint64_t seed = 0;
  std::int64_t batch_size = 0;
  std::string data_hash;
  std::string validation_hash;
  io::Json options;   ///< see options_json
  Schedule schedule;  ///< compared on the steps that were made
};

// ---- records as JSON ----

io::Json to_json(const EpochRecord& record);
EpochRecord epoch_from_json(const io::Json& json);
io::Json to_json(const StepRecord& record);
StepRecord step_from_json(const io::Json& json);
io::Json to_json(const ProbeRecord& record);
ProbeRecord probe_from_json(const io::Json& json);
io::Json to_json(const ActivationRecord& record);
ActivationRecord activation_from_json(const io::Json& json);
/// JSON has no NaN: it is written as null, and null is read as NaN.
double number_or_unknown(const io::Json& json);

// ---- the run's folder ----

/// Creates the folder. Throws IoError.
void create_folder(const std::string& folder);
/// All records, a JSON object a line: `{"kind": "epoch", ...}`, `"step"`, `"probe"`, `"activation"`. Atomic.
void write_metrics(const std::string& folder, const Run& run);
/// What made the run: version, instruction set, threads, seed, data, and how it ended.
void write_run_record(const std::string& folder, const Identity& identity, const State& state);

/// Writes `folder`/checkpoint: complete, or not at all.
void save_checkpoint(const std::string& folder, const Identity& identity, nn::Module& model,
                     optim::Optimizer& optimizer, const State& state);
/// Removes what a process that was killed while it wrote a checkpoint left behind.
void remove_unfinished_files(const std::string& folder);
/// Whether the folder has one.
bool has_checkpoint(const std::string& folder);
/// Reads it into model, optimizer and state. Throws IoError where it is damaged or of another model,
/// StateError where it belongs to a run on other data or with other options.
void load_checkpoint(const std::string& folder, const Identity& identity, nn::Module& model,
                     optim::Optimizer& optimizer, State& state);

}  // namespace chainrule::train
