#pragma once

#include <array>
#include <cstdint>

/// Counter-based random numbers: pure functions of a key and a position. How a range is cut between calls
/// or threads changes nothing; bits, uniforms and masks are the same on every machine, normals within
/// rounding.
///
/// Layout: element i of the 32-bit kinds is made of word i mod 4 of block i / 4, element i of the 64-bit
/// kinds of words 2i and 2i + 1. Block b is philox({b mod 2³², b / 2³², 0, 0}, key). Positions are
/// read as unsigned, and a range ends before 2⁶⁴.
namespace chainrule::kernels {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

/// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011).
PhiloxCounter philox(PhiloxCounter counter, PhiloxKey key);

/// out[i] = the random 32-bit word at position offset + i, i < n.
void random_bits(std::int64_t key, std::int64_t offset, std::int64_t n, std::uint32_t* out);

/// Uniform on [0, 1): multiples of 2⁻²⁴ (float) or 2⁻⁵³ (double).
void random_uniform(std::int64_t key, std::int64_t offset, std::int64_t n, float* out);
void random_uniform(std::int64_t key, std::int64_t offset, std::int64_t n, double* out);

/// Standard normal by Box–Muller: elements 2j and 2j + 1 are r·cos θ and r·sin θ with r² = −2·ln u,
/// θ = 2π·v, of two uniforms u ∈ (0, 1] and v ∈ [0, 1) (32 bits each for float, 53 for double).
void random_normal(std::int64_t key, std::int64_t offset, std::int64_t n, float* out);
void random_normal(std::int64_t key, std::int64_t offset, std::int64_t n, double* out);

/// out[i] = 1 with probability p (rounded to a multiple of 2⁻³²; outside [0, 1] and NaN as the nearest end,
/// NaN as 0), else 0. `out` may be read as bool.
void random_bernoulli(std::int64_t key, std::int64_t offset, std::int64_t n, double p, std::uint8_t* out);

/// A key that depends on `key` and `data`, independent of `key`'s own stream and of its splits.
std::int64_t fold_in(std::int64_t key, std::int64_t data);

/// n keys, independent of each other, of `key`'s own stream and of what is folded into it.
void split(std::int64_t key, std::int64_t n, std::int64_t* out);

}  // namespace chainrule::kernels
