#include "kernels/cpu/lane_families.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lanes_logarithm.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

#include "kernels/cpu/lane_loops-inl.h"
#include "kernels/cpu/math_log-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

// The bounds are the largest errors measured on any instruction set, rounded up.

constexpr LaneEntry logarithm_entries[] = {
    {"log", DType::float32, &unary<float, log<F32>>, 1},
    {"log", DType::float64, &unary<double, log<F64>>, 1},
    {"log2", DType::float32, &unary<float, log2<F32>>, 1.75},
    {"log2", DType::float64, &unary<double, log2<F64>>, 1.75},
    {"log10", DType::float32, &unary<float, log10<F32>>, 1.75},
    {"log10", DType::float64, &unary<double, log10<F64>>, 1.5},
    {"log1p", DType::float32, &unary<float, log1p<F32>>, 1.5},
    {"log1p", DType::float64, &unary<double, log1p<F64>>, 1.25},
    {"asinh", DType::float32, &unary<float, asinh<F32>>, 1.75},
    {"asinh", DType::float64, &unary<double, asinh<F64>>, 1.75},
    {"acosh", DType::float32, &unary<float, acosh<F32>>, 2},
    {"acosh", DType::float64, &unary<double, acosh<F64>>, 1.75},
    {"atanh", DType::float32, &unary<float, atanh<F32>>, 2},
    {"atanh", DType::float64, &unary<double, atanh<F64>>, 1.75},
    {"cbrt", DType::float32, &unary<float, cbrt<F32>>, 0.6},
    {"pow", DType::float32, &binary<float, pow<F32>>, 0.6},
};

LaneTable logarithm_table() { return logarithm_entries; }

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(logarithm_table);

LaneTable logarithm_lanes() { return HWY_DYNAMIC_DISPATCH(logarithm_table)(); }

}  // namespace chainrule::kernels
#endif
