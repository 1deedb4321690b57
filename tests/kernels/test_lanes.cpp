#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <chainrule/dtype.hpp>
#include <chainrule/error.hpp>

#include "kernels/lane_checks.hpp"

namespace chainrule::kernels {
namespace {

using checks::edges;
using checks::entry_of;
using checks::run;
using checks::samples;
using checks::scale_down;
using checks::ulp_distance;
using checks::Wide;

// The references: the C library, in a wider type than the result's.
template <class W>
using Unary = W (*)(W);
template <class W>
using Binary = W (*)(W, W);

template <class W>
W sign_of(W x) {
  return std::isnan(x) ? x : static_cast<W>((x > 0) - (x < 0));
}

template <class W>
W sigmoid_of(W x) {
  return 1 / (1 + std::exp(-x));
}

template <class W>
const std::map<std::string, Unary<W>>& unary_references() {
  static const std::map<std::string, Unary<W>> table = {{"exp", [](W x) { return std::exp(x); }},
                                                        {"exp2", [](W x) { return std::exp2(x); }},
                                                        {"expm1", [](W x) { return std::expm1(x); }},
                                                        {"log", [](W x) { return std::log(x); }},
                                                        {"log2", [](W x) { return std::log2(x); }},
                                                        {"log10", [](W x) { return std::log10(x); }},
                                                        {"log1p", [](W x) { return std::log1p(x); }},
                                                        {"sqrt", [](W x) { return std::sqrt(x); }},
                                                        {"rsqrt", [](W x) { return 1 / std::sqrt(x); }},
                                                        {"cbrt", [](W x) { return std::cbrt(x); }},
                                                        {"sin", [](W x) { return std::sin(x); }},
                                                        {"cos", [](W x) { return std::cos(x); }},
                                                        {"tan", [](W x) { return std::tan(x); }},
                                                        {"asin", [](W x) { return std::asin(x); }},
                                                        {"acos", [](W x) { return std::acos(x); }},
                                                        {"atan", [](W x) { return std::atan(x); }},
                                                        {"sinh", [](W x) { return std::sinh(x); }},
                                                        {"cosh", [](W x) { return std::cosh(x); }},
                                                        {"tanh", [](W x) { return std::tanh(x); }},
                                                        {"asinh", [](W x) { return std::asinh(x); }},
                                                        {"acosh", [](W x) { return std::acosh(x); }},
                                                        {"atanh", [](W x) { return std::atanh(x); }},
                                                        {"erf", [](W x) { return std::erf(x); }},
                                                        {"erfc", [](W x) { return std::erfc(x); }},
                                                        {"sigmoid", sigmoid_of<W>},
                                                        {"abs", [](W x) { return std::abs(x); }},
                                                        {"neg", [](W x) { return -x; }},
                                                        {"sign", sign_of<W>},
                                                        {"floor", [](W x) { return std::floor(x); }},
                                                        {"ceil", [](W x) { return std::ceil(x); }},
                                                        {"round", [](W x) { return std::nearbyint(x); }},
                                                        {"trunc", [](W x) { return std::trunc(x); }},
                                                        {"reciprocal", [](W x) { return 1 / x; }},
                                                        {"relu", [](W x) { return x > 0 || x != x ? x : 0; }},
                                                        {"square", [](W x) { return x * x; }},
                                                        {"lgamma", [](W x) { return std::lgamma(x); }}};
  return table;
}

template <class W>
W maximum_of(W a, W b) {
  return std::isnan(a) || std::isnan(b) ? std::numeric_limits<W>::quiet_NaN() : (a > b ? a : b);
}

template <class W>
W minimum_of(W a, W b) {
  return std::isnan(a) || std::isnan(b) ? std::numeric_limits<W>::quiet_NaN() : (a < b ? a : b);
}

template <class W>
const std::map<std::string, Binary<W>>& binary_references() {
  static const std::map<std::string, Binary<W>> table = {{"add", [](W a, W b) { return a + b; }},
                                                         {"sub", [](W a, W b) { return a - b; }},
                                                         {"mul", [](W a, W b) { return a * b; }},
                                                         {"div", [](W a, W b) { return a / b; }},
                                                         {"pow", [](W a, W b) { return std::pow(a, b); }},
                                                         {"atan2", [](W a, W b) { return std::atan2(a, b); }},
                                                         {"fmod", [](W a, W b) { return std::fmod(a, b); }},
                                                         {"maximum", maximum_of<W>},
                                                         {"minimum", minimum_of<W>}};
  return table;
}

// Where the stated bound does not hold, by declaration: the neighbourhood of lgamma's negative zeros.
bool outside_bound(std::string_view op, double x) { return op == "lgamma" && x < 0; }

/// The worst distance seen, and where.
struct Worst {
  double ulp = 0;
  double x = 0;
  double y = 0;
  void see(double distance, double at_x, double at_y = 0) {
    if (distance > ulp) *this = {distance, at_x, at_y};
  }
};

// A correctly rounded result is half a unit off, up to the reference's own rounding.
double allowed(const LaneEntry& entry) { return entry.max_ulp == 0.5 ? 0.501 : entry.max_ulp; }

void expect_within(const LaneEntry& entry, const Worst& worst) {
  if (std::getenv("CHAINRULE_PRINT_ULPS") != nullptr) {
    std::printf("%-8s %-12s %-8s %8.3f of %g at %.17g %.17g\n", std::string(active_target()).c_str(),
                std::string(entry.op).c_str(), std::string(dtype_name(entry.dtype)).c_str(), worst.ulp,
                entry.max_ulp, worst.x, worst.y);
  }
  EXPECT_LE(worst.ulp, allowed(entry)) << entry.op << ' ' << dtype_name(entry.dtype) << " on "
                                       << active_target() << " at " << worst.x << ", " << worst.y;
}

template <class T>
Worst worst_unary(const LaneEntry& entry, Unary<Wide<T>> reference, const std::vector<T>& x) {
  const std::vector<T> got = run(entry, x);
  Worst worst;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (outside_bound(entry.op, static_cast<double>(x[i]))) continue;
    worst.see(ulp_distance(got[i], reference(static_cast<Wide<T>>(x[i]))), static_cast<double>(x[i]));
  }
  return worst;
}

template <class T>
void check_all_unary(int per_kind) {
  const std::vector<T> x = samples<T>(per_kind, 1);
  for (const auto& [op, reference] : unary_references<Wide<T>>()) {
    const LaneEntry& entry = entry_of<T>(op);
    expect_within(entry, worst_unary<T>(entry, reference, x));
  }
}

/// Every pair of edges, and random pairs of like and unlike sizes.
template <class T>
void binary_samples(int count, std::vector<T>& a, std::vector<T>& b) {
  const std::vector<T> some = edges<T>();
  for (std::size_t i = 0; i < some.size(); i += 2) {
    for (std::size_t j = i % 3; j < some.size(); j += 3) {
      a.push_back(some[i]);
      b.push_back(some[j]);
    }
  }
  const std::vector<T> left = samples<T>(count, 2);
  const std::vector<T> right = samples<T>(count, 3);
  std::mt19937 engine(4);
  for (int i = 0; i < 10 * count; ++i) {
    a.push_back(left[engine() % left.size()]);
    b.push_back(right[engine() % right.size()]);
  }
  std::uniform_real_distribution<double> uniform(0.5, 2);
  for (int i = 0; i < 2 * count; ++i) {
    a.push_back(static_cast<T>(uniform(engine)));
    b.push_back(static_cast<T>(4 * uniform(engine) - 4));
  }
}

template <class T>
void check_all_binary(int count) {
  std::vector<T> a;
  std::vector<T> b;
  binary_samples(count, a, b);
  for (const auto& [op, reference] : binary_references<Wide<T>>()) {
    const LaneEntry& entry = entry_of<T>(op);
    const std::vector<T> got = run(entry, a, b);
    Worst worst;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const Wide<T> exact = reference(static_cast<Wide<T>>(a[i]), static_cast<Wide<T>>(b[i]));
      // The order of two zeros is nobody's business.
      if (entry.max_ulp == 0 && exact == 0 && got[i] == 0 && entry.op != "fmod") continue;
      worst.see(ulp_distance(got[i], exact), static_cast<double>(a[i]), static_cast<double>(b[i]));
    }
    expect_within(entry, worst);
  }
}

class Lanes : public checks::OnTarget {};

INSTANTIATE_TEST_SUITE_P(, Lanes, checks::every_target(), checks::target_name);

TEST_P(Lanes, IsTheTargetAskedFor) { EXPECT_EQ(active_target(), GetParam()); }

TEST_P(Lanes, UnaryFloat32) { check_all_unary<float>(20000 / scale_down); }
TEST_P(Lanes, UnaryFloat64) { check_all_unary<double>(10000 / scale_down); }
TEST_P(Lanes, BinaryFloat32) { check_all_binary<float>(10000 / scale_down); }
TEST_P(Lanes, BinaryFloat64) { check_all_binary<double>(5000 / scale_down); }

// A stride through all 2^32 bit patterns.
TEST_P(Lanes, SweepOfFloat32) {
  std::vector<float> x;
  for (std::uint64_t pattern = 0; pattern < (std::uint64_t{1} << 32); pattern += 4093U * scale_down) {
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(pattern)));
  }
  for (const char* op : {"exp", "log", "tanh", "sigmoid", "erf", "sin", "log1p", "expm1"}) {
    const LaneEntry& entry = entry_of<float>(op);
    expect_within(entry, worst_unary<float>(entry, unary_references<double>().at(op), x));
  }
}

// Values from mpmath: the second opinion on the C library, and the first on digamma and lgamma.
TEST_P(Lanes, MpmathReferenceFloat64) {
  std::ifstream file(CHAINRULE_SOURCE_DIR "/tests/reference/kernels/lanes_float64.txt");
  ASSERT_TRUE(file);
  std::map<std::string, Worst> worst;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream row(line);
    std::string op, argument, value;
    row >> op >> argument >> value;
    const double x = std::strtod(argument.c_str(), nullptr);
    const std::vector<double> got = run<double>(entry_of<double>(op), {x});
    worst[op].see(ulp_distance(got[0], std::strtold(value.c_str(), nullptr)), x);
  }
  EXPECT_GE(worst.size(), 20U);
  for (const auto& [op, w] : worst) expect_within(entry_of<double>(op), w);
}

/// The same value, or both NaN: which NaN is unspecified.
template <class T>
bool same(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0 || (std::isnan(a) && std::isnan(b));
}

/// Results must not depend on an element's place: vector body, tail, alignment, in place.
template <class T>
void check_placement(const LaneEntry& entry) {
  const std::vector<T> values = samples<T>(20, 5);
  const std::vector<T> reversed(values.rbegin(), values.rend());
  const std::vector<T> whole = run(entry, values, reversed);
  for (std::size_t n = 0; n <= 67; ++n) {
    for (const std::size_t offset : {0U, 1U, 3U}) {
      std::vector<T> a(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(n + offset));
      std::vector<T> b(reversed.begin(), reversed.begin() + static_cast<std::ptrdiff_t>(n + offset));
      a.push_back(T{42});
      const void* inputs[] = {a.data() + offset, b.data() + offset};
      entry.kernel(inputs, a.data() + offset, static_cast<std::int64_t>(n));
      for (std::size_t i = offset; i < n + offset; ++i) {
        ASSERT_TRUE(same(a[i], whole[i])) << entry.op << " n " << n << " offset " << offset << " at " << i;
      }
      ASSERT_EQ(a.back(), T{42}) << entry.op << " wrote beyond the end";
    }
  }
}

bool gives_or_takes_bool(std::string_view op) {
  static const std::vector<std::string_view> names = {"equal",   "not_equal",     "less",  "less_equal",
                                                      "greater", "greater_equal", "where", "isnan",
                                                      "isinf",   "isfinite"};
  return std::find(names.begin(), names.end(), op) != names.end();
}

TEST_P(Lanes, TailsOffsetsAndInPlace) {
  for (const LaneEntry& entry : lane_kernels()) {
    if (gives_or_takes_bool(entry.op)) continue;
    if (entry.dtype == DType::float32) check_placement<float>(entry);
    if (entry.dtype == DType::float64) check_placement<double>(entry);
  }
}

TEST_P(Lanes, DivisionWithPythonsSigns) {
  // Python 3.11: a % b and a // b.
  const double inf = std::numeric_limits<double>::infinity();
  struct Row {
    double a, b, remainder, quotient;
  };
  const std::vector<Row> rows = {
      {7, 3, 1, 2},   {-7, 3, 2, -3},    {7, -3, -2, -3},    {-7, -3, -1, 2},   {-1, inf, inf, -1},
      {1, inf, 1, 0}, {0.5, 0.25, 0, 2}, {-0.0, 3, 0, -0.0}, {6, -3, -0.0, -2}, {1e300, 7, 1, 1e300 / 7}};
  for (const Row& row : rows) {
    const double r = run<double>(entry_of<double>("remainder"), {row.a}, {row.b})[0];
    EXPECT_EQ(r, row.remainder) << row.a << " % " << row.b;
    EXPECT_EQ(std::signbit(r), std::signbit(row.remainder)) << row.a << " % " << row.b;
    EXPECT_EQ(run<double>(entry_of<double>("floor_divide"), {row.a}, {row.b})[0], row.quotient)
        << row.a << " // " << row.b;
  }
  EXPECT_TRUE(std::isnan(run<double>(entry_of<double>("remainder"), {1}, {0})[0]));
  EXPECT_EQ(run<float>(entry_of<float>("floor_divide"), {-1}, {0})[0], -inf);
}

TEST_P(Lanes, DigammaOfSpecialsAndReflection) {
  const LaneEntry& entry = entry_of<double>("digamma");
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(run<double>(entry, {0.0})[0], -inf);
  EXPECT_EQ(run<double>(entry, {-0.0})[0], inf);
  EXPECT_EQ(run<double>(entry, {inf})[0], inf);
  EXPECT_TRUE(std::isnan(run<double>(entry, {-3.0})[0]));
  EXPECT_TRUE(std::isnan(run<double>(entry, {-inf})[0]));
  // mpmath 1.3.
  EXPECT_NEAR(run<double>(entry, {-0.5})[0], 0.036489973978576520, 1e-15);
  EXPECT_NEAR(run<double>(entry, {-10.25})[0], 5.5168584198862, 1e-12);
}

TEST(LaneTable, HasNoDoublesAndEveryCast) {
  std::map<std::pair<std::string_view, DType>, int> seen;
  for (const LaneEntry& entry : lane_kernels()) {
    EXPECT_EQ((++seen[{entry.op, entry.dtype}]), 1) << entry.op;
    EXPECT_NE(entry.kernel, nullptr) << entry.op;
    EXPECT_EQ(find_lane_kernel(entry.op, entry.dtype), entry.kernel);
  }
  for (int from = 0; from < dtype_count; ++from) {
    for (int to = 0; to < dtype_count; ++to) {
      EXPECT_NE(find_cast_kernel(static_cast<DType>(from), static_cast<DType>(to)), nullptr);
    }
  }
  EXPECT_EQ(find_lane_kernel("exp", DType::int32), nullptr);
  EXPECT_EQ(find_lane_kernel("no such op", DType::float32), nullptr);
  EXPECT_THROW(force_target("Z80"), ArgumentError);
}

// Every floating kernel is compared with a reference above; a new one must be added there.
TEST(LaneTable, EveryFloatingKernelHasAReference) {
  const std::vector<std::string_view> elsewhere = {"remainder", "floor_divide", "digamma"};
  for (const LaneEntry& entry : lane_kernels()) {
    if (entry.dtype != DType::float32) continue;
    const std::string op(entry.op);
    EXPECT_TRUE(unary_references<double>().contains(op) || binary_references<double>().contains(op) ||
                gives_or_takes_bool(op) ||
                std::find(elsewhere.begin(), elsewhere.end(), op) != elsewhere.end())
        << op;
  }
}

}  // namespace
}  // namespace chainrule::kernels
