#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/array.hpp"

/// Sorting along an axis. Every order is stable and total: a NaN counts as the largest number (last when
/// ascending, as in NumPy; first when descending, as in PyTorch), −0 equals +0, false is before true.
///
/// `workspace` is memory of the caller's, aligned to 16 bytes, of the size that the matching function gives.
namespace chainrule::kernels {

/// The bytes of workspace for `sort` and `topk` of `in` along `axis`.
std::size_t sort_workspace_bytes(const Array& in, int axis);

/// values[…, r, …] = the r-th element along `axis`, indices[…, r, …] = where it stood. Either output may be
/// absent (data == nullptr: argsort, or sort without positions); both have in's shape and any strides;
/// indices are int64. `values` may be `in` itself.
void sort(const Array& in, int axis, bool descending, const Array& values, const Array& indices,
          void* workspace);

/// The k largest (or smallest) elements along `axis`, in order, ties by position. The outputs have in's shape
/// with length k ≤ in.shape[axis] at `axis`; either may be absent.
void topk(const Array& in, int axis, std::int64_t k, bool largest, const Array& values, const Array& indices,
          void* workspace);

/// out[i…] = the number of elements of `sorted` (rank 1, ascending) that are < values[i…], or ≤ with `right`
/// (numpy.searchsorted). values has sorted's dtype; out is int64.
void searchsorted(const Array& sorted, const Array& values, bool right, const Array& out);

}  // namespace chainrule::kernels
