#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include <chainrule/dtype.hpp>

/// Matrix products: C[b] = A[b] · B[b], row-major, of every dtype but bool.
///
/// Letters: A is [batch, m, k], B [batch, k, n], C [batch, m, n]. Each entry of C is Σ_p A(i, p)·B(p, j).
/// float32 and float64 add in their own precision, bfloat16 in float32 with one rounding at the end (by
/// tiles, subnormal numbers count as zero), integers in their own type, modulo 2^bits.
namespace chainrule::kernels {

/// What a product works on. Leading dimensions (`ld*`, the distance between stored rows) and batch
/// strides count elements.
struct ProductShape {
  std::int64_t batch = 1, m = 0, n = 0, k = 0;
  bool transpose_a = false;  ///< A is stored as [k, m]
  bool transpose_b = false;  ///< B is stored as [n, k]
  std::int64_t lda = 0, ldb = 0, ldc = 0;
  std::int64_t stride_a = 0, stride_b = 0, stride_c = 0;  ///< 0 in A or B: the same matrix for every b
  DType dtype = DType::float32;
};

/// The shape of densely packed operands, each with its own matrix for every entry of the batch.
ProductShape dense_product(DType dtype, std::int64_t batch, std::int64_t m, std::int64_t n, std::int64_t k,
                           bool transpose_a = false, bool transpose_b = false);

/// What happens to each entry once its sum is complete.
struct Epilogue {
  bool bias = false;  ///< add bias[j], a vector of n values of the product's dtype
  bool relu = false;  ///< then max(·, 0); NaN stays NaN
};

/// A product of fixed shape, prepared once and run many times.
///
/// prepare() chooses the implementation, cuts C into blocks for the threads and allocates all scratch
/// memory; run() allocates nothing. A Product may be run by one thread at a time; the scratch memory
/// belongs to it.
///
/// Results do not depend on the number of threads.
class Product {
 public:
  virtual ~Product() = default;
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  /// `threads` is the number of threads that run() is prepared for, at least 1.
  /// Throws ShapeError for negative or overflowing sizes and leading dimensions that are too small,
  /// DTypeError for bool, ArgumentError for `threads` < 1 and for overlapping entries of C.
  static std::unique_ptr<Product> prepare(const ProductShape& shape, int threads, Epilogue epilogue = {});

  /// `bias` is read only if the epilogue has one. C may not overlap A or B. Operands without elements
  /// may be null.
  virtual void run(const void* a, const void* b, void* c, const void* bias = nullptr) const = 0;
  /// "gemm", "large", "dots", "mirrored", "vector", "tiles", "loops", "converted", "naive" or "empty".
  virtual std::string_view implementation() const = 0;

 protected:
  Product() = default;
};

}  // namespace chainrule::kernels
