#pragma once

#include <cstdint>

#include "kernels/cpu/random.hpp"

/// Philox4x32-10 one counter at a time: the definition, and what vectors leave over.
namespace chainrule::kernels {

inline constexpr std::uint32_t philox_multiplier0 = 0xD2511F53U;
inline constexpr std::uint32_t philox_multiplier1 = 0xCD9E8D57U;
inline constexpr int philox_rounds = 10;

/// The key schedule: two Weyl sequences, of the golden ratio and of √3 − 1.
inline constexpr std::uint32_t philox_bump0 = 0x9E3779B9U;
inline constexpr std::uint32_t philox_bump1 = 0xBB67AE85U;

inline void philox_bump(PhiloxKey& key) {
  key[0] += philox_bump0;
  key[1] += philox_bump1;
}

inline PhiloxCounter philox_block(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < philox_rounds; ++round) {
    const std::uint64_t product0 = std::uint64_t{philox_multiplier0} * counter[0];
    const std::uint64_t product1 = std::uint64_t{philox_multiplier1} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    philox_bump(key);
  }
  return counter;
}

}  // namespace chainrule::kernels
