#include "kernels/cpu/lane_families.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lanes_circular.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

#include "kernels/cpu/lane_loops-inl.h"
#include "kernels/cpu/math_trig-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

// The bounds are the largest errors measured on any instruction set, rounded up.

constexpr LaneEntry circular_entries[] = {
    {"sin", DType::float32, &unary<float, sin<F32>>, 1.75},
    {"sin", DType::float64, &unary<double, sin<F64>>, 1},
    {"cos", DType::float32, &unary<float, cos<F32>>, 1.75},
    {"cos", DType::float64, &unary<double, cos<F64>>, 1},
    {"tan", DType::float32, &unary<float, tan<F32>>, 2.75},
    {"tan", DType::float64, &unary<double, tan<F64>>, 2},
    {"asin", DType::float32, &unary<float, asin<F32>>, 2},
    {"asin", DType::float64, &unary<double, asin<F64>>, 1.75},
    {"acos", DType::float32, &unary<float, acos<F32>>, 1.25},
    {"acos", DType::float64, &unary<double, acos<F64>>, 1.25},
    {"atan", DType::float32, &unary<float, atan<F32>>, 2},
    {"atan", DType::float64, &unary<double, atan<F64>>, 1.5},
    {"atan2", DType::float32, &binary<float, atan2<F32>>, 2},
    {"atan2", DType::float64, &binary<double, atan2<F64>>, 2},
};

LaneTable circular_table() { return circular_entries; }

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(circular_table);

LaneTable circular_lanes() { return HWY_DYNAMIC_DISPATCH(circular_table)(); }

}  // namespace chainrule::kernels
#endif
