// The training step of a configuration, profiled: what train::run would do, on a model of its own.

#include <chrono>

#include <chainrule/context.hpp>
#include <chainrule/profile.hpp>

#include "insight/profile_parts.hpp"
#include "kernels/parallel.hpp"
#include "train/options.hpp"
#include "train/steps.hpp"

namespace chainrule {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t most_batches = 8;
constexpr std::int64_t most_waits = 32;

/// Some whole batches of the first epoch.
std::vector<data::Batch> first_batches(data::Loader& loader, std::int64_t batch_size) {
  std::vector<data::Batch> batches;
  loader.start(0);
  while (auto batch = loader.next()) {
    if (batch->size() == batch_size || batches.empty()) batches.push_back(*batch);
    if (batches.size() == most_batches) break;
  }
  return batches;
}

/// What waiting for a batch takes where nothing else is done. Batches are given back, as training does: the
/// loader makes the next ones in their memory.
double seconds_per_batch(data::Loader& loader) {
  loader.start(1);
  Clock::time_point start;
  std::int64_t count = -1;
  for (; count < most_waits && loader.next(); ++count) {
    if (count < 0) start = Clock::now();
  }
  return count > 0 ? std::chrono::duration<double>(Clock::now() - start).count() / static_cast<double>(count)
                   : 0;
}

}  // namespace

Profile profile_training(const train::Config& config, const ProfileOptions& options) {
  train::check_config(config);
  const ThreadScope threads(config.threads);
  const train::PreparedData prepared = train::load_data(config);
  nn::Module model = train::build_model(config, prepared.training);
  const train::Options how = train::build_options(config, prepared);
  const Context precision({.dtypes = how.dtypes});
  optim::Optimizer optimizer = how.optimizer;
  optimizer.init(model);
  if (how.schedule) optimizer.set_learning_rate(optimizer.learning_rate() * how.schedule(0));
  const std::int64_t batch_size = train::effective_batch_size(how, prepared.training);
  data::Loader loader(prepared.training, {.batch_size = batch_size,
                                          .shuffle = true,
                                          .seed = how.seed,
                                          .drop_last = how.drop_last,
                                          .dtype = train::model_dtype(model)});
  const double batch_seconds = seconds_per_batch(loader);
  const std::vector<data::Batch> batches = first_batches(loader, batch_size);
  train::CompiledTrainStep compiled(
      train::TrainStep(model, optimizer, train::default_loss(how.loss, prepared.training.task),
                       train::regularization_of(how), false),
      model, optimizer);
  std::size_t next = 0;
  const auto step = [&] {
    const data::Batch& batch = batches[next++ % batches.size()];
    const Context scope({.train = true, .seed = how.seed + next});
    compiled(batch.features, batch.targets);
  };
  Profile result = insight::profile_step(step, options, batches.front().size());
  result.title = "training step of " + config.name;
  result.batch_seconds = batch_seconds;
  result.batches_ahead = loader.prefetch() > 0;
  return result;
}

}  // namespace chainrule
