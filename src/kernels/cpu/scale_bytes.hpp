#pragma once

#include <cstdint>

namespace chainrule::kernels {

/// out[i] = (x[i] − shift[i]) · scale[i] in float32, each with a rounding of its own: what three passes over
/// a row of bytes give.
void scale_bytes(const std::uint8_t* x, const float* shift, const float* scale, std::int64_t n, float* out);

}  // namespace chainrule::kernels
