#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <chainrule/tensor.hpp>

namespace chainrule {

/// In which dtypes the layers of chainrule::nn keep their parameters and compute. Mixed precision is
///
///     const Context scope({.dtypes = DTypePolicy{.compute = DType::bfloat16}});
///
/// around the steps: products multiply bfloat16 (and add in float32), while parameters, their gradients and
/// the optimizer stay in float32. Micikevicius et al., Mixed precision training, ICLR 2018; Kalamkar et al.,
/// A study of BFLOAT16 for deep learning training, 2019.
struct DTypePolicy {
  /// Of the parameters of layers that are constructed in the scope without naming a dtype.
  DType parameters = DType::float32;
  /// What the inputs of a layer's product are cast to: x, weight and bias of Linear, whose output has this
  /// dtype. Absent: they are multiplied as they come.
  std::optional<DType> compute = {};
  /// Norms, softmax and losses compute in this dtype, or in that of their input where it is wider, and so
  /// does what they return.
  DType reductions = DType::float32;

  bool operator==(const DTypePolicy&) const = default;
};

/// What a forward pass may need without asking for it: train mode, random numbers, dtypes, a place to put the
/// new values of running averages, and how its numbers are computed. Scoped, one stack per thread; an inner
/// scope takes over from the outer one what it does not set.
struct ContextOptions {
  std::optional<bool> train;  ///< dropout drops, batch norm uses the batch; false outside of any scope
  std::optional<std::uint64_t> seed;  ///< starts the random stream of this scope
  std::optional<DTypePolicy> dtypes;  ///< outside of any scope nothing is cast; parameters are float32
  /// Evaluation counts subnormal numbers (nearer to zero than 1.2e-38 in float32 and bfloat16, 2.2e-308 in
  /// float64) as zero, as operands and as results; true outside of any scope. Exact arithmetic on them takes
  /// a processor a hundred times as long, and a classifier that is sure of its answers is full of them. So
  /// the logarithm of 1e-40 is −∞, the square of 1e-20 is 0, and 1e-40 equals 0. False keeps them, but where
  /// bfloat16 is multiplied by a processor's tiles and in Adam's mean of gradients; remainders, lgamma,
  /// digamma, polygamma and float64's pow and cbrt compute with them in any case. The scope in which a
  /// tensor is evaluated counts, not the one in which it was made. Only x86-64 processors are told to flush.
  std::optional<bool> flush_subnormals;
};

class CHAINRULE_API Context {
 public:
  /// Throws DTypeError for a policy with a dtype that is not floating.
  explicit Context(ContextOptions options);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// Whether the innermost scope of this thread trains.
  static bool training();
  /// The innermost scope's policy; absent where no scope set one.
  static const std::optional<DTypePolicy>& dtypes();
  /// The dtype of parameters that are made now.
  static DType parameter_dtype();
  /// An input of a layer's product in the dtype that it is to be computed in. Without a policy, x itself.
  static Tensor to_compute(const Tensor& x);
  /// An input of a norm, a softmax or a loss in the dtype that it is to be computed in. Without a policy, and
  /// for integers, x itself.
  static Tensor to_reductions(const Tensor& x);
  /// Records a new value for a tensor that a forward pass must not assign itself, such as a running
  /// average. `compile` and `Optimizer::update` put it in place; `apply_updates` does so by hand. What nobody
  /// has put in place when the scope ends is forgotten.
  static void record_update(const Tensor& member, Tensor value);
  /// The value last recorded for a tensor and not yet put in place; the tensor itself where there is none.
  /// Running averages start from it, so that two passes before one update both count.
  static Tensor pending_value(const Tensor& member);

 private:
  bool reseeded_;
};

namespace detail {
/// While a transform runs a function on a copy of an argument, updates of the copy's tensors are the
/// original's. After an exception those that were recorded meanwhile are forgotten.
class CHAINRULE_API StandIns {
 public:
  StandIns(const std::vector<Tensor*>& copies, const std::vector<Tensor*>& originals);
  ~StandIns();
  StandIns(const StandIns&) = delete;
  StandIns& operator=(const StandIns&) = delete;

 private:
  std::size_t count_;
  int exceptions_;
  std::uint64_t first_update_ = 0;
};
}  // namespace detail

/// Restarts this thread's random stream (outside of any scope it starts from 0).
CHAINRULE_API void seed(std::uint64_t seed);

}  // namespace chainrule
