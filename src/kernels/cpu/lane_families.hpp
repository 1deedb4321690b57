#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "kernels/cpu/lanes.hpp"

/// The kernels come from one file per family of functions, each compiled for several instruction sets.
/// Every family gives the table of the set in use.
namespace chainrule::kernels {

using LaneTable = std::span<const LaneEntry>;

LaneTable arithmetic_lanes();
LaneTable comparison_lanes();
LaneTable integer_lanes();
LaneTable exponential_lanes();
LaneTable logarithm_lanes();
LaneTable circular_lanes();
LaneTable error_function_lanes();
/// Where the C library, or a plain loop of ours, does the work: the same on every instruction set.
LaneTable scalar_lanes();

std::span<const ChainLink> arithmetic_links();
LaneChain arithmetic_chain(DType dtype);

/// Row-major: from, to.
using CastTable = std::array<std::array<LaneKernel, dtype_count>, dtype_count>;
const CastTable& cast_lanes();

}  // namespace chainrule::kernels
