#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "kernels/cpu/lanes.hpp"
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
/// Bytes for a large product: of the blocks of A that stay in a core's cache while B passes by, of the B,
/// packed over a stretch of k, from which a product is large (where rows of A collide, from `resident_a` on),
/// and of the B that is packed at a time.
struct LargeLimits {
  std::int64_t resident_a, least_b, packed_b;
};
LargeLimits large_limits();
/// Large products of float32 and float64, to the same bits as prepare_gemm; null where that gains nothing.
std::unique_ptr<Product> prepare_large(const ProductShape& shape, int threads, Epilogue epilogue,
                                       const LargeLimits& limits = large_limits());
/// Few rows of float32 or float64 times a matrix that is stored transposed, to the same bits as prepare_gemm
/// (but for a NaN's); null where that gains nothing.
std::unique_ptr<Product> prepare_mirrored(const ProductShape& shape, int threads, Epilogue epilogue);
/// Few rows times a matrix that is stored transposed, or a matrix times few columns, of float32, float64 and
/// bfloat16, as dot products, whose sums are in another order than prepare_gemm's; null where that gains
/// nothing.
std::unique_ptr<Product> prepare_dots(const ProductShape& shape, int threads, Epilogue epilogue);
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

/// max(x, 0); NaN stays NaN.
template <typename T>
T relu(T x) {
  return x < T{0} ? T{0} : x;
}

/// How many threads are worth it, if each is to have so many operations.
inline std::int64_t parts_worth(const ProductShape& shape, double flops_per_part, int threads) {
  return static_cast<std::int64_t>(
      std::clamp(product_flops(shape) / flops_per_part, 1.0, static_cast<double>(threads)));
}
/// Below this a region costs more than a second thread brings to our SIMD kernels (about 2 µs of one core).
inline constexpr double gemm_flops_per_part = 4e5;

/// The fewest pieces of at most `most`; both are positive.
inline std::int64_t pieces(std::int64_t length, std::int64_t most) { return (length - 1) / most + 1; }

/// The length of equal pieces of at most `most`, none much shorter than the others, as a multiple of `unit`.
inline std::int64_t equal_piece(std::int64_t length, std::int64_t most, std::int64_t unit) {
  return pieces(pieces(length, pieces(length, most)), unit) * unit;
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

/// `n` elements as another dtype, by find_cast_kernel's kernel for the two.
inline void cast(LaneKernel kernel, const void* from, void* to, std::int64_t n) { kernel(&from, to, n); }

/// What a product runs on.
template <typename T>
struct Operands {
  const T* a;
  const T* b;
  T* c;
  const T* bias;  ///< null without one
};

/// Bias and relu, for `cols` columns of one matrix from `first` on.
template <typename T>
void finish_columns(const ProductShape& shape, Epilogue epilogue, const Operands<T>& at, std::int64_t first,
                    std::int64_t cols) {
  if (at.bias == nullptr && !epilogue.relu) return;
  const std::int64_t end = first + cols;
  T* row = at.c;
  for (std::int64_t i = 0; i < shape.m; ++i, row += shape.ldc) {
    for (std::int64_t j = first; at.bias != nullptr && j < end; ++j) row[j] += at.bias[j];
    for (std::int64_t j = first; epilogue.relu && j < end; ++j) row[j] = relu(row[j]);
  }
}

/// Half-open ranges of one matrix's rows and columns.
struct Block {
  std::int64_t row, row_end, col, col_end;
};

/// Each matrix of the batch, cut by `grid` at multiples of the units, and all blocks shared out among
/// `parts`.
struct BlockCut {
  Grid grid;
  std::int64_t row_unit = 1, col_unit = 1, parts = 1;
};

/// A block of the C of one matrix of the batch.
template <typename T>
struct Work {
  Operands<T> at{};
  Block block{};
};

/// Calls run(work, what is next or null) for every block of the share `part`.
template <typename T, typename Run>
void for_blocks_of_part(const ProductShape& shape, const BlockCut& cut, std::int64_t part,
                        const Operands<T>& operands, Run run) {
  const auto [rows, cols] = cut.grid;
  const std::int64_t all = shape.batch * rows * cols;
  const std::int64_t end = block_border(all, 1, cut.parts, part + 1);
  const auto matrices = [&](std::int64_t entry) {
    return Operands<T>{operands.a + entry * shape.stride_a, operands.b + entry * shape.stride_b,
                       operands.c + entry * shape.stride_c, operands.bias};
  };
  const auto work = [&, rows = rows, cols = cols](std::int64_t i) {
    // Whole matrices may be so small that they take less time than the divisions below.
    if (rows == 1 && cols == 1) return Work<T>{matrices(i), {0, shape.m, 0, shape.n}};
    const std::int64_t entry = i / (rows * cols), row = i / cols % rows, col = i % cols;
    return Work<T>{
        matrices(entry),
        {block_border(shape.m, cut.row_unit, rows, row), block_border(shape.m, cut.row_unit, rows, row + 1),
         block_border(shape.n, cut.col_unit, cols, col), block_border(shape.n, cut.col_unit, cols, col + 1)}};
  };
  std::int64_t i = block_border(all, 1, cut.parts, part);
  if (i == end) return;
  Work<T> next = work(i);
  while (i < end) {
    const Work<T> now = next;
    const bool more = ++i < end;
    if (more) next = work(i);
    run(now, more ? &next : nullptr);
  }
}

}  // namespace chainrule::kernels
