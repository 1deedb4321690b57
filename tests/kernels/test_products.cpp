#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <chainrule/error.hpp>

#include "kernels/cpu/caches.hpp"
#include "kernels/cpu/dots.hpp"
#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/products_detail.hpp"
#include "kernels/cpu/tiles.hpp"
#include "kernels/lane_checks.hpp"
#include "kernels/page_end.hpp"
#include "kernels/parallel.hpp"
#include "kernels/product_cases.hpp"
#include "support/count_allocations.hpp"

namespace chainrule::kernels {
namespace {

using checks::Case, checks::pick, checks::random_shape, checks::text;

/// prepare(shape, threads, epilogue) of random products.
template <typename T, typename Prepare>
void check_random_shapes(int rounds, std::int64_t largest, Prepare prepare) {
  for (int round = 0; round < rounds; ++round) {
    Case<T> test(random_shape(dtype_of<T>(), largest), {pick(0, 1) == 1, pick(0, 1) == 1});
    SCOPED_TRACE(text(test.s));
    test.run(*prepare(test.s, static_cast<int>(pick(1, 3)), test.epilogue));
    test.check();
    if (::testing::Test::HasFatalFailure()) return;
  }
}

constexpr auto fastest = [](const ProductShape& s, int threads, Epilogue epilogue) {
  return Product::prepare(s, threads, epilogue);
};
constexpr auto naive = [](const ProductShape& s, int, Epilogue epilogue) {
  return prepare_naive(s, epilogue);
};

template <typename T>
class ProductsOf : public ::testing::Test {};
using Numbers = ::testing::Types<std::uint8_t, std::int32_t, std::int64_t, bfloat16, float, double>;
TYPED_TEST_SUITE(ProductsOf, Numbers);

TYPED_TEST(ProductsOf, RandomShapesAgreeWithTheSum) {
  check_random_shapes<TypeParam>(150, 40, fastest);
  check_random_shapes<TypeParam>(10, 130, fastest);
}

TYPED_TEST(ProductsOf, TheReferenceAgreesWithTheSum) { check_random_shapes<TypeParam>(50, 20, naive); }

TYPED_TEST(ProductsOf, EmptySizesGiveZerosPlusTheBias) {
  for (const bool with_bias : {false, true}) {
    for (int empty = 0; empty < 16; ++empty) {
      ProductShape s = dense_product(dtype_of<TypeParam>(), empty & 1 ? 0 : 2, empty & 2 ? 0 : 3,
                                     empty & 4 ? 0 : 5, empty & 8 ? 0 : 4);
      if (empty == 0) continue;
      Case<TypeParam> test(s, {with_bias, true});
      EXPECT_EQ(test.run(2), "empty");
      test.check();
    }
  }
}

class ProductsOn : public checks::OnTarget {
 protected:
  void TearDown() override {
    OnTarget::TearDown();
    set_thread_count(0);
  }
};
INSTANTIATE_TEST_SUITE_P(Targets, ProductsOn, checks::every_target(), checks::target_name);

TEST_P(ProductsOn, AgreeWithTheSum) {
  check_random_shapes<float>(60, 70, fastest);
  check_random_shapes<double>(60, 70, fastest);
}

// Few rows times a transposed matrix: against the sum, and to the same bits on any number of threads.
template <typename T>
void check_few_rows(const ProductShape& shape, Epilogue epilogue, const char* implementation) {
  SCOPED_TRACE(text(shape));
  Case<T> test(shape, epilogue);
  const auto run = [&](int threads) {
    // Where there are tiles they come first.
    const auto product = std::is_same_v<T, bfloat16> ? prepare_dots(shape, threads, epilogue)
                                                     : Product::prepare(shape, threads, epilogue);
    ASSERT_NE(product, nullptr);
    ASSERT_EQ(product->implementation(), implementation);
    test.run(*product);
  };
  run(1);
  if (::testing::Test::HasFatalFailure()) return;
  test.check();
  const std::vector<T> one = test.c;
  for (const int threads : {2, 3}) {
    run(threads);
    ASSERT_EQ(std::memcmp(one.data(), test.c.data(), one.size() * sizeof(T)), 0) << threads;
  }
  if (std::string_view(implementation) != "mirrored") return;
  // The bits of the kernels that pack the matrix.
  test.run(*prepare_gemm(shape, 1, epilogue));
  ASSERT_EQ(std::memcmp(one.data(), test.c.data(), one.size() * sizeof(T)), 0);
}

// Sizes around the borders of blocks, of panels and of the pieces that are turned.
TEST_P(ProductsOn, SomeRowsTimesATransposedMatrix) {
  const std::int64_t lanes = gemm_kernels<float>().lanes;
  const std::int64_t widest = gemm_kernels<float>().widest_panel;
  set_thread_count(3);
  for (const std::int64_t m : {lanes - 1, lanes, widest - 1, widest}) {
    if (m < 2) continue;  // a vector
    for (const std::int64_t n : {511, 528, 1040}) {
      for (const bool transposed : {false, true}) {
        if (!transposed && lanes > 1 && m <= 12) continue;  // dot products
        ProductShape s = dense_product(DType::float32, 1, m, n, 850, transposed, true);
        check_few_rows<float>(s, {transposed, n == 528}, "mirrored");
        s.ldc += 3;
        s.ldb += 5;
        check_few_rows<float>(s, {true, true}, "mirrored");
        if (HasFatalFailure()) return;
      }
    }
  }
  // Up to six rows of float64 as they are stored are dot products.
  const std::int64_t some = std::max<std::int64_t>(lanes, 2), few = std::max<std::int64_t>(lanes / 2, 2);
  const bool as_dots = lanes > 1 && some <= 6;
  check_few_rows<double>(dense_product(DType::float64, 1, some, 777, 300, as_dots, true), {true, false},
                         "mirrored");
  check_few_rows<double>(dense_product(DType::float64, 1, few, 1030, 700, true, true), {true, true},
                         "mirrored");
}

// Every number of rows, in a batch, and columns and elements that fill no tile and no vector.
template <typename T>
void check_dots(std::int64_t least_rows, std::int64_t most_rows) {
  for (std::int64_t m = least_rows; m <= most_rows; ++m) {
    for (const std::int64_t n : {2, 7, 17, 24, 41}) {
      ProductShape s = dense_product(dtype_of<T>(), pick(1, 3), m, n, m * 8 + pick(0, 40), false, true);
      if (m % 2 == 0) s.lda += 3, s.ldb += 1, s.ldc += 2;
      s.stride_a = m % 3 == 0 ? 0 : m * s.lda;
      s.stride_b = s.n * s.ldb + 1;
      s.stride_c = m * s.ldc + 2;
      check_few_rows<T>(s, {m % 2 == 0, m % 3 == 0}, "dots");
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

/// A matrix times every number of columns, stored as they are and transposed.
template <typename T>
void check_dot_columns(std::int64_t least_columns, std::int64_t most_columns) {
  for (std::int64_t n = least_columns; n <= most_columns; ++n) {
    for (const bool transposed : {false, true}) {
      // More rows than such a product takes as rows.
      ProductShape s =
          dense_product(dtype_of<T>(), pick(1, 3), std::max<std::int64_t>(8 * n, 25) + pick(0, 9), n,
                        n * 16 + pick(0, 40), false, transposed);
      if (n % 2 == 0) s.lda += 3, s.ldb += 1, s.ldc += 2;
      s.stride_a = s.m * s.lda + 1;
      s.stride_b = n % 3 == 0 ? 0 : (transposed ? n : s.k) * s.ldb + 1;
      if (s.stride_b == 0) s.stride_a += 1;  // else the batch would be one taller matrix
      s.stride_c = s.m * s.ldc + 2;
      check_few_rows<T>(s, {n % 2 == 0, n % 3 == 0}, "dots");
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

/// More rows than a tile has, cut by columns among three threads, in more columns than the cache holds.
template <typename T>
void check_cut_dots(std::int64_t m) {
  const std::int64_t k = cache_sizes().l2 / 2 / static_cast<std::int64_t>(sizeof(T)) / 30;
  ProductShape s = dense_product(dtype_of<T>(), 1, m, 300, k, false, true);
  ASSERT_GE(product_flops(s), 3 * gemm_flops_per_part) << "too few for three threads";
  check_few_rows<T>(s, {true, true}, "dots");
  s = dense_product(dtype_of<T>(), 2, m, 300, k, false, true);
  check_few_rows<T>(s, {true, false}, "dots");
  // As columns, which go past some rows at a time.
  s = dense_product(dtype_of<T>(), 1, 1000, m, k, false, true);
  check_few_rows<T>(s, {true, true}, "dots");
}

TEST_P(ProductsOn, FewRowsOrColumnsAsDotProducts) {
  if (gemm_kernels<float>().lanes == 1) GTEST_SKIP() << "without vectors this gains nothing";
  set_thread_count(3);
  check_dots<float>(2, 12);
  check_dots<double>(2, 6);
  check_dots<bfloat16>(1, 24);
  check_dot_columns<float>(2, 12);
  check_dot_columns<double>(2, 6);
  check_dot_columns<bfloat16>(1, 24);
  check_cut_dots<float>(dot_kernels<float>().tile_rows + 1);
  check_cut_dots<double>(5);
  check_cut_dots<bfloat16>(dot_kernels<bfloat16>().tile_rows + 1);
}

// Operands that end where memory ends: of a row that fills no vector no more is read than it has.
template <typename T>
void check_dots_at_the_end_of_memory(std::int64_t k) {
  Case<T> test(dense_product(dtype_of<T>(), 1, 3, 30, k, false, true), {true, false});
  const auto product = prepare_dots(test.s, 1, test.epilogue);
  ASSERT_NE(product, nullptr);
  checks::PageEnd<T> a(test.a), b(test.b), bias(test.bias);
  test.c = test.before;
  product->run(a.data(), b.data(), test.c.data(), bias.data());
  test.check();
}

TEST_P(ProductsOn, DotProductsStayInsideOfTheirRows) {
  if (gemm_kernels<float>().lanes == 1) GTEST_SKIP() << "without vectors there are none";
  for (const std::int64_t k : {32, 45, 63}) {
    check_dots_at_the_end_of_memory<float>(k);
    check_dots_at_the_end_of_memory<double>(k);
    check_dots_at_the_end_of_memory<bfloat16>(k);
  }
}

TEST_P(ProductsOn, DotProductsOfBfloat16RoundAsTheTypeDoes) {
  if (gemm_kernels<float>().lanes == 1) GTEST_SKIP() << "without vectors there are none";
  // 1 + 2^-8 lies between two numbers and goes to the even one, 1 + 3 · 2^-8 likewise; then infinities and a
  // NaN, which relu keeps. As the columns of B and as its rows.
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float upper[] = {1, 1.0078125F, inf, nan, -3e38F};
  const float lower[] = {0x1p-8F, 0x1p-8F, 1, 1, -3e38F};
  for (const bool turned : {false, true}) {
    for (const bool relu : {false, true}) {
      constexpr std::int64_t k = 80;
      const std::int64_t m = turned ? 40 : 1;
      Case<bfloat16> test(dense_product(DType::bfloat16, 1, m, 5, k, false, true), {false, relu});
      for (bfloat16& value : test.a) value = bfloat16(1.0F);
      for (bfloat16& value : test.b) value = bfloat16(0.0F);
      for (std::size_t j = 0; j < 5; ++j) {
        test.b[j * k] = bfloat16(upper[j]);
        test.b[j * k + k - 1] = bfloat16(lower[j]);
      }
      const auto product = prepare_dots(test.s, 1, test.epilogue);
      ASSERT_NE(product, nullptr);
      test.run(*product);
      for (std::size_t row = 0; row < static_cast<std::size_t>(m); ++row) {
        const bfloat16* const c = test.c.data() + 5 * row;
        EXPECT_EQ(static_cast<float>(c[0]), 1.0F);
        EXPECT_EQ(static_cast<float>(c[1]), 1.015625F);
        EXPECT_EQ(static_cast<float>(c[2]), inf);
        EXPECT_TRUE(std::isnan(static_cast<float>(c[3])));
        EXPECT_EQ(static_cast<float>(c[4]), relu ? 0.0F : -inf);
      }
    }
  }
}

// One matrix for a whole batch of columns, which become the rows of one product.
TEST(Products, OneMatrixTimesABatchOfColumns) {
  for (const bool transposed : {false, true}) {
    for (const std::int64_t m : {1, 5, 40}) {
      for (const std::int64_t gap : {0, 3}) {
        ProductShape s = dense_product(DType::float32, 30, m, 1, 17, transposed, false);
        s.stride_a = 0;
        s.stride_b += gap;
        SCOPED_TRACE(text(s));
        Case<float> test(s, {false, true});
        test.run(2);
        test.check();
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Products, OurKernelsDoNotDependOnTheNumberOfThreads) {
  set_thread_count(4);
  for (int round = 0; round < 20; ++round) {
    Case<float> test(dense_product(DType::float32, 1, pick(1, 200), pick(1, 300), pick(100, 900),
                                   pick(0, 1) == 1, pick(0, 1) == 1),
                     {true, false});
    test.run(1);
    const std::vector<float> one = test.c;
    for (int threads : {2, 3, 4}) {
      test.run(threads);
      ASSERT_EQ(std::memcmp(one.data(), test.c.data(), one.size() * sizeof(float)), 0) << text(test.s);
    }
  }
  set_thread_count(0);
}

// What bfloat16 products take where there are no tiles and neither side has few vectors.
TEST(Products, Bfloat16ByWayOfFloatAgreesWithTheSum) {
  check_random_shapes<bfloat16>(100, 70, prepare_converted);
}

// More rows, more columns, or more of both than are widened at a time: equal blocks, and a last one that is
// smaller; short rows, of which a block has more.
TEST(Products, Bfloat16InBlocksAgreesWithTheSum) {
  const std::int64_t sizes[][3] = {
      {1024, 769, 20}, {701, 1101, 30}, {515, 600, 30}, {400, 900, 20}, {13200, 10, 20}};
  for (const auto& [m, n, k] : sizes) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      ProductShape s =
          dense_product(DType::bfloat16, 1, m, n, k, (transposes & 1) != 0, (transposes & 2) != 0);
      s.lda += 3, s.ldb += 1, s.ldc += 2;
      SCOPED_TRACE(text(s));
      Case<bfloat16> test(s, {transposes != 1, transposes == 2});
      test.run(*prepare_converted(s, 2, test.epilogue));
      test.check();
      if (HasFatalFailure()) return;
    }
  }
}

// Numbers of threads that widen blocks of different heights: a last block of a few rows must not be summed in
// an order of its own, as a whole product of so few rows would be. Sums whose second half takes back the
// first are all rounding errors, which show the order even when they are rounded to bfloat16.
TEST(Products, Bfloat16InBlocksDoesNotDependOnTheNumberOfThreads) {
  constexpr std::int64_t k = 600;
  // Blocks of 528 rows on eight threads, but for the last 12 or the last one, were they cut without looking.
  for (const std::int64_t m : {30 * 528 + 12, 30 * 528 + 1}) {
    Case<bfloat16> test(dense_product(DType::bfloat16, 1, m, 30, k, false, true), {});
    for (std::size_t i = 0; i < test.a.size(); i += k) {
      for (std::size_t p = i; p < i + k / 2; ++p)
        test.a[p + k / 2] = bfloat16(-static_cast<float>(test.a[p]));
    }
    for (std::size_t j = 0; j < test.b.size(); j += k)
      std::copy_n(test.b.begin() + static_cast<std::ptrdiff_t>(j), k / 2,
                  test.b.begin() + static_cast<std::ptrdiff_t>(j + k / 2));
    test.run(*prepare_converted(test.s, 1, test.epilogue));
    const std::vector<bfloat16> one = test.c;
    for (const int threads : {8, 9, 17}) {
      test.run(*prepare_converted(test.s, threads, test.epilogue));
      ASSERT_EQ(std::memcmp(one.data(), test.c.data(), one.size() * sizeof(bfloat16)), 0)
          << text(test.s) << ", " << threads << " threads";
    }
  }
}

class ProductsByTiles : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!tiles::available()) GTEST_SKIP() << "this processor has no tiles";
  }
};

TEST_F(ProductsByTiles, RandomShapesAgreeWithTheSum) {
  check_random_shapes<bfloat16>(160, 70, prepare_tiles);
  check_random_shapes<bfloat16>(40, 150, prepare_tiles);
}

// More rows, columns and terms than are worked on at a time; with A packed, packed on its first way past B,
// and read as it is stored; cut into rows and into columns.
TEST_F(ProductsByTiles, BlocksAgreeWithTheSumOnAnyNumberOfThreads) {
  const std::int64_t sizes[][3] = {{530, 270, 40}, {70, 90, 1090},  {600, 33, 1056}, {33, 300, 528},
                                   {40, 530, 520}, {161, 520, 544}, {130, 530, 520}, {790, 768, 32},
                                   {640, 64, 576}, {129, 520, 1856}};
  for (const auto& size : sizes) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      Case<bfloat16> test(dense_product(DType::bfloat16, 1, size[0], size[1], size[2], (transposes & 1) != 0,
                                        (transposes & 2) != 0),
                          {true, transposes == 3});
      SCOPED_TRACE(text(test.s));
      test.run(*prepare_tiles(test.s, 1, test.epilogue));
      test.check();
      if (HasFatalFailure()) return;
      const std::vector<bfloat16> one = test.c;
      test.run(*prepare_tiles(test.s, 3, test.epilogue));
      ASSERT_EQ(std::memcmp(one.data(), test.c.data(), one.size() * sizeof(bfloat16)), 0);
    }
  }
}

TEST_F(ProductsByTiles, RoundAsTheTypeDoes) {
  // 1 + 2^-8 lies between two numbers and goes to the even one, 1 + 3 · 2^-8 likewise; then infinities and a
  // NaN.
  Case<bfloat16> test(dense_product(DType::bfloat16, 1, 1, 5, 2), {});
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float upper[] = {1, 1.0078125F, inf, nan, -3e38F};
  const float lower[] = {0x1p-8F, 0x1p-8F, 1, 1, -3e38F};
  for (std::size_t i = 0; i < 2; ++i) test.a[i] = bfloat16(1.0F);
  for (std::size_t j = 0; j < 5; ++j) {
    test.b[j] = bfloat16(upper[j]);
    test.b[5 + j] = bfloat16(lower[j]);
  }
  test.run(*prepare_tiles(test.s, 1, {}));
  EXPECT_EQ(static_cast<float>(test.c[0]), 1.0F);
  EXPECT_EQ(static_cast<float>(test.c[1]), 1.015625F);
  EXPECT_EQ(static_cast<float>(test.c[2]), inf);
  EXPECT_TRUE(std::isnan(static_cast<float>(test.c[3])));
  EXPECT_EQ(static_cast<float>(test.c[4]), -inf);
  test.run(*prepare_tiles(test.s, 1, {false, true}));
  EXPECT_TRUE(std::isnan(static_cast<float>(test.c[3])));
  EXPECT_EQ(static_cast<float>(test.c[4]), 0.0F);
}

TEST(Products, ReluKeepsNaNOfFewRowsAndColumns) {
  for (const std::int64_t m : {4, 16}) {
    Case<float> test(dense_product(DType::float32, 1, m, 300, 700, false, true), {true, true});
    test.a[0] = std::numeric_limits<float>::quiet_NaN();
    test.run(2);
    for (std::size_t j = 0; j < 300; ++j) EXPECT_TRUE(std::isnan(test.c[j]));
    for (std::size_t j = 300; j < test.c.size() - 17; ++j) EXPECT_GE(test.c[j], 0.0F);
  }
  Case<float> columns(dense_product(DType::float32, 1, 300, 4, 700), {true, true});
  columns.a[0] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_EQ(columns.run(2), gemm_kernels<float>().lanes > 1 ? "dots" : "gemm");
  for (std::size_t j = 0; j < 4; ++j) EXPECT_TRUE(std::isnan(columns.c[j]));
  for (std::size_t j = 4; j < columns.c.size() - 17; ++j) EXPECT_GE(columns.c[j], 0.0F);
}

TEST(Products, ReluKeepsNaN) {
  for (const bool reference : {false, true}) {
    Case<float> test(dense_product(DType::float32, 1, 3, 40, 8), {false, true});
    test.a[0] = std::numeric_limits<float>::quiet_NaN();
    test.run(reference ? *naive(test.s, 1, test.epilogue) : *fastest(test.s, 1, test.epilogue));
    for (std::size_t j = 0; j < 40; ++j) EXPECT_TRUE(std::isnan(test.c[j]));
    for (std::size_t j = 40; j < 120; ++j) EXPECT_GE(test.c[j], 0.0F);
  }
}

TEST(Products, IntegersWrapAround) {
  Case<std::int32_t> test(dense_product(DType::int32, 1, 1, 1, 2), {});
  test.a = {std::numeric_limits<std::int32_t>::max(), 2};
  test.b = {2, std::numeric_limits<std::int32_t>::max()};
  test.run(1);
  EXPECT_EQ(test.c[0], -4);  // 4 · (2^31 − 1) modulo 2^32
}

TEST(Products, RunsAllocateNothing) {
  if (!testing::counts_allocations()) GTEST_SKIP() << "a sanitizer has its own malloc";
  set_thread_count(2);
  const auto count = [](auto test, auto prepare) {
    const auto product = prepare(test.s, 2, test.epilogue);
    const auto run = [&] { product->run(test.a.data(), test.b.data(), test.c.data(), test.bias.data()); };
    run();
    const long before = testing::allocation_count();
    for (int round = 0; round < 10; ++round) run();
    return testing::allocation_count() - before;
  };
  const Epilogue all{true, true};
  EXPECT_EQ(count(Case<float>(dense_product(DType::float32, 1, 64, 256, 784, false, true), all), fastest), 0);
  EXPECT_EQ(count(Case<float>(dense_product(DType::float32, 1, 100, 256, 784, false, true), all), fastest),
            0);
  EXPECT_EQ(count(Case<double>(dense_product(DType::float64, 2, 64, 100, 300, true, false), all), fastest),
            0);
  EXPECT_EQ(count(Case<float>(dense_product(DType::float32, 1, 1, 256, 784, false, true), all), fastest), 0);
  EXPECT_EQ(count(Case<float>(dense_product(DType::float32, 1, 4, 256, 784, false, true), all), fastest), 0);
  EXPECT_EQ(count(Case<float>(dense_product(DType::float32, 1, 500, 4, 256), all), fastest), 0);
  EXPECT_EQ(count(Case<bfloat16>(dense_product(DType::bfloat16, 1, 4, 256, 784, false, true), all), fastest),
            0);
  EXPECT_EQ(count(Case<bfloat16>(dense_product(DType::bfloat16, 1, 64, 100, 300), all), fastest), 0);
  EXPECT_EQ(count(Case<bfloat16>(dense_product(DType::bfloat16, 1, 64, 100, 300), all), prepare_converted),
            0);
  EXPECT_EQ(count(Case<std::int32_t>(dense_product(DType::int32, 1, 64, 100, 300), all), fastest), 0);
  set_thread_count(0);
}

TEST(Products, BadShapesAreRefused) {
  const ProductShape good = dense_product(DType::float32, 2, 3, 4, 5);
  const auto refused = [&](auto change) {
    ProductShape s = good;
    change(s);
    Product::prepare(s, 1);
  };
  EXPECT_NO_THROW(refused([](ProductShape&) {}));
  EXPECT_THROW(refused([](ProductShape& s) { s.m = -1; }), ShapeError);
  EXPECT_THROW(refused([](ProductShape& s) { s.lda = 4; }), ShapeError);
  EXPECT_THROW(refused([](ProductShape& s) { s.ldb = 3; }), ShapeError);
  EXPECT_THROW(refused([](ProductShape& s) { s.ldc = 3; }), ShapeError);
  EXPECT_THROW(refused([](ProductShape& s) { s.stride_c = 11; }), ArgumentError);
  EXPECT_THROW(refused([](ProductShape& s) { s.stride_a = std::numeric_limits<std::int64_t>::max(); }),
               ShapeError);
  EXPECT_THROW(refused([](ProductShape& s) { s.dtype = DType::boolean; }), DTypeError);
  EXPECT_THROW(Product::prepare(good, 0), ArgumentError);
  const std::int64_t huge = std::int64_t{1} << 40;
  EXPECT_THROW(Product::prepare(dense_product(DType::float32, huge, huge, huge, huge), 1), ShapeError);
}

}  // namespace
}  // namespace chainrule::kernels
