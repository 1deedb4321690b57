// Few rows times a matrix that is stored transposed, or a matrix times few columns: dot products of rows as
// they are stored. Packing the matrix, or widening it, would take longer than multiplying with it.

#include <algorithm>
#include <memory>
#include <type_traits>

#include <chainrule/buffer.hpp>

#include "kernels/cpu/caches.hpp"
#include "kernels/cpu/dots.hpp"
#include "kernels/cpu/products_detail.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

/// The matrix is cut at multiples of so many rows: whole tiles of most widths, 3, 4, 6 and 8.
constexpr std::int64_t matrix_row_unit = 24;

/// A product as dot products of `few` vectors with `many` rows of a matrix.
struct DotShape {
  bool turned;  ///< the few are the columns of B, the matrix is A
  std::int64_t few, many;
};
DotShape dot_shape(const ProductShape& s, bool turned) {
  return turned ? DotShape{true, s.n, s.m} : DotShape{false, s.m, s.n};
}

/// The matrices of a batch, and the many rows of each, for so many threads.
BlockCut cut_dots(const ProductShape& shape, const DotShape& dots, int threads) {
  const std::int64_t parts = parts_worth(shape, gemm_flops_per_part, threads);
  BlockCut cut;
  std::int64_t& unit = dots.turned ? cut.row_unit : cut.col_unit;
  std::int64_t& blocks = dots.turned ? cut.grid.rows : cut.grid.cols;
  unit = matrix_row_unit;
  blocks = std::min(pieces(parts, shape.batch), pieces(dots.many, matrix_row_unit));
  cut.parts = std::min(parts, shape.batch * blocks);
  return cut;
}

/// How many rows the few go past at a time: more of the few than a tile takes go past them again, from the
/// cache.
template <typename E>
std::int64_t rows_at_a_time(const ProductShape& shape, const DotShape& dots) {
  if (dots.few <= dot_kernels<E>().tile_rows) return dots.many;
  const std::int64_t resident = cache_sizes().l2 / 2 / static_cast<std::int64_t>(sizeof(E)) / shape.k;
  return std::max<std::int64_t>(resident / matrix_row_unit, 1) * matrix_row_unit;
}

/// What all dot products have in common: the cut among threads.
template <typename E>
class DotProducts : public Product {
 public:
  DotProducts(const ProductShape& shape, const DotShape& dots, int threads, Epilogue epilogue)
      : shape_(shape), dots_(dots), epilogue_(epilogue), cut_(cut_dots(shape, dots, threads)) {}

  void run(const void* a, const void* b, void* c, const void* bias) const final {
    const Operands<E> operands{static_cast<const E*>(a), static_cast<const E*>(b), static_cast<E*>(c),
                               epilogue_.bias ? static_cast<const E*>(bias) : nullptr};
    parallel_for(cut_.parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t part = begin; part < end; ++part) run_part(operands, part);
    });
  }
  std::string_view implementation() const final { return "dots"; }

 protected:
  virtual void run_part(const Operands<E>& operands, std::int64_t part) const = 0;

  ProductShape shape_;
  DotShape dots_;
  Epilogue epilogue_;
  BlockCut cut_;
  const DotKernels<E> kernels_ = dot_kernels<E>();
};

/// Few rows of float32 or float64, whose sums go to C at once.
template <typename T>
class DirectDotProducts final : public DotProducts<T> {
  using Base = DotProducts<T>;
  using Base::shape_, Base::dots_, Base::epilogue_, Base::cut_, Base::kernels_;

 public:
  DirectDotProducts(const ProductShape& shape, int threads, Epilogue epilogue)
      : Base(shape, dot_shape(shape, false), threads, epilogue), columns_(rows_at_a_time<T>(shape, dots_)) {}

 private:
  void run_part(const Operands<T>& operands, std::int64_t part) const override {
    for_blocks_of_part(shape_, cut_, part, operands, [&](const Work<T>& work, const Work<T>*) {
      const Operands<T>& at = work.at;
      for (std::int64_t col = work.block.col; col < work.block.col_end; col += columns_) {
        const std::int64_t cols = std::min(columns_, work.block.col_end - col);
        kernels_.rows_times_transposed(shape_.m, cols, shape_.k, at.a, shape_.lda, at.b + col * shape_.ldb,
                                       shape_.ldb, at.c + col, shape_.ldc);
        finish_columns(shape_, epilogue_, at, col, cols);
      }
    });
  }

  std::int64_t columns_;  // that all rows of A go past at a time
};

/// The few vectors are gathered, in the dtype of the sums, and the sums go to C some at a time: columns of
/// any dtype, and rows of bfloat16.
template <typename E>
class GatheredDotProducts final : public DotProducts<E> {
  using T = DotSum<E>;
  using Base = DotProducts<E>;
  using Base::shape_, Base::dots_, Base::epilogue_, Base::cut_, Base::kernels_;

 public:
  GatheredDotProducts(const ProductShape& shape, const DotShape& dots, int threads, Epilogue epilogue)
      : Base(shape, dots, threads, epilogue),
        rows_(std::min({rows_at_a_time<E>(shape, dots), most_rows, dots.many})) {
    part_elements_ = dots.few * shape.k + 2 * dots.few * rows_ + shape.n;
    scratch_ = Buffer::allocate(static_cast<std::size_t>(cut_.parts * part_elements_) * sizeof(T));
  }

 private:
  /// Rows of the matrix whose sums go to C at a time: up to some 20 KB of them, and as many results.
  static constexpr std::int64_t most_rows = 10 * matrix_row_unit;

  struct Scratch {
    T* few;      // [few, k]
    T* sums;     // [few, rows_]
    T* results;  // of C, as many
    T* bias;     // [n]
  };
  Scratch scratch_of(std::int64_t part) const {
    T* const start = static_cast<T*>(scratch_.data()) + part * part_elements_;
    T* const sums = start + dots_.few * shape_.k;
    T* const results = sums + dots_.few * rows_;
    return {start, sums, results, results + dots_.few * rows_};
  }

  void widen(const E* from, T* to, std::int64_t n) const { cast(widen_, from, to, n); }
  void narrow(const T* from, E* to, std::int64_t n) const { cast(narrow_, from, to, n); }

  void run_part(const Operands<E>& operands, std::int64_t part) const override {
    const Scratch scratch = scratch_of(part);
    if (operands.bias != nullptr) widen(operands.bias, scratch.bias, shape_.n);
    const E* gathered = nullptr;
    for_blocks_of_part(shape_, cut_, part, operands, [&](const Work<E>& work, const Work<E>*) {
      const E* const few = dots_.turned ? work.at.b : work.at.a;
      if (few != gathered) gather(few, scratch.few);
      gathered = few;
      run_block(work.at, work.block, scratch);
    });
  }

  void gather(const E* from, T* few) const {
    if (dots_.turned && !shape_.transpose_b) {
      for (std::int64_t p = 0; p < shape_.k; ++p, from += shape_.ldb) {
        for (std::int64_t i = 0; i < dots_.few; ++i) few[i * shape_.k + p] = static_cast<T>(from[i]);
      }
      return;
    }
    const std::int64_t ld = dots_.turned ? shape_.ldb : shape_.lda;
    for (std::int64_t i = 0; i < dots_.few; ++i) widen(from + i * ld, few + i * shape_.k, shape_.k);
  }

  void run_block(const Operands<E>& at, const Block& block, const Scratch& scratch) const {
    const std::int64_t begin = dots_.turned ? block.row : block.col,
                       end = dots_.turned ? block.row_end : block.col_end;
    const E* const matrix = dots_.turned ? at.a : at.b;
    const std::int64_t ld = dots_.turned ? shape_.lda : shape_.ldb;
    for (std::int64_t row = begin; row < end; row += rows_) {
      const std::int64_t rows = std::min(rows_, end - row);
      kernels_.rows_times_transposed(dots_.few, rows, shape_.k, scratch.few, shape_.k, matrix + row * ld, ld,
                                     scratch.sums, rows);
      if (dots_.turned) {
        put_rows(at, row, rows, scratch);
      } else {
        put_columns(at, row, rows, scratch);
      }
    }
  }

  /// `cols` columns of C from `col` on.
  void put_columns(const Operands<E>& at, std::int64_t col, std::int64_t cols, const Scratch& scratch) const {
    for (std::int64_t i = 0; i < dots_.few; ++i) {
      T* const sums = scratch.sums + i * cols;
      for (std::int64_t j = 0; j < cols; ++j) sums[j] = finished(sums[j], scratch.bias + col + j);
      narrow(sums, at.c + i * shape_.ldc + col, cols);
    }
  }

  /// `rows` rows of C from `row` on, whose columns are the few.
  void put_rows(const Operands<E>& at, std::int64_t row, std::int64_t rows, const Scratch& scratch) const {
    for (std::int64_t i = 0; i < dots_.few; ++i) {
      const T* const sums = scratch.sums + i * rows;
      for (std::int64_t r = 0; r < rows; ++r)
        scratch.results[r * dots_.few + i] = finished(sums[r], scratch.bias + i);
    }
    E* const c = at.c + row * shape_.ldc;
    if (shape_.ldc == dots_.few) {
      narrow(scratch.results, c, rows * dots_.few);
      return;
    }
    for (std::int64_t r = 0; r < rows; ++r)
      narrow(scratch.results + r * dots_.few, c + r * shape_.ldc, dots_.few);
  }

  T finished(T sum, const T* bias) const {
    if (epilogue_.bias) sum += *bias;
    return epilogue_.relu ? relu(sum) : sum;
  }

  const LaneKernel widen_ = find_cast_kernel(dtype_of<E>(), dtype_of<T>());
  const LaneKernel narrow_ = find_cast_kernel(dtype_of<T>(), dtype_of<E>());
  std::int64_t rows_;  // of the matrix, whose sums go to C at a time
  std::int64_t part_elements_ = 0;
  Buffer scratch_;
};

/// As measured, where k pays for adding up the lanes. Rows, with 256 columns and more: up to twelve of
/// float32 and six of float64 dot products take 0.3 to 0.9 of the time that packing or mirroring takes; up to
/// 24 of bfloat16 0.15 to 0.9 of what widening the matrix takes. As many columns, with a longer k: 0.4 to
/// 0.9, but for a matrix so small that gathering the columns shows.
template <typename E>
bool pays(const ProductShape& s, const DotShape& dots) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(E));
  constexpr std::int64_t most = size == 2 ? 24 : 48 / size;
  const std::int64_t lanes = dot_kernels<E>().lanes;
  if (lanes == 1 || dots.few > most) return false;
  if (!dots.turned) return s.k >= dots.few * lanes / 2;
  return s.k >= dots.few * lanes * size / 4 && (s.transpose_b || dots.many >= 8 * dots.few);
}

template <typename E>
std::unique_ptr<Product> prepare(const ProductShape& shape, int threads, Epilogue epilogue) {
  const DotShape as_rows = dot_shape(shape, false), as_columns = dot_shape(shape, true);
  if (shape.transpose_a) return nullptr;
  if (shape.transpose_b && pays<E>(shape, as_rows)) {
    if constexpr (std::is_same_v<E, DotSum<E>>) {
      return std::make_unique<DirectDotProducts<E>>(shape, threads, epilogue);
    } else {
      return std::make_unique<GatheredDotProducts<E>>(shape, as_rows, threads, epilogue);
    }
  }
  if (!pays<E>(shape, as_columns)) return nullptr;
  return std::make_unique<GatheredDotProducts<E>>(shape, as_columns, threads, epilogue);
}

}  // namespace

std::unique_ptr<Product> prepare_dots(const ProductShape& shape, int threads, Epilogue epilogue) {
  switch (shape.dtype) {
    case DType::float64:
      return prepare<double>(shape, threads, epilogue);
    case DType::bfloat16:
      return prepare<bfloat16>(shape, threads, epilogue);
    default:
      return prepare<float>(shape, threads, epilogue);
  }
}

}  // namespace chainrule::kernels
