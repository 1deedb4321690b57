#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <chainrule/context.hpp>
#include <chainrule/nn/module.hpp>
#include <chainrule/tree.hpp>

/// Layers with parameters or state. Names, layouts and defaults are PyTorch's, so that weights travel.
/// Parameters are drawn from the context's random stream. They are float32, or what the context's dtype
/// policy says; under such a policy Linear multiplies in its `compute`, and the norms work in its
/// `reductions`.
namespace chainrule::nn {

struct LinearOptions {
  bool bias = true;
  DType dtype = Context::parameter_dtype();
};

/// y = x Wᵀ + b.   x: [.., in_features] → y: [.., out_features].
///
/// weight [out_features, in_features] and bias [out_features] start uniform on ±1/√in_features. Throws
/// ShapeError where x has another number of features, ArgumentError for sizes below 1.
struct CHAINRULE_API Linear {
  static constexpr std::string_view type_name = "Linear";
  Linear(std::int64_t in, std::int64_t out, const LinearOptions& options = {});

  Parameter weight, bias;
  std::int64_t in_features, out_features;
  bool has_bias;

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v);
};

/// In training each element is zero with probability p and scaled by 1 / (1 − p) otherwise, so that its
/// expectation is unchanged; in evaluation the input passes. Training is where the Context says so, as
/// train::fit does; outside of `Context({.train = true})` modules evaluate. Throws ArgumentError for p
/// outside [0, 1]. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, JMLR
/// 15, 2014.
struct CHAINRULE_API Dropout {
  static constexpr std::string_view type_name = "Dropout";
  explicit Dropout(double p = 0.5);

  double p;

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) { v("p", p); }
};

/// [N, a, b, ..] → [N, a·b·..]: all axes from start_dim on become one.
struct CHAINRULE_API Flatten {
  static constexpr std::string_view type_name = "Flatten";
  explicit Flatten(std::int64_t start = 1) : start_dim(start) {}

  std::int64_t start_dim;

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) { v("start_dim", start_dim); }
};

struct LayerNormOptions {
  double eps = 1e-5;
  bool elementwise_affine = true;
  bool bias = true;
  DType dtype = Context::parameter_dtype();
};

/// y = (x − mean) / √(var + eps) · weight + bias, mean and (biased) variance over the last dimensions, whose
/// lengths are `normalized_shape`. Throws ShapeError where x ends in other lengths.
/// Ba, Kiros and Hinton, Layer normalization, 2016.
struct CHAINRULE_API LayerNorm {
  static constexpr std::string_view type_name = "LayerNorm";
  explicit LayerNorm(const Shape& normalized_shape, const LayerNormOptions& options = {});
  explicit LayerNorm(std::int64_t features, const LayerNormOptions& options = {})
      : LayerNorm(Shape{features}, options) {}

  Parameter weight, bias;
  Shape normalized_shape;
  double eps;
  bool elementwise_affine, has_bias;

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v);
};

struct RMSNormOptions {
  std::optional<double> eps;  ///< absent: the machine epsilon of x's dtype
  bool elementwise_affine = true;
  DType dtype = Context::parameter_dtype();
};

/// y = x / √(mean(x²) + eps) · weight over the last dimensions. Throws ShapeError as LayerNorm.
/// Zhang and Sennrich, Root mean square layer normalization, NeurIPS 2019.
struct CHAINRULE_API RMSNorm {
  static constexpr std::string_view type_name = "RMSNorm";
  explicit RMSNorm(const Shape& normalized_shape, const RMSNormOptions& options = {});
  explicit RMSNorm(std::int64_t features, const RMSNormOptions& options = {})
      : RMSNorm(Shape{features}, options) {}

  Parameter weight;
  Shape normalized_shape;
  std::optional<double> eps;
  bool elementwise_affine;

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v);
};

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;  ///< the share of the new batch in the running averages
  bool affine = true;
  bool track_running_stats = true;
  DType dtype = Context::parameter_dtype();
};

/// y = (x − mean) / √(var + eps) · weight + bias per feature.   x: [N, features] or [N, features, ..].
///
/// In training mean and (biased) variance are those of the batch, and the context is asked to move
/// running_mean and running_var (unbiased) towards them; `Optimizer::update`, `compile` or `apply_updates`
/// puts the new averages in place. In evaluation the running averages are used. Throws ShapeError for another
/// number of features and for training on a single value per feature. Ioffe and Szegedy, Batch normalization,
/// ICML 2015.
struct CHAINRULE_API BatchNorm {
  static constexpr std::string_view type_name = "BatchNorm";
  explicit BatchNorm(std::int64_t features, const BatchNormOptions& options = {});

  Parameter weight, bias;
  Tensor running_mean, running_var, num_batches_tracked;
  std::int64_t num_features;
  double eps, momentum;
  bool affine, track_running_stats;

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v);

 private:
  void record_statistics(const Tensor& mean, const Tensor& variance, std::int64_t count) const;
};

struct EmbeddingOptions {
  DType dtype = Context::parameter_dtype();
};

/// Rows of a table, chosen by integers.   x: [..] of integers in [0, num_embeddings) → [.., embedding_dim].
/// weight [num_embeddings, embedding_dim] starts standard normal. Throws DTypeError where x is not of
/// integers.
struct CHAINRULE_API Embedding {
  static constexpr std::string_view type_name = "Embedding";
  Embedding(std::int64_t num_embeddings, std::int64_t embedding_dim, const EmbeddingOptions& options = {});

  Parameter weight;
  std::int64_t num_embeddings, embedding_dim;

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v);
};

}  // namespace chainrule::nn
