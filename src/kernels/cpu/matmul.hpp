#pragma once

#include "graph/device.hpp"

namespace chainrule {

/// The kernel of the op `matmul`: a prepared product per plan.
Kernel matmul_kernel();

}  // namespace chainrule
