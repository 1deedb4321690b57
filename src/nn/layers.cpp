#include <chainrule/nn/layers.hpp>

#include <cmath>

#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/text.hpp>

#include "nn/checks.hpp"

namespace chainrule::nn {
namespace {

// A frequent slip for each kind of misfit.
std::string linear_hint(const Tensor& x, std::int64_t wanted) {
  const std::int64_t got = x.size(-1);
  if (x.rank() > 2 && x.size(0) > 0 && x.size() / x.size(0) == wanted)
    return "put nn::Flatten() before the layer";
  if (got == wanted + 1) return "is the target still among the columns of x?";
  if (x.rank() == 2 && x.size(0) == wanted) return "rows are examples: is x transposed?";
  return {};
}

void check_features(const Linear& layer, const Tensor& x) {
  const std::int64_t features = x.rank() == 0 ? 0 : x.size(-1);
  if (x.rank() > 0 && features == layer.in_features) return;
  throw ShapeError({.function = "Linear",
                    .argument = "x",
                    .problem = "input has " + std::to_string(features) + " features, the layer wants " +
                               std::to_string(layer.in_features),
                    .got = describe_tensor("x", x),
                    .wanted = "[.., " + std::to_string(layer.in_features) + "]",
                    .hint = x.rank() == 0 ? "" : linear_hint(x, layer.in_features)});
}

}  // namespace

Linear::Linear(std::int64_t in, std::int64_t out, const LinearOptions& options)
    : in_features(in), out_features(out), has_bias(options.bias) {
  check_size(type_name, "in", in);
  check_size(type_name, "out", out);
  // The default of PyTorch, Kaiming's uniform bound with a = √5: √(6 / ((1 + 5) in)).
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  weight = random::uniform({out, in}, -bound, bound, options.dtype);
  if (has_bias) bias = random::uniform({out}, -bound, bound, options.dtype);
}

Tensor Linear::operator()(const Tensor& x) const {
  const Region region(type_name);
  check_features(*this, x);
  const Tensor y = matmul(Context::to_compute(x), transpose(Context::to_compute(weight)));
  return has_bias ? y + Context::to_compute(bias) : y;
}

void Linear::visit(Visitor& v) {
  v("in_features", in_features);
  v("out_features", out_features);
  v("has_bias", has_bias);
  v("weight", weight);
  if (has_bias) v("bias", bias);
}

Dropout::Dropout(double probability) : p(probability) {
  if (p >= 0 && p <= 1) return;
  throw ArgumentError({.function = "Dropout",
                       .argument = "p",
                       .problem = "not a probability",
                       .got = short_number(p),
                       .wanted = "0 to 1"});
}

Tensor Dropout::operator()(const Tensor& x) const {
  if (!Context::training() || p == 0) return x;
  const Region region(type_name);
  if (p == 1) return x * 0.0;
  const Tensor kept = random::bernoulli(Tensor(1 - p), x.shape());
  return where(kept, x * (1 / (1 - p)), 0.0);
}

Tensor Flatten::operator()(const Tensor& x) const {
  const Region region(type_name);
  return flatten(x, static_cast<int>(start_dim));
}

// ---- Embedding ----

Embedding::Embedding(std::int64_t count, std::int64_t dim, const EmbeddingOptions& options)
    : num_embeddings(count), embedding_dim(dim) {
  check_size(type_name, "num_embeddings", count);
  check_size(type_name, "embedding_dim", dim);
  weight = random::normal({count, dim}, 0, 1, options.dtype);
}

Tensor Embedding::operator()(const Tensor& x) const {
  const Region region(type_name);
  if (x.dtype() != DType::boolean && !is_floating(x.dtype())) return take(weight, x, 0);
  throw DTypeError({.function = "Embedding",
                    .argument = "x",
                    .problem = "rows are chosen by integers",
                    .got = describe_tensor("x", x),
                    .wanted = "an integer dtype"});
}

void Embedding::visit(Visitor& v) {
  v("num_embeddings", num_embeddings);
  v("embedding_dim", embedding_dim);
  v("weight", weight);
}

}  // namespace chainrule::nn
