#pragma once

#include <cstdint>

namespace chainrule {

/// How many regions `parallel_for` has handed to the pool's threads so far. What runs inline does not count.
std::uint64_t pool_region_count();

}  // namespace chainrule
