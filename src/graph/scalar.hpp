#pragma once

#include <cstddef>

#include <chainrule/dtype.hpp>

namespace chainrule {

/// Writes one element of `dtype` with this value.
void write_scalar(std::byte* target, double value, DType dtype);
/// Reads one element as double. int64 values past 2^53 lose digits.
double read_scalar(const std::byte* source, DType dtype);

}  // namespace chainrule
