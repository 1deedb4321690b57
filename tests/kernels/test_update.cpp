#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cpu/update.hpp"
#include "kernels/lane_checks.hpp"

namespace chainrule::kernels {
namespace {

/// One optimizer's run, as tests/reference/kernels/updates_float64.txt records it.
struct Case {
  std::string optimizer;
  std::map<std::string, double> settings;
  std::vector<double> start;
  std::vector<std::vector<double>> gradients;
  std::vector<double> end;

  double setting(const std::string& name) const {
    const auto found = settings.find(name);
    return found == settings.end() ? 0 : found->second;
  }
};

std::vector<double> read_numbers(std::istringstream& row) {
  std::vector<double> values;
  for (std::string text; row >> text;) values.push_back(std::strtod(text.c_str(), nullptr));
  return values;
}

std::vector<Case> read_cases() {
  std::vector<Case> cases;
  std::ifstream file(CHAINRULE_SOURCE_DIR "/tests/reference/kernels/updates_float64.txt");
  for (std::string line; std::getline(file, line);) {
    std::istringstream row(line);
    std::string kind;
    row >> kind;
    if (kind == "optimizer") {
      Case& c = cases.emplace_back();
      row >> c.optimizer;
      std::string name;
      for (double value = 0; row >> name >> value;) c.settings[name] = value;
    } else if (kind == "start") {
      cases.back().start = read_numbers(row);
    } else if (kind == "gradient") {
      cases.back().gradients.push_back(read_numbers(row));
    } else if (kind == "end") {
      cases.back().end = read_numbers(row);
    }
  }
  return cases;
}

template <class T>
std::vector<T> convert(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

template <>
std::vector<float> convert(const std::vector<double>& values) {
  std::vector<float> result;
  for (const double value : values) result.push_back(static_cast<float>(value));
  return result;
}

template <class T>
std::vector<T> run_adam(const Case& c) {
  std::vector<T> p = convert<T>(c.start);
  std::vector<T> m(p.size());
  std::vector<T> v(p.size());
  int step = 0;
  for (const std::vector<double>& gradient : c.gradients) {
    ++step;
    const std::vector<T> g = convert<T>(gradient);
    AdamConstants constants{.lr = c.setting("lr"),
                            .beta1 = c.setting("beta1"),
                            .beta2 = c.setting("beta2"),
                            .eps = c.setting("eps")};
    (c.optimizer == "AdamW" ? constants.weight_decay : constants.l2) = c.setting("weight_decay");
    constants.bias1 = 1 - std::pow(constants.beta1, step);
    constants.bias2 = 1 - std::pow(constants.beta2, step);
    adam_update(AdamState<const T>{p.data(), m.data(), v.data()}, g.data(),
                static_cast<std::int64_t>(p.size()), constants, AdamState<T>{p.data(), m.data(), v.data()});
  }
  return p;
}

template <class T>
void check(double tolerance) {
  const std::vector<Case> cases = read_cases();
  ASSERT_EQ(cases.size(), 3U);
  for (const Case& c : cases) {
    const std::vector<T> got = run_adam<T>(c);
    double largest = 0;
    for (const double value : c.end) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(static_cast<double>(got[i]), c.end[i], tolerance * largest) << c.optimizer << " at " << i;
    }
  }
}

class Update : public checks::OnTarget {};

INSTANTIATE_TEST_SUITE_P(, Update, checks::every_target(), checks::target_name);

TEST_P(Update, FollowsPyTorchInFloat64) { check<double>(1e-14); }
TEST_P(Update, FollowsPyTorchInFloat32) { check<float>(2e-6); }

// A mean whose gradient is gone decays to 0, not to a subnormal number that stays; what is normal stays exact
// enough, and NaN and infinity come through.
template <class T>
void check_small_means() {
  constexpr T smallest = std::numeric_limits<T>::min();
  constexpr T infinite = std::numeric_limits<T>::infinity();
  const AdamConstants c{.lr = 1, .beta1 = 0.5, .beta2 = 0.5};
  std::vector<T> m{
      smallest, -smallest, 2 * smallest, -4 * smallest, smallest / 4, 1, std::numeric_limits<T>::quiet_NaN(),
      infinite, -infinite};
  std::vector<T> p(m.size(), T{0}), v(m.size(), T{1});
  const std::vector<T> g(m.size(), T{0});
  adam_update(AdamState<const T>{p.data(), m.data(), v.data()}, g.data(), static_cast<std::int64_t>(m.size()),
              c, AdamState<T>{p.data(), m.data(), v.data()});
  const T expected[] = {0, 0, smallest, -2 * smallest, 0, T{0.5}};
  for (std::size_t i = 0; i < std::size(expected); ++i) EXPECT_EQ(m[i], expected[i]) << i;
  EXPECT_EQ(p[0], 0);
  EXPECT_EQ(p[1], 0);
  EXPECT_LT(p[2], 0);
  EXPECT_GT(p[3], 0);
  for (std::size_t i = 6; i < m.size(); ++i) EXPECT_FALSE(std::isfinite(m[i])) << i;
  EXPECT_TRUE(std::isnan(m[6]) && std::isnan(p[6]));
}

TEST_P(Update, MeansDoNotStaySubnormal) {
  check_small_means<float>();
  check_small_means<double>();
}

// The first step from 0 is -lr for a gradient of any size, as long as the root of its square is above eps:
// also where the mean of the squares is a subnormal number.
template <class T>
void check_first_step(T gradient, double eps, double tolerance) {
  T p{0}, m{0}, v{0};
  const AdamConstants c{.lr = 1, .beta1 = 0.9, .beta2 = 0.999, .eps = eps, .bias1 = 0.1, .bias2 = 0.001};
  adam_update(AdamState<const T>{&p, &m, &v}, &gradient, 1, c, AdamState<T>{&p, &m, &v});
  EXPECT_GT(v, 0);
  EXPECT_LT(v, std::numeric_limits<T>::min());
  EXPECT_NEAR(p, -1, tolerance);
}

TEST_P(Update, TinyGradientsAreNotDividedByEpsAlone) {
  check_first_step<float>(1e-19F, 1e-30, 1e-3);
  check_first_step<double>(1e-155, 1e-300, 1e-6);
}

// Every length: the same result as element by element, and nothing written beyond the end.
TEST_P(Update, TailsAgreeWithSingleElements) {
  const AdamConstants c{.weight_decay = 0.1, .bias1 = 0.1, .bias2 = 0.001};
  for (std::size_t n = 0; n <= 67; ++n) {
    std::vector<float> p(n + 1, 7), m(n + 1, 7), v(n + 1, 7), g(n + 1);
    for (std::size_t i = 0; i < n; ++i) {
      p[i] = static_cast<float>(i) - 20;
      m[i] = 0.25F;
      v[i] = static_cast<float>(i);
      g[i] = 3 - 0.1F * static_cast<float>(i);
    }
    std::vector<float> p1 = p, m1 = m, v1 = v;
    adam_update(AdamState<const float>{p.data(), m.data(), v.data()}, g.data(), static_cast<std::int64_t>(n),
                c, AdamState<float>{p.data(), m.data(), v.data()});
    for (std::size_t i = 0; i < n; ++i) {
      adam_update(AdamState<const float>{&p1[i], &m1[i], &v1[i]}, &g[i], 1, c,
                  AdamState<float>{&p1[i], &m1[i], &v1[i]});
    }
    EXPECT_EQ(p, p1);
    EXPECT_EQ(m, m1);
    EXPECT_EQ(v, v1);
  }
}

}  // namespace
}  // namespace chainrule::kernels
