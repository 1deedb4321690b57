#include <chainrule/optim/schedules.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include <chainrule/error.hpp>
#include <chainrule/text.hpp>

namespace chainrule::optim {
namespace {

void check(const char* schedule, const char* option, bool holds, double value, const char* wanted) {
  if (holds) return;
  throw ArgumentError({.function = schedule,
                       .argument = option,
                       .problem = "an option is outside its range",
                       .got = short_number(value),
                       .wanted = wanted});
}
void check_steps(const char* schedule, const char* option, std::int64_t steps, std::int64_t least = 1) {
  const std::string wanted = std::to_string(least) + " or more";
  check(schedule, option, steps >= least, static_cast<double>(steps), wanted.c_str());
}
void check_multiplier(const char* schedule, const char* option, double value) {
  check(schedule, option, value >= 0 && std::isfinite(value), value, "a finite number, 0 or more");
}

double line(double from, double to, double share) { return from + (to - from) * share; }
double half_cosine(double from, double to, double share) {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * share)) / 2;
}
double share_of(std::int64_t step, std::int64_t steps) {
  return static_cast<double>(std::min(step, steps)) / static_cast<double>(steps);
}

}  // namespace

StepDecay::StepDecay(const StepDecayOptions& options) : options_(options) {
  check_steps("StepDecay", "size", options.size);
  check_multiplier("StepDecay", "gamma", options.gamma);
}
double StepDecay::operator()(std::int64_t step) const {
  return std::pow(options_.gamma, static_cast<double>(step / options_.size));
}

Exponential::Exponential(const ExponentialOptions& options) : options_(options) {
  check_multiplier("Exponential", "gamma", options.gamma);
}
double Exponential::operator()(std::int64_t step) const {
  return std::pow(options_.gamma, static_cast<double>(step));
}

Cosine::Cosine(const CosineOptions& options) : options_(options) {
  check_steps("Cosine", "steps", options.steps);
  check_multiplier("Cosine", "end", options.end);
}
double Cosine::operator()(std::int64_t step) const {
  return half_cosine(1, options_.end, share_of(step, options_.steps));
}

LinearRamp::LinearRamp(const LinearRampOptions& options) : options_(options) {
  check_steps("LinearRamp", "steps", options.steps);
  check_multiplier("LinearRamp", "start", options.start);
  check_multiplier("LinearRamp", "end", options.end);
}
double LinearRamp::operator()(std::int64_t step) const {
  return line(options_.start, options_.end, share_of(step, options_.steps));
}

Warmup::Warmup(const WarmupOptions& options) : options_(options) {
  check_steps("Warmup", "steps", options.steps);
  check_multiplier("Warmup", "start", options.start);
}
double Warmup::operator()(std::int64_t step) const {
  if (step >= options_.steps) return options_.then ? options_.then(step - options_.steps) : 1;
  return line(options_.start, 1, share_of(step, options_.steps));
}

OneCycle::OneCycle(const OneCycleOptions& options) : options_(options) {
  check_steps("OneCycle", "steps", options.steps, 2);
  const double share = options.warmup_share;
  check("OneCycle", "warmup_share", share > 0 && share < 1, share, "between 0 and 1");
  check("OneCycle", "initial_divisor", options.initial_divisor >= 1, options.initial_divisor, "1 or more");
  check("OneCycle", "final_divisor", options.final_divisor >= 1, options.final_divisor, "1 or more");
}
double OneCycle::operator()(std::int64_t step) const {
  const auto between = options_.linear ? line : half_cosine;
  const double last = static_cast<double>(options_.steps - 1);
  const double peak = options_.warmup_share * static_cast<double>(options_.steps) - 1;
  const double at = std::min(static_cast<double>(step), last);
  const double start = 1 / options_.initial_divisor;
  if (at <= peak) return peak > 0 ? between(start, 1, at / peak) : 1;
  return between(1, start / options_.final_divisor, (at - peak) / (last - peak));
}

ReduceOnPlateau::ReduceOnPlateau(const ReduceOnPlateauOptions& options)
    : options_(options),
      best_(options.maximize ? -std::numeric_limits<double>::infinity()
                             : std::numeric_limits<double>::infinity()) {
  check("ReduceOnPlateau", "factor", options.factor >= 0 && options.factor < 1, options.factor,
        "at least 0, below 1");
  check_steps("ReduceOnPlateau", "patience", options.patience, 0);
  check_steps("ReduceOnPlateau", "cooldown", options.cooldown, 0);
  check_multiplier("ReduceOnPlateau", "threshold", options.threshold);
  check_multiplier("ReduceOnPlateau", "min_multiplier", options.min_multiplier);
}

bool ReduceOnPlateau::is_better(double metric) const {
  if (std::isinf(best_)) return std::isfinite(metric);
  return options_.maximize ? metric > best_ * (1 + options_.threshold)
                           : metric < best_ * (1 - options_.threshold);
}

double ReduceOnPlateau::observe(double metric) {
  if (is_better(metric)) {
    best_ = metric;
    bad_ = 0;
  } else {
    ++bad_;
  }
  if (cooling_ > 0) {
    --cooling_;
    bad_ = 0;
  }
  if (bad_ > options_.patience) {
    multiplier_ = std::max(multiplier_ * options_.factor, options_.min_multiplier);
    cooling_ = options_.cooldown;
    bad_ = 0;
  }
  return multiplier_;
}

void ReduceOnPlateau::visit(Visitor& v) {
  v("multiplier", multiplier_);
  v("best", best_);
  v("bad", bad_);
  v("cooling", cooling_);
}

}  // namespace chainrule::optim
