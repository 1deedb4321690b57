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

Sample draw_workload(std::int64_t elements) {
  return {{random::key(7)}, {Dims{elements}, DType::float32}, "vector"};
}

}  // namespace

void check_key(const char* function, const Tensor& key) {
  if (key.dtype() == DType::int64) return;
  throw DTypeError({.function = function,
                    .argument = "key",
                    .problem = "not a random key",
                    .got = std::string(dtype_name(key.dtype())),
                    .wanted = "a scalar int64 tensor from random::key or random::next_key"});
}

namespace ops {

const OpDef random_uniform = {
    .name = "random_uniform",
    .arguments = {"key"},
    .attributes = {"shape", "dtype"},
    .text = {.formula = "random_uniform({key})",
             .latex = "u \\sim U[0, 1)",
             .summary = "Uniform random numbers on [0, 1), a pure function of the key.",
             .domain = "every key; numbers in [low, high)",
             .source = "Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011"},
    .not_differentiable = no_derivative,
    .infer = infer_draw,
    .batch = batch_draw,
    .bound = {BoundKind::exact, 0},
    .workload = draw_workload,
    .samples = draw_samples,
};

const OpDef random_normal = {
    .name = "random_normal",
    .arguments = {"key"},
    .attributes = {"shape", "dtype"},
    .text = {.formula = "random_normal({key})",
             .latex = "z \\sim N(0, 1)",
             .summary = "Standard normal random numbers, a pure function of the key.",
             .domain = "every key; numbers in ℝ",
             .source = "Box and Muller, A note on the generation of random normal deviates, 1958"},
    .not_differentiable = no_derivative,
    .infer = infer_draw,
    .batch = batch_draw,
    .workload = draw_workload,
    .samples = draw_samples,
};

const OpDef random_fold_in = {
    .name = "random_fold_in",
    .arguments = {"key", "data"},
    .text = {.formula = "random_fold_in({key}, {data})",
             .latex = "\\operatorname{fold}({key}, {data})",
             .summary = "A new key from a key and a number: different numbers give independent streams.",
             .domain = "every key",
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
             .domain = "every key",
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
namespace {

double bfloat16_below(double x) {
  // A double may round to the number itself, which is then not below it.
  const bfloat16 nearest(static_cast<float>(x));
  const auto value = static_cast<double>(static_cast<float>(nearest));
  if (value < x) return value;
  bfloat16 below = nearest;
  if (value == 0) {
    below.bits = 0x8080;  // the largest negative normal number
  } else {
    below.bits = static_cast<std::uint16_t>(nearest.bits + (value > 0 ? -1 : 1));
  }
  return static_cast<double>(static_cast<float>(below));
}

}  // namespace

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
  if (dtype == DType::bfloat16) {
    // The nearest of its numbers may be `high` itself.
    const Tensor wide = uniform(key, shape, low, high, DType::float32);
    return low < high ? minimum(astype(wide, dtype), bfloat16_below(high)) : astype(wide, dtype);
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
  if (dtype == DType::bfloat16) return astype(normal(key, shape, mean, std, DType::float32), dtype);
  Tensor z = make_node(ops::random_normal, {key}, {shape, dtype});
  if (std != 1) z = z * scalar_of(std, dtype);
  return mean == 0 ? z : z + scalar_of(mean, dtype);
}
Tensor normal(const Shape& shape, double mean, double std, DType dtype) {
  return normal(next_key(), shape, mean, std, dtype);
}

}  // namespace random
}  // namespace chainrule
