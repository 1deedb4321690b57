#include "kernels/cpu/reduce_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/reduce_kernels.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/reduce-inl.h"

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(find_kernels);

const ReduceKernels& reduce_kernels(Reduction kind, DType dtype) {
  return *HWY_DYNAMIC_DISPATCH(find_kernels)(kind, dtype);
}

}  // namespace chainrule::kernels
#endif
