#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include <chainrule/error.hpp>

#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/products_blocks.hpp"
#include "kernels/cpu/tiles.hpp"
#include "kernels/lane_checks.hpp"
#include "kernels/parallel.hpp"
#include "support/count_allocations.hpp"

namespace chainrule::kernels {
namespace {

std::mt19937_64 random_bits(20240917);

std::int64_t pick(std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random_bits);
}

template <typename T>
T random_value() {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(random_bits());
  else
    return static_cast<T>(std::uniform_real_distribution<float>(-1, 1)(random_bits));
}

template <typename T>
double epsilon() {
  if constexpr (std::is_same_v<T, bfloat16>)
    return 0x1p-8;
  else
    return static_cast<double>(std::numeric_limits<T>::epsilon());
}

template <typename T>
std::vector<T> random_values(std::int64_t n) {
  std::vector<T> values(static_cast<std::size_t>(n));
  for (T& value : values) value = random_value<T>();
  return values;
}

/// The elements that a stack of matrices spans.
std::int64_t span_of(std::int64_t batch, std::int64_t rows, std::int64_t cols, std::int64_t ld,
                     std::int64_t stride) {
  return rows == 0 || cols == 0 || batch == 0 ? 0 : (batch - 1) * stride + (rows - 1) * ld + cols;
}

/// One product with its operands; C and its surroundings start out as a known pattern.
template <typename T>
struct Case {
  ProductShape s;
  Epilogue epilogue;
  std::vector<T> a, b, c, before, bias;

  Case(const ProductShape& shape, Epilogue with) : s(shape), epilogue(with) {
    a = random_values<T>(
        span_of(s.batch, s.transpose_a ? s.k : s.m, s.transpose_a ? s.m : s.k, s.lda, s.stride_a));
    b = random_values<T>(
        span_of(s.batch, s.transpose_b ? s.n : s.k, s.transpose_b ? s.k : s.n, s.ldb, s.stride_b));
    c = random_values<T>(span_of(s.batch, s.m, s.n, s.ldc, s.stride_c) + 17);
    before = c;
    bias = random_values<T>(s.n);
  }

  std::string run(int threads) {
    const auto product = Product::prepare(s, threads, epilogue);
    run(*product);
    return std::string(product->implementation());
  }
  void run(const Product& product) {
    c = before;
    product.run(a.data(), b.data(), c.data(), epilogue.bias ? bias.data() : nullptr);
  }

  T a_at(std::int64_t e, std::int64_t i, std::int64_t p) const {
    return a[static_cast<std::size_t>(e * s.stride_a + (s.transpose_a ? p * s.lda + i : i * s.lda + p))];
  }
  T b_at(std::int64_t e, std::int64_t p, std::int64_t j) const {
    return b[static_cast<std::size_t>(e * s.stride_b + (s.transpose_b ? j * s.ldb + p : p * s.ldb + j))];
  }

  void check_real(T got, std::int64_t e, std::int64_t i, std::int64_t j) const {
    double sum = 0;
    double size = 0;
    for (std::int64_t p = 0; p < s.k; ++p) {
      const double term = static_cast<double>(static_cast<float>(a_at(e, i, p))) *
                          static_cast<double>(static_cast<float>(b_at(e, p, j)));
      sum += term;
      size += std::abs(term);
    }
    if (epilogue.bias) {
      const double term = static_cast<double>(static_cast<float>(bias[static_cast<std::size_t>(j)]));
      sum += term;
      size += std::abs(term);
    }
    if (epilogue.relu) sum = std::max(sum, 0.0);
    // bfloat16 adds in float32 and rounds once, to half an ulp.
    const double terms = static_cast<double>(s.k + 1);
    const double unit = std::is_same_v<T, bfloat16> ? 0x1p-23 : epsilon<T>();
    const double bound = terms * unit * size + (std::is_same_v<T, bfloat16> ? 0x1p-8 * std::abs(sum) : 0);
    ASSERT_NEAR(static_cast<double>(static_cast<float>(got)), sum, bound);
  }

  void check_integer(T got, std::int64_t e, std::int64_t i, std::int64_t j) const {
    std::uint64_t sum = 0;
    for (std::int64_t p = 0; p < s.k; ++p) {
      sum += static_cast<std::uint64_t>(a_at(e, i, p)) * static_cast<std::uint64_t>(b_at(e, p, j));
    }
    if (epilogue.bias) sum += static_cast<std::uint64_t>(bias[static_cast<std::size_t>(j)]);
    T wanted = static_cast<T>(sum);
    if (epilogue.relu && wanted < T{0}) wanted = T{0};
    ASSERT_EQ(got, wanted);
  }

  /// Every entry against the sum in float64 (or modulo 2^64), and nothing written beside C.
  void check() const {
    std::vector<bool> written(c.size(), false);
    for (std::int64_t e = 0; e < s.batch; ++e) {
      for (std::int64_t i = 0; i < s.m; ++i) {
        for (std::int64_t j = 0; j < s.n; ++j) {
          const auto at = static_cast<std::size_t>(e * s.stride_c + i * s.ldc + j);
          written[at] = true;
          if constexpr (std::is_integral_v<T>)
            check_integer(c[at], e, i, j);
          else if constexpr (std::is_same_v<T, double>)
            check_double(c[at], e, i, j);
          else
            check_real(c[at], e, i, j);
          if (::testing::Test::HasFatalFailure()) return;
        }
      }
    }
    for (std::size_t at = 0; at < c.size(); ++at) {
      ASSERT_TRUE(written[at] || std::memcmp(&c[at], &before[at], sizeof(T)) == 0) << "wrote beside C";
    }
  }

  void check_double(double got, std::int64_t e, std::int64_t i, std::int64_t j) const {
    long double sum = 0;
    long double size = 0;
    for (std::int64_t p = 0; p < s.k; ++p) {
      const long double term =
          static_cast<long double>(a_at(e, i, p)) * static_cast<long double>(b_at(e, p, j));
      sum += term;
      size += std::abs(term);
    }
    if (epilogue.bias) {
      sum += static_cast<long double>(bias[static_cast<std::size_t>(j)]);
      size += std::abs(static_cast<long double>(bias[static_cast<std::size_t>(j)]));
    }
    if (epilogue.relu) sum = std::max(sum, 0.0L);
    const auto bound = static_cast<long double>(s.k + 1) * static_cast<long double>(epsilon<double>()) * size;
    ASSERT_LE(std::abs(static_cast<long double>(got) - sum), bound);
  }
};

/// A shape with random sizes, transposes, gaps between rows and between matrices, and broadcasting.
ProductShape random_shape(DType dtype, std::int64_t largest) {
  ProductShape s = dense_product(dtype, pick(1, 3), pick(1, largest), pick(1, largest), pick(1, largest),
                                 pick(0, 1) == 1, pick(0, 1) == 1);
  const std::int64_t kind = pick(0, 9);
  if (kind == 0) s = dense_product(dtype, s.batch, 1, s.n, s.k, s.transpose_a, s.transpose_b);
  if (kind == 1) s = dense_product(dtype, s.batch, s.m, 1, s.k, s.transpose_a, s.transpose_b);
  if (kind == 2) s = dense_product(dtype, s.batch, s.m, s.n, 1, s.transpose_a, s.transpose_b);
  if (pick(0, 1) == 1) {
    s.lda += pick(0, 5);
    s.ldb += pick(0, 5);
    s.ldc += pick(0, 5);
    s.stride_a = (s.transpose_a ? s.k : s.m) * s.lda + pick(0, 3);
    s.stride_b = (s.transpose_b ? s.n : s.k) * s.ldb + pick(0, 3);
    s.stride_c = s.m * s.ldc + pick(0, 3);
  }
  if (pick(0, 3) == 0) s.stride_a = 0;
  if (pick(0, 2) == 0) s.stride_b = 0;
  return s;
}

std::string text(const ProductShape& s) {
  return "batch " + std::to_string(s.batch) + " m " + std::to_string(s.m) + " n " + std::to_string(s.n) +
         " k " + std::to_string(s.k) + (s.transpose_a ? " Aᵀ" : "") + (s.transpose_b ? " Bᵀ" : "") + " lda " +
         std::to_string(s.lda) + " ldb " + std::to_string(s.ldb) + " ldc " + std::to_string(s.ldc);
}

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

TEST(Products, DeepAndWideShapesAgreeWithTheSum) {
  const std::int64_t sizes[][3] = {{64, 256, 784}, {7, 33, 1000},  {200, 40, 401}, {300, 300, 64},
                                   {1, 700, 900},  {900, 1, 700},  {13, 2000, 5},  {2000, 3, 50},
                                   {29, 511, 803}, {61, 263, 100}, {35, 1024, 66}, {130, 1024, 400},
                                   {500, 150, 300}};
  for (const auto& size : sizes) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      const auto shape = [&](DType dtype) {
        return dense_product(dtype, 1, size[0], size[1], size[2], (transposes & 1) != 0,
                             (transposes & 2) != 0);
      };
      SCOPED_TRACE(text(shape(DType::float32)));
      Case<float> single(shape(DType::float32), {true, true});
      single.run(2);
      single.check();
      Case<double> twice(shape(DType::float64), {true, false});
      twice.run(3);
      twice.check();
      if (HasFatalFailure()) return;
    }
  }
}

// Blocks of A, packed and as it is stored, pass by stripes of B: two stretches of k, two stripes of float64.
TEST(Products, TallShapesAgreeWithTheSum) {
  const std::int64_t sizes[][3] = {{420, 260, 386}, {420, 100, 386}, {450, 2100, 64}};
  for (const auto& size : sizes) {
    for (const bool transpose_a : {false, true}) {
      const auto shape = [&](DType dtype) {
        return dense_product(dtype, 1, size[0], size[1], size[2], transpose_a, !transpose_a);
      };
      SCOPED_TRACE(text(shape(DType::float32)));
      Case<float> single(shape(DType::float32), {true, true});
      single.run(1);
      single.check();
      Case<double> twice(shape(DType::float64), {true, false});
      twice.run(1);
      twice.check();
      if (HasFatalFailure()) return;
    }
  }
}

class ProductsOn : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { force_target(GetParam()); }
  void TearDown() override {
    force_target("");
    set_thread_count(0);
  }
};
INSTANTIATE_TEST_SUITE_P(Targets, ProductsOn, ::testing::ValuesIn(checks::targets()),
                         [](const auto& target) { return target.param; });

TEST_P(ProductsOn, AgreeWithTheSum) {
  check_random_shapes<float>(60, 70, fastest);
  check_random_shapes<double>(60, 70, fastest);
  // Packed rows and columns, several stretches of the inner dimension.
  for (int transposes = 0; transposes < 4; ++transposes) {
    const bool a = (transposes & 1) != 0, b = (transposes & 2) != 0;
    Case<float> single(dense_product(DType::float32, 1, 35, 263, 401, a, b), {true, true});
    single.run(2);
    single.check();
    Case<double> twice(dense_product(DType::float64, 1, 35, 263, 401, a, b), {true, false});
    twice.run(1);
    twice.check();
    if (HasFatalFailure()) return;
  }
}

// Few rows times a transposed matrix: against the sum, and to the bits of the kernels that pack the matrix,
// on any number of threads. Sizes around the borders of blocks, of panels and of the pieces that are turned.
template <typename T>
void check_mirrored(const ProductShape& shape, Epilogue epilogue) {
  SCOPED_TRACE(text(shape));
  Case<T> test(shape, epilogue);
  ASSERT_EQ(test.run(1), "mirrored");
  test.check();
  const std::vector<T> one = test.c;
  const auto is_same = [&] { return std::memcmp(one.data(), test.c.data(), one.size() * sizeof(T)) == 0; };
  for (const int threads : {2, 3}) {
    test.run(threads);
    ASSERT_TRUE(is_same()) << threads;
  }
  test.run(*prepare_gemm(shape, 1, epilogue));
  ASSERT_TRUE(is_same());
}

TEST_P(ProductsOn, FewRowsTimesATransposedMatrix) {
  const std::int64_t lanes = gemm_kernels<float>().lanes;
  const std::int64_t widest = gemm_kernels<float>().widest_panel;
  set_thread_count(3);
  for (const std::int64_t m : {lanes - 1, lanes, widest - 1, widest}) {
    if (m < 2) continue;  // a vector
    for (const std::int64_t n : {511, 528, 1040}) {
      for (const bool transposed : {false, true}) {
        ProductShape s = dense_product(DType::float32, 1, m, n, 650, transposed, true);
        check_mirrored<float>(s, {transposed, n == 528});
        s.ldc += 3;
        s.ldb += 5;
        check_mirrored<float>(s, {true, true});
        if (HasFatalFailure()) return;
      }
    }
  }
  const std::int64_t some = std::max<std::int64_t>(lanes, 2), few = std::max<std::int64_t>(lanes / 2, 2);
  check_mirrored<double>(dense_product(DType::float64, 1, some, 777, 300, false, true), {true, false});
  check_mirrored<double>(dense_product(DType::float64, 1, few, 1030, 700, true, true), {true, true});
}

// One matrix for a whole batch of columns, which become the rows of one product.
/// Limits that let small products count as large: blocks of 32 rows of float64, and about 120 columns at a
/// time.
constexpr LargeLimits small_limits{std::int64_t{1} << 16, std::int64_t{1} << 16, std::int64_t{1} << 18};

/// A product that is large under small_limits, with three stretches of k and more than two blocks of A for
/// each of three threads.
template <typename T>
ProductShape large_shape(std::int64_t rows, std::int64_t columns) {
  return dense_product(dtype_of<T>(), 1, rows, columns, 769);
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

TEST(Products, LargeShapesAgreeWithTheSum) {
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
TEST_P(ProductsOn, LargeShapesHaveTheBitsOfSmallerOnes) {
  check_large_layouts<float>();
  check_large_layouts<double>();
}

// Wherever the last panels lie in what the threads pack.
TEST_P(ProductsOn, LargeShapesOfAnyWidthHaveTheBitsOfSmallerOnes) {
  const ThreadScope threads(3);
  const GemmKernels<double> kernels = gemm_kernels<double>();
  for (std::int64_t more = 0; more < 4 * kernels.panel && !HasFatalFailure(); more += kernels.lanes)
    check_large<double>(large_shape<double>(300, 101 + more));
}

TEST(Products, LargeShapesAreFoundAndShared) {
  const LargeLimits limits = large_limits();
  constexpr std::int64_t k = 769;
  const std::int64_t depth = stretch_depth(k), block = fitting<double>(limits.resident_a, depth);
  const std::int64_t columns = fitting<double>(limits.least_b, depth) + 1;
  const auto implementation = [&](std::int64_t m, std::int64_t n, int threads) {
    return Product::prepare(dense_product(DType::float64, 1, m, n, k), threads)->implementation();
  };
  EXPECT_EQ(implementation(block + 1, columns, 1), "large");
  EXPECT_EQ(implementation(block, columns, 1), "gemm");
  EXPECT_EQ(implementation(block + 1, columns - 1, 1), "gemm");
  EXPECT_EQ(implementation(4 * block + 400, columns, 2), "large");
  EXPECT_EQ(implementation(block + 1, columns, 64), "gemm") << "some threads would have nothing to do";
}

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

// What every bfloat16 product takes where there are no tiles.
TEST(Products, Bfloat16ByWayOfFloatAgreesWithTheSum) {
  check_random_shapes<bfloat16>(100, 70, prepare_converted);
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

TEST(Products, ReluKeepsNaNWhereFewRowsAreMirrored) {
  Case<float> test(dense_product(DType::float32, 1, 16, 300, 700, false, true), {true, true});
  test.a[0] = std::numeric_limits<float>::quiet_NaN();
  test.run(2);
  for (std::size_t j = 0; j < 300; ++j) EXPECT_TRUE(std::isnan(test.c[j]));
  for (std::size_t j = 300; j < 4800; ++j) EXPECT_GE(test.c[j], 0.0F);
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
  EXPECT_EQ(count(Case<bfloat16>(dense_product(DType::bfloat16, 1, 64, 100, 300), all), fastest), 0);
  EXPECT_EQ(count(Case<bfloat16>(dense_product(DType::bfloat16, 1, 64, 100, 300), all), prepare_converted),
            0);
  EXPECT_EQ(count(Case<std::int32_t>(dense_product(DType::int32, 1, 64, 100, 300), all), fastest), 0);
  const auto large = [](const ProductShape& s, int threads, Epilogue epilogue) {
    return prepare_large(s, threads, epilogue, small_limits);
  };
  EXPECT_EQ(count(Case<double>(large_shape<double>(300, 200), all), large), 0);
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
