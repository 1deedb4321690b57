// Few rows times a matrix that is stored transposed, X · Wᵀ: as (W · Xᵀ)ᵀ. Packing Wᵀ for a few rows costs
// about as much as multiplying with it; W itself is read as it lies, X is the small one to pack, and the
// result is small as well.

#include <algorithm>
#include <cstring>
#include <vector>

#include <chainrule/buffer.hpp>

#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/products_detail.hpp"
#include "kernels/cpu/transpose.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

/// The bytes of W · Xᵀ that are computed before they are turned into place.
constexpr std::int64_t piece_bytes = std::int64_t{1} << 17;

template <typename T>
class MirroredProduct final : public Product {
 public:
  MirroredProduct(const ProductShape& shape, int threads, Epilogue epilogue)
      : shape_(shape), epilogue_(epilogue), ld_(pieces(shape.m, side) * side) {
    const std::int64_t parts = parts_worth(shape, gemm_flops_per_part, threads);
    const std::int64_t fitting = std::max(piece_bytes / static_cast<std::int64_t>(sizeof(T)) / ld_, side);
    const std::int64_t wanted = pieces(pieces(shape.n, fitting), parts) * parts;
    columns_ = equal_piece(shape.n, pieces(shape.n, wanted), side);
    pieces_ = pieces(shape.n, columns_);
    parts_ = std::min(parts, pieces_);
    for (std::int64_t part = 0; part < parts_; ++part)
      products_.push_back(prepare_gemm(mirrored(columns_), 1, {}));
    if (const std::int64_t rest = shape.n - (pieces_ - 1) * columns_; rest < columns_)
      last_ = prepare_gemm(mirrored(rest), 1, {});
    scratch_ = Buffer::allocate(static_cast<std::size_t>(parts_ * columns_ * ld_) * sizeof(T));
  }

  void run(const void* a, const void* b, void* c, const void* bias) const override {
    const Operands<T> at{static_cast<const T*>(a), static_cast<const T*>(b), static_cast<T*>(c),
                         epilogue_.bias ? static_cast<const T*>(bias) : nullptr};
    parallel_for(parts_, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t part = begin; part < end; ++part) run_part(at, part);
    });
  }
  std::string_view implementation() const override { return "mirrored"; }

 private:
  static constexpr std::int64_t side = block_side<sizeof(T)>;

  /// So many rows of W times Xᵀ.
  ProductShape mirrored(std::int64_t rows) const {
    ProductShape s;
    s.dtype = shape_.dtype;
    s.m = rows;
    s.n = shape_.m;
    s.k = shape_.k;
    s.lda = shape_.ldb;
    s.ldb = shape_.lda;
    s.transpose_b = !shape_.transpose_a;
    s.ldc = ld_;
    return s;
  }

  void run_part(const Operands<T>& at, std::int64_t part) const {
    T* const turned = static_cast<T*>(scratch_.data()) + part * columns_ * ld_;
    const std::int64_t end = block_border(pieces_, 1, parts_, part + 1);
    for (std::int64_t piece = block_border(pieces_, 1, parts_, part); piece < end; ++piece) {
      const std::int64_t column = piece * columns_;
      const std::int64_t columns = std::min(columns_, shape_.n - column);
      const Product& product = columns < columns_ ? *last_ : *products_[static_cast<std::size_t>(part)];
      product.run(at.b + column * shape_.ldb, at.a, turned);
      put_in_place(turned, columns, at.c + column);
      finish_columns(shape_, epilogue_, at, column, columns);
    }
  }

  /// c[i][j] = turned[j][i]. The blocks' last rows and columns may lie beyond C: those go by way of a copy.
  void put_in_place(const T* turned, std::int64_t columns, T* c) const {
    constexpr auto element = static_cast<std::int64_t>(sizeof(T));
    alignas(64) T square[side * side];
    for (std::int64_t i = 0; i < shape_.m; i += side) {
      const std::int64_t rows = std::min(side, shape_.m - i);
      for (std::int64_t j = 0; j < columns; j += side) {
        const std::int64_t width = std::min(side, columns - j);
        const auto* const from = reinterpret_cast<const std::byte*>(turned + j * ld_ + i);
        T* const to = c + i * shape_.ldc + j;
        if (rows == side && width == side) {
          turn_block_(from, ld_ * element, reinterpret_cast<std::byte*>(to), shape_.ldc * element,
                      Lines::near);
          continue;
        }
        turn_block_(from, ld_ * element, reinterpret_cast<std::byte*>(square), side * element, Lines::near);
        for (std::int64_t r = 0; r < rows; ++r)
          std::memcpy(to + r * shape_.ldc, square + r * side, static_cast<std::size_t>(width * element));
      }
    }
  }

  ProductShape shape_;
  Epilogue epilogue_;
  const TransposeBlock turn_block_ = best_transpose_block<sizeof(T)>();
  std::int64_t ld_;           // of W · Xᵀ: whole blocks
  std::int64_t columns_ = 0;  // of C, that are computed at a time
  std::int64_t pieces_ = 0;
  std::int64_t parts_ = 0;
  std::vector<std::unique_ptr<Product>> products_;  // one per part
  std::unique_ptr<Product> last_;                   // of the last piece, where it is shorter
  Buffer scratch_;
};

/// Multiply-adds as measured: packing a column of Wᵀ takes the time of 16 rows of X, packing a column of Xᵀ
/// that of 16 rows of W, with lanes that X does not fill multiplied as well; an entry turned into place takes
/// the time of some steps of k, and strided rows of W cost a twelfth. Xᵀ has to be a single panel,
/// of more than half a vector of columns: what has more rows gains nothing.
template <typename T>
bool pays(const ProductShape& s) {
  const GemmKernels<T> kernels = gemm_kernels<T>();
  if (s.batch != 1 || !s.transpose_b || 2 * s.m <= kernels.lanes || s.m > kernels.widest_panel) return false;
  const auto m = static_cast<double>(s.m), n = static_cast<double>(s.n), k = static_cast<double>(s.k);
  const auto filled = static_cast<double>(pieces(s.m, kernels.lanes) * kernels.lanes);
  const double turning = filled > m ? 64 : 24;
  return 13.0 / 12 * filled * (n + 16) * (k + turning) < (m + 16) * n * k;
}

}  // namespace

std::unique_ptr<Product> prepare_mirrored(const ProductShape& shape, int threads, Epilogue epilogue) {
  if (shape.dtype == DType::float64) {
    return pays<double>(shape) ? std::make_unique<MirroredProduct<double>>(shape, threads, epilogue)
                               : nullptr;
  }
  return pays<float>(shape) ? std::make_unique<MirroredProduct<float>>(shape, threads, epilogue) : nullptr;
}

}  // namespace chainrule::kernels
