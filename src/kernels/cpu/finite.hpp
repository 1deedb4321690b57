#pragma once

#include <optional>

#include "kernels/array.hpp"

namespace chainrule::kernels {

/// True when every element of a dense array is finite. Integers always are.
bool all_finite(const Array& array);

/// The least e with 2^e above every |element| of a floating array (subnormal numbers and 0 count as the least
/// normal number); nothing where an element is not finite or the elements leave gaps between them.
std::optional<int> magnitude_exponent(const Array& array);

}  // namespace chainrule::kernels
