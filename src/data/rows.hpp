#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <chainrule/buffer.hpp>

/// Copying rows (examples) of arrays, and the arithmetic of scaling them, on the loader's
/// thread alone.
namespace chainrule::data {

/// Whether features of this dtype are indices, such as words for an Embedding: they are neither scaled nor
/// made floating.
inline bool is_index(DType dtype) { return dtype == DType::int32 || dtype == DType::int64; }

/// `Scaling` as numbers: one of each for all features, or one per element of an example.
struct ScaleNumbers {
  std::vector<double> shift = {0};
  std::vector<double> scale = {1};
};

/// to[i] = from[rows[i]], of the same dtype.
void copy_rows(const HostArray& from, std::span<const std::int64_t> rows, void* to);
/// to[i] = (from[rows[i]] − shift) · scale, converted to `to_dtype` (float32 or float64) first; NaN gives 0.
void scale_rows(const HostArray& from, std::span<const std::int64_t> rows, const ScaleNumbers& numbers,
                DType to_dtype, void* to);
/// to[i] = from[rows[i]], converted to `to_dtype` (float32 or float64).
void convert_rows(const HostArray& from, std::span<const std::int64_t> rows, DType to_dtype, void* to);

}  // namespace chainrule::data
