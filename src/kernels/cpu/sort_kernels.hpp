#pragma once

#include <cstdint>

namespace chainrule::kernels {

/// Sorting by vectors, for the best instruction set of this machine; null where it has no vectors, or none
/// that are faster than sort.cpp's own loops.
///
/// Keys are signed integers in the order of the elements. Arrays that are sorted, and `spare`, have
/// `sort_padding` bytes of memory behind their last key, which may be read and written.
struct SortKernels {
  /// keys = in's bits as integers in the order of the numbers, or the reverse. False when a NaN or −0 is
  /// among them: those have an order here that they must not have. `keys` may be `in`.
  bool (*float_keys)(const std::int32_t* in, std::int64_t n, bool reverse, std::int32_t* keys);
  bool (*double_keys)(const std::int64_t* in, std::int64_t n, bool reverse, std::int64_t* keys);
  /// The way back.
  void (*float_bits)(const std::int32_t* keys, std::int64_t n, bool reverse, std::int32_t* out);
  void (*double_bits)(const std::int64_t* keys, std::int64_t n, bool reverse, std::int64_t* out);
  /// packed = key·2³² + position. With `floating`, keys are those of float_keys, forwards, and NaNs become
  /// the largest and −0 becomes 0.
  void (*pack)(const std::int32_t* keys, std::int64_t n, bool floating, bool reverse, std::int64_t* packed);
  /// Ascending; only the first k are sure to be in their place. `spare` has room for n keys.
  void (*sort_narrow)(std::int32_t* keys, std::int64_t n, std::int64_t k, std::int32_t* spare);
  void (*sort_wide)(std::int64_t* keys, std::int64_t n, std::int64_t k, std::int64_t* spare);
  /// Whether long lines of packed keys are sorted faster so than by a radix sort.
  bool packs_long_lines;
};

inline constexpr std::int64_t sort_padding = 64;  // the longest vector

const SortKernels& sort_kernels();

}  // namespace chainrule::kernels
