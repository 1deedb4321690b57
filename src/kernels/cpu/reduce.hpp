#pragma once

#include <cstdint>

#include "kernels/array.hpp"

/// Reductions over any set of axes, and running sums and products.
namespace chainrule::kernels {

enum class Reduction : std::uint8_t { sum, prod, max, min, any, all, argmax, argmin, sum_squares };

inline constexpr int reduction_count = 9;

/// The dtype of a reduction's result: sum, prod and sum_squares of bool and integers are int64, any and
/// all are bool, argmax and argmin are int64; everything else keeps the operand's dtype.
DType reduction_dtype(Reduction kind, DType in);

/// Reduces the axes of `in` whose bits are set in `axes` (bit d for axis d).
///
/// `out` points to dense row-major memory with one element of `reduction_dtype(kind, in.dtype)` for every
/// position of the axes that stay; its shape is not looked at, so axes may be kept with length 1 or not.
///
/// Floating-point sums and products run in float64 over a tree that the shape alone decides: the number of
/// threads does not change a bit, and a sum of n float32 values has an error of about ε(float32) alone.
/// Integer sums wrap around in int64. max and min give NaN where there is one; argmax and argmin give the
/// row-major position within the reduced axes of the first extreme, of the first NaN where there is one.
/// Of no elements: sum 0, prod 1, any false, all true; max, min (−∞, +∞ or the dtype's limits), argmax and
/// argmin (−1) have no meaningful answer and are for the caller to refuse.
void reduce(Reduction kind, const Array& in, std::uint32_t axes, void* out);

enum class Scan : std::uint8_t { sum, prod };

/// The dtype of a scan's result: int64 for bool and integers, the operand's for floating dtypes.
DType scan_dtype(DType in);

/// out[…, i, …] = in[…, 0, …] ∘ … ∘ in[…, i, …] along `axis` (cumsum, cumprod); with `reverse` from the last
/// element down to i. `out` has in's shape, any strides, and dtype `scan_dtype(in.dtype)`; it may be `in`
/// itself. Floating values accumulate in float64.
void scan(Scan kind, const Array& in, int axis, bool reverse, const Array& out);

}  // namespace chainrule::kernels
