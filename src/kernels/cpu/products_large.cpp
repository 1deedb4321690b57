// Large products of float32 and float64: where B, packed, takes more than the second cache level, packing a
// stripe of it at a time makes A be packed again for each stripe. Here B is packed once over a stretch of k,
// by all threads together, into memory that the third level holds; and blocks of A, packed once as well, stay
// in the second level while panel after panel of B passes by. That is the order of Goto and van de Geijn,
// "Anatomy of high-performance matrix multiplication" (ACM TOMS 34(3), 2008).

#include <algorithm>
#include <atomic>

#include <chainrule/buffer.hpp>

#include "kernels/cpu/products_blocks.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

/// The bytes of B that are packed at a time.
constexpr std::int64_t packed_b_bytes = std::int64_t{16} << 20;
/// Blocks of A per thread, so that one thread makes up for another whose core is busy; and how few rows
/// a block may have for that.
constexpr std::int64_t blocks_per_thread = 4, fewest_rows = 96;
/// Panels of B that a thread packs at a time.
constexpr std::int64_t panels_per_range = 4;

template <typename T>
class LargeProduct final : public Product {
 public:
  LargeProduct(const ProductShape& shape, int threads, Epilogue epilogue)
      : shape_(shape), epilogue_(epilogue), kernels_(gemm_kernels<T>()), parts_(threads) {
    depth_ = stretch_depth(shape.k);
    const std::int64_t panels =
        std::max<std::int64_t>(fitting<T>(packed_b_bytes, depth_) / kernels_.panel, 1);
    columns_ = equal_piece(shape.n, panels * kernels_.panel, kernels_.panel);
    std::int64_t rows = std::max(fitting<T>(resident_a_bytes(), depth_), kernels_.tile_rows);
    if (threads > 1)
      rows = std::min(rows, std::max(pieces(shape.m, blocks_per_thread * threads), fewest_rows));
    rows_ = equal_piece(shape.m, rows, kernels_.tile_rows);
    const auto elements = static_cast<std::size_t>((columns_ + parts_ * rows_) * depth_);
    scratch_ = Buffer::allocate(elements * sizeof(T));
  }

  void run(const void* a, const void* b, void* c, const void* bias) const override {
    Operands<T> at{static_cast<const T*>(a), static_cast<const T*>(b), static_cast<T*>(c),
                   epilogue_.bias ? static_cast<const T*>(bias) : nullptr};
    for (std::int64_t entry = 0; entry < shape_.batch; ++entry) {
      for (std::int64_t col = 0; col < shape_.n; col += columns_) {
        run_columns(at, col, std::min(shape_.n, col + columns_));
      }
      at.a += shape_.stride_a;
      at.b += shape_.stride_b;
      at.c += shape_.stride_c;
    }
  }
  std::string_view implementation() const override { return "gemm"; }

 private:
  T* packed_b() const { return static_cast<T*>(scratch_.data()); }
  T* packed_a(std::int64_t part) const { return packed_b() + (columns_ + part * rows_) * depth_; }

  void run_columns(const Operands<T>& at, std::int64_t col, std::int64_t col_end) const {
    for (std::int64_t p = 0; p < shape_.k; p += depth_) {
      const std::int64_t depth = std::min(depth_, shape_.k - p);
      pack_b(at.b, p, depth, col, col_end - col);
      // Each thread takes the next block when it is done with one.
      std::atomic<std::int64_t> next_row{0};
      parallel_for(parts_, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t part = begin; part < end; ++part) {
          std::int64_t row;
          while ((row = next_row.fetch_add(rows_, std::memory_order_relaxed)) < shape_.m) {
            run_block(at, {row, std::min(shape_.m, row + rows_), col, col_end}, p, depth, packed_a(part));
          }
        }
      });
    }
  }

  void pack_b(const T* b, std::int64_t p, std::int64_t depth, std::int64_t col, std::int64_t cols) const {
    // The last two panels stay together: where one ends may depend on what the other leaves (panel_columns).
    const std::int64_t last = std::max<std::int64_t>(pieces(cols, kernels_.panel) - 2, 0);
    parallel_for(last + 1, panels_per_range, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t first = begin * kernels_.panel;
      const std::int64_t count = (end > last ? cols : end * kernels_.panel) - first;
      const ReadAhead<T> source = stored_b(shape_, b, col + first, count, p, depth);
      kernels_.pack_columns({source.row, source.ld, shape_.transpose_b, depth, count}, kernels_.panel,
                            packed_b() + first * depth);
    });
  }

  void run_block(const Operands<T>& at, const Block& area, std::int64_t p, std::int64_t depth,
                 T* packed) const {
    const bool last = p + depth == shape_.k;
    GemmBlock<T> block;
    block.rows = area.row_end - area.row;
    block.depth = depth;
    block.panel = kernels_.panel;
    block.b_packed = true;
    block.ldc = shape_.ldc;
    block.accumulate = p > 0;
    block.relu = last && epilogue_.relu;
    const ReadAhead<T> source = stored_a(shape_, at.a, area.row, block.rows, p, depth);
    kernels_.pack_rows({source.row, source.ld, shape_.transpose_a, block.rows, depth}, packed);
    read_packed_a(packed, kernels_.tile_rows, block);
    // A panel at a time, so that the next one is fetched meanwhile.
    for (std::int64_t col = area.col; col < area.col_end; col += block.cols) {
      block.cols = columns_of_panel(area.col_end - col);
      block.b = packed_b() + (col - area.col) * depth;
      block.c = at.c + area.row * shape_.ldc + col;
      block.bias = last && at.bias != nullptr ? at.bias + col : nullptr;
      const std::int64_t left = area.col_end - col - block.cols;
      block.next = {};
      if (left > 0) block.next = {block.b + block.cols * depth, 1, columns_of_panel(left) * depth, 0};
      kernels_.block(block);
    }
  }

  std::int64_t columns_of_panel(std::int64_t left) const {
    return std::min(left, panel_columns(left, kernels_.panel, kernels_.lanes));
  }

  ProductShape shape_;
  Epilogue epilogue_;
  const GemmKernels<T> kernels_;
  std::int64_t parts_;
  std::int64_t depth_ = 0;    // the stretch of k that is worked on at a time
  std::int64_t columns_ = 0;  // of B, that are packed at a time
  std::int64_t rows_ = 0;     // of A, that are packed at a time
  Buffer scratch_;
};

/// As measured: from a packed B on that takes a few times the second cache level, where there are several
/// stretches of k and several blocks of A, each of them over many steps.
template <typename T>
bool pays(const ProductShape& shape) {
  const std::int64_t depth = stretch_depth(shape.k);
  return shape.k > 2 * depth && shape.m > fitting<T>(resident_a_bytes(), depth) &&
         shape.n > fitting<T>(cache_sizes().l2 * 5 / 4, depth);
}

}  // namespace

std::unique_ptr<Product> prepare_large(const ProductShape& shape, int threads, Epilogue epilogue) {
  if (shape.dtype == DType::float64) {
    return pays<double>(shape) ? std::make_unique<LargeProduct<double>>(shape, threads, epilogue) : nullptr;
  }
  return pays<float>(shape) ? std::make_unique<LargeProduct<float>>(shape, threads, epilogue) : nullptr;
}

}  // namespace chainrule::kernels
