#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/reduce.hpp"

namespace chainrule::kernels {

/// The inner loops of one reduction on one dtype, for the best instruction set of this machine. An
/// accumulator is `accumulator_bytes` (at most 16) of plain data.
struct ReduceKernels {
  std::size_t accumulator_bytes;
  /// Sets n accumulators to the reduction of nothing.
  void (*start)(void* accumulators, std::int64_t n);
  /// Adds n adjacent elements to one accumulator; the first of them has position `first`.
  void (*run)(const void* x, std::int64_t n, std::int64_t first, void* accumulator);
  /// Adds each of `rows` rows of n adjacent elements to an accumulator of its own; positions count from 0.
  void (*rows)(const void* x, std::int64_t row_stride, std::int64_t rows, std::int64_t n, void* accumulators);
  /// Adds `rows` rows of n adjacent elements to n accumulators; row r has position first + r.
  void (*columns)(const void* x, std::int64_t row_stride, std::int64_t rows, std::int64_t n,
                  std::int64_t first, void* accumulators);
  /// accumulators[i] = accumulators[i] ∘ later[i]; `later` saw later positions.
  void (*combine)(void* accumulators, const void* later, std::int64_t n);
  /// Writes the results of n accumulators.
  void (*finish)(const void* accumulators, std::int64_t n, void* out);
  /// The most columns at a time that gain in speed.
  std::int64_t most_columns;
};

/// The most bytes of an accumulator.
inline constexpr std::size_t max_accumulator_bytes = 16;
/// Where each row loads and stores all accumulators: 2 to 4 KiB of them, in L1.
inline constexpr std::int64_t column_block = 256;
/// Where several rows share that, longer pieces of rows are read faster.
inline constexpr std::int64_t widest_column_block = 4096;

const ReduceKernels& reduce_kernels(Reduction kind, DType dtype);

}  // namespace chainrule::kernels
