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

/// Some whole batches of the first epoch, and what waiting for one takes.
struct Batches {
  std::vector<data::Batch> batches;
  double seconds = 0;
};

Batches first_batches(data::Loader& loader, std::int64_t batch_size) {
  Batches result;
  loader.start(0);
  auto last = Clock::now();
  std::size_t waits = 0;
  while (auto batch = loader.next()) {
    const auto now = Clock::now();
    if (waits++ > 0) result.seconds += std::chrono::duration<double>(now - last).count();
    if (batch->size() == batch_size || result.batches.empty()) result.batches.push_back(*batch);
    if (result.batches.size() == most_batches) break;
    last = Clock::now();
  }
  if (waits > 1) result.seconds /= static_cast<double>(waits - 1);
  return result;
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
  const Batches batches = first_batches(loader, batch_size);
  train::CompiledTrainStep compiled(
      train::TrainStep(model, optimizer, train::default_loss(how.loss, prepared.training.task),
                       train::regularization_of(how), false),
      model, optimizer);
  std::size_t next = 0;
  const auto step = [&] {
    const data::Batch& batch = batches.batches[next++ % batches.batches.size()];
    const Context scope({.train = true, .seed = how.seed + next});
    compiled(batch.features, batch.targets);
  };
  Profile result = insight::profile_step(step, options, batches.batches.front().size());
  result.title = "training step of " + config.name;
  result.batch_seconds = batches.seconds;
  return result;
}

}  // namespace chainrule
