#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "kernels/cpu/products.hpp"

/// The implementations behind Product::prepare, which has checked the shape and answers empty ones.
namespace chainrule::kernels {

/// C[b] = 0, plus the epilogue: k is 0, or there is nothing to do at all.
std::unique_ptr<Product> prepare_empty(const ProductShape& shape, Epilogue epilogue);
/// The reference for every dtype.
std::unique_ptr<Product> prepare_naive(const ProductShape& shape, Epilogue epilogue);
/// Plain loops for uint8, int32 and int64.
std::unique_ptr<Product> prepare_loops(const ProductShape& shape, Epilogue epilogue);
/// Our SIMD kernels for float32 and float64.
std::unique_ptr<Product> prepare_gemm(const ProductShape& shape, int threads, Epilogue epilogue);
/// One of A and B is a vector, and so is C: bound by the bytes of the other.
bool is_vector_product(const ProductShape& shape);
std::unique_ptr<Product> prepare_vector(const ProductShape& shape, int threads, Epilogue epilogue);
/// bfloat16 by way of float32.
std::unique_ptr<Product> prepare_converted(const ProductShape& shape, int threads, Epilogue epilogue);
/// bfloat16 by the processor's tiles; null where it has none, and for very long sums.
std::unique_ptr<Product> prepare_tiles(const ProductShape& shape, int threads, Epilogue epilogue);

/// Floating-point operations: 2 · batch · m · n · k, as a double so that it cannot overflow.
inline double product_flops(const ProductShape& shape) {
  return 2.0 * static_cast<double>(shape.batch) * static_cast<double>(shape.m) *
         static_cast<double>(shape.n) * static_cast<double>(shape.k);
}

/// A cut of C into rows x cols blocks of nearly equal size.
struct Grid {
  std::int64_t rows = 1;
  std::int64_t cols = 1;
};

/// The border before block `index` of `blocks`, for a length that is cut at multiples of `unit`.
inline std::int64_t block_border(std::int64_t length, std::int64_t unit, std::int64_t blocks,
                                 std::int64_t index) {
  const std::int64_t units = (length - 1) / unit + 1;
  // Without units * index, which could overflow for an absurd length.
  const std::int64_t border = units / blocks * index + units % blocks * index / blocks;
  return std::min(length, border * unit);
}

}  // namespace chainrule::kernels
