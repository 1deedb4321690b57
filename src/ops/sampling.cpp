// Distributions made of uniform numbers.

#include <cmath>
#include <numbers>

#include <chainrule/error.hpp>
#include <chainrule/random.hpp>
#include <chainrule/text.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

constexpr const char* no_derivative = "a random number does not depend smoothly on its key";

Shape joined(const Shape& front, const Shape& back) {
  Shape shape = front;
  for (const std::int64_t length : back) shape.push_back(length);
  return shape;
}

// What to draw in, to compare with numbers of a dtype: bfloat16 has too few steps on [0, 1).
DType drawn_dtype(DType dtype) { return dtype == DType::float64 ? dtype : DType::float32; }

std::vector<Tensor> define_bernoulli(const Node& node) {
  const Tensor& p = node.inputs[1];
  return {random::uniform(node.inputs[0], node.get<Dims>(0), 0, 1, drawn_dtype(p.dtype())) < p};
}

void infer_categorical(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  Shape kept = node.inputs[1].shape();
  kept.erase(kept.size() - 1);
  outputs.push_back({joined(node.get<Dims>(0), kept), DType::int64});
}
// The largest of logits plus Gumbel noise is a draw from their softmax.
std::vector<Tensor> define_categorical(const Node& node) {
  const Tensor& logits = node.inputs[1];
  const DType dtype = drawn_dtype(logits.dtype());
  const Shape all = joined(node.get<Dims>(0), logits.shape());
  const Tensor gumbel = -log(-log(random::uniform(node.inputs[0], all, 0, 1, dtype)));
  return {argmax(gumbel + logits, -1)};
}

// By inversion: erf of the standardized number is uniform between the erf of the ends.
std::vector<Tensor> define_truncated_normal(const Node& node) {
  const auto option = [&](std::size_t i) { return node.get<double>(i); };
  const double mean = option(1), std = option(2), low = option(3), high = option(4);
  const auto standardized = [&](double x) { return (x - mean) / (std * std::numbers::sqrt2); };
  const Tensor u = random::uniform(node.inputs[0], node.get<Dims>(0), std::erf(standardized(low)),
                                   std::erf(standardized(high)), node.get<DType>(5));
  return {clamp(erfinv(u) * (std * std::numbers::sqrt2) + mean, low, high)};
}

}  // namespace

namespace ops {

const OpDef bernoulli = {
    .name = "bernoulli",
    .arguments = {"key", "p"},
    .attributes = {"shape"},
    .text = {.formula = "bernoulli({key}, {p})",
             .latex = "b \\sim \\operatorname{Bernoulli}({p})",
             .summary = "True with probability p: where a uniform number lies below it.",
             .domain = "p in [0, 1]"},
    .not_differentiable = no_derivative,
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          outputs.push_back({node.get<Dims>(0), DType::boolean});
        },
    .definition = define_bernoulli,
    .bound = {BoundKind::exact, 0},
    .samples = []() -> std::vector<Sample> {
      return {{{random::key(7), full({}, 0.3, DType::float64)}, {Dims{3, 5}}, "one probability"},
              {{random::key(8), tensor({0, 0.5, 1}, DType::float64)}, {Dims{2, 3}}, "several"}};
    },
};

const OpDef categorical = {
    .name = "categorical",
    .arguments = {"key", "logits"},
    .attributes = {"shape"},
    .text = {.formula = "categorical({key}, {logits})",
             .latex = "c \\sim \\operatorname{softmax}({logits})",
             .summary = "Indices along the last axis, each with the probability that softmax gives it.",
             .domain = "every logit; -inf is never drawn",
             .source = "Gumbel, Statistical theory of extreme values and some practical applications, 1954"},
    .not_differentiable = no_derivative,
    .infer = infer_categorical,
    .definition = define_categorical,
    .bound = {BoundKind::exact, 0},
    .samples = []() -> std::vector<Sample> {
      const Tensor logits = tensor({{0.5, -1, 2}, {1, 1, -3}}, DType::float64);
      return {{{random::key(7), logits}, {Dims{}}, "rows"},
              {{random::key(8), logits}, {Dims{4}}, "repeated"}};
    },
};

// 53 random bits each: equal ones, which would keep their order, are as good as impossible.
const OpDef permutation = {
    .name = "permutation",
    .arguments = {"key"},
    .attributes = {"n"},
    .text = {.formula = "permutation({key})",
             .latex = "\\pi \\sim U(S_n)",
             .summary = "The numbers 0 to n − 1 in random order: the order of n uniform numbers.",
             .domain = "every key"},
    .not_differentiable = no_derivative,
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          outputs.push_back({Shape{node.get<std::int64_t>(0)}, DType::int64});
        },
    .definition = [](const Node& node) -> std::vector<Tensor> {
      const Shape shape{node.get<std::int64_t>(0)};
      return {chainrule::argsort(random::uniform(node.inputs[0], shape, 0, 1, DType::float64))};
    },
    .bound = {BoundKind::exact, 0},
    .samples = []() -> std::vector<Sample> {
      return {{{random::key(7)}, {std::int64_t{9}}, "nine"}, {{random::key(8)}, {std::int64_t{0}}, "none"}};
    },
};

const OpDef truncated_normal = {
    .name = "truncated_normal",
    .arguments = {"key"},
    .attributes = {"shape", "mean", "std", "low", "high", "dtype"},
    .text = {.formula = "truncated_normal({key})",
             .latex = "z \\sim N(\\mu, \\sigma^2) \\mid z \\in [a, b]",
             .summary = "Normal random numbers conditioned on an interval, by inversion.",
             .domain = "every key; numbers in [low, high]",
             .source = "Devroye, Non-uniform random variate generation, 1986"},
    .not_differentiable = no_derivative,
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          outputs.push_back({node.get<Dims>(0), node.get<DType>(5)});
        },
    .definition = define_truncated_normal,
    .samples = []() -> std::vector<Sample> {
      return {{{random::key(7)}, {Dims{3, 4}, 0.0, 1.0, -2.0, 2.0, DType::float64}, "standard"},
              {{random::key(8)}, {Dims{5}, 1.0, 0.5, 0.0, 3.0, DType::float64}, "moved"}};
    },
};

}  // namespace ops

namespace random {

Tensor bernoulli(const Tensor& key, const Tensor& p, const Shape& shape) {
  check_key("bernoulli", key);
  return make_node(ops::bernoulli, {key, p}, {broadcast_shapes(p.shape(), shape, "bernoulli")});
}
Tensor bernoulli(const Tensor& p, const Shape& shape) { return bernoulli(next_key(), p, shape); }

Tensor categorical(const Tensor& key, const Tensor& logits, const Shape& shape) {
  check_key("categorical", key);
  if (logits.rank() == 0 || logits.shape().back() == 0) {
    throw ShapeError({.function = "categorical",
                      .argument = "logits",
                      .problem = "there is nothing to choose from",
                      .got = to_string(logits.shape()),
                      .wanted = "at least one logit along the last axis"});
  }
  return make_node(ops::categorical, {key, logits}, {shape});
}
Tensor categorical(const Tensor& logits, const Shape& shape) {
  return categorical(next_key(), logits, shape);
}

Tensor permutation(const Tensor& key, std::int64_t n) {
  check_key("permutation", key);
  if (n < 0)
    throw ArgumentError({.function = "permutation",
                         .argument = "n",
                         .problem = "a count is not negative",
                         .got = std::to_string(n),
                         .wanted = "0 or more"});
  return make_node(ops::permutation, {key}, {n});
}
Tensor permutation(std::int64_t n) { return permutation(next_key(), n); }

Tensor truncated_normal(const Tensor& key, const Shape& shape, double mean, double std, double low,
                        double high, DType dtype) {
  check_key("truncated_normal", key);
  if (!(std > 0) || !(low < high)) {
    throw ArgumentError(
        {.function = "truncated_normal",
         .argument = std > 0 ? "high" : "std",
         .problem = "the distribution is empty",
         .got = "std " + short_number(std) + " on [" + short_number(low) + ", " + short_number(high) + "]",
         .wanted = "std > 0 and low < high"});
  }
  const Tensor x = make_node(ops::truncated_normal, {key}, {shape, mean, std, low, high, drawn_dtype(dtype)});
  return astype(x, dtype);
}
Tensor truncated_normal(const Shape& shape, double mean, double std, double low, double high, DType dtype) {
  return truncated_normal(next_key(), shape, mean, std, low, high, dtype);
}

}  // namespace random
}  // namespace chainrule
