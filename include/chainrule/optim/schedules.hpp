#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>

#include <chainrule/description.hpp>
#include <chainrule/export.hpp>
#include <chainrule/tree.hpp>

/// Schedules: functions from the number of a step (0 is the first) to a multiplier of the learning rate.
///
///     const auto schedule = optim::Warmup({.steps = 500, .then = optim::Cosine({.steps = 10000})});
///     optimizer.set_learning_rate(1e-3 * schedule(step));
///
/// PyTorch's schedulers give the same rates, but that `Cosine` stays at its end, where CosineAnnealingLR
/// rises again. Constructors throw ArgumentError for options outside their range.
namespace chainrule::optim {

/// Any schedule.
using Schedule = std::function<double(std::int64_t step)>;

/// Every schedule, by name. Formulas are of `step`, with the names of the options.
CHAINRULE_API std::span<const Description> schedule_table();

/// 1 at all times.
struct Constant {
  double operator()(std::int64_t) const { return 1; }
};

struct StepDecayOptions {
  std::int64_t size = 1;
  double gamma = 0.1;
};
/// gamma ^ ⌊step / size⌋.
class CHAINRULE_API StepDecay {
 public:
  explicit StepDecay(const StepDecayOptions& options);
  double operator()(std::int64_t step) const;

 private:
  StepDecayOptions options_;
};

struct ExponentialOptions {
  double gamma = 0.99;
};
/// gamma ^ step.
class CHAINRULE_API Exponential {
 public:
  explicit Exponential(const ExponentialOptions& options);
  double operator()(std::int64_t step) const;

 private:
  ExponentialOptions options_;
};

struct CosineOptions {
  std::int64_t steps = 1;
  double end = 0;
};
/// From 1 to `end` along half a cosine: end + (1 − end) (1 + cos(π step / steps)) / 2; `end` afterwards.
/// Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017.
class CHAINRULE_API Cosine {
 public:
  explicit Cosine(const CosineOptions& options);
  double operator()(std::int64_t step) const;

 private:
  CosineOptions options_;
};

struct LinearRampOptions {
  std::int64_t steps = 1;
  double start = 1;
  double end = 0;
};
/// From `start` to `end` in a straight line over `steps`; `end` afterwards.
class CHAINRULE_API LinearRamp {
 public:
  explicit LinearRamp(const LinearRampOptions& options);
  double operator()(std::int64_t step) const;

 private:
  LinearRampOptions options_;
};

struct WarmupOptions {
  std::int64_t steps = 1;
  double start = 0;
  Schedule then = Constant{};  ///< counts its steps from the end of the warm-up
};
/// From `start` to 1 in a straight line over `steps`, then another schedule.
/// Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017.
class CHAINRULE_API Warmup {
 public:
  explicit Warmup(const WarmupOptions& options);
  double operator()(std::int64_t step) const;

 private:
  WarmupOptions options_;
};

struct OneCycleOptions {
  std::int64_t steps = 2;       ///< in all
  double warmup_share = 0.3;    ///< PyTorch's pct_start
  double initial_divisor = 25;  ///< the cycle starts at 1 / initial_divisor
  double final_divisor = 1e4;   ///< and ends at 1 / (initial_divisor · final_divisor)
  bool linear = false;          ///< straight lines instead of cosines
};
/// Up to 1 and down again. Smith and Topin, Super-convergence, 2018.
class CHAINRULE_API OneCycle {
 public:
  explicit OneCycle(const OneCycleOptions& options);
  double operator()(std::int64_t step) const;

 private:
  OneCycleOptions options_;
};

struct ReduceOnPlateauOptions {
  double factor = 0.1;
  std::int64_t patience = 10;  ///< observations without improvement that are tolerated
  double threshold = 1e-4;     ///< the relative improvement that counts as one
  std::int64_t cooldown = 0;   ///< observations after a reduction that do not count
  double min_multiplier = 0;
  bool maximize = false;  ///< the metric is to grow
};
/// Lowers the multiplier when a metric has stopped getting better. Its state is a tree, so that a checkpoint
/// holds it.
class CHAINRULE_API ReduceOnPlateau {
 public:
  explicit ReduceOnPlateau(const ReduceOnPlateauOptions& options = {});
  /// Takes the metric of an epoch and returns the multiplier from then on. NaN counts as no improvement.
  double observe(double metric);
  double multiplier() const { return multiplier_; }
  const ReduceOnPlateauOptions& options() const { return options_; }
  void visit(Visitor& v);

 private:
  bool is_better(double metric) const;

  ReduceOnPlateauOptions options_;
  double multiplier_ = 1;
  double best_;
  std::int64_t bad_ = 0;
  std::int64_t cooling_ = 0;
};

}  // namespace chainrule::optim
