#include "kernels/cpu/rows.hpp"

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/lane_checks.hpp"
#include "kernels/page_end.hpp"

namespace chainrule::kernels {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// An element's type on one of the machine's instruction sets.
template <typename T, std::size_t number>
struct On {
  using Element = T;
  static constexpr std::size_t target = number;
};
template <typename On>
class Rows : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::vector<std::string> targets = checks::targets();
    if (On::target >= targets.size()) GTEST_SKIP() << "the machine has fewer instruction sets";
    force_target(targets[On::target]);
  }
  void TearDown() override { force_target(""); }
};
using RowTypes = ::testing::Types<On<float, 0>, On<float, 1>, On<float, 2>, On<float, 3>, On<double, 0>,
                                  On<double, 1>, On<double, 2>, On<double, 3>>;
TYPED_TEST_SUITE(Rows, RowTypes);

template <typename T>
constexpr double tolerance = std::is_same_v<T, float> ? 2e-6 : 1e-13;

template <typename T>
constexpr double float_or_double(double for_float, double for_double) {
  return std::is_same_v<T, float> ? for_float : for_double;
}

template <typename T>
std::vector<T> random_values(std::int64_t n, double scale, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, scale);
  std::vector<T> values(static_cast<std::size_t>(n));
  for (T& value : values) value = static_cast<T>(normal(random));
  return values;
}

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Softmax of one row in long double.
template <typename T>
std::vector<long double> naive_softmax(const T* x, std::int64_t n, long double* lse) {
  long double m = -inf;
  for (std::int64_t i = 0; i < n; ++i) m = std::max<long double>(m, x[i]);
  long double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<long double>(x[i]) - m);
  std::vector<long double> p;
  for (std::int64_t i = 0; i < n; ++i) p.push_back(std::exp(static_cast<long double>(x[i]) - m) / sum);
  *lse = m + std::log(sum);
  return p;
}

TYPED_TEST(Rows, SoftmaxFamilyByItsFormulas) {
  using T = typename TypeParam::Element;
  for (const std::int64_t n : {1, 2, 3, 7, 10, 16, 33, 100, 1024, 2500}) {
    const std::int64_t rows = 5;
    const auto x = random_values<T>(rows * n, 10, 1);
    const auto dy = random_values<T>(rows * n, 1, 2);
    std::vector<T> p(x.size()), l(x.size()), dp(x.size()), dl(x.size()), ds(x.size()), s(at(rows));
    softmax(x.data(), rows, n, p.data());
    log_softmax(x.data(), rows, n, l.data());
    logsumexp(x.data(), rows, n, s.data());
    softmax_backward(p.data(), dy.data(), rows, n, dp.data());
    log_softmax_backward(l.data(), dy.data(), rows, n, dl.data());
    logsumexp_backward(x.data(), s.data(), dy.data(), rows, n, ds.data());
    for (std::int64_t r = 0; r < rows; ++r) {
      long double lse = 0;
      const auto want = naive_softmax(x.data() + r * n, n, &lse);
      long double dot = 0;
      long double sum = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        dot += want[at(i)] * dy[at(r * n + i)];
        sum += dy[at(r * n + i)];
      }
      EXPECT_NEAR(s[at(r)], static_cast<double>(lse), tolerance<T> * 30);
      for (std::int64_t i = 0; i < n; ++i) {
        const std::size_t k = at(r * n + i);
        const auto q = static_cast<double>(want[at(i)]);
        ASSERT_NEAR(p[k], q, tolerance<T> * 3 * q);  // x − m is rounded before the exponential
        ASSERT_NEAR(l[k], static_cast<double>(x[k] - lse), tolerance<T> * 40);
        ASSERT_NEAR(dp[k], static_cast<double>(want[at(i)] * (dy[k] - dot)), tolerance<T> * 3);
        ASSERT_NEAR(dl[k], static_cast<double>(dy[k] - want[at(i)] * sum), tolerance<T> * 40);
        ASSERT_NEAR(ds[k], q * static_cast<double>(dy[at(r)]), tolerance<T> * 10);
      }
    }
  }
}

// What PyTorch's softmax, log_softmax and logsumexp give for rows with infinities and NaN.
TYPED_TEST(Rows, MaskedAndSpecialRows) {
  using T = typename TypeParam::Element;
  const T low = static_cast<T>(-inf);
  const T nan = std::numeric_limits<T>::quiet_NaN();
  std::vector<T> p(3);
  T s = 0;
  const auto row = [&](std::vector<T> x) {
    softmax(x.data(), 1, 3, p.data());
    logsumexp(x.data(), 1, 3, &s);
  };
  row({0, low, 0});
  EXPECT_EQ(p, (std::vector<T>{T(0.5), 0, T(0.5)}));
  EXPECT_NEAR(s, std::log(2.0), 1e-6);
  row({low, low, low});
  EXPECT_TRUE(std::isnan(p[0]) && std::isnan(p[2]));
  EXPECT_EQ(s, low);
  row({1, -low, 2});
  EXPECT_TRUE(std::isnan(p[0]) && std::isnan(p[1]));
  EXPECT_EQ(s, -low);
  row({1, nan, 2});
  EXPECT_TRUE(std::isnan(p[0]) && std::isnan(s));
  row({low, nan, low});
  EXPECT_TRUE(std::isnan(p[0]) && std::isnan(s));
  row({T(1e30), T(-1e30), T(1e30)});
  EXPECT_EQ(p, (std::vector<T>{T(0.5), 0, T(0.5)}));
  logsumexp(p.data(), 1, 0, &s);
  EXPECT_EQ(s, low);
}

TYPED_TEST(Rows, SoftmaxKeepsTinyProbabilities) {
  using T = typename TypeParam::Element;
  const double gap = std::is_same_v<T, float> ? 95 : 720;  // below the normal range
  std::vector<T> x{0, static_cast<T>(-gap)};
  std::vector<T> p(2);
  softmax(x.data(), 1, 2, p.data());
  const double want = std::exp(-gap);
  EXPECT_NEAR(p[1] / want, 1, (float_or_double<T>(1e-2, 1e-9)));
}

TYPED_TEST(Rows, CrossEntropyAndItsGradient) {
  using T = typename TypeParam::Element;
  const std::int64_t rows = 300;
  const std::int64_t n = 10;
  const auto x = random_values<T>(rows * n, 3, 3);
  const auto dloss = random_values<T>(rows, 1, 4);
  std::vector<std::int32_t> labels(at(rows));
  for (std::int64_t r = 0; r < rows; ++r)
    labels[at(r)] = r % 7 == 6 ? -100 : static_cast<std::int32_t>(r % 10);
  const Array view{labels.data(), DType::int32, {rows}, {1}};
  std::vector<T> loss(at(rows), 7), lse(at(rows)), dx(x.size());
  ASSERT_EQ(cross_entropy(x.data(), view, -100, rows, n, loss.data(), lse.data()), -1);
  cross_entropy_backward(x.data(), view, -100, lse.data(), dloss.data(), rows, n, dx.data());
  for (std::int64_t r = 0; r < rows; ++r) {
    long double want = 0;
    const auto p = naive_softmax(x.data() + r * n, n, &want);
    const std::int64_t label = labels[at(r)];
    const bool counts = label != -100;
    const long double loss_wanted = counts ? want - x[at(r * n + label)] : 0;
    EXPECT_NEAR(loss[at(r)], static_cast<double>(loss_wanted), tolerance<T> * 10);
    for (std::int64_t i = 0; i < n; ++i) {
      const long double gradient = counts ? (p[at(i)] - (i == label ? 1 : 0)) * dloss[at(r)] : 0;
      ASSERT_NEAR(dx[at(r * n + i)], static_cast<double>(gradient), tolerance<T> * 20);
    }
  }
  labels[17] = -1;
  labels[20] = 10;
  std::fill(loss.begin(), loss.end(), T(7));
  EXPECT_EQ(cross_entropy(x.data(), view, -100, rows, n, loss.data(), lse.data()), 17);
  EXPECT_EQ(loss[0], T(7));
}

/// L = Σ dy·layer_norm(x) in double, for central differences.
double naive_layer_norm_dot(const std::vector<double>& x, const std::vector<double>& scale,
                            const std::vector<double>& shift, const std::vector<double>& dy,
                            std::int64_t rows, std::int64_t n) {
  double dot = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    double mean = 0, variance = 0;
    for (std::int64_t i = 0; i < n; ++i) mean += x[at(r * n + i)] / static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i) {
      variance += (x[at(r * n + i)] - mean) * (x[at(r * n + i)] - mean) / static_cast<double>(n);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const double y = (x[at(r * n + i)] - mean) / std::sqrt(variance + 1e-5) * scale[at(i)] + shift[at(i)];
      dot += dy[at(r * n + i)] * y;
    }
  }
  return dot;
}

template <typename T>
std::vector<double> widened(const std::vector<T>& x) {
  return {x.begin(), x.end()};
}

TYPED_TEST(Rows, LayerNormAgainstCentralDifferences) {
  using T = typename TypeParam::Element;
  const std::int64_t rows = 3;
  for (const std::int64_t n : {2, 5, 19, 40}) {
    const auto x = random_values<T>(rows * n, 2, 5);
    const auto dy = random_values<T>(rows * n, 1, 6);
    const auto scale = random_values<T>(n, 1, 7);
    const auto shift = random_values<T>(n, 1, 8);
    std::vector<T> y(x.size()), dx(x.size()), mean(at(rows)), rstd(at(rows)), dscale(at(n)), dshift(at(n));
    std::vector<double> workspace(layer_norm_backward_workspace_bytes(rows, n) / 8);
    layer_norm(x.data(), scale.data(), shift.data(), 1e-5, rows, n, y.data(), mean.data(), rstd.data());
    layer_norm_backward(dy.data(), x.data(), scale.data(), mean.data(), rstd.data(), rows, n, dx.data(),
                        dscale.data(), dshift.data(), workspace.data());
    auto wx = widened(x), ws = widened(scale), wb = widened(shift), wd = widened(dy);
    double dot = 0;
    for (std::size_t k = 0; k < y.size(); ++k) dot += static_cast<double>(y[k]) * wd[k];
    EXPECT_NEAR(dot, naive_layer_norm_dot(wx, ws, wb, wd, rows, n), tolerance<T> * 100);
    const auto check = [&](std::vector<double>& argument, const std::vector<T>& gradient) {
      for (std::size_t k = 0; k < argument.size(); ++k) {
        const double h = 1e-5;
        const double kept = argument[k];
        argument[k] = kept + h;
        const double above = naive_layer_norm_dot(wx, ws, wb, wd, rows, n);
        argument[k] = kept - h;
        const double below = naive_layer_norm_dot(wx, ws, wb, wd, rows, n);
        argument[k] = kept;
        ASSERT_NEAR(gradient[k], (above - below) / (2 * h), (float_or_double<T>(3e-5, 1e-7)));
      }
    };
    check(wx, dx);
    check(ws, dscale);
    check(wb, dshift);
  }
}

TYPED_TEST(Rows, LayerNormOfLargeMeanAndWithoutParameters) {
  using T = typename TypeParam::Element;
  const std::int64_t n = 3000;
  auto x = random_values<T>(n, 1, 9);
  for (T& value : x) value += T(1000);
  std::vector<T> y(x.size()), dx(x.size());
  T mean = 0, rstd = 0;
  const T* none = nullptr;
  layer_norm(x.data(), none, none, 0, 1, n, y.data(), &mean, &rstd);
  double sum = 0, squares = 0;
  for (const T value : y) {
    sum += static_cast<double>(value);
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  EXPECT_NEAR(sum / static_cast<double>(n), 0, (float_or_double<T>(1e-4, 1e-12)));
  EXPECT_NEAR(squares / static_cast<double>(n), 1, 1e-5);
  // The output does not change along x itself or along a constant: dx is orthogonal to both.
  T* no_output = nullptr;
  layer_norm_backward(y.data(), x.data(), none, &mean, &rstd, 1, n, dx.data(), no_output, no_output, nullptr);
  for (const T value : dx) ASSERT_NEAR(value, 0, (float_or_double<T>(1e-4, 1e-11)));
}

/// Each row's mean and 1 / √(variance + 1e-5), and with them the gradients by the formulas of rows.hpp.
struct NaiveLayerNorm {
  std::vector<double> y, dx, dscale, dshift;
};
template <typename T>
NaiveLayerNorm naive_layer_norm(const std::vector<T>& x, const std::vector<T>& dy,
                                const std::vector<T>& scale, const std::vector<T>& shift, bool centred,
                                std::int64_t rows, std::int64_t n) {
  NaiveLayerNorm result{widened(x), widened(x), std::vector<double>(at(n)), std::vector<double>(at(n))};
  const auto count = static_cast<double>(n);
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto x_at = [&](std::int64_t i) { return static_cast<double>(x[at(r * n + i)]); };
    const auto g_at = [&](std::int64_t i) {
      return static_cast<double>(dy[at(r * n + i)]) * static_cast<double>(scale[at(i)]);
    };
    double mean = 0, variance = 0, mean_g = 0, mean_gx = 0;
    for (std::int64_t i = 0; i < n; ++i) mean += centred ? x_at(i) / count : 0;
    for (std::int64_t i = 0; i < n; ++i) variance += (x_at(i) - mean) * (x_at(i) - mean) / count;
    const double rstd = 1 / std::sqrt(variance + 1e-5);
    for (std::int64_t i = 0; i < n; ++i) {
      mean_g += centred ? g_at(i) / count : 0;
      mean_gx += g_at(i) * (x_at(i) - mean) * rstd / count;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const double normal = (x_at(i) - mean) * rstd;
      const auto d = static_cast<double>(dy[at(r * n + i)]);
      result.y[at(r * n + i)] =
          normal * static_cast<double>(scale[at(i)]) + (centred ? static_cast<double>(shift[at(i)]) : 0);
      result.dx[at(r * n + i)] = rstd * (g_at(i) - mean_g - normal * mean_gx);
      result.dscale[at(i)] += d * normal;
      result.dshift[at(i)] += d;
    }
  }
  return result;
}

template <typename Got>
void expect_near(Got& got, const std::vector<double>& want, double tolerance, const std::string& what) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(got[i]), want[i], tolerance * std::max(1.0, std::abs(want[i])))
        << what << " at " << i;
  }
}

template <typename T>
void check_normalization(std::int64_t rows, std::int64_t n) {
  using checks::PageEnd;
  SCOPED_TRACE(std::to_string(rows) + " rows of " + std::to_string(n));
  const auto x = random_values<T>(rows * n, 2, 11);
  const auto dy = random_values<T>(rows * n, 1, 12);
  const auto scale = random_values<T>(n, 1, 13);
  const auto shift = random_values<T>(n, 1, 14);
  PageEnd<T> x_end(x), scale_end(scale), shift_end(shift), y(rows * n), mean(rows), rstd(rows), dscale(n),
      dshift(n);
  std::vector<double> workspace(layer_norm_backward_workspace_bytes(rows, n) / sizeof(double));
  const double sums = std::sqrt(static_cast<double>(rows * n));
  for (const bool centred : {true, false}) {
    PageEnd<T> dx(dy);  // in place of dy
    if (centred) {
      layer_norm(x_end.data(), scale_end.data(), shift_end.data(), 1e-5, rows, n, y.data(), mean.data(),
                 rstd.data());
      layer_norm_backward(dx.data(), x_end.data(), scale_end.data(), mean.data(), rstd.data(), rows, n,
                          dx.data(), dscale.data(), dshift.data(), workspace.data());
    } else {
      rms_norm(x_end.data(), scale_end.data(), 1e-5, rows, n, y.data(), rstd.data());
      rms_norm_backward(dx.data(), x_end.data(), scale_end.data(), rstd.data(), rows, n, dx.data(),
                        dscale.data(), workspace.data());
    }
    const NaiveLayerNorm want = naive_layer_norm(x, dy, scale, shift, centred, rows, n);
    // A row of one or two elements is close to its own mean: what is left is the rounding of x, 1 / √1e-5 as
    // large.
    const double t = tolerance<T> * (n < 4 ? 1000 : 30);
    expect_near(y, want.y, t, "y");
    expect_near(dx, want.dx, t, "dx");
    expect_near(dscale, want.dscale, t * sums, "dscale");
    if (centred) expect_near(dshift, want.dshift, t * sums, "dshift");
  }
}

// Every number of vectors that is known to the compiler, whole ones and parts, and one more; more rows than
// are taken together.
TYPED_TEST(Rows, ShortRowsOfEveryLength) {
  using T = typename TypeParam::Element;
  using checks::PageEnd;
  constexpr std::int64_t rows = 67;
  for (std::int64_t n = 1; n <= 70; ++n) {
    check_normalization<T>(rows, n);
    const auto x = random_values<T>(rows * n, 3, 15);
    const auto dy = random_values<T>(rows * n, 1, 16);
    PageEnd<T> x_end(x), dy_end(dy), p(x), l(rows * n), s(rows), dx(rows * n), loss(rows), lse(rows);
    PageEnd<T> dl(rows * n), ds(rows * n), dloss(random_values<T>(rows, 1, 17)), dx_loss(rows * n);
    PageEnd<std::int32_t> labels(rows);
    for (std::int64_t r = 0; r < rows; ++r)
      labels[at(r)] = static_cast<std::int32_t>(r % 5 == 4 ? -100 : r % n);
    const Array view{labels.data(), DType::int32, {rows}, {1}};
    softmax(p.data(), rows, n, p.data());  // in place
    log_softmax(x_end.data(), rows, n, l.data());
    logsumexp(x_end.data(), rows, n, s.data());
    softmax_backward(p.data(), dy_end.data(), rows, n, dx.data());
    log_softmax_backward(l.data(), dy_end.data(), rows, n, dl.data());
    logsumexp_backward(x_end.data(), s.data(), dloss.data(), rows, n, ds.data());
    ASSERT_EQ(cross_entropy(x_end.data(), view, -100, rows, n, loss.data(), lse.data()), -1);
    cross_entropy_backward(x_end.data(), view, -100, lse.data(), dloss.data(), rows, n, dx_loss.data());
    for (std::int64_t r = 0; r < rows; ++r) {
      long double want_lse = 0, dot = 0, sum = 0;
      const auto want = naive_softmax(x.data() + r * n, n, &want_lse);
      for (std::int64_t i = 0; i < n; ++i) {
        dot += want[at(i)] * dy[at(r * n + i)];
        sum += dy[at(r * n + i)];
      }
      const auto near = [&](T got, long double wanted) {
        return std::abs(static_cast<double>(got - wanted)) <= tolerance<T> * 40;
      };
      const std::int64_t label = labels[at(r)];
      const bool counts = label >= 0;
      ASSERT_TRUE(near(s[at(r)], want_lse) && near(lse[at(r)], want_lse)) << n;
      ASSERT_TRUE(near(loss[at(r)], counts ? want_lse - x[at(r * n + label)] : 0)) << n;
      for (std::int64_t i = 0; i < n; ++i) {
        const std::size_t k = at(r * n + i);
        const long double q = want[at(i)];
        const long double gradient = counts ? (q - (i == label ? 1 : 0)) * dloss[at(r)] : 0;
        SCOPED_TRACE(std::to_string(n) + ", row " + std::to_string(r) + " at " + std::to_string(i));
        ASSERT_TRUE(near(p[k], q));
        ASSERT_TRUE(near(l[k], x[k] - want_lse));
        ASSERT_TRUE(near(dx[k], q * (dy[k] - dot)));
        ASSERT_TRUE(near(dl[k], dy[k] - q * sum));
        ASSERT_TRUE(near(ds[k], q * dloss[at(r)]));
        ASSERT_TRUE(near(dx_loss[k], gradient));
      }
    }
  }
}

// Rows whose parameters are summed by columns, few and many of them, and shorter ones in pieces.
TYPED_TEST(Rows, GradientsOfScaleAndShift) {
  using T = typename TypeParam::Element;
  for (const auto& [rows, n] : {std::pair<std::int64_t, std::int64_t>{1, 16385},
                                {3, 20001},
                                {19, 17000},
                                {9, 16384},
                                {16, 1100},
                                {15, 1025},
                                {700, 130}}) {
    check_normalization<T>(rows, n);
  }
}

}  // namespace
}  // namespace chainrule::kernels
