#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <chainrule/context.hpp>

namespace chainrule {

class ProbeRecorder;

/// A new value for a tensor, and the tensor as it was when the value was recorded: an update whose place has
/// since been given something else, or belongs to another object by now, is void.
struct RecordedUpdate {
  const Tensor* member;
  Tensor before;
  Tensor value;
  std::uint64_t serial;
};

/// The innermost context of a thread: what `Context` scopes set and restore.
struct ContextState {
  bool train = false;
  bool flush_subnormals = true;
  std::optional<DTypePolicy> dtypes;
  /// The stream of keys: key i is `fold_in(seed, i)`. Inside `compile` the seed and the number of keys drawn
  /// before the run are placeholders, so that a compiled step draws the keys that an eager one would. Inside
  /// `vmap` the base is a key per example.
  std::uint64_t seed = 0;
  std::uint64_t drawn = 0;
  Tensor base_key;
  Tensor base_drawn;
  bool tracing = false;  ///< inside `compile` or `vmap`, where there are no values to read

  std::vector<RecordedUpdate> updates;  ///< recorded by record_update, newest last
  std::uint64_t next_update = 0;
  std::uint64_t first_update = 0;  ///< the first that the innermost scope may have recorded
  /// Tensors of the copies that transforms work on, with the tensors of the caller that they stand for.
  std::vector<std::pair<const Tensor*, const Tensor*>> stand_ins;
  std::vector<Tensor> guards;       ///< what a step checks to be finite before it commits
  ProbeRecorder* probes = nullptr;  ///< looks at what the function being run builds; null where nobody asked

  /// The next key as a tensor.
  Tensor next_key();
  /// The next key as a number: what the base key of a compiled step's run is.
  std::int64_t next_host_key();

  /// The caller's tensor that `member` stands for.
  const Tensor& original(const Tensor& member) const;
  /// The newest update of a tensor; null where there is none, or none that still holds.
  RecordedUpdate* update_of(const Tensor& member);
  /// The dtype policy as one number, for a plan's key.
  std::uint64_t dtypes_key() const;
  /// Forgets what was recorded from `serial` on.
  void drop_updates(std::uint64_t serial);
};

ContextState& context_state();

/// The key that `random_fold_in` computes, on the host.
std::int64_t fold_in_key(std::int64_t key, std::int64_t data);

}  // namespace chainrule
