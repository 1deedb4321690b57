#pragma once

#include <cstdint>
#include <type_traits>

#include <chainrule/dtype.hpp>

/// Rows times a matrix that is stored transposed, chosen for the machine.
namespace chainrule::kernels {

/// What products with elements E are summed in.
template <typename E>
using DotSum = std::conditional_t<std::is_same_v<E, bfloat16>, float, E>;

template <typename E>
struct DotKernels {
  using T = DotSum<E>;
  std::int64_t lanes = 0;      ///< elements of a vector
  std::int64_t tile_rows = 0;  ///< rows of A of a tile: each element of B is read once for so many
  /// c[i * ldc + j] = Σ_p a[i * lda + p] · b[j * ldb + p] for i < m, j < n, p < k: each a dot product of two
  /// rows as they are stored, summed in the lanes of vectors and then across them. The order of a sum depends
  /// on k and on whether m is 1, on nothing else. No size is 0.
  void (*rows_times_transposed)(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda,
                                const E* b, std::int64_t ldb, T* c, std::int64_t ldc) = nullptr;
};

/// The kernels for the instruction set in use. E is float, double or bfloat16.
template <typename E>
DotKernels<E> dot_kernels();

}  // namespace chainrule::kernels
