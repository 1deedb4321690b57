#pragma once

#include <cstdint>

#include "kernels/cpu/caches.hpp"
#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/products_detail.hpp"

/// What the products of float32 and float64 in blocks have in common: how much of A and B is worked on at a
/// time, and where that lies.
namespace chainrule::kernels {

/// The length of the stretches of k whose sums are added to C, one after the other; the same for all products
/// of T in blocks, whose bits agree therefore. Measured: each stretch reads and writes C once more, which
/// shows below 500 steps, while panels of B over more than 700 crowd out what passes by in the second cache
/// level. Up to 800 steps of float32 one long stretch still costs less than two; of float64 it does not.
template <typename T>
std::int64_t stretch_depth(std::int64_t k) {
  constexpr std::int64_t max_depth = 512, whole = sizeof(T) == 4 ? 800 : max_depth;
  return k <= whole ? k : equal_piece(k, max_depth, 1);
}

/// The bytes of A that stay in the second cache level where all of B passes by.
inline std::int64_t resident_a_bytes() { return cache_sizes().l2 * 3 / 8; }

/// How many rows of A, or columns of B, over so many steps of k the bytes hold.
template <typename T>
std::int64_t fitting(std::int64_t bytes, std::int64_t depth) {
  return bytes / static_cast<std::int64_t>(sizeof(T)) / depth;
}

/// `rows` rows of A from `row` on, over `depth` steps of k from p on, as they are stored.
template <typename T>
ReadAhead<T> stored_a(const ProductShape& shape, const T* a, std::int64_t row, std::int64_t rows,
                      std::int64_t p, std::int64_t depth) {
  if (shape.transpose_a) return {a + p * shape.lda + row, depth, rows, shape.lda};
  return {a + row * shape.lda + p, rows, depth, shape.lda};
}

/// `cols` columns of B from `col` on, over `depth` steps of k from p on, as they are stored.
template <typename T>
ReadAhead<T> stored_b(const ProductShape& shape, const T* b, std::int64_t col, std::int64_t cols,
                      std::int64_t p, std::int64_t depth) {
  if (shape.transpose_b) return {b + col * shape.ldb + p, cols, depth, shape.ldb};
  return {b + p * shape.ldb + col, depth, cols, shape.ldb};
}

/// Points the block at rows of A that GemmKernels::pack_rows has packed.
template <typename T>
void use_packed_a(const T* packed, std::int64_t tile_rows, GemmBlock<T>& block) {
  block.a = packed;
  block.a_row = 1;
  block.a_step = tile_rows;
  block.a_tile = tile_rows * block.depth;
}

}  // namespace chainrule::kernels
