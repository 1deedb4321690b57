#pragma once

#include "kernels/array.hpp"

namespace chainrule::kernels {

/// True when every element of a dense array is finite. Integers always are.
bool all_finite(const Array& array);

}  // namespace chainrule::kernels
