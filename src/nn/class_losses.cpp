// Losses of a row of scores against a class.

#include <chainrule/text.hpp>
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

// Scores with the class axis last, as the ops on rows take them.
Tensor classes_last(const Tensor& scores) {
  const int axis = class_axis(scores);
  return axis == scores.rank() - 1 ? scores : moveaxis(scores, axis, -1);
}

// What `target` chooses of the last axis. Ignored targets choose the first class, for want of another; other
// targets that are no class are refused when this is evaluated.
struct Chosen {
  Tensor counts;  ///< bool: not ignored
  Tensor index;
};
Chosen chosen(const Tensor& target, std::int64_t ignore_index, std::int64_t classes) {
  const Tensor counts = not_equal(target, ignore_index);
  // The index ops count negative numbers from the end; here they are as wrong as those beyond it.
  return {counts, where(counts, where(target < 0, classes, target), 0)};
}

// The mean weighs each example by its class; `losses` are weighted already.
Tensor reduced_over_classes(const Tensor& losses, const Tensor& shares, Reduction reduction) {
  return reduction == Reduction::mean ? sum(losses) / sum(shares) : reduced(losses, reduction);
}

Tensor against_classes(const Tensor& logits, const Tensor& classes, const CrossEntropyOptions& options) {
  const Tensor z = classes_last(logits);
  const std::int64_t count = z.size(-1);
  const Tensor target = classes.dtype() == DType::uint8 ? astype(classes, DType::int64) : classes;
  const Chosen choice = chosen(target, options.ignore_index, count);
  Tensor losses = softmax_cross_entropy(z, target, options.ignore_index);
  Tensor shares = astype(choice.counts, z.dtype());
  if (options.weight.defined()) {
    shares = where(choice.counts, take(options.weight, choice.index), 0.0);
    losses = losses * shares;
  }
  if (const double smoothing = options.label_smoothing; smoothing > 0) {
    const Tensor log_p = log_softmax(z, -1);
    const Tensor spread = -sum(options.weight.defined() ? log_p * options.weight : log_p, {-1});
    losses = losses * (1 - smoothing) +
             where(choice.counts, spread, 0.0) * (smoothing / static_cast<double>(count));
  }
  return reduced_over_classes(losses, shares, options.reduction);
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
                         .got = short_number(options.label_smoothing),
                         .wanted = "0 to 1"});
  }
  const Tensor z = Context::to_reductions(prediction);
  if (!is_floating(target.dtype())) return against_classes(z, target, options);
  return against_probabilities(log_softmax(z, class_axis(z)), Context::to_reductions(target), options);
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
  const Tensor log_p = classes_last(Context::to_reductions(prediction));
  const Chosen choice = chosen(target, options.ignore_index, log_p.size(-1));
  const Tensor own = squeeze(gather(log_p, unsqueeze(choice.index, -1), -1), {-1});
  Tensor shares = astype(choice.counts, log_p.dtype());
  if (options.weight.defined()) shares = where(choice.counts, take(options.weight, choice.index), 0.0);
  return reduced_over_classes(-where(choice.counts, own, 0.0) * shares, shares, options.reduction);
}

}  // namespace chainrule::nn
