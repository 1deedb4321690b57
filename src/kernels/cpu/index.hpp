#pragma once

#include <cstdint>

#include "kernels/array.hpp"

/// Reading and writing at computed positions.
///
/// Indices are int32 or int64 of any strides; a negative one counts from the end. Every kernel returns the
/// row-major number of the first index that is out of range, −1 when none is. In the former case nothing was
/// written, except by `gather` and `scatter_add`, which check as they go where the result has memory of its
/// own. Bits are copied for every dtype.
namespace chainrule::kernels {

/// The position that a negative index counts from the end. Without a branch, which random signs would
/// mislead.
inline std::int64_t wrapped(std::int64_t index, std::int64_t length) {
  return index + ((index >> 63) & length);
}

/// The row-major number of the first index outside [−length, length), −1 when all are inside.
std::int64_t first_bad_index(const Array& index, std::int64_t length);

/// out[i…, j, k…] = in[i…, index[i…, j, k…], k…] (torch.gather). index and out have one shape, with in's
/// rank and no dimension but `axis` longer than in's.
std::int64_t gather(const Array& in, const Array& index, int axis, const Array& out);

/// out[i…, j…, k…] = in[i…, index[j…], k…] (numpy.take; the lookup in an embedding). out's shape is in's
/// with dimension `axis` replaced by index's shape.
std::int64_t take(const Array& in, const Array& index, int axis, const Array& out);

/// What a scatter does where something stands already. Bool adds as "or".
enum class ScatterMode : std::uint8_t { set, add };

/// out[i…, index[i…, j, k…], k…] = or += src[i…, j, k…] (torch.scatter, torch.scatter_add). index and src
/// have one shape, with out's rank and no dimension but `axis` longer than out's. Repeated positions are
/// handled in the order of j, so that sums are deterministic and the last one that is set stays.
std::int64_t scatter(ScatterMode mode, const Array& index, const Array& src, int axis, const Array& out);

/// in, with src added as `scatter` does. in and out have one shape and may be the same memory.
std::int64_t scatter_add(const Array& in, const Array& index, const Array& src, int axis, const Array& out);

/// out[i…, index[j…], k…] = or += src[i…, j…, k…]: the transpose of `take` (the gradient of an embedding).
/// Order as in `scatter`.
std::int64_t put(ScatterMode mode, const Array& index, const Array& src, int axis, const Array& out);

/// out[i…, c] = 1 where c = index[i…], else 0; out's last dimension is the number of classes.
std::int64_t one_hot(const Array& index, const Array& out);

}  // namespace chainrule::kernels
