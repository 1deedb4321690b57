#pragma once

#include <cstdint>

#include "kernels/array.hpp"

/// Moving elements between strided views. Exact for every dtype: bits are copied, never interpreted.
namespace chainrule::kernels {

/// dst[i…] = src[i…]: same shape, same dtype, any strides; `src` may be broadcast (stride 0). The two must
/// not overlap. Dimensions are reordered and merged first; contiguous runs become memcpy, transposes go
/// through blocks of whole cache lines. Permutations, flips, slices, concatenation, padding, tiling and
/// rolling are this function on views.
void strided_copy(const Array& src, const Array& dst);

/// dst[i…] = *value, where `value` points to one element of dst's dtype.
void fill(const Array& dst, const void* value);

/// Copies the elements number begin … begin + count − 1 of `view`, counted in row-major order, to `dense`.
/// The range must lie inside the view. Runs on the calling thread. Fastest on a `collapsed` view.
void load_tile(const Array& view, std::int64_t begin, std::int64_t count, void* dense);

/// The opposite direction of `load_tile`; no two positions of `view` may share memory.
void store_tile(const Array& view, std::int64_t begin, std::int64_t count, const void* dense);

}  // namespace chainrule::kernels
