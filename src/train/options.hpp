#pragma once

#include <string>
#include <vector>

#include <chainrule/train/fit.hpp>

#include "io/json.hpp"

/// The options of a training: whether they make sense, and what of them decides the numbers.
namespace chainrule::train {

/// Throws ArgumentError for values outside their range.
void check_options(const Options& options);

/// The batch size of a run: all examples where the options ask for them, or the optimizer does.
std::int64_t effective_batch_size(const Options& options, const data::Dataset& dataset);

/// A loss with options, and a name that says which: a checkpoint can tell it from others.
struct NamedLoss {
  std::string name;
  Loss compute;
  Tensor operator()(const Tensor& prediction, const Tensor& target) const {
    return compute(prediction, target);
  }
};

/// An optimizer's or a model's options by path, in the order of its visit.
io::Json options_of(optim::Optimizer& optimizer);
io::Json options_of(nn::Module& model);

/// All options that decide a run's numbers, but for the schedule, which is a function, and those that a
/// resumed run may change. `loss` is the one in use.
io::Json options_json(const Options& options, const Loss& loss, nn::Module& model);
/// What differs, in words: `optimizer.lr was 0.001, now 0.01`; empty where nothing does.
std::string difference(const io::Json& before, const io::Json& now);

/// The schedule's factors in some of the first `steps` steps: pairs of step and factor.
io::Json schedule_json(const Schedule& schedule, std::int64_t steps);
/// The same for schedules: `schedule(12) was 0.5, now 0.4`.
std::string schedule_difference(const io::Json& before, const Schedule& now);

}  // namespace chainrule::train
