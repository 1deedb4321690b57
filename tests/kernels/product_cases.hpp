#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/cpu/products.hpp"

/// Products with their operands, to be compared with the sum that defines them.
namespace chainrule::kernels::checks {

inline std::mt19937_64 random_bits(20240917);

inline std::int64_t pick(std::int64_t low, std::int64_t high) {
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
inline std::int64_t span_of(std::int64_t batch, std::int64_t rows, std::int64_t cols, std::int64_t ld,
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
inline ProductShape random_shape(DType dtype, std::int64_t largest) {
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

inline std::string text(const ProductShape& s) {
  return "batch " + std::to_string(s.batch) + " m " + std::to_string(s.m) + " n " + std::to_string(s.n) +
         " k " + std::to_string(s.k) + (s.transpose_a ? " Aᵀ" : "") + (s.transpose_b ? " Bᵀ" : "") + " lda " +
         std::to_string(s.lda) + " ldb " + std::to_string(s.ldb) + " ldc " + std::to_string(s.ldc);
}

}  // namespace chainrule::kernels::checks
