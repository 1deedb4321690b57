#pragma once

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
  /// average. `compile` and `Optimizer::update` put it in place; `apply_updates` does so by hand.
  static void record_update(const Tensor& member, Tensor value);

 private:
  bool reseeded_;
};

/// Restarts this thread's random stream (outside of any scope it starts from 0).
CHAINRULE_API void seed(std::uint64_t seed);

}  // namespace chainrule
