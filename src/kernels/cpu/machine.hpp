#pragma once

#include <cstdint>

#include <chainrule/dtype.hpp>

/// The loops behind measure_machine, for the instruction set that the kernels run on.
namespace chainrule::kernels {

struct LimitLoops {
  int float_lanes = 1;
  // Ten chains of `steps` vector operations each, every lane of a chain from its start; the sum of the ten
  // ends keeps the compiler from leaving any of them out. x/2 + 1/2, 1.5/x and √x, so that from starts near
  // one no value becomes huge or tiny however many steps there are.
  double (*multiply_adds_float)(const float* starts, std::int64_t steps) = nullptr;
  double (*multiply_adds_double)(const double* starts, std::int64_t steps) = nullptr;
  double (*divisions)(const float* starts, std::int64_t steps) = nullptr;
  double (*roots)(const float* starts, std::int64_t steps) = nullptr;
  double (*read)(const float* x, std::int64_t count) = nullptr;
  void (*update)(float* x, std::int64_t count) = nullptr;
};

LimitLoops limit_loops();

/// Operations per second of fused multiply-adds, each of which counts as two, on `threads` threads: the best
/// round of about `seconds`. 0 for a dtype that has no instruction of its own.
double multiply_add_flops(DType dtype, int threads, double seconds);

}  // namespace chainrule::kernels
