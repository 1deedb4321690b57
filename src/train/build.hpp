#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <chainrule/train/config.hpp>

/// The parts of a training that a configuration names, and the names that it can use.
namespace chainrule::train {

using Names = std::vector<std::string>;

// ---- data ----

/// Whether the path is that of an IDX file, plain or gzip, by its name.
bool is_idx(const std::string& path);
/// Whether the path is that of a table.
bool is_table(const std::string& path);
/// Whether a source is a file, and not a name.
bool is_file_source(const std::string& source);

/// x · σ + mean: what a model that was trained on scaled targets predicts, in the targets' own units.
Tensor unscaled(const Tensor& values, const std::optional<data::Scaling>& scaling);
/// The folder's data.json.
void save_format(const std::string& folder, const DataFormat& format);
DataFormat load_format(const std::string& folder);

// ---- model ----

/// The types that a configuration's layers can have.
const Names& layer_types();
/// What a layer of this type can be told, with the library's defaults; empty for an unknown type.
std::map<std::string, nn::Record::Option> layer_options(const std::string& type);
/// "default" and the names of nn::init::table() that need no further number.
const Names& initializer_names();

// ---- training ----

const Names& precision_names();
/// The policy that goes with a precision. Throws ArgumentError for an unknown one.
DTypePolicy dtypes_of(const std::string& precision);
const Names& loss_names();
/// Whether the loss takes one output for two classes.
bool is_binary(const std::string& loss);
const Names& optimizer_names();
/// The options that the optimizer has, besides the learning rate; empty for an unknown name.
Names optimizer_options(const std::string& name);
/// Throws ArgumentError where the loss does not fit the data.
Loss build_loss(const Config& config, const data::Dataset& dataset);
optim::Optimizer build_optimizer(const OptimizerConfig& config);
/// The schedule by steps; constant where the name is reduce_on_plateau.
Schedule build_schedule(const Config& config, std::int64_t steps_per_epoch);
/// Absent where the schedule goes by steps. The monitored metric tells the direction.
std::optional<optim::ReduceOnPlateau> build_plateau(const Config& config);

}  // namespace chainrule::train
