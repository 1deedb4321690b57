#include "kernels/cpu/dots.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/dots-inl.h"
#include <hwy/foreach_target.h>
// After foreach_target.
#include "kernels/cpu/dots-inl.h"

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(float_dots);
HWY_EXPORT(double_dots);
HWY_EXPORT(bfloat16_dots);

template <>
DotKernels<float> dot_kernels<float>() {
  return HWY_DYNAMIC_DISPATCH(float_dots)();
}

template <>
DotKernels<double> dot_kernels<double>() {
  return HWY_DYNAMIC_DISPATCH(double_dots)();
}

template <>
DotKernels<bfloat16> dot_kernels<bfloat16>() {
  return HWY_DYNAMIC_DISPATCH(bfloat16_dots)();
}

}  // namespace chainrule::kernels
#endif
