#pragma once

#include <cstddef>

#include <chainrule/tensor.hpp>

namespace chainrule {

/// Writes one element of `dtype` with this value.
void write_scalar(std::byte* target, double value, DType dtype);
/// Writes the value of a `constant` node, exactly also where it is an integer past 2^53.
void write_constant(std::byte* target, const Tensor& constant);
/// Reads one element as double. int64 values past 2^53 lose digits.
double read_scalar(const std::byte* source, DType dtype);

}  // namespace chainrule
