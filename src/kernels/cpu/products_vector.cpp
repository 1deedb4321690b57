// Products of a vector and a matrix, in float32 and float64: no packing, each element of the matrix is
// read once.

#include <algorithm>
#include <vector>

#include "kernels/cpu/dots.hpp"
#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/products_detail.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

/// y[n] = x[k] · M, with M stored as [k, n] or, `transposed`, as [n, k].
struct VectorShape {
  std::int64_t n, k;
  std::int64_t step;  ///< between elements of x
  bool transposed;
  std::int64_t ld;
};

VectorShape vector_shape(const ProductShape& s) {
  if (s.m == 1) return {s.n, s.k, s.transpose_a ? s.lda : 1, s.transpose_b, s.ldb};
  // C is a column: its transpose is the row Bᵀ·Aᵀ.
  return {s.m, s.k, s.transpose_b ? 1 : s.ldb, !s.transpose_a, s.lda};
}

template <typename T>
class VectorProduct final : public Product {
 public:
  VectorProduct(const ProductShape& shape, int threads, Epilogue epilogue)
      : s_(shape), v_(vector_shape(shape)), epilogue_(epilogue), kernels_(gemm_kernels<T>()) {
    constexpr double flops_per_part = 1e5;  // bound by memory: about 4 µs from the third cache level
    const double share = product_flops(shape) / static_cast<double>(shape.batch) / flops_per_part;
    const auto pieces = static_cast<std::int64_t>(std::clamp(share, 1.0, static_cast<double>(threads)));
    pieces_ = std::min(pieces, (v_.n - 1) / (2 * kernels_.lanes) + 1);
    if (v_.transposed && v_.step != 1) x_.resize(static_cast<std::size_t>(v_.k));
  }

  void run(const void* a, const void* b, void* c, const void* bias) const override {
    const bool row = s_.m == 1;
    for (std::int64_t entry = 0; entry < s_.batch; ++entry) {
      const T* const left = static_cast<const T*>(a) + entry * s_.stride_a;
      const T* const right = static_cast<const T*>(b) + entry * s_.stride_b;
      run_entry(row ? left : right, row ? right : left, static_cast<T*>(c) + entry * s_.stride_c,
                static_cast<const T*>(bias));
    }
  }
  std::string_view implementation() const override { return "vector"; }

 private:
  void run_entry(const T* x, const T* matrix, T* y, const T* bias) const {
    std::int64_t step = v_.step;
    if (!x_.empty()) {
      for (std::int64_t p = 0; p < v_.k; ++p) x_[static_cast<std::size_t>(p)] = x[p * step];
      x = x_.data();
      step = 1;
    }
    const auto run_columns = [&](std::int64_t first, std::int64_t count) {
      if (v_.transposed) {
        dots_.rows_times_transposed(1, count, v_.k, x, v_.k, matrix + first * v_.ld, v_.ld, y + first, count);
      } else {
        kernels_.row_times_matrix(count, v_.k, x, step, matrix + first, v_.ld, y + first);
      }
      finish(y, first, count, bias);
    };
    if (pieces_ == 1) return run_columns(0, v_.n);
    parallel_for(pieces_, 1, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t first = block_border(v_.n, 2 * kernels_.lanes, pieces_, begin);
      run_columns(first, block_border(v_.n, 2 * kernels_.lanes, pieces_, end) - first);
    });
  }

  void finish(T* y, std::int64_t first, std::int64_t count, const T* bias) const {
    for (std::int64_t j = first; epilogue_.bias && j < first + count; ++j)
      y[j] += s_.m == 1 ? bias[j] : bias[0];
    for (std::int64_t j = first; epilogue_.relu && j < first + count; ++j) y[j] = relu(y[j]);
  }

  ProductShape s_;
  VectorShape v_;
  Epilogue epilogue_;
  const GemmKernels<T> kernels_;
  const DotKernels<T> dots_ = dot_kernels<T>();
  std::int64_t pieces_ = 1;
  mutable std::vector<T> x_;  // the vector, gathered where its elements lie apart
};

}  // namespace

bool is_vector_product(const ProductShape& shape) { return shape.m == 1 || (shape.n == 1 && shape.ldc == 1); }

std::unique_ptr<Product> prepare_vector(const ProductShape& shape, int threads, Epilogue epilogue) {
  if (shape.dtype == DType::float64) return std::make_unique<VectorProduct<double>>(shape, threads, epilogue);
  return std::make_unique<VectorProduct<float>>(shape, threads, epilogue);
}

}  // namespace chainrule::kernels
