#pragma once

#include <unistd.h>

#include <cstdint>

namespace chainrule::kernels {

/// Bytes of the data caches of one core (the third level: of all together), as the system tells them.
struct CacheSizes {
  std::int64_t l1, l2, l3;
};

/// Where the system does not say: 32 KiB, 512 KiB and no third level.
inline const CacheSizes& cache_sizes() {
  static const CacheSizes sizes = [] {
    const auto size = [](int which, std::int64_t otherwise) {
      const long told = sysconf(which);
      return told > 0 ? static_cast<std::int64_t>(told) : otherwise;
    };
    return CacheSizes{size(_SC_LEVEL1_DCACHE_SIZE, 32 << 10), size(_SC_LEVEL2_CACHE_SIZE, 512 << 10),
                      size(_SC_LEVEL3_CACHE_SIZE, 0)};
  }();
  return sizes;
}

}  // namespace chainrule::kernels
