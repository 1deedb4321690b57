// bfloat16 products by the processor's tiles.
//
// The loops are those of Goto and van de Geijn (see products_gemm.cpp) with other weights: tiles work off 16
// elements of A a cycle, so that a panel of B has to come from the first cache level and A from the second. A
// thread packs its rows of A once, and each panel of B right before the rows pass by. Sums of a block of C
// stay in float32 until its last stretch of k, and are rounded once.

#include <algorithm>

#include <chainrule/buffer.hpp>

#include "kernels/cpu/products_detail.hpp"
#include "kernels/cpu/tiles.hpp"
#include "kernels/parallel.hpp"
#include "tensor/pages.hpp"

namespace chainrule::kernels {
namespace {

using tiles::panel;

/// The longest stretch of k: a panel of B of this depth takes 32 KiB.
constexpr std::int64_t max_depth = 512;
/// Rows and columns of C that are worked on at a time: a stretch of as many rows of A takes 512 KiB, their
/// sums half of that. Many rows make little of the packing of B: 512 x 128 was 10 to 15 % faster than 256 x
/// 512.
constexpr std::int64_t max_rows = 512, max_cols = 128;
/// Scratch memory of at least so many bytes is made large enough for a huge page, which brings 5 %.
constexpr std::size_t worth_a_page = huge_page / 4;
/// So few columns read A as it is stored.
constexpr std::int64_t max_direct_cols = 128;
/// Rows of A are packed along all of k: beyond this their copy would outgrow what is multiplied.
constexpr std::int64_t max_packed_depth = std::int64_t{1} << 18;
/// Below this a region costs more than a second thread brings.
constexpr double flops_per_part = 4e6;

constexpr std::int64_t cache_line = 64;

class TilesProduct final : public Product {
 public:
  TilesProduct(const ProductShape& shape, int threads, Epilogue epilogue)
      : shape_(shape), epilogue_(epilogue) {
    const double worth = std::clamp(product_flops(shape) / flops_per_part, 1.0, static_cast<double>(threads));
    const auto parts = static_cast<std::int64_t>(worth);
    const std::int64_t wanted = pieces(parts, shape.batch);
    if (shape.m >= shape.n) {
      cut_.grid.rows = std::min(wanted, pieces(shape.m, panel));
    } else {
      cut_.grid.cols = std::min(wanted, pieces(shape.n, panel));
    }
    cut_.parts = std::min(parts, shape.batch * cut_.grid.rows * cut_.grid.cols);
    direct_a_ = !shape.transpose_a && shape.k % tiles::step == 0 && shape.n <= max_direct_cols;
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
  std::int64_t rows_at_a_time() const { return equal_piece(shape_.m, max_rows, panel); }
  std::int64_t cols_at_a_time() const { return equal_piece(shape_.n, max_cols, panel); }
  std::int64_t steps() const { return pieces(shape_.k, tiles::step); }

  void allocate_scratch() {
    const std::int64_t col_panels = cols_at_a_time() / panel, row_panels = rows_at_a_time() / panel;
    const std::int64_t a_panels = !direct_a_ ? row_panels : shape_.m % panel == 0 ? 0 : 1;
    const std::int64_t blocks = depth() < shape_.k ? col_panels * row_panels : 1;
    sums_bytes_ = blocks * tiles::block_sums * static_cast<std::int64_t>(sizeof(float));
    b_bytes_ = depth() * panel * static_cast<std::int64_t>(sizeof(bfloat16));
    a_bytes_ = a_panels * steps() * tiles::step_elements * static_cast<std::int64_t>(sizeof(bfloat16));
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
    for_blocks_of_part(shape_, cut_, part, operands, [&](const Operands<bfloat16>& at, const Block& block) {
      run_rows(at, block, scratch);
    });
  }

  void run_rows(const Operands<bfloat16>& at, const Block& block, const Scratch& scratch) const {
    for (std::int64_t row = block.row; row < block.row_end; row += rows_at_a_time()) {
      const std::int64_t row_end = std::min(block.row_end, row + rows_at_a_time());
      pack_rows(at.a, row, row_end, scratch.a);
      for (std::int64_t col = block.col; col < block.col_end; col += cols_at_a_time()) {
        const std::int64_t col_end = std::min(block.col_end, col + cols_at_a_time());
        for (std::int64_t p = 0; p < shape_.k; p += depth()) {
          run_stretch(at, {row, row_end, col, col_end}, p, scratch);
        }
      }
    }
  }

  /// The stretch of k from p on, for a block of C whose sums are at hand.
  void run_stretch(const Operands<bfloat16>& at, const Block& block, std::int64_t p,
                   const Scratch& scratch) const {
    const std::int64_t length = std::min(depth(), shape_.k - p), steps = pieces(length, tiles::step);
    const bool whole = depth() >= shape_.k, last = p + length == shape_.k;
    const std::int64_t row_panels = pieces(block.row_end - block.row, panel);
    const std::int64_t col_panels = pieces(block.col_end - block.col, panel);
    tiles::ReadAhead next_a;
    if (!last && !direct_a_) {
      next_a = next_stretch(scratch.a, row_panels, p + length, steps * row_panels * col_panels);
    }
    float* sums = scratch.sums;
    for (std::int64_t col = block.col; col < block.col_end; col += panel) {
      const std::int64_t cols = std::min(panel, block.col_end - col);
      tiles::pack_b({stored_b(at.b, p, col), shape_.ldb, cols, length, shape_.transpose_b}, scratch.b);
      tiles::ReadAhead next_b;
      if (col + panel < block.col_end) next_b = next_panel(at.b, p, col + panel, length, steps * row_panels);
      for (std::int64_t row = block.row; row < block.row_end; row += panel) {
        tiles::multiply(panel_of_a(at.a, block, row, p, scratch.a), scratch.b, steps, p > 0, sums, next_a,
                        next_b);
        if (last) {
          tiles::finish(
              sums, {at.c + row * shape_.ldc + col, shape_.ldc, std::min(panel, block.row_end - row), cols,
                     at.bias == nullptr ? nullptr : at.bias + col, epilogue_.relu});
        }
        if (!whole) sums += tiles::block_sums;
      }
    }
  }

  const bfloat16* stored_b(const bfloat16* b, std::int64_t p, std::int64_t col) const {
    return b + (shape_.transpose_b ? col * shape_.ldb + p : p * shape_.ldb + col);
  }
  /// The rows of B that are packed next: one line of each. Rows along k are long enough for the processor to
  /// see them coming.
  tiles::ReadAhead next_panel(const bfloat16* b, std::int64_t p, std::int64_t col, std::int64_t length,
                              std::int64_t steps) const {
    if (shape_.transpose_b) return {};
    const auto distance = shape_.ldb * static_cast<std::int64_t>(sizeof(bfloat16));
    return {reinterpret_cast<const char*>(stored_b(b, p, col)), distance, length, pieces(length, steps)};
  }
  /// What is packed of A for the stretch of k from p on.
  tiles::ReadAhead next_stretch(const bfloat16* packed, std::int64_t row_panels, std::int64_t p,
                                std::int64_t steps) const {
    const std::int64_t bytes =
        row_panels * steps_of(p) * tiles::step_elements * static_cast<std::int64_t>(sizeof(bfloat16));
    const auto* const at = reinterpret_cast<const char*>(packed_panel(packed, row_panels, 0, p));
    return {at, cache_line, bytes / cache_line, pieces(bytes / cache_line, steps)};
  }

  /// The steps in the stretch of k from p on.
  std::int64_t steps_of(std::int64_t p) const { return pieces(std::min(depth(), shape_.k - p), tiles::step); }

  /// Packed rows of A: stretch after stretch of k, and in each panel after panel. Where A is read as it is
  /// stored, only a last panel that is not full is packed.
  void pack_rows(const bfloat16* a, std::int64_t row, std::int64_t row_end, bfloat16* out) const {
    const std::int64_t row_panels = packed_panels(row_end - row);
    if (direct_a_) row = row_end - (row_end - row) % panel;
    for (std::int64_t p = 0; p < shape_.k; p += depth()) {
      for (std::int64_t i = 0; row + i * panel < row_end; ++i) {
        const std::int64_t from = row + i * panel;
        tiles::pack_a({a + (shape_.transpose_a ? p * shape_.lda + from : from * shape_.lda + p), shape_.lda,
                       std::min(panel, row_end - from), std::min(depth(), shape_.k - p), !shape_.transpose_a},
                      packed_panel(out, row_panels, i, p));
      }
    }
  }
  std::int64_t packed_panels(std::int64_t rows) const { return direct_a_ ? 1 : pieces(rows, panel); }
  template <typename T>
  T* packed_panel(T* packed, std::int64_t row_panels, std::int64_t i, std::int64_t p) const {
    return packed + (row_panels * (p / tiles::step) + i * steps_of(p)) * tiles::step_elements;
  }

  tiles::PanelA panel_of_a(const bfloat16* a, const Block& block, std::int64_t row, std::int64_t p,
                           const bfloat16* packed) const {
    if (direct_a_ && row + panel <= block.row_end) {
      return {a + row * shape_.lda + p, shape_.lda, panel / 2 * shape_.lda, tiles::step};
    }
    const std::int64_t i = direct_a_ ? 0 : (row - block.row) / panel;
    return {packed_panel(packed, packed_panels(block.row_end - block.row), i, p)};
  }

  ProductShape shape_;
  Epilogue epilogue_;
  bool direct_a_ = false;
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
