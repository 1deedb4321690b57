#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <chainrule/tensor.hpp>

namespace chainrule {

/// What a forward pass may need without asking for it: train mode, random numbers, and a place to put
/// the new values of running averages. Scoped, one stack per thread; an inner scope takes over from the
/// outer one what it does not set.
struct ContextOptions {
  std::optional<bool> train;  ///< dropout drops, batch norm uses the batch; false outside of any scope
  std::optional<std::uint64_t> seed;  ///< starts the random stream of this scope
};

class CHAINRULE_API Context {
 public:
  explicit Context(ContextOptions options);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// Whether the innermost scope of this thread trains.
  static bool training();
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
