// Large products of float32 and float64: where B, packed, takes more than the second cache level, packing a
// stripe of it at a time makes A be packed again for each stripe; and where a transposed A's stored rows
// collide in the caches, packing a few of its columns at a time reads each line of them more than once. Here
// B is packed once over a stretch of k, by all threads together, into memory meant for the third level; and
// blocks of A stay in the second level while panel after panel of B passes by. That is the order of Goto and
// van de Geijn, "Anatomy of high-performance matrix multiplication" (ACM TOMS 34(3), 2008).

#include <algorithm>
#include <atomic>

#include <chainrule/buffer.hpp>

#include "kernels/cpu/products_blocks.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

/// Rows of A that are packed at a time, by one thread. Several threads have a few blocks each, so that one
/// makes up for another whose core is busy: smaller ones, but for those that would be read too few times.
template <typename T>
std::int64_t rows_at_a_time(const ProductShape& shape, int threads, const LargeLimits& limits) {
  constexpr std::int64_t blocks_per_thread = 4, few_rows = 96;
  std::int64_t rows = fitting<T>(limits.resident_a, stretch_depth<T>(shape.k));
  if (threads > 1) rows = std::min(rows, std::max(pieces(shape.m, blocks_per_thread * threads), few_rows));
  const std::int64_t tile_rows = gemm_kernels<T>().tile_rows;
  return equal_piece(shape.m, std::max(rows, tile_rows), tile_rows);
}

template <typename T>
class LargeProduct final : public Product {
 public:
  LargeProduct(const ProductShape& shape, int threads, Epilogue epilogue, const LargeLimits& limits)
      : shape_(shape),
        epilogue_(epilogue),
        kernels_(gemm_kernels<T>()),
        parts_(threads),
        depth_(stretch_depth<T>(shape.k)),
        rows_(rows_at_a_time<T>(shape, threads, limits)) {
    const std::int64_t panels = fitting<T>(limits.packed_b, depth_) / kernels_.panel;
    columns_ = equal_piece(shape.n, std::max<std::int64_t>(panels, 1) * kernels_.panel, kernels_.panel);
    const auto elements = static_cast<std::size_t>((columns_ + parts_ * rows_) * depth_);
    scratch_ = Buffer::allocate(elements * sizeof(T));
  }

  void run(const void* a, const void* b, void* c, const void* bias) const override {
    for (std::int64_t entry = 0; entry < shape_.batch; ++entry) {
      const Operands<T> at{static_cast<const T*>(a) + entry * shape_.stride_a,
                           static_cast<const T*>(b) + entry * shape_.stride_b,
                           static_cast<T*>(c) + entry * shape_.stride_c,
                           epilogue_.bias ? static_cast<const T*>(bias) : nullptr};
      for (std::int64_t col = 0; col < shape_.n; col += columns_)
        run_columns(at, col, std::min(shape_.n, col + columns_));
    }
  }
  std::string_view implementation() const override { return "large"; }

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
    const std::int64_t borders = std::max<std::int64_t>(pieces(cols, kernels_.panel) - 1, 1);
    const auto border = [&](std::int64_t part) {
      return part == parts_ ? cols : block_border(borders, 1, parts_, part) * kernels_.panel;
    };
    parallel_for(parts_, 1, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t first = border(begin), count = border(end) - first;
      if (count == 0) return;
      const ReadAhead<T> source = stored_b(shape_, b, col + first, count, p, depth);
      kernels_.pack_columns({source.row, source.ld, shape_.transpose_b, depth, count}, kernels_.panel,
                            packed_b() + first * depth);
    });
  }

  void run_block(const Operands<T>& at, const Block& area, std::int64_t p, std::int64_t depth,
                 T* packed) const {
    const bool complete = p + depth == shape_.k;
    GemmBlock<T> block;
    block.rows = area.row_end - area.row;
    block.depth = depth;
    block.panel = kernels_.panel;
    block.b_packed = true;
    block.ldc = shape_.ldc;
    block.accumulate = p > 0;
    block.relu = complete && epilogue_.relu;
    const ReadAhead<T> source = stored_a(shape_, at.a, area.row, block.rows, p, depth);
    kernels_.pack_rows({source.row, source.ld, shape_.transpose_a, block.rows, depth}, packed);
    use_packed_a(packed, kernels_.tile_rows, block);
    // A panel at a time: the next one is fetched meanwhile, all of it where there are some 50 rows.
    for (std::int64_t col = area.col; col < area.col_end; col += block.cols) {
      block.cols = columns_of_panel(area.col_end - col);
      block.b = packed_b() + (col - area.col) * depth;
      block.c = at.c + area.row * shape_.ldc + col;
      block.bias = complete && at.bias != nullptr ? at.bias + col : nullptr;
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
  std::int64_t depth_;        // the stretch of k that is worked on at a time
  std::int64_t rows_;         // of A, that are packed at a time
  std::int64_t columns_ = 0;  // of B, that are packed at a time
  Buffer scratch_;
};

/// As measured, with more rows than one block has: with two stretches of k at least; or with a transposed A
/// whose stored rows collide in the caches, of which the blocks here take longer pieces, even where B would
/// still share the second level with other blocks. Threads have two blocks each or more: fewer would leave
/// some of them without work.
template <typename T>
bool pays(const ProductShape& shape, int threads, const LargeLimits& limits) {
  const std::int64_t depth = stretch_depth<T>(shape.k);
  const bool collides = shape.transpose_a && rows_collide(shape.lda * static_cast<std::int64_t>(sizeof(T)));
  if (!collides && shape.k == depth) return false;
  const std::int64_t least_b = collides ? limits.resident_a : limits.least_b;
  return shape.m > fitting<T>(limits.resident_a, depth) && shape.n > fitting<T>(least_b, depth) &&
         (threads == 1 || pieces(shape.m, rows_at_a_time<T>(shape, threads, limits)) / 2 >= threads);
}

template <typename T>
std::unique_ptr<Product> prepare(const ProductShape& shape, int threads, Epilogue epilogue,
                                 const LargeLimits& limits) {
  if (!pays<T>(shape, threads, limits)) return nullptr;
  return std::make_unique<LargeProduct<T>>(shape, threads, epilogue, limits);
}

}  // namespace

LargeLimits large_limits() { return {resident_a_bytes(), cache_sizes().l2 * 5 / 4, std::int64_t{16} << 20}; }

std::unique_ptr<Product> prepare_large(const ProductShape& shape, int threads, Epilogue epilogue,
                                       const LargeLimits& limits) {
  if (shape.dtype == DType::float64) return prepare<double>(shape, threads, epilogue, limits);
  return prepare<float>(shape, threads, epilogue, limits);
}

}  // namespace chainrule::kernels
