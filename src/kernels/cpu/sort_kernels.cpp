#include "kernels/cpu/sort_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/sort_kernels.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/sort-inl.h"

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(sort_kernels_table);

const SortKernels& sort_kernels() { return *HWY_DYNAMIC_DISPATCH(sort_kernels_table)(); }

}  // namespace chainrule::kernels
#endif
