#include "kernels/cpu/lane_families.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lanes_exponential.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

#include "kernels/cpu/lane_loops-inl.h"
#include "kernels/cpu/math_exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

// The bounds are the largest errors measured on any instruction set, rounded up.

constexpr LaneEntry exponential_entries[] = {
    {"exp", DType::float32, &unary<float, exp<F32>>, 1.25},
    {"exp", DType::float64, &unary<double, exp<F64>>, 1.25},
    {"exp2", DType::float32, &unary<float, exp2<F32>>, 1.25},
    {"exp2", DType::float64, &unary<double, exp2<F64>>, 1.25},
    {"expm1", DType::float32, &unary<float, expm1<F32>>, 1.75},
    {"expm1", DType::float64, &unary<double, expm1<F64>>, 2},
    {"sigmoid", DType::float32, &unary<float, sigmoid<F32>>, 2.25},
    {"sigmoid", DType::float64, &unary<double, sigmoid<F64>>, 2.25},
    {"sinh", DType::float32, &unary<float, sinh<F32>>, 1.75},
    {"sinh", DType::float64, &unary<double, sinh<F64>>, 1.5},
    {"cosh", DType::float32, &unary<float, cosh<F32>>, 1.75},
    {"cosh", DType::float64, &unary<double, cosh<F64>>, 1.5},
    {"tanh", DType::float32, &unary<float, tanh<F32>>, 2.75},
    {"tanh", DType::float64, &unary<double, tanh<F64>>, 2.75},
};

LaneTable exponential_table() { return exponential_entries; }

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(exponential_table);

LaneTable exponential_lanes() { return HWY_DYNAMIC_DISPATCH(exponential_table)(); }

}  // namespace chainrule::kernels
#endif
