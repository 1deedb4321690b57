#include <cmath>
#include <numbers>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/random.hpp>
#include <chainrule/text.hpp>

#include "graph/context_state.hpp"
#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

constexpr const char* no_derivative = "a random number does not depend smoothly on its key";

void check_key(const char* function, const Tensor& key) {
  if (key.dtype() == DType::int64) return;
  throw DTypeError({.function = function,
                    .argument = "key",
                    .problem = "not a random key",
                    .got = std::string(dtype_name(key.dtype())),
                    .wanted = "a scalar int64 tensor from random::key or random::next_key"});
}

// The attributes of a draw: the shape of one key's numbers, and the dtype. Keys may have a shape of their
// own, whose axes come first: that is how a batch draws.
void infer_draw(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  Shape shape = node.inputs[0].shape();
  for (const std::int64_t length : node.get<Dims>(0)) shape.push_back(length);
  outputs.push_back({shape, node.get<DType>(1)});
}
std::vector<Tensor> batch_draw(const Node& node, std::span<const Tensor> inputs, const std::vector<bool>&,
                               std::int64_t) {
  return make_outputs(*node.op, inputs, *node.attributes);
}
std::vector<Sample> draw_samples() {
  return {{{random::key(7)}, {Dims{3, 5}, DType::float64}, "matrix"},
          {{random::key(8)}, {Dims{}, DType::float64}, "scalar"}};
}

}  // namespace

namespace ops {

const OpDef random_uniform = {
    .name = "random_uniform",
    .arguments = {"key"},
    .attributes = {"shape", "dtype"},
    .text = {.formula = "random_uniform({key})",
             .latex = "u \\sim U[0, 1)",
             .summary = "Uniform random numbers on [0, 1), a pure function of the key.",
             .source = "Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011"},
    .not_differentiable = no_derivative,
    .infer = infer_draw,
    .batch = batch_draw,
    .bound = {BoundKind::exact, 0},
    .samples = draw_samples,
};

const OpDef random_normal = {
    .name = "random_normal",
    .arguments = {"key"},
    .attributes = {"shape", "dtype"},
    .text = {.formula = "random_normal({key})",
             .latex = "z \\sim N(0, 1)",
             .summary = "Standard normal random numbers, a pure function of the key.",
             .source = "Box and Muller, A note on the generation of random normal deviates, 1958"},
    .not_differentiable = no_derivative,
    .infer = infer_draw,
    .batch = batch_draw,
    .samples = draw_samples,
};

const OpDef random_fold_in = {
    .name = "random_fold_in",
    .arguments = {"key", "data"},
    .text = {.formula = "random_fold_in({key}, {data})",
             .latex = "\\operatorname{fold}({key}, {data})",
             .summary = "A new key from a key and a number: different numbers give independent streams.",
             .source = "Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011"},
    .not_differentiable = no_derivative,
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          outputs.push_back(
              {broadcast_shapes(node.inputs[0].shape(), node.inputs[1].shape(), "fold_in"), DType::int64});
        },
    .batch =
        [](const Node& node, std::span<const Tensor> inputs, const std::vector<bool>& batched, std::int64_t) {
          std::vector<Tensor> aligned(inputs.begin(), inputs.end());
          const int rank = node.outputs[0].shape.size() + 1;
          for (std::size_t i = 0; i < 2; ++i) {
            Shape shape = inputs[i].shape();
            while (batched[i] && shape.size() < rank) shape.insert(1, 1);
            aligned[i] = chainrule::reshape(inputs[i], shape);
          }
          return make_outputs(*node.op, aligned);
        },
    .bound = {BoundKind::exact, 0},
    .samples = []() -> std::vector<Sample> {
      return {{{random::key(7), Tensor(3)}, {}, "scalar"}};
    },
};

const OpDef random_split = {
    .name = "random_split",
    .arguments = {"key"},
    .attributes = {"count"},
    .text = {.formula = "random_split({key})",
             .latex = "\\operatorname{split}({key})",
             .summary = "Independent keys made from one, along a new last axis.",
             .source = "Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011"},
    .not_differentiable = no_derivative,
    .infer =
        [](const Node& node, SmallVector<TensorSpec, 1>& outputs) {
          Shape shape = node.inputs[0].shape();
          shape.push_back(node.get<std::int64_t>(0));
          outputs.push_back({shape, DType::int64});
        },
    .batch = batch_draw,
    .bound = {BoundKind::exact, 0},
    .samples = []() -> std::vector<Sample> {
      return {{{random::key(7)}, {std::int64_t{4}}, "four"}};
    },
};

}  // namespace ops

namespace random {

Tensor key(std::uint64_t seed) {
  const std::vector<std::int64_t> value = {static_cast<std::int64_t>(seed)};
  return Tensor::from(value, {});
}

Tensor fold_in(const Tensor& key, const Tensor& data) {
  check_key("fold_in", key);
  return make_node(ops::random_fold_in, {key, astype(data, DType::int64)});
}

Tensor split(const Tensor& key, std::int64_t count) {
  check_key("split", key);
  return make_node(ops::random_split, {key}, {count});
}

Tensor next_key() { return context_state().next_key(); }

Tensor uniform(const Tensor& key, const Shape& shape, double low, double high, DType dtype) {
  check_key("uniform", key);
  if (!(low <= high)) {
    throw ArgumentError({.function = "uniform",
                         .argument = "high",
                         .problem = "the interval is empty",
                         .got = "[" + short_number(low) + ", " + short_number(high) + ")",
                         .wanted = "low <= high"});
  }
  const Tensor u = make_node(ops::random_uniform, {key}, {shape, dtype});
  if (low == 0 && high == 1) return u;
  return u * scalar_of(high - low, dtype) + scalar_of(low, dtype);
}
Tensor uniform(const Shape& shape, double low, double high, DType dtype) {
  return uniform(next_key(), shape, low, high, dtype);
}

Tensor normal(const Tensor& key, const Shape& shape, double mean, double std, DType dtype) {
  check_key("normal", key);
  if (!(std >= 0)) {
    throw ArgumentError({.function = "normal",
                         .argument = "std",
                         .problem = "a standard deviation is not negative",
                         .got = short_number(std),
                         .wanted = "0 or more"});
  }
  Tensor z = make_node(ops::random_normal, {key}, {shape, dtype});
  if (std != 1) z = z * scalar_of(std, dtype);
  return mean == 0 ? z : z + scalar_of(mean, dtype);
}
Tensor normal(const Shape& shape, double mean, double std, DType dtype) {
  return normal(next_key(), shape, mean, std, dtype);
}

Tensor bernoulli(const Tensor& key, const Tensor& p, const Shape& shape) {
  const DType dtype = is_floating(p.dtype()) ? p.dtype() : DType::float32;
  return uniform(key, broadcast_shapes(p.shape(), shape, "bernoulli"), 0, 1, dtype) < p;
}
Tensor bernoulli(const Tensor& p, const Shape& shape) { return bernoulli(next_key(), p, shape); }

// The largest of logits plus Gumbel noise is a draw from their softmax (Gumbel, Statistical theory of extreme
// values, 1954).
Tensor categorical(const Tensor& key, const Tensor& logits, const Shape& shape) {
  check_key("categorical", key);
  if (logits.rank() == 0 || logits.shape().back() == 0) {
    throw ShapeError({.function = "categorical",
                      .argument = "logits",
                      .problem = "there is nothing to choose from",
                      .got = to_string(logits.shape()),
                      .wanted = "at least one logit along the last axis"});
  }
  Shape all = shape;
  for (const std::int64_t length : logits.shape()) all.push_back(length);
  const DType dtype = floating_dtype(logits.dtype()) == DType::float64 ? DType::float64 : DType::float32;
  const Tensor gumbel = -log(-log(uniform(key, all, 0, 1, dtype)));
  return argmax(gumbel + logits, -1);
}
Tensor categorical(const Tensor& logits, const Shape& shape) {
  return categorical(next_key(), logits, shape);
}

Tensor permutation(const Tensor& key, std::int64_t n) {
  if (n < 0)
    throw ArgumentError({.function = "permutation",
                         .argument = "n",
                         .problem = "a count is not negative",
                         .got = std::to_string(n),
                         .wanted = "0 or more"});
  // 53 random bits each: equal ones, which would keep their order, are as good as impossible.
  return argsort(uniform(key, {n}, 0, 1, DType::float64));
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
  // By inversion: erf of the standardized number is uniform between the erf of the ends.
  const auto standardized = [&](double x) { return (x - mean) / (std * std::numbers::sqrt2); };
  const Tensor u = uniform(key, shape, std::erf(standardized(low)), std::erf(standardized(high)), dtype);
  return clamp(erfinv(u) * (std * std::numbers::sqrt2) + mean, low, high);
}
Tensor truncated_normal(const Shape& shape, double mean, double std, double low, double high, DType dtype) {
  return truncated_normal(next_key(), shape, mean, std, low, high, dtype);
}

}  // namespace random
}  // namespace chainrule
