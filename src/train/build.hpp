#pragma once

#include <chainrule/train/config.hpp>

/// The parts of a training that a configuration names.
namespace chainrule::train {

nn::Module build_activation(const std::string& type);
/// Throws ArgumentError where the loss does not fit the task.
Loss build_loss(const Config& config, data::Task task);
optim::Optimizer build_optimizer(const OptimizerConfig& config);
/// The schedule by steps; constant where the name is reduce_on_plateau.
Schedule build_schedule(const Config& config, std::int64_t steps_per_epoch);
/// Absent where the schedule goes by steps. The monitored metric tells the direction.
std::optional<optim::ReduceOnPlateau> build_plateau(const Config& config);

}  // namespace chainrule::train
