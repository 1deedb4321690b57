// float32 and float64 products by our own kernels.
//
// The loops are those of Goto and van de Geijn, "Anatomy of high-performance matrix multiplication"
// (ACM TOMS 34(3), 2008): a stretch of k at a time, B in panels, and one of the factors in the second cache
// level: all rows of A where they fit, past which panel after panel of B is packed, or else a stripe of B,
// past which blocks of A are packed. Each thread works on its own block of C and packs what it needs for it:
// no barriers.

#include <algorithm>
#include <limits>

#include <chainrule/buffer.hpp>

#include "kernels/cpu/products_blocks.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

/// The bytes of the stripe of B that stays in the second cache level, and of the block of A that passes by it
/// at a time. What is left of that level takes the next block of A and rows of C.
std::int64_t resident_b_bytes() { return cache_sizes().l2 / 2; }
std::int64_t passing_a_bytes() { return cache_sizes().l2 / 32; }
/// The bytes of a B that stays there as it is stored.
std::int64_t stored_b_bytes() { return cache_sizes().l2 * 5 / 8; }

template <typename T>
class GemmProduct final : public Product {
 public:
  GemmProduct(const ProductShape& shape, int threads, Epilogue epilogue)
      : shape_(shape), epilogue_(epilogue), kernels_(gemm_kernels<T>()) {
    panel_ = shape.n <= kernels_.widest_panel ? kernels_.widest_panel : kernels_.panel;
    pack_b_ = shape.transpose_b || reads_b_often();
    pack_a_ = reads_a_often();
    depth_ = stretch_depth<T>(shape.k);
    const std::int64_t parts = parts_worth(shape, gemm_flops_per_part, threads);
    cut_.col_unit = kernels_.lanes;
    cut_.grid = choose_grid(parts);
    cut_.parts = std::min<std::int64_t>(parts, shape.batch * cut_.grid.rows * cut_.grid.cols);
    const auto rows = static_cast<std::int64_t>(block_cost(shape.m, kernels_.tile_rows, cut_.grid.rows));
    // Tall blocks over few steps are left to the other order: their rows of C, each on a page of its own,
    // would be visited for every few panels.
    a_stays_ = pack_b_ && rows <= fitting<T>(resident_a_bytes(), depth_) && rows <= 2 * depth_;
    stripe_ = a_stays_ ? panel_ : stripe();
    pieces_ = pieces_of_panel(rows);
    const double bytes = (static_cast<double>(shape.m) + static_cast<double>(shape.n)) *
                         static_cast<double>(shape.k) * sizeof(T);
    fetches_next_matrices_ = bytes > 64 << 10;  // as measured: below, asking for them takes longer
    rows_at_a_time_ = a_stays_ || shape.n <= panel_ ? rows : std::min(rows_at_a_time(), rows);
    allocate_scratch();
  }

  void run(const void* a, const void* b, void* c, const void* bias) const override {
    const Operands<T> operands{static_cast<const T*>(a), static_cast<const T*>(b), static_cast<T*>(c),
                               epilogue_.bias ? static_cast<const T*>(bias) : nullptr};
    parallel_for(cut_.parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t part = begin; part < end; ++part) run_part(operands, part);
    });
  }
  std::string_view implementation() const override { return "gemm"; }

 private:
  struct Scratch {
    T* b;
    T* a;
  };

  /// Rows of A or columns of B: [first, end) over the stretch of k that starts at p.
  struct Part {
    const T* matrix = nullptr;
    std::int64_t p = 0, first = 0, end = 0;
    bool operator==(const Part&) const = default;
  };
  /// What the scratch memory holds, so that nothing is packed twice in a row.
  struct Packed {
    Part a, b;
  };

  /// Columns of the stripe of B that is packed at a time.
  std::int64_t stripe() const {
    const std::int64_t panels = std::max<std::int64_t>(fitting<T>(resident_b_bytes(), depth_) / panel_, 1);
    return equal_piece(shape_.n, panels * panel_, panel_);
  }
  /// Rows of A that pass by at a time.
  std::int64_t rows_at_a_time() const {
    return std::max<std::int64_t>(fitting<T>(passing_a_bytes(), depth_) / kernels_.tile_rows, 1) *
           kernels_.tile_rows;
  }

  /// Packing B pays when many rows of A pass by: the fewer, the further its rows lie apart, whose lines then
  /// collide in the caches; the most, where B stays in the second cache level as it is stored and its rows
  /// start with a line. (Measured, as the numbers of rows here.)
  bool reads_b_often() const {
    if (shape_.n <= 2 * kernels_.lanes) return false;
    constexpr auto size = static_cast<std::int64_t>(sizeof(T));
    if (rows_collide(shape_.ldb * size)) return shape_.m >= 192 / size;
    const bool stays = shape_.ldb % (64 / size) == 0 && shape_.n <= fitting<T>(stored_b_bytes(), shape_.k);
    return shape_.m >= (stays ? 512 : 384 / size);
  }
  /// Packing A pays when many panels read it, over more than a few steps: sixteen vectors of columns of
  /// float32; twice as many of float64, whose elements take twice as long to pack.
  bool reads_a_often() const {
    return shape_.n >= 4 * kernels_.lanes * static_cast<std::int64_t>(sizeof(T)) && shape_.k >= 64;
  }

  /// The cut of one matrix of the batch into blocks such that no block is larger than it has to be,
  /// counting a packed column as some rows of work, because each block packs its own. Where they cost nearly
  /// the same, blocks of rows: the next loop over C is cut by rows as well, and each thread finds its part in
  /// its cache.
  Grid choose_grid(std::int64_t parts) const {
    const std::int64_t wanted = pieces(parts, shape_.batch);
    const double packing = pack_b_ ? (shape_.transpose_b ? 16 : 6) : 1;
    Grid best;
    double best_cost = std::numeric_limits<double>::infinity();
    for (std::int64_t cols = 1; cols <= wanted; ++cols) {
      const std::int64_t rows = wanted / cols;
      const double height = block_cost(shape_.m, kernels_.tile_rows, rows);
      const double width = block_cost(shape_.n, kernels_.lanes, cols);
      const double cost = (height + packing) * width;
      if (cost < 0.98 * best_cost) {
        best_cost = cost;
        best = {rows, cols};
      }
    }
    best.rows = std::min(best.rows, pieces(shape_.m, kernels_.tile_rows));
    best.cols = std::min(best.cols, pieces(shape_.n, kernels_.lanes));
    return best;
  }
  static double block_cost(std::int64_t length, std::int64_t unit, std::int64_t blocks) {
    return static_cast<double>(pieces(pieces(length, unit), blocks) * unit);
  }

  /// The pieces in which the next panel of B is fetched and packed while tiles of rows pass by. Of rows that
  /// collide a whole panel would drive itself out of the second cache level before it is packed; a piece
  /// fills a quarter of its ways, or more where tiles are few or short: a piece costs some 10 steps of
  /// a tile, and 400 or more pass by in its time.
  std::int64_t pieces_of_panel(std::int64_t rows) const {
    const std::int64_t ld = shape_.ldb * static_cast<std::int64_t>(sizeof(T));
    if (!a_stays_ || shape_.transpose_b || !rows_collide(ld)) return 1;
    const std::int64_t most = std::max<std::int64_t>(cache_sizes().l2 / 4 / ld, 1);
    const std::int64_t tiles = pieces(rows, kernels_.tile_rows);
    return std::min({pieces(depth_, most), tiles, std::max<std::int64_t>(tiles * depth_ / 400, 1)});
  }

  void allocate_scratch() {
    b_elements_ = (pack_b_ ? stripe_ : panel_) * depth_ * (pieces_ > 1 ? 2 : 1);
    a_elements_ = pack_a_ ? rows_at_a_time_ * depth_ : 0;
    const auto elements = static_cast<std::size_t>((b_elements_ + a_elements_) * cut_.parts);
    scratch_ = Buffer::allocate(elements * sizeof(T));
  }
  Scratch scratch_of(std::int64_t part) const {
    T* const start = static_cast<T*>(scratch_.data()) + part * (b_elements_ + a_elements_);
    return {start, start + b_elements_};
  }

  void run_part(const Operands<T>& operands, std::int64_t part) const {
    const Scratch scratch = scratch_of(part);
    Packed packed;
    for_blocks_of_part(shape_, cut_, part, operands, [&](const Work<T>& work, const Work<T>* next) {
      run_block(work, next, scratch, packed);
    });
  }

  void run_block(const Work<T>& work, const Work<T>* next, const Scratch& scratch, Packed& packed) const {
    const Block& block = work.block;
    if (pieces_ > 1) return run_in_pieces(work.at, block, scratch, packed);
    const auto run = [&](std::int64_t p, std::int64_t col, std::int64_t width) {
      const Block stripe{block.row, block.row_end, col, std::min(block.col_end, col + width)};
      const std::int64_t p_end = std::min(shape_.k, p + depth_);
      const bool last = p_end == shape_.k && stripe.col_end == block.col_end;
      run_stripe(work, last ? next : nullptr, stripe, p, p_end, scratch, packed);
      return stripe.col_end;
    };
    if (a_stays_) {
      for (std::int64_t p = 0; p < shape_.k; p += depth_) {
        for (std::int64_t col = block.col; col < block.col_end;) {
          col = run(p, col, panel_columns(block.col_end - col, panel_, kernels_.lanes));
        }
      }
      return;
    }
    const std::int64_t width = pack_b_ ? stripe_ : block.col_end - block.col;
    for (std::int64_t col = block.col; col < block.col_end; col += width) {
      for (std::int64_t p = 0; p < shape_.k; p += depth_) run(p, col, width);
    }
  }

  /// The stretch [p, p_end) of k for one stripe of columns. `next` is what follows the last stripe of a
  /// block, and null for all others.
  void run_stripe(const Work<T>& work, const Work<T>* next, const Block& stripe, std::int64_t p,
                  std::int64_t p_end, const Scratch& scratch, Packed& packed) const {
    const Operands<T>& at = work.at;
    const std::int64_t cols = stripe.col_end - stripe.col;
    const std::int64_t whole = pack_b_ ? cols : whole_panels(cols);
    const Part wanted{at.b, p, pack_b_ ? stripe.col : stripe.col + whole, stripe.col_end};
    if (wanted.first < wanted.end && wanted != packed.b) {
      const ReadAhead<T> source =
          stored_b(shape_, at.b, wanted.first, wanted.end - wanted.first, p, p_end - p);
      kernels_.pack_columns(
          {source.row, shape_.ldb, shape_.transpose_b, p_end - p, wanted.end - wanted.first}, panel_,
          scratch.b);
      packed.b = wanted;
    }
    GemmBlock<T> block = block_over(p, p_end - p);
    const std::int64_t step = rows_at_a_time_;
    for (std::int64_t row = stripe.row; row < stripe.row_end; row += step) {
      block.rows = std::min(step, stripe.row_end - row);
      place_a(at.a, row, p, scratch.a, packed.a, block);
      read_ahead(work, next, stripe, row + step, p, block);
      const auto run_columns = [&](std::int64_t first, std::int64_t count) {
        place_c(at, row, stripe.col + first, count, p, block);
        kernels_.block(block);
      };
      block.b = pack_b_ ? scratch.b : at.b + p * shape_.ldb + stripe.col;
      block.b_packed = pack_b_;
      if (whole > 0) run_columns(0, whole);
      if (whole == cols) continue;
      // The columns that don't fill their panel: read from a padded copy.
      block.b = scratch.b;
      block.b_packed = true;
      run_columns(whole, cols - whole);
    }
  }

  /// A panel of B over a stretch of k: `cols` columns, packed as `width`. None where `cols` is 0.
  struct Panel {
    std::int64_t p, depth, col, cols, width;
  };

  Panel panel_at(const Block& area, std::int64_t p, std::int64_t col) const {
    if (p == shape_.k) return {};
    const std::int64_t width = panel_columns(area.col_end - col, panel_, kernels_.lanes);
    return {p, std::min(depth_, shape_.k - p), col, std::min(width, area.col_end - col), width};
  }
  Panel panel_after(const Block& area, const Panel& panel) const {
    const std::int64_t col = panel.col + panel.cols;
    return col < area.col_end ? panel_at(area, panel.p, col)
                              : panel_at(area, panel.p + panel.depth, area.col);
  }

  /// The panels one after the other while all rows of A stay, and of each the next one packed in pieces.
  void run_in_pieces(const Operands<T>& at, const Block& area, const Scratch& scratch, Packed& packed) const {
    T* now = scratch.b;
    T* then = scratch.b + panel_ * depth_;
    Panel panel = panel_at(area, 0, area.col);
    for (std::int64_t i = 0; i < pieces_; ++i) pack_piece(at.b, panel, i, now);
    while (panel.cols > 0) {
      const Panel after = panel_after(area, panel);
      GemmBlock<T> block = block_over(panel.p, panel.depth);
      block.rows = area.row_end - area.row;
      block.b = now;
      block.b_packed = true;
      place_c(at, area.row, panel.col, panel.cols, panel.p, block);
      place_a(at.a, area.row, panel.p, scratch.a, packed.a, block);
      run_rows_in_pieces(block, at.b, after, then);
      panel = after;
      std::swap(now, then);
    }
  }

  /// While some tiles of rows are computed a piece of the panel `after` is fetched, and then packed.
  void run_rows_in_pieces(const GemmBlock<T>& all, const T* b, const Panel& after, T* out) const {
    const TileHeights heights(all.rows, kernels_.tile_rows);
    for (std::int64_t i = 0; i < pieces_; ++i) {
      const std::int64_t tile = block_border(heights.tiles, 1, pieces_, i);
      const std::int64_t row = heights.start(tile);
      GemmBlock<T> block = all;
      block.rows = heights.start(block_border(heights.tiles, 1, pieces_, i + 1)) - row;
      block.a += all.a_tile != 0 ? tile * all.a_tile : row * all.a_row;
      block.c += row * all.ldc;
      if (after.cols > 0) block.next = piece(b, after, i);
      // A block may have a tile less than the tallest one, which the pieces were counted for.
      if (block.rows > 0) kernels_.block(block);
      if (after.cols > 0) pack_piece(b, after, i, out);
    }
  }

  ReadAhead<T> piece(const T* b, const Panel& panel, std::int64_t i) const {
    const std::int64_t first = block_border(panel.depth, 1, pieces_, i);
    const std::int64_t steps = block_border(panel.depth, 1, pieces_, i + 1) - first;
    return stored_b(shape_, b, panel.col, panel.cols, panel.p + first, steps);
  }
  void pack_piece(const T* b, const Panel& panel, std::int64_t i, T* out) const {
    const ReadAhead<T> source = piece(b, panel, i);
    const std::int64_t first = block_border(panel.depth, 1, pieces_, i);
    kernels_.pack_columns({source.row, source.ld, false, source.rows, panel.cols}, panel_,
                          out + first * panel.width);
  }

  /// What comes after rows that end before `row`: the next columns of B where A stays, else rows of A, and
  /// behind the last of them what the next matrices begin with.
  void read_ahead(const Work<T>& work, const Work<T>* next, const Block& stripe, std::int64_t row,
                  std::int64_t p, GemmBlock<T>& block) const {
    block.next = block.later = {};
    const std::int64_t cols = std::min(panel_, work.block.col_end - stripe.col_end);
    const std::int64_t rows = std::min(rows_at_a_time_, stripe.row_end - row);
    if (a_stays_ && cols > 0) {
      block.next = stored_b(shape_, work.at.b, stripe.col_end, cols, p, block.depth);
    } else if (rows > 0) {
      block.next = stored_a(shape_, work.at.a, row, rows, p, block.depth);
    } else if (next != nullptr && fetches_next_matrices_) {
      const Block& area = next->block;
      const std::int64_t first_cols = std::min(pack_b_ ? stripe_ : shape_.n, area.col_end - area.col);
      const std::int64_t first_rows = std::min(rows_at_a_time_, area.row_end - area.row);
      block.next = stored_b(shape_, next->at.b, area.col, first_cols, 0, depth_);
      block.later = stored_a(shape_, next->at.a, area.row, first_rows, 0, depth_);
    }
  }

  /// A block over `depth` steps of k from p on, but for its rows, columns and operands.
  GemmBlock<T> block_over(std::int64_t p, std::int64_t depth) const {
    GemmBlock<T> block;
    block.depth = depth;
    block.panel = panel_;
    block.ldb = shape_.ldb;
    block.ldc = shape_.ldc;
    block.accumulate = p > 0;
    block.relu = p + depth == shape_.k && epilogue_.relu;
    return block;
  }

  /// Points a block over the stretch of k from p on at `cols` columns of C from (row, col) on.
  void place_c(const Operands<T>& at, std::int64_t row, std::int64_t col, std::int64_t cols, std::int64_t p,
               GemmBlock<T>& block) const {
    const bool last = p + block.depth == shape_.k;
    block.cols = cols;
    block.c = at.c + row * shape_.ldc + col;
    block.bias = last && at.bias != nullptr ? at.bias + col : nullptr;
  }

  /// The columns in front of a last panel that has no whole number of vectors.
  std::int64_t whole_panels(std::int64_t cols) const {
    std::int64_t whole = 0;
    while (whole < cols) {
      const std::int64_t width = panel_columns(cols - whole, panel_, kernels_.lanes);
      if (whole + width > cols) break;
      whole += width;
    }
    return whole;
  }

  /// Points the block at its rows of A, packed or as they are stored.
  void place_a(const T* a, std::int64_t row, std::int64_t p, T* scratch, Part& packed,
               GemmBlock<T>& block) const {
    const ReadAhead<T> source = stored_a(shape_, a, row, block.rows, p, block.depth);
    if (pack_a_) {
      const Part wanted{a, p, row, row + block.rows};
      if (wanted != packed) {
        kernels_.pack_rows({source.row, source.ld, shape_.transpose_a, block.rows, block.depth}, scratch);
        packed = wanted;
      }
      use_packed_a<T>(scratch, kernels_.tile_rows, block);
      return;
    }
    block.a = source.row;
    block.a_row = shape_.transpose_a ? 1 : source.ld;
    block.a_step = shape_.transpose_a ? source.ld : 1;
  }

  ProductShape shape_;
  Epilogue epilogue_;
  const GemmKernels<T> kernels_;
  std::int64_t panel_ = 0;  // columns of a panel
  bool pack_b_ = false;
  bool pack_a_ = false;
  bool a_stays_ = false;  // all rows of a block, while panels of B pass by; else it's a stripe of B
  bool fetches_next_matrices_ = false;
  BlockCut cut_;
  std::int64_t depth_ = 0;           // the stretch of k that is worked on at a time
  std::int64_t pieces_ = 1;          // of a panel of B, packed one after the other
  std::int64_t stripe_ = 0;          // columns of B that are packed at a time
  std::int64_t rows_at_a_time_ = 0;  // of A
  std::int64_t b_elements_ = 0;
  std::int64_t a_elements_ = 0;
  Buffer scratch_;
};

}  // namespace

std::unique_ptr<Product> prepare_gemm(const ProductShape& shape, int threads, Epilogue epilogue) {
  if (shape.dtype == DType::float64) return std::make_unique<GemmProduct<double>>(shape, threads, epilogue);
  return std::make_unique<GemmProduct<float>>(shape, threads, epilogue);
}

}  // namespace chainrule::kernels
