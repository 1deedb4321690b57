#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/products_blocks.hpp"
#include "kernels/lane_checks.hpp"
#include "kernels/parallel.hpp"
#include "kernels/product_cases.hpp"
#include "support/count_allocations.hpp"

namespace chainrule::kernels {
namespace {

using checks::Case, checks::pick, checks::text;

class LargeProductsOn : public checks::OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, LargeProductsOn, checks::every_target(), checks::target_name);

/// Limits that let small products count as large: blocks of 24 rows of float64, and some 70 columns at a
/// time.
constexpr LargeLimits small_limits{std::int64_t{1} << 16, std::int64_t{1} << 16, std::int64_t{1} << 18};

/// A product that is large under small_limits, with three stretches of k and more than two blocks of A for
/// each of three threads.
template <typename T>
ProductShape large_shape(std::int64_t rows, std::int64_t columns) {
  return dense_product(dtype_of<T>(), 1, rows, columns, 1025);
}

template <typename T>
void check_large(const ProductShape& s) {
  SCOPED_TRACE(text(s));
  Case<T> test(s, {pick(0, 1) == 1, pick(0, 1) == 1});
  test.run(*prepare_gemm(s, 1, test.epilogue));
  const std::vector<T> wanted = test.c;
  for (const int threads : {1, 2, 3}) {
    const auto product = prepare_large(s, threads, test.epilogue, small_limits);
    ASSERT_NE(product, nullptr) << threads << " threads";
    test.run(*product);
    ASSERT_EQ(std::memcmp(wanted.data(), test.c.data(), wanted.size() * sizeof(T)), 0)
        << threads << " threads";
  }
}

TEST(LargeProducts, AgreeWithTheSum) {
  Case<double> test(large_shape<double>(200, 290), {true, true});
  const auto product = prepare_large(test.s, 2, test.epilogue, small_limits);
  ASSERT_NE(product, nullptr);
  test.run(*product);
  test.check();
}

template <typename T>
void check_large_layouts() {
  const ThreadScope threads(2);  // fewer than some products are prepared for
  for (int layout = 0; layout < 8; ++layout) {
    ProductShape s = large_shape<T>(pick(400, 450), pick(130, 300));
    s.transpose_a = (layout & 1) != 0;
    s.transpose_b = (layout & 2) != 0;
    s.batch = layout < 4 ? 1 : 2;
    s.lda = (s.transpose_a ? s.m : s.k) + pick(0, 3);
    s.ldb = (s.transpose_b ? s.k : s.n) + pick(0, 3);
    s.ldc = s.n + pick(0, 3);
    s.stride_a = layout == 4 ? 0 : (s.transpose_a ? s.k : s.m) * s.lda;
    s.stride_b = layout == 5 ? 0 : (s.transpose_b ? s.n : s.k) * s.ldb;
    s.stride_c = s.m * s.ldc + 5;
    check_large<T>(s);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

// B shared by the threads, and blocks of A that whoever is free takes, against each thread for itself.
TEST_P(LargeProductsOn, HaveTheBitsOfSmallerOnes) {
  check_large_layouts<float>();
  check_large_layouts<double>();
}

// Rows of A that lie a multiple of 4 KiB apart, in a single stretch of k.
TEST_P(LargeProductsOn, TakeRowsThatCollideInTheCaches) {
  const ThreadScope threads(3);
  for (const std::int64_t m : {400, 433, 512}) {
    ProductShape s = dense_product(DType::float64, 1, m, 200, 203, true, false);
    s.lda = 512;
    check_large<double>(s);
    if (HasFatalFailure()) return;
    Case<double> test(s, {true, true});
    test.run(*prepare_large(s, 2, test.epilogue, small_limits));
    test.check();
  }
}

// Wherever the last panels lie in what the threads pack.
TEST_P(LargeProductsOn, OfAnyWidthHaveTheBitsOfSmallerOnes) {
  const ThreadScope threads(3);
  const GemmKernels<double> kernels = gemm_kernels<double>();
  for (std::int64_t more = 0; more < 4 * kernels.panel && !HasFatalFailure(); more += kernels.lanes)
    check_large<double>(large_shape<double>(300, 101 + more));
}

TEST(LargeProducts, AreFoundAndShared) {
  const LargeLimits limits = large_limits();
  constexpr std::int64_t k = 1025;
  const std::int64_t depth = stretch_depth<double>(k), block = fitting<double>(limits.resident_a, depth);
  const std::int64_t columns = fitting<double>(limits.least_b, depth) + 1;
  const auto implementation = [&](std::int64_t m, std::int64_t n, int threads) {
    return Product::prepare(dense_product(DType::float64, 1, m, n, k), threads)->implementation();
  };
  EXPECT_EQ(implementation(block + 1, columns, 1), "large");
  EXPECT_EQ(implementation(block, columns, 1), "gemm");
  EXPECT_EQ(implementation(block + 1, columns - 1, 1), "gemm");
  EXPECT_EQ(implementation(4 * block + 400, columns, 2), "large");
  EXPECT_EQ(implementation(block + 1, columns, 64), "gemm") << "some threads would have nothing to do";
  const std::int64_t few = fitting<double>(limits.resident_a, 400) + 1;
  ProductShape collides = dense_product(DType::float64, 1, few, few, 400, true, false);
  EXPECT_EQ(Product::prepare(collides, 1)->implementation(), "gemm");
  collides.lda = pieces(few, 512) * 512;
  EXPECT_EQ(Product::prepare(collides, 1)->implementation(), "large");
}

TEST(LargeProducts, RunsAllocateNothing) {
  if (!testing::counts_allocations()) GTEST_SKIP() << "a sanitizer has its own malloc";
  const ThreadScope threads(2);
  Case<double> test(large_shape<double>(300, 200), {true, true});
  const auto product = prepare_large(test.s, 2, test.epilogue, small_limits);
  ASSERT_NE(product, nullptr);
  const auto run = [&] { product->run(test.a.data(), test.b.data(), test.c.data(), test.bias.data()); };
  run();
  const long before = testing::allocation_count();
  for (int round = 0; round < 10; ++round) run();
  EXPECT_EQ(testing::allocation_count(), before);
}

}  // namespace
}  // namespace chainrule::kernels
