// float32 and float64 by blocks: what is packed and what is read as it is stored, stripes and stretches, rows
// that collide in the caches, batches.

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "kernels/cpu/products_detail.hpp"
#include "kernels/lane_checks.hpp"
#include "kernels/product_cases.hpp"

namespace chainrule::kernels {
namespace {

using checks::Case, checks::text;

class GemmProductsOn : public checks::OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, GemmProductsOn, checks::every_target(), checks::target_name);

/// Of float32 with bias and relu, and of float64 with the bias alone.
void check_both(std::int64_t m, std::int64_t n, std::int64_t k, bool transpose_a, bool transpose_b,
                int single_threads, int double_threads) {
  const auto shape = [&](DType dtype) { return dense_product(dtype, 1, m, n, k, transpose_a, transpose_b); };
  SCOPED_TRACE(text(shape(DType::float32)));
  Case<float> single(shape(DType::float32), {true, true});
  single.run(single_threads);
  single.check();
  Case<double> twice(shape(DType::float64), {true, false});
  twice.run(double_threads);
  twice.check();
}

TEST(GemmProducts, DeepAndWideShapesAgreeWithTheSum) {
  const std::int64_t sizes[][3] = {{64, 256, 784},  {7, 33, 1000},  {200, 40, 801}, {300, 300, 64},
                                   {1, 700, 900},   {900, 1, 700},  {13, 2000, 5},  {2000, 3, 50},
                                   {29, 511, 803},  {61, 263, 100}, {35, 1024, 66}, {130, 1024, 513},
                                   {500, 150, 300}, {100, 90, 512}, {100, 90, 800}};
  for (const auto& [m, n, k] : sizes) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      check_both(m, n, k, (transposes & 1) != 0, (transposes & 2) != 0, 2, 3);
      if (HasFatalFailure()) return;
    }
  }
}

// Blocks of A, packed and as it is stored, pass by stripes of B: two stretches of k of either type, and two
// stripes of float64.
TEST(GemmProducts, TallShapesAgreeWithTheSum) {
  const std::int64_t sizes[][3] = {{805, 100, 802}, {520, 520, 514}, {450, 2100, 64}};
  for (const auto& [m, n, k] : sizes) {
    for (const bool transpose_a : {false, true}) {
      check_both(m, n, k, transpose_a, !transpose_a, 1, 1);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(GemmProductsOn, PackedRowsAndColumnsOfSeveralStretchesAgreeWithTheSum) {
  for (int transposes = 0; transposes < 4 && !HasFatalFailure(); ++transposes)
    check_both(35, 263, 901, (transposes & 1) != 0, (transposes & 2) != 0, 2, 2);
}

// Transposed rows of A that lie a multiple of 2 KiB apart are packed some at a time for all tiles; the last
// ones are fewer, and so are the rows of the last tile.
TEST_P(GemmProductsOn, TransposedRowsThatCollideAgreeWithTheSum) {
  ProductShape s = dense_product(DType::float32, 1, 100, 300, 67, true, false);
  s.lda = 512;
  Case<float> single(s, {true, true});
  single.run(*prepare_gemm(s, 2, single.epilogue));
  single.check();
  s.dtype = DType::float64;
  Case<double> twice(s, {true, false});
  twice.run(*prepare_gemm(s, 1, twice.epilogue));
  twice.check();
}

// Rows of B that lie a multiple of 4 KiB apart: panel after panel is packed in pieces, while tiles of rows
// pass by. Few and uneven tiles, a last panel that is not full, two stretches of k, a batch, A packed and
// not.
template <typename T>
void check_rows_of_b_that_collide(DType dtype) {
  for (const auto& [batch, m, n, k, transposed] : {std::array<std::int64_t, 5>{1, 64, 150, 300, 0},
                                                   {1, 49, 101, 700, 1},
                                                   {1, 57, 40, 1100, 0},
                                                   {2, 83, 67, 129, 1},
                                                   {1, 72, 300, 200, 0},
                                                   {1, 97, 48, 700, 0}}) {
    for (const int threads : {1, 2, 3}) {
      ProductShape s = dense_product(dtype, batch, m, n, k, transposed != 0);
      s.ldb = (k > 300 ? 8192 : 32768) / static_cast<std::int64_t>(sizeof(T));
      s.stride_b = k * s.ldb;
      SCOPED_TRACE(text(s) + ", threads " + std::to_string(threads));
      Case<T> test(s, {true, true});
      test.run(*prepare_gemm(s, threads, test.epilogue));
      test.check();
      Case<T> apart(s, test.epilogue);  // the same numbers, whose rows do not collide
      apart.s.ldb = n;
      apart.s.stride_b = k * n;
      for (std::int64_t e = 0; e < batch; ++e) {
        for (std::int64_t p = 0; p < k; ++p)
          for (std::int64_t j = 0; j < n; ++j)
            apart.b[static_cast<std::size_t>((e * k + p) * n + j)] = test.b_at(e, p, j);
      }
      apart.a = test.a;
      apart.bias = test.bias;
      apart.before = test.before;
      apart.run(*prepare_gemm(apart.s, 1, apart.epilogue));
      ASSERT_EQ(std::memcmp(test.c.data(), apart.c.data(), test.c.size() * sizeof(T)), 0);
    }
  }
}

TEST_P(GemmProductsOn, RowsOfBThatCollideAgreeWithTheSum) {
  check_rows_of_b_that_collide<float>(DType::float32);
  check_rows_of_b_that_collide<double>(DType::float64);
}

// Matrices so large that the next ones of the batch are fetched meanwhile; fewer than threads, which cut
// them; with one B for all.
TEST(GemmProducts, BatchesOfMiddleSizedMatricesAgreeWithTheSum) {
  for (const int threads : {1, 2, 5}) {
    for (const bool shared : {false, true}) {
      ProductShape s = dense_product(DType::float32, 3, 90, 110, 200, false, shared);
      if (shared) s.stride_b = 0, s.stride_a += 1;
      SCOPED_TRACE(text(s));
      Case<float> test(s, {true, false});
      test.run(threads);
      test.check();
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace chainrule::kernels
