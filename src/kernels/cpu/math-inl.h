// The vector mathematics of the CPU's kernels, whole: see math_base-inl.h for how to include it.

#if defined(CHAINRULE_MATH_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_MATH_INL
#undef CHAINRULE_MATH_INL
#else
#define CHAINRULE_MATH_INL
#endif

#include "kernels/cpu/math_erf-inl.h"
#include "kernels/cpu/math_exp-inl.h"
#include "kernels/cpu/math_log-inl.h"
#include "kernels/cpu/math_trig-inl.h"

#endif
