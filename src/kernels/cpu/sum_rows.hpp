#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/array.hpp"

/// The transpose of `take` for results far larger than the caches.
namespace chainrule::kernels {

/// out = zeros, to which `put` adds src: out[i…, index[j…], k…] += src[i…, j…, k…], in the order of j. The
/// row-major number of the first index that is out of range, −1 when none is. With a workspace each row of
/// out is written once, when its sum is known.
std::int64_t sum_rows(const Array& index, const Array& src, int axis, const Array& out, void* workspace);

/// What that needs; 0 where the way over zeros is the one to take. Only for memory of these layouts.
std::size_t sum_rows_workspace_bytes(const Array& index, const Array& src, int axis, const Shape& out);

}  // namespace chainrule::kernels
