// bfloat16 products by the processor's tiles.
//
// The loops are those of Goto and van de Geijn (see products_gemm.cpp) with other weights: tiles work off 16
// elements of A and 16 of B a cycle, of which one side has to come from the first cache level and the other
// from the second. A thread packs columns of B once, along all of k, and each panel of A on its first way
// past them. Where there are few rows, or few columns, it is the other way round: each panel of B is packed,
// and all of A passes by, packed before or as it is stored. Sums of a block of C stay in float32 until its
// last stretch of k, and are rounded once.

#include <algorithm>

#include <chainrule/buffer.hpp>

#include "kernels/cpu/products_detail.hpp"
#include "kernels/cpu/tiles.hpp"
#include "kernels/parallel.hpp"
#include "tensor/pages.hpp"

namespace chainrule::kernels {
namespace {

using tiles::panel;

/// The longest stretch of k: a panel of A of this depth takes 32 KiB.
constexpr std::int64_t max_depth = 512;
/// Rows and columns of C whose sums are at hand. Packed columns of B that stay in the second cache level
/// leave it room for the sums of few rows, and lose nothing by them; others are to be read again as seldom as
/// can be, though the sums come from the third level then.
constexpr std::int64_t max_cols = 512, min_rows = 64, max_rows = 1024;
constexpr std::int64_t max_passing_rows = 512;  // by panel after panel of B: a stretch takes 512 KiB
constexpr std::int64_t max_kept_b = std::int64_t{1024} * max_cols;
/// Scratch memory of at least so many bytes is made large enough for a huge page, which brings 5 %.
constexpr std::size_t worth_a_page = huge_page / 4;
/// So few columns read A as it is stored, and so few rows have all of A packed.
constexpr std::int64_t max_direct_cols = 128, max_packed_rows = 128;
/// Shorter products have no time to fetch what they write.
constexpr std::int64_t min_steps_ahead = 8;
/// One side is packed along all of k: beyond this its copy would outgrow what is multiplied.
constexpr std::int64_t max_packed_depth = std::int64_t{1} << 18;
/// So many columns for each part cut C into columns, so that no part packs what another one packs of B.
constexpr std::int64_t min_cols_per_part = 256;
/// Below this a region costs more than a second thread brings.
constexpr double flops_per_part = 4e6;

class TilesProduct final : public Product {
 public:
  TilesProduct(const ProductShape& shape, int threads, Epilogue epilogue)
      : shape_(shape), epilogue_(epilogue) {
    const std::int64_t parts = parts_worth(shape, flops_per_part, threads);
    const std::int64_t wanted = pieces(parts, shape.batch);
    direct_a_ = !shape.transpose_a && shape.k % tiles::step == 0 &&
                shape.n <= (whole() ? max_direct_cols : max_direct_cols / 2);
    keep_b_ = direct_a_ || shape.m <= max_packed_rows;
    const bool many_cols = !keep_b_ && shape.n / wanted >= min_cols_per_part;
    if (shape.m >= shape.n && !many_cols) {
      cut_.grid.rows = std::min(wanted, pieces(shape.m, panel));
    } else {
      cut_.grid.cols = std::min(wanted, pieces(shape.n, panel));
    }
    cut_.row_unit = cut_.col_unit = panel;
    cut_.parts = std::min(parts, shape.batch * cut_.grid.rows * cut_.grid.cols);
    allocate_scratch();
  }

  void run(const void* a, const void* b, void* c, const void* bias) const override {
    const Operands<bfloat16> operands{static_cast<const bfloat16*>(a), static_cast<const bfloat16*>(b),
                                      static_cast<bfloat16*>(c),
                                      epilogue_.bias ? static_cast<const bfloat16*>(bias) : nullptr};
    parallel_for(cut_.parts, 1, [&](std::int64_t begin, std::int64_t end) {
      const tiles::Setup setup;
      for (std::int64_t part = begin; part < end; ++part) run_part(operands, part);
    });
  }
  std::string_view implementation() const override { return "tiles"; }

 private:
  struct Scratch {
    float* sums;
    bfloat16* b;
    bfloat16* a;
  };

  /// The stretch of k that is worked on at a time, in whole steps.
  std::int64_t depth() const { return equal_piece(shape_.k, max_depth, tiles::step); }
  bool whole() const { return depth() >= shape_.k; }
  std::int64_t rows_at_a_time() const {
    if (whole() && (!keep_b_ || shape_.n <= panel)) return equal_piece(shape_.m, shape_.m, panel);
    if (keep_b_) return equal_piece(shape_.m, max_passing_rows, panel);
    const bool b_stays = cols_at_a_time() * shape_.k <= max_kept_b;
    return equal_piece(shape_.m, b_stays ? min_rows : max_rows, panel);
  }
  std::int64_t cols_at_a_time() const { return equal_piece(shape_.n, max_cols, panel); }
  std::int64_t length_of(std::int64_t p) const { return std::min(depth(), shape_.k - p); }
  std::int64_t steps_of(std::int64_t p) const { return pieces(length_of(p), tiles::step); }

  void allocate_scratch() {
    const std::int64_t col_panels = cols_at_a_time() / panel, row_panels = rows_at_a_time() / panel;
    const std::int64_t blocks = whole() ? 1 : col_panels * row_panels;
    const std::int64_t all_steps = pieces(shape_.k, tiles::step), kept_steps = depth() / tiles::step;
    const std::int64_t a_panels = !direct_a_ ? row_panels : shape_.m % panel == 0 ? 0 : 1;
    constexpr auto step_bytes = tiles::step_elements * static_cast<std::int64_t>(sizeof(bfloat16));
    sums_bytes_ = blocks * tiles::block_sums * static_cast<std::int64_t>(sizeof(float));
    b_bytes_ = (keep_b_ ? kept_steps : col_panels * all_steps) * step_bytes;
    a_bytes_ = (keep_b_ ? a_panels * all_steps : kept_steps) * step_bytes;
    const auto bytes = static_cast<std::size_t>((sums_bytes_ + b_bytes_ + a_bytes_) * cut_.parts);
    scratch_ = Buffer::allocate(bytes < worth_a_page ? bytes : std::max(bytes, huge_page));
  }
  Scratch scratch_of(std::int64_t part) const {
    auto* const start = static_cast<std::byte*>(scratch_.data()) + part * (sums_bytes_ + b_bytes_ + a_bytes_);
    return {reinterpret_cast<float*>(start), reinterpret_cast<bfloat16*>(start + sums_bytes_),
            reinterpret_cast<bfloat16*>(start + sums_bytes_ + b_bytes_)};
  }

  void run_part(const Operands<bfloat16>& operands, std::int64_t part) const {
    const Scratch scratch = scratch_of(part);
    for_blocks_of_part(shape_, cut_, part, operands, [&](const Work<bfloat16>& work, const Work<bfloat16>*) {
      run_block(work.at, work.block, scratch);
    });
  }

  void run_block(const Operands<bfloat16>& at, const Block& all, const Scratch& scratch) const {
    for (std::int64_t col = all.col; col < all.col_end; col += cols_at_a_time()) {
      const std::int64_t col_end = std::min(all.col_end, col + cols_at_a_time());
      for (std::int64_t row = all.row; row < all.row_end; row += rows_at_a_time()) {
        const Block block{row, std::min(all.row_end, row + rows_at_a_time()), col, col_end};
        for (std::int64_t p = 0; p < shape_.k; p += depth()) {
          if (keep_b_) {
            if (col == all.col) pack_rows(at.a, block, p, scratch.a);
            run_panels_of_b(at, block, p, scratch);
          } else {
            if (row == all.row) pack_columns(at.b, block, p, scratch.b);
            run_panels_of_a(at, block, p, scratch);
          }
        }
      }
    }
  }

  /// What the products of a stretch of k have in common.
  struct Stretch {
    std::int64_t p, steps;
    bool last;
    tiles::ReadAhead rows_of_c, next_sums;  ///< but for where they begin
  };
  Stretch stretch_of(std::int64_t p) const {
    Stretch stretch{p, steps_of(p), p + depth() >= shape_.k, {}, {}};
    if (stretch.steps < min_steps_ahead) return stretch;
    if (stretch.last) stretch.rows_of_c = lines<bfloat16>(nullptr, shape_.ldc, panel, panel, stretch.steps);
    if (!whole()) stretch.next_sums = lines<float>(nullptr, 0, 1, tiles::block_sums, stretch.steps);
    return stretch;
  }

  /// A stretch of k for a block of C whose sums are at hand: each panel of A passes by all of B.
  void run_panels_of_a(const Operands<bfloat16>& at, const Block& block, std::int64_t p,
                       const Scratch& scratch) const {
    const Stretch stretch = stretch_of(p);
    const std::int64_t col_panels = panels(block.col, block.col_end), steps = stretch.steps * col_panels;
    float* sums = scratch.sums;
    for (std::int64_t row = block.row; row < block.row_end; row += panel) {
      tiles::PanelA a = panel_of_a(at.a, block, row, p, scratch.a);
      tiles::Ahead ahead{next_panel_of_a(at.a, block, row, p, steps), {}, {}};
      for (std::int64_t col = block.col; col < block.col_end; col += panel) {
        const std::int64_t j = (col - block.col) / panel;
        multiply(at, block, stretch, row, col, a, packed_panel(scratch.b, col_panels, j, p), sums, ahead);
        if (!whole()) sums += tiles::block_sums;
        if (a.copy != nullptr) a = {scratch.a};
      }
    }
  }

  /// The same with A packed or read as it is stored: each panel of B is packed, and all of A passes by.
  void run_panels_of_b(const Operands<bfloat16>& at, const Block& block, std::int64_t p,
                       const Scratch& scratch) const {
    const Stretch stretch = stretch_of(p);
    const std::int64_t packed = first_packed_row(block), packed_panels = panels(packed, block.row_end);
    float* sums = scratch.sums;
    for (std::int64_t col = block.col; col < block.col_end; col += panel) {
      pack_panel_of_b(at.b, block, col, p, length_of(p), scratch.b);
      tiles::Ahead ahead;
      for (std::int64_t row = block.row; row < block.row_end; row += panel) {
        tiles::PanelA a =
            row < packed ? stored_panel(at.a, row, p)
                         : tiles::PanelA{packed_panel(scratch.a, packed_panels, (row - packed) / panel, p)};
        a.passes_by = true;
        multiply(at, block, stretch, row, col, a, scratch.b, sums, ahead);
        if (!whole()) sums += tiles::block_sums;
      }
    }
  }

  void multiply(const Operands<bfloat16>& at, const Block& block, const Stretch& stretch, std::int64_t row,
                std::int64_t col, const tiles::PanelA& a, const bfloat16* b, float* sums,
                tiles::Ahead& ahead) const {
    const tiles::BlockOfC c{at.c + row * shape_.ldc + col,
                            shape_.ldc,
                            std::min(panel, block.row_end - row),
                            std::min(panel, block.col_end - col),
                            at.bias == nullptr ? nullptr : at.bias + col,
                            epilogue_.relu};
    ahead.c = stretch.rows_of_c;
    ahead.c.at = reinterpret_cast<const char*>(c.c);
    ahead.c.rows = stretch.last ? c.rows : 0;
    ahead.sums = stretch.next_sums;
    ahead.sums.at = reinterpret_cast<const char*>(sums + tiles::block_sums);
    tiles::multiply(a, b, stretch.steps, stretch.p > 0, sums, ahead);
    if (stretch.last) tiles::finish(sums, c);
  }

  /// Rows of so many elements, to be fetched in so many steps.
  template <typename T>
  static tiles::ReadAhead lines(const T* from, std::int64_t ld, std::int64_t rows, std::int64_t columns,
                                std::int64_t steps) {
    constexpr auto size = static_cast<std::int64_t>(sizeof(T));
    const std::int64_t row_lines = pieces(columns * size, tiles::cache_line);
    return {reinterpret_cast<const char*>(from), ld * size, row_lines, rows, pieces(rows * row_lines, steps)};
  }
  /// The panel that follows in the same rows: behind the last of the block, the first one of the next
  /// stretch.
  tiles::ReadAhead next_panel_of_a(const bfloat16* a, const Block& block, std::int64_t row, std::int64_t p,
                                   std::int64_t steps) const {
    row += panel;
    if (row >= block.row_end) {
      row = block.row;
      p += depth();
    }
    if (p >= shape_.k) return {};
    const std::int64_t rows = std::min(panel, block.row_end - row);
    return shape_.transpose_a ? lines(stored_a(a, row, p), shape_.lda, length_of(p), rows, steps)
                              : lines(stored_a(a, row, p), shape_.lda, rows, length_of(p), steps);
  }

  const bfloat16* stored_a(const bfloat16* a, std::int64_t row, std::int64_t p) const {
    return a + (shape_.transpose_a ? p * shape_.lda + row : row * shape_.lda + p);
  }
  const bfloat16* stored_b(const bfloat16* b, std::int64_t p, std::int64_t col) const {
    return b + (shape_.transpose_b ? col * shape_.ldb + p : p * shape_.ldb + col);
  }

  static std::int64_t panels(std::int64_t begin, std::int64_t end) {
    return (end - begin + panel - 1) / panel;
  }
  /// What is packed of all of k: stretch after stretch, and in each panel after panel.
  template <typename T>
  T* packed_panel(T* packed, std::int64_t count, std::int64_t i, std::int64_t p) const {
    return packed + (count * (p / tiles::step) + i * steps_of(p)) * tiles::step_elements;
  }

  /// A stretch of all columns of a block.
  void pack_columns(const bfloat16* b, const Block& block, std::int64_t p, bfloat16* packed) const {
    const std::int64_t col_panels = panels(block.col, block.col_end), length = length_of(p);
    // Stored rows are read along, a few at a time, since each may lie on a page of its own.
    const std::int64_t at_a_time = shape_.transpose_b ? length : tiles::step;
    for (std::int64_t q = 0; q < length; q += at_a_time) {
      for (std::int64_t j = 0; j < col_panels; ++j) {
        pack_panel_of_b(b, block, block.col + j * panel, p + q, std::min(at_a_time, length - q),
                        packed_panel(packed, col_panels, j, p) + q * panel);
      }
    }
  }
  void pack_panel_of_b(const bfloat16* b, const Block& block, std::int64_t col, std::int64_t p,
                       std::int64_t length, bfloat16* out) const {
    tiles::pack_b(
        {stored_b(b, p, col), shape_.ldb, std::min(panel, block.col_end - col), length, shape_.transpose_b},
        out);
  }

  /// A stretch of the rows of a block that are not read as they are stored.
  void pack_rows(const bfloat16* a, const Block& block, std::int64_t p, bfloat16* packed) const {
    const std::int64_t first = first_packed_row(block), count = panels(first, block.row_end);
    for (std::int64_t i = 0; i < count; ++i) {
      pack_panel_of_a(a, block, first + i * panel, p, packed_panel(packed, count, i, p));
    }
  }
  /// Where A is read as it is stored, only a last panel that is not full is packed.
  std::int64_t first_packed_row(const Block& block) const {
    return direct_a_ ? block.row_end - (block.row_end - block.row) % panel : block.row;
  }
  void pack_panel_of_a(const bfloat16* a, const Block& block, std::int64_t row, std::int64_t p,
                       bfloat16* out) const {
    tiles::pack_a({stored_a(a, row, p), shape_.lda, std::min(panel, block.row_end - row), length_of(p),
                   !shape_.transpose_a},
                  out);
  }

  tiles::PanelA stored_panel(const bfloat16* a, std::int64_t row, std::int64_t p) const {
    return {stored_a(a, row, p), shape_.lda, panel / 2 * shape_.lda, tiles::step};
  }
  /// A panel that can be read as it is stored is packed on its first way past B.
  tiles::PanelA panel_of_a(const bfloat16* a, const Block& block, std::int64_t row, std::int64_t p,
                           bfloat16* packed) const {
    if (shape_.transpose_a || length_of(p) % tiles::step != 0 || row + panel > block.row_end) {
      pack_panel_of_a(a, block, row, p, packed);
      return {packed};
    }
    tiles::PanelA a_panel = stored_panel(a, row, p);
    a_panel.copy = packed;
    return a_panel;
  }

  ProductShape shape_;
  Epilogue epilogue_;
  bool direct_a_ = false;
  bool keep_b_ = false;  ///< in the first cache level, and not A
  BlockCut cut_;
  std::int64_t sums_bytes_ = 0, b_bytes_ = 0, a_bytes_ = 0;
  Buffer scratch_;
};

}  // namespace

std::unique_ptr<Product> prepare_tiles(const ProductShape& shape, int threads, Epilogue epilogue) {
  if (!tiles::available() || shape.k > max_packed_depth) return nullptr;
  return std::make_unique<TilesProduct>(shape, threads, epilogue);
}

}  // namespace chainrule::kernels
