#include "kernels/cpu/lane_families.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lanes_error_function.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

#include "kernels/cpu/lane_loops-inl.h"
#include "kernels/cpu/math_erf-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

// The bounds are the largest errors measured on any instruction set, rounded up.

constexpr LaneEntry error_function_entries[] = {
    {"erf", DType::float32, &unary<float, erf<F32>>, 1.5},
    {"erf", DType::float64, &unary<double, erf<F64>>, 1.5},
    {"erfc", DType::float32, &unary<float, erfc<F32>>, 3.75},
    {"erfc", DType::float64, &unary<double, erfc<F64>>, 3.5},
};

LaneTable error_function_table() { return error_function_entries; }

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(error_function_table);

LaneTable error_function_lanes() { return HWY_DYNAMIC_DISPATCH(error_function_table)(); }

}  // namespace chainrule::kernels
#endif
