#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <chainrule/buffer.hpp>

#include "kernels/cpu/lanes.hpp"

/// Copying rows (examples) of arrays, and the arithmetic of scaling them, on the threads of `thread_count()`.
namespace chainrule::data {

/// Whether features of this dtype are indices, such as words for an Embedding: they are neither scaled nor
/// made floating.
inline bool is_index(DType dtype) { return dtype == DType::int32 || dtype == DType::int64; }

/// to[i] = from[rows[i]], of the same dtype.
void copy_rows(const HostArray& from, std::span<const std::int64_t> rows, void* to);
/// to[i] = from[rows[i]], converted to `to_dtype` (float32 or float64).
void convert_rows(const HostArray& from, std::span<const std::int64_t> rows, DType to_dtype, void* to);

/// to[i] = (from[rows[i]] − shift) · scale, converted to `to` (float32 or float64) first, each with a
/// rounding of its own; NaN gives 0.
class RowScaling {
 public:
  /// `shift` and `scale` have one number for all elements of an example, or one for each. `from` tells dtype
  /// and shape of what will be scaled.
  RowScaling(const std::vector<double>& shift, const std::vector<double>& scale, const HostArray& from,
             DType to);
  void operator()(const HostArray& from, std::span<const std::int64_t> rows, void* to) const;

 private:
  DType dtype_;
  std::int64_t count_;
  HostArray shift_, scale_;
  bool are_bytes_;  // scaled in one pass
  bool may_be_missing_;
  kernels::LaneKernel convert_;
  kernels::LaneChain chain_;
  std::array<kernels::ChainStep, 3> steps_;  // of shift_ and scale_, which stay where they are
};

}  // namespace chainrule::data
