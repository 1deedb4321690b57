#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace chainrule::io {

/// SHA-256 of bytes that come one piece after another.
class Sha256 {
 public:
  void add(const void* data, std::size_t bytes);
  /// The 64 hexadecimal digits of everything added. Nothing can be added afterwards.
  std::string finish();

 private:
  static constexpr std::size_t block_size = 64;
  // Fractional parts of the square roots of the first 8 primes (FIPS 180-4, section 5.3.3).
  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, block_size> rest_{};
  std::size_t rest_size_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace chainrule::io
