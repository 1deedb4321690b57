// Losses of a row of scores against a class.

#include <limits>

#include "nn/loss_tools.hpp"

namespace chainrule::nn {
namespace {

// The class axis: the second one, or the only one of a single example.
int class_axis(const Tensor& scores) { return scores.rank() == 1 ? 0 : 1; }

// A vector over the classes, aligned with the class axis of `scores`.
Tensor along_classes(const Tensor& values, const Tensor& scores) {
  Shape shape = Dims::filled(scores.rank(), 1);
  shape[class_axis(scores)] = -1;
  return reshape(values, shape);
}

void check_classes(const char* loss, const Tensor& scores, const Tensor& target, const Tensor& weight) {
  const std::string got = describe_tensor("prediction", scores) + ", " + describe_tensor("target", target);
  if (target.dtype() == DType::boolean || !is_floating(scores.dtype())) {
    throw DTypeError({.function = loss,
                      .argument = "target",
                      .problem = "not scores and classes",
                      .got = got,
                      .wanted = "floating scores [N, C] and integer classes [N]"});
  }
  if (scores.rank() == 0) {
    throw ShapeError({.function = loss,
                      .argument = "prediction",
                      .problem = "a scalar has no classes",
                      .got = got,
                      .wanted = "[N, C], [N, C, ..] or [C]"});
  }
  Shape wanted = scores.shape();
  if (!is_floating(target.dtype())) wanted.erase(class_axis(scores));
  if (target.shape() != wanted) {
    throw ShapeError({.function = loss,
                      .argument = "target",
                      .problem = "the target does not fit the scores",
                      .got = got,
                      .wanted = "target " + to_string(wanted)});
  }
  const Shape per_class{scores.size(class_axis(scores))};
  if (weight.defined() && weight.shape() != per_class) {
    throw ShapeError({.function = loss,
                      .argument = "weight",
                      .problem = "one weight per class is needed",
                      .got = to_string(weight.shape()),
                      .wanted = to_string(per_class)});
  }
}

Tensor against_probabilities(const Tensor& log_p, Tensor target, const CrossEntropyOptions& options) {
  const int axis = class_axis(log_p);
  const double smoothing = options.label_smoothing;
  if (smoothing > 0) target = target * (1 - smoothing) + smoothing / static_cast<double>(log_p.size(axis));
  Tensor terms = target * log_p;
  if (options.weight.defined()) terms = terms * along_classes(options.weight, log_p);
  const Tensor losses = -sum(terms, {axis});
  return reduced(losses, options.reduction);
}

Tensor against_classes(const Tensor& log_p, const Tensor& classes, const CrossEntropyOptions& options) {
  const int axis = class_axis(log_p);
  const std::int64_t count = log_p.size(axis);
  const Tensor target = astype(classes, DType::int64);  // a smaller dtype may not hold ignore_index
  const Tensor numbers = along_classes(arange(0, static_cast<double>(count), 1, DType::int64), log_p);
  const Tensor is_target = equal(unsqueeze(target, axis), numbers);
  const auto pick = [&](const Tensor& x) { return sum(where(is_target, x, 0.0), {axis}); };
  const Tensor weights = options.weight.defined() ? along_classes(options.weight, log_p) : Tensor();
  const Tensor weighted = weights.defined() ? log_p * weights : log_p;

  Tensor losses = -pick(weighted);
  if (const double smoothing = options.label_smoothing; smoothing > 0) {
    losses = losses * (1 - smoothing) - sum(weighted, {axis}) * (smoothing / static_cast<double>(count));
  }
  const Tensor is_class = logical_and(target >= 0, target < count);
  const Tensor counts = not_equal(target, options.ignore_index);
  losses = where(is_class, losses, std::numeric_limits<double>::quiet_NaN());
  losses = where(counts, losses, 0.0);
  if (options.reduction != Reduction::mean) return reduced(losses, options.reduction);
  const Tensor shares =
      weights.defined() ? pick(broadcast_to(weights, log_p.shape())) : astype(counts, log_p.dtype());
  return sum(losses) / sum(where(counts, shares, 0.0));
}

}  // namespace

Tensor CrossEntropy::operator()(const Tensor& prediction, const Tensor& target,
                                const CrossEntropyOptions& options) const {
  const Region region("cross_entropy");
  check_classes("cross_entropy", prediction, target, options.weight);
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1)) {
    throw ArgumentError({.function = "cross_entropy",
                         .argument = "label_smoothing",
                         .problem = "not a share",
                         .got = std::to_string(options.label_smoothing),
                         .wanted = "0 to 1"});
  }
  const Tensor log_p = log_softmax(prediction, class_axis(prediction));
  return is_floating(target.dtype()) ? against_probabilities(log_p, target, options)
                                     : against_classes(log_p, target, options);
}

Tensor NllLoss::operator()(const Tensor& prediction, const Tensor& target, const NllOptions& options) const {
  const Region region("nll_loss");
  check_classes("nll_loss", prediction, target, options.weight);
  if (is_floating(target.dtype())) {
    throw DTypeError({.function = "nll_loss",
                      .argument = "target",
                      .problem = "classes are integers",
                      .got = describe_tensor("target", target),
                      .wanted = "an integer dtype"});
  }
  return against_classes(
      prediction, target,
      {.reduction = options.reduction, .weight = options.weight, .ignore_index = options.ignore_index});
}

}  // namespace chainrule::nn
