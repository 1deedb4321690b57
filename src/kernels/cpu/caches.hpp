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

/// Whether rows so many bytes apart start in the same sets of the caches and drive each other out.
constexpr bool rows_collide(std::int64_t ld_bytes) { return ld_bytes % 4096 == 0; }

}  // namespace chainrule::kernels
