#pragma once

#include <optional>

#include "kernels/array.hpp"

namespace chainrule::kernels {

/// True when every element of a dense array is finite. Integers always are.
bool all_finite(const Array& array);

/// Whether the elements fill their memory, in whichever order the axes lie: none is left out or seen twice.
bool is_gapless(const Array& array);

/// The least e with 2^e above every |element| of a floating array without gaps; where there are only
/// subnormal numbers and zeros, 2^e is the least normal number. Nothing where an element is not finite.
std::optional<int> magnitude_exponent(const Array& array);

}  // namespace chainrule::kernels
