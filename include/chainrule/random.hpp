#pragma once

#include <cstdint>

#include <chainrule/tensor.hpp>

/// Counter-based random numbers (Philox4x32-10: Salmon et al., Parallel random numbers: as easy as
/// 1, 2, 3, SC 2011). Every function is a pure function of a key; the forms without one take the next
/// key from the context. A seed gives the same random bits on every machine.
namespace chainrule::random {

/// A key from a seed: a scalar int64 tensor.
CHAINRULE_API Tensor key(std::uint64_t seed);
/// A new key from a key and a number; different numbers give independent streams.
CHAINRULE_API Tensor fold_in(const Tensor& key, const Tensor& data);
/// `count` independent keys, shape [count].
CHAINRULE_API Tensor split(const Tensor& key, std::int64_t count);
/// The next key of this thread's context. Inside `compile`, one for each run of the step.
CHAINRULE_API Tensor next_key();

/// Uniform on [low, high).
CHAINRULE_API Tensor uniform(const Tensor& key, const Shape& shape, double low = 0, double high = 1,
                             DType dtype = DType::float32);
CHAINRULE_API Tensor uniform(const Shape& shape, double low = 0, double high = 1,
                             DType dtype = DType::float32);
/// Normal with the given mean and standard deviation.
CHAINRULE_API Tensor normal(const Tensor& key, const Shape& shape, double mean = 0, double std = 1,
                            DType dtype = DType::float32);
CHAINRULE_API Tensor normal(const Shape& shape, double mean = 0, double std = 1,
                            DType dtype = DType::float32);
/// True with probability `p`, elementwise; the shape is that of p broadcast to `shape`.
CHAINRULE_API Tensor bernoulli(const Tensor& key, const Tensor& p, const Shape& shape);
CHAINRULE_API Tensor bernoulli(const Tensor& p, const Shape& shape);

/// Indices along the last axis of `logits`, each with the probability softmax(logits): int64, of the shape of
/// logits without its last axis, repeated independently for `shape` in front.
CHAINRULE_API Tensor categorical(const Tensor& key, const Tensor& logits, const Shape& shape = {});
CHAINRULE_API Tensor categorical(const Tensor& logits, const Shape& shape = {});
/// The numbers 0 … n − 1 in random order: int64.
CHAINRULE_API Tensor permutation(const Tensor& key, std::int64_t n);
CHAINRULE_API Tensor permutation(std::int64_t n);
/// Normal with mean and std, conditioned on [low, high] (which are values, not multiples of std).
CHAINRULE_API Tensor truncated_normal(const Tensor& key, const Shape& shape, double mean = 0, double std = 1,
                                      double low = -2, double high = 2, DType dtype = DType::float32);
CHAINRULE_API Tensor truncated_normal(const Shape& shape, double mean = 0, double std = 1, double low = -2,
                                      double high = 2, DType dtype = DType::float32);

}  // namespace chainrule::random
