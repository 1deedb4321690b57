// Few rows of float32 or float64 times a matrix that is stored transposed: dot products of rows as they are
// stored. Packing the matrix would take longer than multiplying with it.

#include <algorithm>

#include "kernels/cpu/caches.hpp"
#include "kernels/cpu/dots.hpp"
#include "kernels/cpu/products_detail.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

template <typename T>
class DotProduct final : public Product {
 public:
  DotProduct(const ProductShape& shape, int threads, Epilogue epilogue)
      : shape_(shape), epilogue_(epilogue), kernels_(dot_kernels<T>()) {
    const std::int64_t parts = parts_worth(shape, gemm_flops_per_part, threads);
    cut_.col_unit = column_unit;
    cut_.grid.cols = std::min(pieces(parts, shape.batch), pieces(shape.n, column_unit));
    cut_.parts = std::min(parts, shape.batch * cut_.grid.cols);
    // More rows than a tile takes go past the same columns again: as many as stay in the cache.
    const std::int64_t resident = cache_sizes().l2 / 2 / static_cast<std::int64_t>(sizeof(T)) / shape.k;
    columns_ = shape.m <= kernels_.tile_rows
                   ? shape.n
                   : std::max<std::int64_t>(resident / column_unit, 1) * column_unit;
  }

  void run(const void* a, const void* b, void* c, const void* bias) const override {
    const Operands<T> operands{static_cast<const T*>(a), static_cast<const T*>(b), static_cast<T*>(c),
                               epilogue_.bias ? static_cast<const T*>(bias) : nullptr};
    parallel_for(cut_.parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t part = begin; part < end; ++part) {
        for_blocks_of_part(shape_, cut_, part, operands,
                           [&](const Work<T>& work, const Work<T>*) { run_block(work.at, work.block); });
      }
    });
  }
  std::string_view implementation() const override { return "dots"; }

 private:
  /// Columns of C, which are rows of B, in whole tiles of most widths: 3, 4, 6 and 8.
  static constexpr std::int64_t column_unit = 24;

  void run_block(const Operands<T>& at, const Block& block) const {
    for (std::int64_t col = block.col; col < block.col_end; col += columns_) {
      const std::int64_t cols = std::min(columns_, block.col_end - col);
      kernels_.rows_times_transposed(shape_.m, cols, shape_.k, at.a, shape_.lda, at.b + col * shape_.ldb,
                                     shape_.ldb, at.c + col, shape_.ldc);
      finish_columns(shape_, epilogue_, at, col, cols);
    }
  }

  ProductShape shape_;
  Epilogue epilogue_;
  const DotKernels<T> kernels_;
  BlockCut cut_;
  std::int64_t columns_ = 0;  // that all rows of A go past at a time
};

/// As measured, with 256 columns and more: up to twelve rows of float32 and six of float64, dot products take
/// 0.3 to 0.9 of the time that packing or mirroring takes, where k pays for adding up the lanes.
template <typename T>
bool pays(const ProductShape& s) {
  constexpr std::int64_t most_rows = 48 / sizeof(T);
  const std::int64_t lanes = dot_kernels<T>().lanes;
  return s.transpose_b && !s.transpose_a && s.m <= most_rows && lanes > 1 && s.k >= s.m * lanes / 2;
}

}  // namespace

std::unique_ptr<Product> prepare_dots(const ProductShape& shape, int threads, Epilogue epilogue) {
  if (shape.dtype == DType::float64) {
    return pays<double>(shape) ? std::make_unique<DotProduct<double>>(shape, threads, epilogue) : nullptr;
  }
  return pays<float>(shape) ? std::make_unique<DotProduct<float>>(shape, threads, epilogue) : nullptr;
}

}  // namespace chainrule::kernels
