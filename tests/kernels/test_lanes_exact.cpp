#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <chainrule/dtype.hpp>

#include "kernels/lane_checks.hpp"

// The kernels whose results are exact: comparisons, logic, selection, integers, conversions.
namespace chainrule::kernels {
namespace {

using checks::edges;
using checks::entry_of;
using checks::run;
using checks::samples;

class ExactLanes : public checks::OnTarget {};

INSTANTIATE_TEST_SUITE_P(, ExactLanes, checks::every_target(), checks::target_name);

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

TEST_P(ExactLanes, Comparisons) {
  check_comparisons<float>();
  check_comparisons<double>();
  check_comparisons<std::uint8_t>();
  check_comparisons<std::int32_t>();
  check_comparisons<std::int64_t>();
}

TEST_P(ExactLanes, LogicReadsAnyNonzeroByteAsTrue) {
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

TEST_P(ExactLanes, Classification) {
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

TEST_P(ExactLanes, Where) {
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

TEST_P(ExactLanes, IntegersWrapAndNeverTrap) {
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

TEST_P(ExactLanes, FloatToIntegerCasts) {
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

TEST_P(ExactLanes, CastsThatKeepTheValueOrRoundIt) {
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

TEST_P(ExactLanes, BFloat16RoundsToNearestEven) {
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

TEST_P(ExactLanes, CastsToAndFromBool) {
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

std::string_view op_of(LaneKernel kernel) {
  for (const LaneEntry& entry : lane_kernels()) {
    if (entry.kernel == kernel) return entry.op;
  }
  return {};
}

template <class T>
T rounded(std::string_view op, T a, T b) {
  if (op == "maximum") return std::isnan(a) || a > b ? a : b;
  if (op == "minimum") return std::isnan(a) || a < b ? a : b;
  if (op == "neg") return -a;
  if (op == "abs") return std::fabs(a);
  if (op == "relu") return std::isnan(a) || a > 0 ? a : 0;
  volatile T result = op == "add" ? a + b : op == "sub" ? a - b : a * b;
  return result;
}

// A zero's sign counts.
template <class T>
bool same(T a, T b) {
  return std::isnan(b) ? std::isnan(a) : a == b && std::signbit(a) == std::signbit(b);
}

// Each of the links of T between two products, so that it is neither the first nor the last one.
template <class T>
void check_chain(const ChainLink& link, std::size_t length) {
  const DType dtype = std::is_same_v<T, float> ? DType::float32 : DType::float64;
  const std::vector<T> x = samples<T>(static_cast<int>(length) + 8, 1);
  std::vector<T> c(x.begin() + 4, x.end());  // an operand, whose place the result takes
  const std::vector<T> before = c;
  const T number = static_cast<T>(-0.75);
  const bool is_number = link.operand == ChainOperand::number;
  const LaneKernel product = find_lane_kernel("mul", dtype);
  const LaneChain chain = find_chain(dtype);
  constexpr auto array = ChainOperand::array;
  const std::array<ChainStep, 4> steps{
      {{find_chain_code(product, ChainValue::first, array), array, x.data() + 3},
       {link.code, link.operand, is_number ? &number : c.data()},
       {find_chain_code(product, ChainValue::second, array), array, x.data() + 2},
       {.code = chain.store}}};
  chain.run(x.data() + 1, steps, c.data(), static_cast<std::int64_t>(length));
  for (std::size_t i = 0; i < length; ++i) {
    const T value = rounded<T>("mul", x[i + 1], x[i + 3]);
    const T other = is_number ? number : before[i];
    const T a = link.value == ChainValue::second ? other : value;
    const T b = link.value == ChainValue::first ? other : value;
    const T wanted = rounded<T>("mul", x[i + 2], rounded(op_of(link.kernel), a, b));
    ASSERT_TRUE(same(c[i], wanted)) << op_of(link.kernel) << ' ' << i << " of " << length << ": " << c[i]
                                    << " instead of " << wanted;
  }
  for (std::size_t i = length; i < c.size(); ++i) ASSERT_TRUE(same(c[i], before[i]));
}

TEST_P(ExactLanes, ChainsRoundLikeTheirSteps) {
  const std::span<const ChainLink> links = chain_links();
  EXPECT_EQ(links.size(), 2 * (5 * 5 + 4));  // dtypes, ops of two operands, ops of one
  for (const ChainLink& link : links) {
    EXPECT_EQ(find_chain_code(link.kernel, link.value, link.operand), link.code);
    const bool single = find_lane_kernel(op_of(link.kernel), DType::float32) == link.kernel;
    // Around a block's length on every instruction set.
    for (const std::size_t length : {0, 1, 7, 8, 9, 15, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300}) {
      single ? check_chain<float>(link, length) : check_chain<double>(link, length);
    }
  }
  EXPECT_EQ(find_chain_code(nullptr, ChainValue::first, ChainOperand::array), nullptr);
}

}  // namespace
}  // namespace chainrule::kernels
