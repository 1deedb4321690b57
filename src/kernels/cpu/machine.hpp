#pragma once

#include <cstdint>

/// The loops behind measure_machine, for the instruction set that the kernels run on.
namespace chainrule::kernels {

struct LimitLoops {
  int float_lanes = 1;
  // Ten chains of `steps` vector operations each; the result keeps the compiler from leaving them out.
  double (*multiply_adds_float)(std::int64_t steps) = nullptr;
  double (*multiply_adds_double)(std::int64_t steps) = nullptr;
  double (*divisions)(std::int64_t steps) = nullptr;
  double (*roots)(std::int64_t steps) = nullptr;
  double (*read)(const float* x, std::int64_t count) = nullptr;
  void (*update)(float* x, std::int64_t count) = nullptr;
};

}  // namespace chainrule::kernels
