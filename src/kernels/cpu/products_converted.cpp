// bfloat16 products by way of float32: for small ones, and for processors without tiles.

#include <algorithm>
#include <memory>

#include <chainrule/buffer.hpp>

#include "kernels/cpu/products_detail.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

constexpr std::int64_t elements_per_thread = 16384;

/// A stack of equally shaped matrices whose rows lie `ld` and which themselves lie `stride` apart.
struct Stack {
  std::int64_t matrices, rows, cols, ld, stride;
  std::int64_t elements() const { return matrices * rows * cols; }
};

/// Calls line(packed offset, strided offset) for each row, on several threads.
template <typename Line>
void for_each_row(const Stack& s, Line line) {
  const std::int64_t grain = std::max<std::int64_t>(1, elements_per_thread / s.cols);
  parallel_for(s.matrices * s.rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) line(i * s.cols, i / s.rows * s.stride + i % s.rows * s.ld);
  });
}

/// The most rows and columns of C that are computed at a time, where each is long: what is wide stays small.
/// A is widened again for every so many columns, 3 % of the time of 4096 square. Eight threads and more have
/// more rows to share, and short rows make blocks of so many elements.
constexpr std::int64_t rows_at_a_time = 512, columns_at_a_time = 768, elements_at_a_time = 1 << 18;

class ConvertedProduct final : public Product {
 public:
  ConvertedProduct(const ProductShape& shape, int threads, Epilogue epilogue)
      : shape_(shape), has_bias_(epilogue.bias) {
    const std::int64_t rows =
        std::max(rows_at_a_time * pieces(threads, 8),
                 elements_at_a_time / std::max(shape.k, std::min(shape.n, columns_at_a_time)));
    const std::int64_t columns =
        std::max(columns_at_a_time, elements_at_a_time / std::max(shape.k, std::min(shape.m, rows)));
    // A batch is one product, so that all of its matrices share the threads.
    rows_ = shape.batch > 1 ? shape.m : piece(shape.m, rows);
    columns_ = shape.batch > 1 ? shape.n : piece(shape.n, columns);
    last_row_ = (shape.m - 1) / rows_ * rows_;
    last_column_ = (shape.n - 1) / columns_ * columns_;
    const std::int64_t heights[] = {rows_, shape.m - last_row_},
                       widths[] = {columns_, shape.n - last_column_};
    for (int last_rows = 0; last_rows < 2; ++last_rows) {
      for (int last_columns = 0; last_columns < 2; ++last_columns) {
        const std::int64_t height = heights[last_rows], width = widths[last_columns];
        // The same one where the last block is as large as the others.
        const bool as_tall = last_rows == 1 && height == rows_,
                   as_wide = last_columns == 1 && width == columns_;
        auto& product = products_[last_rows][last_columns];
        if (as_tall || as_wide) {
          product = products_[as_tall ? 0 : last_rows][as_wide ? 0 : last_columns];
        } else {
          product = prepare_block(wide(height, width), threads, epilogue);
        }
      }
    }
    const std::int64_t elements = lines(stack_of_a(rows_)) + lines(stack_of_b(columns_)) +
                                  lines(stack_of_c(rows_, columns_)) + columns_;
    scratch_ = Buffer::allocate(static_cast<std::size_t>(elements) * sizeof(float));
  }

  void run(const void* a, const void* b, void* c, const void* bias) const override {
    float* const wide_a = static_cast<float*>(scratch_.data());
    float* const wide_b = wide_a + lines(stack_of_a(rows_));
    float* const wide_c = wide_b + lines(stack_of_b(columns_));
    float* const wide_bias = wide_c + lines(stack_of_c(rows_, columns_));
    for (std::int64_t column = 0; column < shape_.n; column += columns_) {
      const std::int64_t columns = std::min(columns_, shape_.n - column);
      widen_stack(stack_of_b(columns),
                  static_cast<const bfloat16*>(b) + column * (shape_.transpose_b ? shape_.ldb : 1), wide_b);
      if (has_bias_) cast(widen_, static_cast<const bfloat16*>(bias) + column, wide_bias, columns);
      for (std::int64_t row = 0; row < shape_.m; row += rows_) {
        const std::int64_t rows = std::min(rows_, shape_.m - row);
        if (column == 0 || last_row_ > 0) {
          widen_stack(stack_of_a(rows),
                      static_cast<const bfloat16*>(a) + row * (shape_.transpose_a ? 1 : shape_.lda), wide_a);
        }
        products_[row == last_row_][column == last_column_]->run(wide_a, wide_b, wide_c, wide_bias);
        bfloat16* const to = static_cast<bfloat16*>(c) + row * shape_.ldc + column;
        for_each_row(stack_of_c(rows, columns), [&](std::int64_t packed, std::int64_t strided) {
          cast(narrow_, wide_c + packed, to + strided, columns);
        });
      }
    }
  }
  std::string_view implementation() const override { return "converted"; }

 private:
  static constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(float));
  /// The elements of a stack, up to the end of a line.
  static std::int64_t lines(const Stack& stack) { return pieces(stack.elements(), line) * line; }

  /// The length of equal pieces of at most about `most`; a multiple of three lines, the panel of AVX-512,
  /// where that leaves no last one much shorter than the others: operands whose rows start with a line are
  /// multiplied in 0.8 to 0.95 of the time.
  static std::int64_t piece(std::int64_t length, std::int64_t most) {
    const std::int64_t whole = std::min(length, equal_piece(length, most, 3 * line));
    const std::int64_t last = length - (pieces(length, whole) - 1) * whole;
    return 2 * last >= whole ? whole : equal_piece(length, most, 1);
  }

  /// A block's product. Of several blocks all have the same order of sums, however many rows and columns the
  /// number of threads leaves to each of them.
  std::unique_ptr<Product> prepare_block(const ProductShape& block, int threads, Epilogue epilogue) const {
    const bool whole = block.m == shape_.m && block.n == shape_.n;
    if (whole || is_vector_product(shape_)) return Product::prepare(block, threads, epilogue);
    if (auto product = prepare_mirrored(block, threads, epilogue)) return product;
    if (auto product = prepare_large(block, threads, epilogue)) return product;
    return prepare_gemm(block, threads, epilogue);
  }

  void widen_stack(const Stack& stack, const bfloat16* from, float* to) const {
    for_each_row(stack, [&](std::int64_t packed, std::int64_t strided) {
      cast(widen_, from + strided, to + packed, stack.cols);
    });
  }

  /// So many rows and columns of C, from operands that lie close in float32.
  ProductShape wide(std::int64_t rows, std::int64_t columns) const {
    ProductShape s = dense_product(DType::float32, shape_.batch, rows, columns, shape_.k, shape_.transpose_a,
                                   shape_.transpose_b);
    if (shape_.stride_a == 0) s.stride_a = 0;
    if (shape_.stride_b == 0) s.stride_b = 0;
    return s;
  }

  Stack stack_of_a(std::int64_t rows) const {
    return {shape_.stride_a == 0 ? 1 : shape_.batch, shape_.transpose_a ? shape_.k : rows,
            shape_.transpose_a ? rows : shape_.k, shape_.lda, shape_.stride_a};
  }
  Stack stack_of_b(std::int64_t columns) const {
    return {shape_.stride_b == 0 ? 1 : shape_.batch, shape_.transpose_b ? columns : shape_.k,
            shape_.transpose_b ? shape_.k : columns, shape_.ldb, shape_.stride_b};
  }
  Stack stack_of_c(std::int64_t rows, std::int64_t columns) const {
    return {shape_.batch, rows, columns, shape_.ldc, shape_.stride_c};
  }

  ProductShape shape_;
  bool has_bias_;
  LaneKernel widen_ = find_cast_kernel(DType::bfloat16, DType::float32);
  LaneKernel narrow_ = find_cast_kernel(DType::float32, DType::bfloat16);
  std::int64_t rows_ = 0, columns_ = 0;          // of C, that are computed at a time
  std::int64_t last_row_ = 0, last_column_ = 0;  // the first of the last ones, which may be fewer
  std::shared_ptr<Product> products_[2][2];      // [the last rows][the last columns]
  Buffer scratch_;
};

}  // namespace

std::unique_ptr<Product> prepare_converted(const ProductShape& shape, int threads, Epilogue epilogue) {
  // Operands so small that one thread widens them are multiplied by it as well: they would go from cache to
  // cache (128 square takes 46 µs on two threads, 32 on one).
  const auto m = static_cast<double>(shape.m), n = static_cast<double>(shape.n),
             k = static_cast<double>(shape.k);
  const double largest = static_cast<double>(shape.batch) * std::max({m * k, k * n, m * n});
  if (largest < 2.0 * elements_per_thread) threads = 1;
  return std::make_unique<ConvertedProduct>(shape, threads, epilogue);
}

}  // namespace chainrule::kernels
