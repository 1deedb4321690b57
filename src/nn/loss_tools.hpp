#pragma once

#include <chainrule/context.hpp>
#include <chainrule/nn/losses.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

#include "nn/checks.hpp"

/// What the losses share.
namespace chainrule::nn {

inline Tensor reduced(const Tensor& losses, Reduction reduction) {
  if (reduction == Reduction::none) return losses;
  return reduction == Reduction::sum ? sum(losses) : mean(losses);
}

/// What a loss compares, in the dtype that it computes in.
struct Compared {
  Tensor y;
  Tensor t;
};

/// Elementwise losses broadcast nothing: a column against a row would compare every pair.
inline Compared compared(const char* loss, const Tensor& prediction, const Tensor& target) {
  if (prediction.shape() == target.shape())
    return {Context::to_reductions(prediction), Context::to_reductions(target)};
  const bool same_size = prediction.size() == target.size();
  throw ShapeError(
      {.function = loss,
       .argument = "target",
       .problem = "prediction and target have different shapes",
       .got = describe_tensor("prediction", prediction) + ", " + describe_tensor("target", target),
       .wanted = "equal shapes",
       .hint = same_size ? "reshape one of them: broadcasting would compare every pair" : ""});
}

inline void check_positive(const char* loss, const char* option, double value, bool zero_allowed) {
  if (value > 0 || (zero_allowed && value == 0)) return;
  throw ArgumentError({.function = loss,
                       .argument = option,
                       .problem = "an option is outside its range",
                       .got = short_number(value),
                       .wanted = zero_allowed ? "0 or more" : "more than 0"});
}

}  // namespace chainrule::nn
