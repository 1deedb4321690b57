#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
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

template <class T>
const LaneEntry& entry_of(std::string_view op) {
  for (const LaneEntry& entry : lane_kernels()) {
    if (entry.op == op && entry.dtype == dtype_of<T>()) return entry;
  }
  throw std::runtime_error("no kernel " + std::string(op));
}

template <class T>
std::vector<T> run(const LaneEntry& entry, const std::vector<T>& a) {
  std::vector<T> out(a.size());
  const void* inputs[] = {a.data()};
  entry.kernel(inputs, out.data(), static_cast<std::int64_t>(a.size()));
  return out;
}

template <class T>
std::vector<T> run(const LaneEntry& entry, const std::vector<T>& a, const std::vector<T>& b) {
  std::vector<T> out(a.size());
  const void* inputs[] = {a.data(), b.data()};
  entry.kernel(inputs, out.data(), static_cast<std::int64_t>(a.size()));
  return out;
}

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

class Lanes : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { force_target(GetParam()); }
  void TearDown() override { force_target(""); }
};

INSTANTIATE_TEST_SUITE_P(, Lanes, testing::ValuesIn(checks::targets()),
                         [](const auto& parameters) { return parameters.param; });

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

template <class T>
void check_comparisons() {
  const std::vector<T> values = {T{0},
                                 T{1},
                                 T{2},
                                 std::numeric_limits<T>::max(),
                                 std::numeric_limits<T>::lowest(),
                                 static_cast<T>(-1),
                                 std::numeric_limits<T>::quiet_NaN(),
                                 std::numeric_limits<T>::infinity()};
  const std::map<std::string, std::function<bool(T, T)>> references = {
      {"equal", std::equal_to<T>()},  {"not_equal", std::not_equal_to<T>()},
      {"less", std::less<T>()},       {"less_equal", std::less_equal<T>()},
      {"greater", std::greater<T>()}, {"greater_equal", std::greater_equal<T>()}};
  std::vector<T> a, b;
  for (int repeat = 0; repeat < 3; ++repeat) {
    for (const T x : values) {
      for (const T y : values) {
        a.push_back(x);
        b.push_back(y);
      }
    }
  }
  const void* inputs[] = {a.data(), b.data()};
  for (const auto& [op, reference] : references) {
    std::vector<std::uint8_t> got(a.size(), 9);
    entry_of<T>(op).kernel(inputs, got.data(), static_cast<std::int64_t>(a.size()));
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(got[i], reference(a[i], b[i])) << op << ' ' << i;
  }
}

TEST_P(Lanes, Comparisons) {
  check_comparisons<float>();
  check_comparisons<double>();
  check_comparisons<std::uint8_t>();
  check_comparisons<std::int32_t>();
  check_comparisons<std::int64_t>();
}

TEST_P(Lanes, LogicReadsAnyNonzeroByteAsTrue) {
  const std::vector<std::uint8_t> a = {0, 0, 1, 1, 2, 255, 2, 0};
  const std::vector<std::uint8_t> b = {0, 1, 0, 1, 1, 2, 0, 128};
  const void* inputs[] = {a.data(), b.data()};
  const auto logic = [&](const char* op) {
    std::vector<std::uint8_t> got(a.size());
    find_lane_kernel(op, DType::boolean)(inputs, got.data(), 8);
    return got;
  };
  using Bytes = std::vector<std::uint8_t>;
  EXPECT_EQ(logic("logical_and"), (Bytes{0, 0, 0, 1, 1, 1, 0, 0}));
  EXPECT_EQ(logic("logical_or"), (Bytes{0, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(logic("logical_xor"), (Bytes{0, 1, 1, 0, 0, 0, 1, 1}));
  EXPECT_EQ(logic("logical_not"), (Bytes{1, 1, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(logic("equal"), (Bytes{1, 0, 0, 1, 1, 1, 0, 0}));
  EXPECT_EQ(logic("less"), (Bytes{0, 1, 0, 0, 0, 0, 0, 1}));
}

template <class T>
void check_classification() {
  const std::vector<T> x = edges<T>();
  const void* inputs[] = {x.data()};
  const auto classify = [&](const char* op, auto reference) {
    std::vector<std::uint8_t> got(x.size(), 9);
    entry_of<T>(op).kernel(inputs, got.data(), static_cast<std::int64_t>(x.size()));
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(got[i], reference(x[i])) << op << ' ' << x[i];
  };
  classify("isnan", [](T v) { return std::isnan(v); });
  classify("isinf", [](T v) { return std::isinf(v); });
  classify("isfinite", [](T v) { return std::isfinite(v); });
}

TEST_P(Lanes, Classification) {
  check_classification<float>();
  check_classification<double>();
}

template <class T>
void check_where(T yes, T no) {
  std::vector<std::uint8_t> condition(67);
  for (std::size_t i = 0; i < condition.size(); ++i)
    condition[i] = i % 3 == 0 ? static_cast<std::uint8_t>(i + 1) : 0;
  std::vector<T> a(67, yes), b(67, no);
  const void* inputs[] = {condition.data(), a.data(), b.data()};
  find_lane_kernel("where", dtype_of<T>())(inputs, b.data(), 67);
  for (std::size_t i = 0; i < 67; ++i) {
    const T& wanted = condition[i] != 0 ? yes : no;
    ASSERT_EQ(std::memcmp(&b[i], &wanted, sizeof(T)), 0) << dtype_name(dtype_of<T>()) << ' ' << i;
  }
}

TEST_P(Lanes, Where) {
  check_where<std::uint8_t>(3, 200);
  check_where<std::int32_t>(-3, 1 << 30);
  check_where<std::int64_t>(-3, std::int64_t{1} << 60);
  check_where<bfloat16>(bfloat16(1.5F), bfloat16(-2.0F));
  check_where<float>(-0.0F, std::numeric_limits<float>::quiet_NaN());
  check_where<double>(-0.0, 1e300);
}

// The truth of integer arithmetic, in 128 bits and then cut to the type.
__extension__ typedef __int128 Big;
__extension__ typedef unsigned __int128 UnsignedBig;

Big floored_quotient(Big a, Big b) {
  if (b == 0) return 0;
  const Big q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

const std::map<std::string, Big (*)(Big, Big)>& integer_references() {
  static const std::map<std::string, Big (*)(Big, Big)> table = {
      {"add", [](Big a, Big b) { return a + b; }},
      {"sub", [](Big a, Big b) { return a - b; }},
      {"mul",
       [](Big a, Big b) {
         return static_cast<Big>(static_cast<UnsignedBig>(a) * static_cast<UnsignedBig>(b));
       }},
      {"maximum", [](Big a, Big b) { return a > b ? a : b; }},
      {"minimum", [](Big a, Big b) { return a < b ? a : b; }},
      {"floor_divide", floored_quotient},
      {"remainder", [](Big a, Big b) { return b == 0 ? Big{0} : a - b * floored_quotient(a, b); }},
      {"fmod", [](Big a, Big b) { return b == 0 ? Big{0} : a % b; }},
      {"neg", [](Big a, Big) { return -a; }},
      {"abs", [](Big a, Big) { return a < 0 ? -a : a; }},
      {"sign", [](Big a, Big) { return static_cast<Big>((a > 0) - (a < 0)); }},
      {"square", [](Big a, Big) {
         return static_cast<Big>(static_cast<UnsignedBig>(a) * static_cast<UnsignedBig>(a));
       }}};
  return table;
}

template <class T>
void check_integers() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> some = {0,
                         1,
                         2,
                         3,
                         7,
                         100,
                         Limits::max(),
                         Limits::min(),
                         static_cast<T>(-1),
                         static_cast<T>(-2),
                         static_cast<T>(-7),
                         static_cast<T>(Limits::max() - 1),
                         static_cast<T>(Limits::min() + 1)};
  std::mt19937_64 engine(6);
  for (int i = 0; i < 20; ++i) some.push_back(static_cast<T>(engine()));
  std::vector<T> a, b;
  for (const T x : some) {
    for (const T y : some) {
      a.push_back(x);
      b.push_back(y);
    }
  }
  for (const auto& [op, reference] : integer_references()) {
    const std::vector<T> got = run(entry_of<T>(op), a, b);
    for (std::size_t i = 0; i < a.size(); ++i) {
      ASSERT_EQ(got[i], static_cast<T>(reference(a[i], b[i]))) << op << ' ' << +a[i] << ' ' << +b[i];
    }
  }
}

TEST_P(Lanes, IntegersWrapAndNeverTrap) {
  check_integers<std::uint8_t>();
  check_integers<std::int32_t>();
  check_integers<std::int64_t>();
}

template <class From, class To>
std::vector<To> cast(const std::vector<From>& values) {
  std::vector<To> got(values.size());
  const void* inputs[] = {values.data()};
  find_cast_kernel(dtype_of<From>(), dtype_of<To>())(inputs, got.data(),
                                                     static_cast<std::int64_t>(values.size()));
  return got;
}

/// C's truncation where it is defined; the nearest end of the type elsewhere; 0 for NaN.
template <class To>
To truncated(long double value) {
  using Limits = std::numeric_limits<To>;
  if (std::isnan(value)) return 0;
  if (value <= static_cast<long double>(Limits::min())) return Limits::min();
  if (value >= static_cast<long double>(Limits::max())) return Limits::max();
  return static_cast<To>(value);
}

template <class From, class To>
void check_float_to_integer() {
  std::vector<From> values = samples<From>(300, 7);
  for (const double border : {255.0, 256.0, 2147483647.0, 2147483648.0, 9223372036854775807.0}) {
    for (const double s : {1.0, -1.0}) {
      const auto v = static_cast<From>(s * border);
      values.insert(values.end(), {v, std::nextafter(v, From{0}), std::nextafter(v, 2 * v)});
    }
  }
  const std::vector<To> got = cast<From, To>(values);
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(got[i], truncated<To>(values[i])) << values[i];
}

TEST_P(Lanes, FloatToIntegerCasts) {
  check_float_to_integer<float, std::uint8_t>();
  check_float_to_integer<float, std::int32_t>();
  check_float_to_integer<float, std::int64_t>();
  check_float_to_integer<double, std::uint8_t>();
  check_float_to_integer<double, std::int32_t>();
  check_float_to_integer<double, std::int64_t>();
}

template <class From, class To>
void check_value_cast(const std::vector<From>& values) {
  const std::vector<To> got = cast<From, To>(values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto wanted = static_cast<To>(values[i]);
    ASSERT_EQ(std::memcmp(&got[i], &wanted, sizeof(To)), 0)
        << dtype_name(dtype_of<From>()) << " to " << dtype_name(dtype_of<To>()) << ' ' << i;
  }
}

TEST_P(Lanes, CastsThatKeepTheValueOrRoundIt) {
  const std::vector<std::int64_t> longs = {0,        1,           -1,        127,       255,     256,
                                           16777217, -2147483649, INT64_MAX, INT64_MIN, 33554435};
  const std::vector<std::int32_t> ints = {0, 1, -1, 127, 255, 256, 16777217, INT32_MAX, INT32_MIN};
  const std::vector<std::uint8_t> bytes = {0, 1, 127, 128, 255};
  check_value_cast<std::int64_t, float>(longs);
  check_value_cast<std::int64_t, double>(longs);
  check_value_cast<std::int64_t, std::int32_t>(longs);
  check_value_cast<std::int64_t, std::uint8_t>(longs);
  check_value_cast<std::int32_t, float>(ints);
  check_value_cast<std::int32_t, double>(ints);
  check_value_cast<std::int32_t, std::int64_t>(ints);
  check_value_cast<std::uint8_t, float>(bytes);
  check_value_cast<std::uint8_t, std::int64_t>(bytes);
  check_value_cast<float, double>({1.5F, -0.0F, 3e38F, 1e-44F, std::numeric_limits<float>::infinity()});
  check_value_cast<double, float>({1.1, -0.0, 1e39, 1e-46, 1e-44, 16777217.0, 3.4028235677973366e38});
  check_value_cast<double, double>({1.1, -0.0});
}

TEST_P(Lanes, BFloat16RoundsToNearestEven) {
  const std::vector<float> x = samples<float>(1000, 8);
  const std::vector<bfloat16> rounded = cast<float, bfloat16>(x);
  const std::vector<float> back = cast<bfloat16, float>(rounded);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i])) {
      ASSERT_TRUE(std::isnan(back[i]));
      continue;
    }
    // Both neighbours in the 16-bit grid, in exact arithmetic; the infinite one stands for 2^128.
    const std::uint32_t low_bits = std::bit_cast<std::uint32_t>(x[i]) & 0xffff0000U;
    const auto finite = [](float v) {
      return std::isinf(v) ? std::copysign(0x1p128, v) : static_cast<double>(v);
    };
    const double low = finite(std::bit_cast<float>(low_bits));
    const double high = std::isinf(x[i]) ? low : finite(std::bit_cast<float>(low_bits + 0x10000U));
    const double to_low = std::abs(finite(x[i]) - low);
    const double to_high = std::abs(finite(x[i]) - high);
    const bool low_even = (low_bits & 0x10000U) == 0;
    const double wanted = to_low < to_high || (to_low == to_high && low_even) ? low : high;
    ASSERT_EQ(finite(back[i]), wanted) << x[i];
  }
}

TEST_P(Lanes, CastsToAndFromBool) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> x = {0, -0.0, 1, -2, 0.25, nan, 1e-320};
  std::vector<std::uint8_t> truth(x.size());
  const void* inputs[] = {x.data()};
  find_cast_kernel(DType::float64, DType::boolean)(inputs, truth.data(), static_cast<std::int64_t>(x.size()));
  EXPECT_EQ(truth, (std::vector<std::uint8_t>{0, 0, 1, 1, 1, 1, 1}));
  const std::vector<std::uint8_t> bytes = {0, 1, 2, 255};
  std::vector<float> got(4);
  const void* bools[] = {bytes.data()};
  find_cast_kernel(DType::boolean, DType::float32)(bools, got.data(), 4);
  EXPECT_EQ(got, (std::vector<float>{0, 1, 1, 1}));
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
