#include "train/steps.hpp"

#include <cstring>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/nn/regularization.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

namespace chainrule::train {
namespace {

/// What a parameter is asked to pay. Without a group of its own: the weights as all others, biases nothing.
PenaltyGroup penalty_of(const Leaf& leaf, const Regularization& r) {
  for (const PenaltyGroup& group : r.groups) {
    if (chainrule::detail::path_matches(leaf.path, group.pattern)) return group;
  }
  return leaf.tensor->rank() < 2 ? PenaltyGroup{} : PenaltyGroup{{}, r.l1, r.l2};
}

Tensor squared_norm(const Tensor& x) { return sum(square(x)).astype(DType::float64); }

struct NormsBefore {
  std::vector<Tensor> parameters;
  std::vector<Tensor> gradient_norms;
};

NormsBefore norms_before(nn::Module& model, nn::Module& gradient) {
  NormsBefore result;
  const std::vector<Leaf> gradients = leaves(gradient);
  std::size_t i = 0;
  for (const Leaf& leaf : leaves(model)) {
    const Tensor& g = *gradients[i++].tensor;
    if (leaf.kind != LeafKind::parameter || !g.defined()) continue;
    result.parameters.push_back(*leaf.tensor);
    result.gradient_norms.push_back(squared_norm(g));
  }
  return result;
}

Tensor probes_after(nn::Module& model, nn::Module& gradient, const NormsBefore& before) {
  std::vector<Tensor> numbers;
  const std::vector<Leaf> gradients = leaves(gradient);
  std::size_t leaf_index = 0;
  std::size_t i = 0;
  for (const Leaf& leaf : leaves(model)) {
    const Tensor& g = *gradients[leaf_index++].tensor;
    if (leaf.kind != LeafKind::parameter || !g.defined()) continue;
    numbers.push_back(before.gradient_norms[i]);
    numbers.push_back(squared_norm(*leaf.tensor - before.parameters[i]));
    numbers.push_back(squared_norm(before.parameters[i]));
    ++i;
  }
  return numbers.empty() ? zeros({}) : stack(numbers);
}

}  // namespace

Regularization regularization_of(const Options& o) {
  return {
      .l1 = o.l1, .l2 = o.l2, .groups = o.penalties, .clip_value = o.clip_value, .clip_norm = o.clip_norm};
}

Tensor penalty(const nn::Module& model, const Regularization& r) {
  Tensor total;
  const auto add = [&](const Tensor& term) { total = total.defined() ? total + term : term; };
  for (const Leaf& leaf : leaves(model)) {
    if (leaf.kind != LeafKind::parameter) continue;
    const PenaltyGroup asked = penalty_of(leaf, r);
    const Tensor w = Context::to_reductions(*leaf.tensor);
    if (asked.l1 != 0) add(asked.l1 * sum(abs(w)));
    if (asked.l2 != 0) add((asked.l2 / 2) * sum(square(w)));
  }
  return total;
}

Tensor aligned_loss(const Loss& loss, const Tensor& prediction, const Tensor& target) {
  const bool column =
      is_floating(target.dtype()) && target.rank() == 1 && prediction.rank() == 2 && prediction.size(1) == 1;
  return loss(column ? reshape(prediction, {prediction.size(0)}) : prediction, target);
}

StepResult TrainStep::operator()(const Tensor& x, const Tensor& y) const {
  StepResult result;
  const auto objective = [&](const nn::Module& model) {
    result.prediction = Context::to_reductions(model(x));
    result.loss = aligned_loss(loss_, result.prediction, y);
    const Tensor extra = penalty(model, regularization_);
    return extra.defined() ? result.loss + extra : result.loss;
  };
  auto [objective_value, gradient] = chainrule::detail::differentiate(objective, *model_);
  NormsBefore before;
  if (probing_) before = norms_before(*model_, gradient);
  if (regularization_.clip_value > 0) nn::detail::clip_by_value(leaves(gradient), regularization_.clip_value);
  if (regularization_.clip_norm > 0) nn::detail::clip_by_norm(leaves(gradient), regularization_.clip_norm);
  optimizer_->update(*model_, gradient);
  result.probes = probing_ ? probes_after(*model_, gradient, before) : zeros({});
  return result;
}

StepResult LookStep::operator()(const Tensor& x, const Tensor& y) const {
  StepResult result;
  result.prediction = Context::to_reductions((*model_)(x));
  result.loss = aligned_loss(loss_, result.prediction, y);
  result.probes = zeros({});
  return result;
}

// ---- Collector ----

void Collector::Rows::add(const HostArray& array) {
  dtype = array.dtype;
  shape = array.shape;
  shape.erase(0);
  const auto* begin = static_cast<const std::byte*>(array.buffer.data());
  bytes.insert(bytes.end(), begin, begin + array.bytes());
}

Tensor Collector::Rows::tensor(std::int64_t count) const {
  Shape whole = shape;
  whole.insert(0, count);
  HostArray array = HostArray::uninitialized(dtype, whole);
  if (!bytes.empty()) std::memcpy(array.buffer.data(), bytes.data(), bytes.size());
  return Tensor(std::move(array));
}

void Collector::add(const Tensor& loss, const Tensor& prediction, const Tensor& target) {
  const std::int64_t rows = target.size(0);
  loss_sum_ += loss.item<double>() * static_cast<double>(rows);
  predictions_.add(prediction.to_host());
  targets_.add(target.to_host());
  examples_ += rows;
}

void Collector::clear() {
  loss_sum_ = 0;
  examples_ = 0;
  predictions_.bytes.clear();
  targets_.bytes.clear();
}

Tensor Collector::predictions() const { return predictions_.tensor(examples_); }
Tensor Collector::targets() const { return targets_.tensor(examples_); }

std::map<std::string, double> Collector::compute(const std::vector<Metric>& metrics) const {
  std::map<std::string, double> values;
  const Tensor prediction = predictions();
  const Tensor target = targets();
  for (const Metric& metric : metrics) values[metric.name] = metric.compute(prediction, target);
  return values;
}

void Collector::restore(double loss_sum, const HostArray& predictions, const HostArray& targets) {
  clear();
  loss_sum_ = loss_sum;
  predictions_.add(predictions);
  targets_.add(targets);
  examples_ = targets.shape[0];
}

// ---- defaults ----

Loss default_loss(const Loss& loss, data::Task task) {
  if (loss) return loss;
  if (task == data::Task::classification) return nn::cross_entropy;
  return nn::mse_loss;
}

std::vector<Metric> default_metrics(const std::vector<Metric>& metrics, data::Task task) {
  if (!metrics.empty()) return metrics;
  return {metric(task == data::Task::classification ? "accuracy" : "r2")};
}

DType model_dtype(nn::Module& model) {
  for (const Leaf& leaf : leaves(model)) {
    if (leaf.kind != LeafKind::buffer && leaf.tensor->defined() && leaf.tensor->dtype() == DType::float64)
      return DType::float64;
  }
  return DType::float32;
}

std::optional<Collector> look_at(CompiledLookStep& look, data::Loader& loader, const std::stop_token& stop) {
  const Context scope({.train = false});
  Collector collector;
  loader.start(0);
  while (const auto batch = loader.next()) {
    if (stop.stop_requested()) return std::nullopt;
    const StepResult result = look(batch->features, batch->targets);
    collector.add(result.loss, result.prediction, batch->targets);
  }
  return collector;
}

namespace detail {

Evaluation evaluate(nn::Module& model, const data::Dataset& dataset, const EvaluateOptions& options) {
  const Context scope({.dtypes = options.dtypes});
  data::Loader loader(dataset, {.batch_size = options.batch_size, .dtype = model_dtype(model)});
  CompiledLookStep look(LookStep(model, default_loss(options.loss, dataset.task)), model);
  const std::optional<Collector> collector = look_at(look, loader, options.stop);
  if (!collector) return {};
  return {collector->mean_loss(), collector->compute(default_metrics(options.metrics, dataset.task)),
          collector->predictions(), collector->targets()};
}

}  // namespace detail
}  // namespace chainrule::train
