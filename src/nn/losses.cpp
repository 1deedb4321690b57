#include <chainrule/nn/losses.hpp>

#include <chainrule/ops.hpp>

#include "nn/checks.hpp"

namespace chainrule::nn {
namespace {

Tensor mean_of(const Tensor& x) { return sum(x) / static_cast<double>(x.size()); }

Tensor reduced(const Tensor& losses, Reduction reduction) {
  if (reduction == Reduction::none) return losses;
  return reduction == Reduction::sum ? sum(losses) : mean_of(losses);
}

void check_same_shape(const char* loss, const Tensor& prediction, const Tensor& target) {
  if (prediction.shape() == target.shape()) return;
  const bool is_column = prediction.size() == target.size();
  throw ShapeError(
      {.function = loss,
       .argument = "target",
       .problem = "prediction and target have different shapes",
       .got = describe_tensor("prediction", prediction) + ", " + describe_tensor("target", target),
       .wanted = "equal shapes",
       .hint = is_column
                   ? "reshape the target to the prediction's shape: broadcasting would compare every pair"
                   : ""});
}

// ---- cross entropy ----

// The class axis: the second one, or the only one of a single example.
int class_axis(const Tensor& logits) { return logits.rank() == 1 ? 0 : 1; }

Tensor log_probabilities(const Tensor& z, int axis) {
  const Tensor shifted = z - stop_gradient(max(z, {axis}, true));
  return shifted - log(sum(exp(shifted), {axis}, true));
}

// A vector over the classes, aligned with the class axis of `logits`.
Tensor along_classes(const Tensor& values, const Tensor& logits) {
  Shape shape = Dims::filled(logits.rank(), 1);
  shape[class_axis(logits)] = -1;
  return reshape(values, shape);
}

void check_cross_entropy(const Tensor& z, const Tensor& target, const CrossEntropyOptions& options) {
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1)) {
    throw ArgumentError({.function = "cross_entropy",
                         .argument = "label_smoothing",
                         .problem = "not a share",
                         .got = std::to_string(options.label_smoothing),
                         .wanted = "0 to 1"});
  }
  if (target.dtype() == DType::boolean || !is_floating(z.dtype()) || z.rank() == 0) {
    throw DTypeError(
        {.function = "cross_entropy",
         .argument = "target",
         .problem = "not logits and classes",
         .got = describe_tensor("prediction", z) + ", " + describe_tensor("target", target),
         .wanted = "floating logits [N, C] and integer classes [N] or floating probabilities [N, C]"});
  }
  Shape wanted = z.shape();
  if (!is_floating(target.dtype())) wanted.erase(class_axis(z));
  if (target.shape() != wanted) {
    throw ShapeError({.function = "cross_entropy",
                      .argument = "target",
                      .problem = "the target does not fit the logits",
                      .got = describe_tensor("prediction", z) + ", " + describe_tensor("target", target),
                      .wanted = "target " + to_string(wanted)});
  }
  if (options.weight.defined() && options.weight.shape() != Shape{z.size(class_axis(z))}) {
    throw ShapeError({.function = "cross_entropy",
                      .argument = "weight",
                      .problem = "one weight per class is needed",
                      .got = to_string(options.weight.shape()),
                      .wanted = to_string(Shape{z.size(class_axis(z))})});
  }
}

Tensor cross_entropy_of_probabilities(const Tensor& z, Tensor target, const CrossEntropyOptions& options) {
  const int axis = class_axis(z);
  const double classes = static_cast<double>(z.size(axis));
  const double smoothing = options.label_smoothing;
  if (smoothing > 0) target = target * (1 - smoothing) + smoothing / classes;
  Tensor terms = target * log_probabilities(z, axis);
  if (options.weight.defined()) terms = terms * along_classes(options.weight, z);
  return reduced(-sum(terms, {axis}), options.reduction);
}

Tensor cross_entropy_of_classes(const Tensor& z, const Tensor& classes_of,
                                const CrossEntropyOptions& options) {
  const int axis = class_axis(z);
  const Tensor target = astype(classes_of, DType::int64);  // -100 is no uint8
  const std::int64_t classes = z.size(axis);
  const Tensor log_p = log_probabilities(z, axis);
  const Tensor numbers = along_classes(arange(0, static_cast<double>(classes), 1, DType::int64), z);
  const Tensor is_target = equal(unsqueeze(target, axis), numbers);
  const auto pick = [&](const Tensor& x) { return sum(where(is_target, x, 0.0), {axis}); };
  const Tensor weights = options.weight.defined() ? along_classes(options.weight, z) : Tensor();
  const Tensor weighted = weights.defined() ? log_p * weights : log_p;

  Tensor losses = -pick(weighted);
  if (const double smoothing = options.label_smoothing; smoothing > 0) {
    losses = losses * (1 - smoothing) - sum(weighted, {axis}) * (smoothing / static_cast<double>(classes));
  }
  const Tensor counts = not_equal(target, options.ignore_index);
  losses = where(counts, losses, 0.0);
  if (options.reduction != Reduction::mean) return reduced(losses, options.reduction);
  const Tensor shares =
      weights.defined() ? pick(broadcast_to(weights, z.shape())) : astype(counts, z.dtype());
  return sum(losses) / sum(where(counts, shares, 0.0));
}

}  // namespace

Tensor CrossEntropy::operator()(const Tensor& prediction, const Tensor& target,
                                const CrossEntropyOptions& options) const {
  const Region region("cross_entropy");
  check_cross_entropy(prediction, target, options);
  return is_floating(target.dtype()) ? cross_entropy_of_probabilities(prediction, target, options)
                                     : cross_entropy_of_classes(prediction, target, options);
}

Tensor MseLoss::operator()(const Tensor& prediction, const Tensor& target, const LossOptions& options) const {
  const Region region("mse_loss");
  check_same_shape("mse_loss", prediction, target);
  return reduced(square(prediction - target), options.reduction);
}

}  // namespace chainrule::nn
