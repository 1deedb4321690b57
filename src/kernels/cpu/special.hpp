#pragma once

#include <cstdint>

/// Special functions of one variable that are too long for a lane of the fused loops.
namespace chainrule::kernels {

/// out[i] = ψ⁽ᵒ⁾(x[i]), the order-th derivative of digamma, order ≥ 1; ±∞ (NaN for even orders, whose sign
/// depends on the side) at 0, −1, −2, …
void polygamma(std::int64_t order, const float* x, std::int64_t n, float* out);
void polygamma(std::int64_t order, const double* x, std::int64_t n, double* out);

}  // namespace chainrule::kernels
