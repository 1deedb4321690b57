#include "kernels/cpu/products.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <chainrule/error.hpp>

#include "kernels/cpu/products_detail.hpp"

namespace chainrule::kernels {
namespace {

constexpr std::int64_t max_elements = std::int64_t{1} << 62;
/// What pays for packing whole panels of bfloat16.
constexpr double tiles_flops = 3e4;

std::string describe(const ProductShape& s) {
  const auto side = [](bool transposed, std::int64_t ld, std::int64_t stride) {
    return (transposed ? std::string(" transposed, ld ") : std::string(" ld ")) + std::to_string(ld) +
           ", stride " + std::to_string(stride);
  };
  return "batch " + std::to_string(s.batch) + ", m " + std::to_string(s.m) + ", n " + std::to_string(s.n) +
         ", k " + std::to_string(s.k) + "; a" + side(s.transpose_a, s.lda, s.stride_a) + "; b" +
         side(s.transpose_b, s.ldb, s.stride_b) + "; c" + side(false, s.ldc, s.stride_c);
}

ErrorParts parts(const ProductShape& shape, const char* argument, const char* problem, const char* wanted) {
  return {.function = "matmul",
          .argument = argument,
          .problem = problem,
          .got = describe(shape),
          .wanted = wanted,
          .hint = {},
          .region = {}};
}

/// The elements from the first to the last of `batch` matrices; checks for overflow on the way.
std::int64_t extent(const ProductShape& shape, const char* argument, std::int64_t rows, std::int64_t cols,
                    std::int64_t ld, std::int64_t stride) {
  if (ld < cols && rows > 1) {
    throw ShapeError(parts(shape, argument, "the leading dimension is shorter than a stored row",
                           "a leading dimension of at least the row's length"));
  }
  std::int64_t matrices = 0;
  std::int64_t lines = 0;
  std::int64_t all = 0;
  if (__builtin_mul_overflow(shape.batch - 1, stride, &matrices) ||
      __builtin_mul_overflow(rows - 1, ld, &lines) || __builtin_add_overflow(matrices, lines, &all) ||
      __builtin_add_overflow(all, cols, &all) || all > max_elements) {
    throw ShapeError(parts(shape, argument, "the matrix spans more than 2^62 elements", "a smaller one"));
  }
  return lines + cols;
}

void check(const ProductShape& s, int threads) {
  if (s.dtype == DType::boolean) {
    throw DTypeError(parts(s, "dtype", "bool has no product", "a number type"));
  }
  if (threads < 1) {
    throw ArgumentError({.function = "matmul",
                         .argument = "threads",
                         .problem = "there is no thread to run on",
                         .got = std::to_string(threads),
                         .wanted = "at least 1",
                         .hint = {},
                         .region = {}});
  }
  if (s.batch < 0 || s.m < 0 || s.n < 0 || s.k < 0 || s.lda < 0 || s.ldb < 0 || s.ldc < 0 || s.stride_a < 0 ||
      s.stride_b < 0 || s.stride_c < 0) {
    throw ShapeError(parts(s, "shape", "a size or a stride is negative", "sizes and strides of at least 0"));
  }
  if (s.batch == 0 || s.m == 0 || s.n == 0) return;
  const std::int64_t c = extent(s, "c", s.m, s.n, s.ldc, s.stride_c);
  if (s.batch > 1 && s.stride_c < c) {
    throw ArgumentError(
        parts(s, "c", "the matrices of the batch overlap", "a stride_c past each matrix's end"));
  }
  if (s.k == 0) return;
  extent(s, "a", s.transpose_a ? s.k : s.m, s.transpose_a ? s.m : s.k, s.lda, s.stride_a);
  extent(s, "b", s.transpose_b ? s.n : s.k, s.transpose_b ? s.k : s.n, s.ldb, s.stride_b);
}

/// The distance between rows means nothing where there is one row; give it a value that holds for all.
void normalize(std::int64_t rows, std::int64_t cols, std::int64_t& ld) {
  if (rows == 1) ld = std::max(ld, cols);
}

/// The same product in its plainest form: a batch whose rows of A and C follow each other evenly, times
/// one B, is one taller matrix.
ProductShape simplified(ProductShape s) {
  if (s.batch > 1 && s.m == 1 && !s.transpose_a && s.stride_a >= s.k) {
    s.lda = s.stride_a;
    s.ldc = s.stride_c;
  }
  const bool foldable = s.batch > 1 && s.stride_b == 0 && !s.transpose_a && s.stride_a == s.m * s.lda &&
                        s.stride_c == s.m * s.ldc;
  if (foldable) {
    s.m *= s.batch;
    s.batch = 1;
  }
  normalize(s.transpose_a ? s.k : s.m, s.transpose_a ? s.m : s.k, s.lda);
  normalize(s.transpose_b ? s.n : s.k, s.transpose_b ? s.k : s.n, s.ldb);
  normalize(s.m, s.n, s.ldc);
  return s;
}

std::unique_ptr<Product> prepare_bfloat16(const ProductShape& s, int threads, Epilogue epilogue) {
  if (product_flops(s) >= tiles_flops) {
    if (auto product = prepare_tiles(s, threads, epilogue)) return product;
  }
  if (auto product = prepare_dots(s, threads, epilogue)) return product;
  return prepare_converted(s, threads, epilogue);
}

std::unique_ptr<Product> prepare_fastest(const ProductShape& s, int threads, Epilogue epilogue) {
  switch (s.dtype) {
    case DType::float32:
    case DType::float64:
      if (is_vector_product(s)) return prepare_vector(s, threads, epilogue);
      if (auto product = prepare_dots(s, threads, epilogue)) return product;
      if (auto product = prepare_mirrored(s, threads, epilogue)) return product;
      if (auto product = prepare_large(s, threads, epilogue)) return product;
      return prepare_gemm(s, threads, epilogue);
    case DType::bfloat16:
      return prepare_bfloat16(s, threads, epilogue);
    default:
      return prepare_loops(s, epilogue);
  }
}

/// C = A · B by way of another product whose operands change places.
class TurnedProduct final : public Product {
 public:
  explicit TurnedProduct(std::unique_ptr<Product> product) : product_(std::move(product)) {}
  void run(const void* a, const void* b, void* c, const void* bias) const override {
    product_->run(b, a, c, bias);
  }
  std::string_view implementation() const override { return product_->implementation(); }

 private:
  std::unique_ptr<Product> product_;
};

/// One A times a batch of columns. With a bias each entry would need another one.
bool is_one_matrix_times_columns(const ProductShape& s, Epilogue epilogue) {
  return s.batch > 1 && s.n == 1 && s.ldc == 1 && s.stride_a == 0 && s.stride_b >= s.k &&
         (s.transpose_b || s.ldb == 1 || s.k == 1) && !epilogue.bias;
}

/// The columns as the rows of one matrix, times Aᵀ.
ProductShape rows_times_transposed(const ProductShape& s) {
  ProductShape turned;
  turned.dtype = s.dtype;
  turned.m = s.batch;
  turned.n = s.m;
  turned.k = s.k;
  turned.lda = s.stride_b;
  turned.transpose_b = !s.transpose_a;
  turned.ldb = s.lda;
  turned.ldc = s.stride_c;
  return turned;
}

}  // namespace

ProductShape dense_product(DType dtype, std::int64_t batch, std::int64_t m, std::int64_t n, std::int64_t k,
                           bool transpose_a, bool transpose_b) {
  ProductShape shape;
  shape.dtype = dtype;
  shape.batch = batch;
  shape.m = m;
  shape.n = n;
  shape.k = k;
  shape.transpose_a = transpose_a;
  shape.transpose_b = transpose_b;
  shape.lda = transpose_a ? m : k;
  shape.ldb = transpose_b ? k : n;
  shape.ldc = n;
  // Unsigned, so that absurd sizes wrap instead of overflowing; prepare() rejects what they give.
  const auto area = [](std::int64_t rows, std::int64_t cols) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(cols));
  };
  shape.stride_a = area(m, k);
  shape.stride_b = area(k, n);
  shape.stride_c = area(m, n);
  return shape;
}

std::unique_ptr<Product> Product::prepare(const ProductShape& shape, int threads, Epilogue epilogue) {
  check(shape, threads);
  if (shape.batch == 0 || shape.m == 0 || shape.n == 0 || shape.k == 0) return prepare_empty(shape, epilogue);
  if (is_one_matrix_times_columns(shape, epilogue)) {
    const ProductShape turned = simplified(rows_times_transposed(shape));
    return std::make_unique<TurnedProduct>(prepare_fastest(turned, threads, epilogue));
  }
  return prepare_fastest(simplified(shape), threads, epilogue);
}

}  // namespace chainrule::kernels
