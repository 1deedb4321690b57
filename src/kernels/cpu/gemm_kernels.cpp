#include "kernels/cpu/gemm.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm-inl.h"
#include <hwy/foreach_target.h>
// After foreach_target.
#include "kernels/cpu/gemm-inl.h"

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(float_kernels);
HWY_EXPORT(double_kernels);

template <>
GemmKernels<float> gemm_kernels<float>() {
  return HWY_DYNAMIC_DISPATCH(float_kernels)();
}

template <>
GemmKernels<double> gemm_kernels<double>() {
  return HWY_DYNAMIC_DISPATCH(double_kernels)();
}

}  // namespace chainrule::kernels
#endif
