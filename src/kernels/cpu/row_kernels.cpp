#include "kernels/cpu/row_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/row_kernels.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/rows-inl.h"

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(float_row_kernels);
HWY_EXPORT(double_row_kernels);

template <>
const RowKernels<float>& row_kernels<float>() {
  return *HWY_DYNAMIC_DISPATCH(float_row_kernels)();
}
template <>
const RowKernels<double>& row_kernels<double>() {
  return *HWY_DYNAMIC_DISPATCH(double_row_kernels)();
}

}  // namespace chainrule::kernels
#endif
