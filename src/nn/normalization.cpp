// Layers that bring their input to mean 0 and variance 1, or to a root mean square of 1.

#include <chainrule/nn/layers.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

#include "nn/checks.hpp"

namespace chainrule::nn {
namespace {

void check_norm(std::string_view layer, const Shape& shape, double eps) {
  for (const std::int64_t length : shape) check_size(layer, "normalized_shape", length);
  if (shape.empty()) check_size(layer, "normalized_shape", 0);
  if (eps >= 0) return;
  throw ArgumentError({.function = std::string(layer),
                       .argument = "eps",
                       .problem = "not a small positive number",
                       .got = short_number(eps),
                       .wanted = "0 or more"});
}

Tensor flat(const Tensor& x) { return reshape(x, {x.size()}); }

// x with its last axes, which must have the lengths of `normalized_shape`, as one: the rows to normalize.
Tensor rows_of(std::string_view layer, const Tensor& x, const Shape& normalized_shape) {
  const int first = x.rank() - normalized_shape.size();
  bool fits = first >= 0;
  for (int i = 0; fits && i < normalized_shape.size(); ++i)
    fits = x.shape()[first + i] == normalized_shape[i];
  if (!fits) {
    throw ShapeError({.function = std::string(layer),
                      .argument = "x",
                      .problem = "the last dimensions of the input are not those of the layer",
                      .got = describe_tensor("x", x),
                      .wanted = "[.., " + to_string(normalized_shape).substr(1)});
  }
  Shape rows;
  for (int i = 0; i < first; ++i) rows.push_back(x.shape()[i]);
  rows.push_back(element_count(normalized_shape));
  return reshape(x, rows);
}

}  // namespace

// ---- LayerNorm ----

LayerNorm::LayerNorm(const Shape& shape, const LayerNormOptions& options)
    : normalized_shape(shape),
      eps(options.eps),
      elementwise_affine(options.elementwise_affine),
      has_bias(options.elementwise_affine && options.bias) {
  check_norm(type_name, shape, eps);
  if (elementwise_affine) weight = ones(shape, options.dtype);
  if (has_bias) bias = zeros(shape, options.dtype);
}

Tensor LayerNorm::operator()(const Tensor& x) const {
  const Region region(type_name);
  const Tensor rows = Context::to_reductions(rows_of(type_name, x, normalized_shape));
  const Tensor y =
      layer_norm(rows, elementwise_affine ? flat(weight) : Tensor(), has_bias ? flat(bias) : Tensor(), eps);
  return reshape(y, x.shape());
}

void LayerNorm::visit(Visitor& v) {
  v("normalized_shape", normalized_shape);
  v("eps", eps);
  v("elementwise_affine", elementwise_affine);
  v("has_bias", has_bias);
  if (elementwise_affine) v("weight", weight);
  if (has_bias) v("bias", bias);
}

// ---- RMSNorm ----

RMSNorm::RMSNorm(const Shape& shape, const RMSNormOptions& options)
    : normalized_shape(shape), eps(options.eps), elementwise_affine(options.elementwise_affine) {
  check_norm(type_name, shape, eps.value_or(0));
  if (elementwise_affine) weight = ones(shape, options.dtype);
}

Tensor RMSNorm::operator()(const Tensor& x) const {
  const Region region(type_name);
  const Tensor rows = Context::to_reductions(rows_of(type_name, x, normalized_shape));
  const Tensor y = rms_norm(rows, elementwise_affine ? flat(weight) : Tensor(), eps);
  return reshape(y, x.shape());
}

void RMSNorm::visit(Visitor& v) {
  v("normalized_shape", normalized_shape);
  v("eps", eps);
  v("elementwise_affine", elementwise_affine);
  if (elementwise_affine) v("weight", weight);
}

// ---- BatchNorm ----

BatchNorm::BatchNorm(std::int64_t features, const BatchNormOptions& options)
    : num_features(features),
      eps(options.eps),
      momentum(options.momentum),
      affine(options.affine),
      track_running_stats(options.track_running_stats) {
  check_norm(type_name, {features}, eps);
  if (!(momentum >= 0 && momentum <= 1)) {
    throw ArgumentError({.function = "BatchNorm",
                         .argument = "momentum",
                         .problem = "not a share",
                         .got = short_number(momentum),
                         .wanted = "0 to 1"});
  }
  if (affine) {
    weight = ones({features}, options.dtype);
    bias = zeros({features}, options.dtype);
  }
  if (track_running_stats) {
    running_mean = zeros({features}, options.dtype);
    running_var = ones({features}, options.dtype);
    num_batches_tracked = Tensor::from(std::vector<std::int64_t>{0}, {});
  }
}

void BatchNorm::record_statistics(const Tensor& batch_mean, const Tensor& batch_var,
                                  std::int64_t count) const {
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  const auto moved = [&](const Tensor& running, const Tensor& batch) {
    const Tensor value =
        Context::pending_value(running) * (1 - momentum) + reshape(batch, running.shape()) * momentum;
    return astype(value, running.dtype());
  };
  Context::record_update(running_mean, moved(running_mean, stop_gradient(batch_mean)));
  Context::record_update(running_var, moved(running_var, stop_gradient(batch_var) * unbiased));
  Context::record_update(num_batches_tracked, Context::pending_value(num_batches_tracked) + 1);
}

Tensor BatchNorm::operator()(const Tensor& x) const {
  const Region region(type_name);
  if (x.rank() < 2 || x.size(1) != num_features) {
    throw ShapeError({.function = "BatchNorm",
                      .argument = "x",
                      .problem = "input has " + std::to_string(x.rank() < 2 ? 0 : x.size(1)) +
                                 " features, the layer wants " + std::to_string(num_features),
                      .got = describe_tensor("x", x),
                      .wanted = "[N, " + std::to_string(num_features) + ", ..]"});
  }
  Dims axes;
  Shape aligned = Dims::filled(x.rank(), 1);
  aligned[1] = num_features;
  for (int i = 0; i < x.rank(); ++i) {
    if (i != 1) axes.push_back(i);
  }
  const bool of_batch = Context::training() || !track_running_stats;
  const std::int64_t count = x.size() / num_features;
  if (of_batch && count < 2) {
    throw ShapeError({.function = "BatchNorm",
                      .argument = "x",
                      .problem = "one value per feature has no variance",
                      .got = describe_tensor("x", x),
                      .wanted = "at least 2 values per feature",
                      .hint = "use larger batches, drop_last, or evaluation mode"});
  }
  const Tensor z = Context::to_reductions(x);
  const Tensor center = of_batch ? mean(z, axes, true) : reshape(running_mean, aligned);
  const Tensor centered = z - center;
  const Tensor variance = of_batch ? mean(square(centered), axes, true) : reshape(running_var, aligned);
  if (of_batch && track_running_stats) record_statistics(center, variance, count);
  Tensor scale = rsqrt(variance + eps);
  if (affine) scale = scale * reshape(weight, aligned);
  const Tensor y = centered * scale;
  return affine ? y + reshape(bias, aligned) : y;
}

void BatchNorm::visit(Visitor& v) {
  v("num_features", num_features);
  v("eps", eps);
  v("momentum", momentum);
  v("affine", affine);
  v("track_running_stats", track_running_stats);
  if (affine) {
    v("weight", weight);
    v("bias", bias);
  }
  if (track_running_stats) {
    v.buffer("running_mean", running_mean);
    v.buffer("running_var", running_var);
    v.buffer("num_batches_tracked", num_batches_tracked);
  }
}

}  // namespace chainrule::nn
