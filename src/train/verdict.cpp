#include "train/verdict.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

#include "train/steps.hpp"

namespace chainrule::train {
namespace {

constexpr int power_iterations = 20;
constexpr std::int64_t growth_window = 5;

struct Growth {
  std::string parameter;
  double factor = 0;
  std::int64_t steps = 0;
};

/// The parameter whose gradient grew most over the last few probes before the end.
std::optional<Growth> first_to_grow(const std::vector<ProbeRecord>& probes) {
  std::optional<Growth> result;
  std::map<std::string, std::vector<ProbeRecord>> by_parameter;
  for (const ProbeRecord& probe : probes) by_parameter[probe.parameter].push_back(probe);
  for (const auto& [parameter, records] : by_parameter) {
    if (records.size() < 2) continue;
    const std::size_t back = std::min<std::size_t>(growth_window, records.size() - 1);
    const ProbeRecord& last = records.back();
    const ProbeRecord& before = records[records.size() - 1 - back];
    const double factor = before.gradient_norm > 0 ? last.gradient_norm / before.gradient_norm : 0;
    if (factor > 1 && (!result || factor > result->factor))
      result = Growth{parameter, factor, last.step - before.step};
  }
  return result;
}

double dot_of(nn::Module& a, nn::Module& b) {
  double total = 0;
  const std::vector<Leaf> others = leaves(b);
  std::size_t i = 0;
  for (const Leaf& leaf : leaves(a)) {
    const Tensor& other = *others[i++].tensor;
    if (leaf.kind == LeafKind::parameter && leaf.tensor->defined() && other.defined())
      total += sum(*leaf.tensor * other).item<double>();
  }
  return total;
}

void scale_by(nn::Module& v, double factor) {
  for (const Leaf& leaf : leaves(v)) {
    if (leaf.kind == LeafKind::parameter && leaf.tensor->defined())
      *leaf.tensor = (*leaf.tensor * factor).eval();
  }
}

nn::Module random_direction(const nn::Module& model) {
  nn::Module v = model;
  std::uint64_t stream = 1;
  for (const Leaf& leaf : leaves(v)) {
    if (leaf.kind == LeafKind::parameter)
      *leaf.tensor =
          random::normal(random::key(stream++), leaf.tensor->shape(), 0, 1, leaf.tensor->dtype()).eval();
  }
  scale_by(v, 1 / std::sqrt(dot_of(v, v)));
  return v;
}

}  // namespace

std::vector<Tensor> values_of_leaves(nn::Module& model) {
  std::vector<Tensor> values;
  for (const Leaf& leaf : leaves(model)) values.push_back(*leaf.tensor);
  return values;
}

bool is_gradient_descent(const optim::Optimizer& optimizer) {
  return optimizer.name() == "SGD" || optimizer.name() == "GradientDescent";
}

std::optional<double> largest_curvature(nn::Module& model, const Loss& loss, const data::Dataset& dataset,
                                        std::int64_t batch_size) {
  const Context scope({.train = false});
  data::Loader loader(
      dataset,
      {.batch_size = std::min(batch_size, dataset.size()), .shuffle = true, .dtype = model_dtype(model)});
  const data::Batch batch = *loader.next();
  const auto objective = [&](const nn::Module& m) {
    return aligned_loss(loss, m(batch.features), batch.targets);
  };
  try {
    nn::Module v = random_direction(model);
    double curvature = 0;
    for (int i = 0; i < power_iterations; ++i) {
      nn::Module hv = hvp(objective, model, v);
      curvature = dot_of(v, hv);
      const double length = std::sqrt(dot_of(hv, hv));
      if (!std::isfinite(length) || length == 0) return std::nullopt;
      scale_by(hv, 1 / length);
      v = std::move(hv);
    }
    return std::isfinite(curvature) && curvature > 0 ? std::optional(curvature) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;  // an op without a second derivative: the verdict then says less
  }
}

std::string verdict_text(const VerdictFacts& f) {
  std::string text = fmt::format("diverged at step {}", f.step + (f.numeric_error.empty() ? 0 : 1));
  if (std::isfinite(f.first_loss) && std::isfinite(f.last_loss))
    text += fmt::format(": loss {:.3g} → {:.3g}", f.first_loss, f.last_loss);
  text += ".";
  if (!f.numeric_error.empty()) text += " " + f.numeric_error + ".";
  const bool unstable = f.largest_curvature && f.learning_rate * *f.largest_curvature > 2;
  if (unstable) {
    text += fmt::format(
        " lr·λmax = {:.3g} × {:.3g} = {:.3g} > 2, the stability limit of gradient descent on a quadratic.",
        f.learning_rate, *f.largest_curvature, f.learning_rate * *f.largest_curvature);
  }
  if (const auto growth = first_to_grow(f.probes)) {
    text += fmt::format(" First to grow: {}, ‖g‖ × {:.3g} in {} steps.", growth->parameter, growth->factor,
                        growth->steps);
  }
  if (unstable) return text + fmt::format(" Try lr ≤ {:.2g}.", 2 / *f.largest_curvature);
  return text +
         fmt::format(" Try a lower learning rate than {:.3g}, a warm-up, or clip_norm = 1.", f.learning_rate);
}

}  // namespace chainrule::train
