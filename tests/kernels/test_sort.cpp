#include "kernels/cpu/sort.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "kernels/cpu/lanes.hpp"
#include "kernels/lane_checks.hpp"
#include "kernels/views.hpp"

namespace chainrule::kernels {
namespace {

using namespace testing;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

/// NaN is the largest number.
bool before(double a, double b) { return std::isnan(b) ? !std::isnan(a) : a < b; }

/// The order of one line by std::stable_sort.
std::vector<std::int64_t> naive_order(const std::vector<double>& line, bool descending) {
  std::vector<std::int64_t> order(line.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    const double x = line[static_cast<std::size_t>(a)];
    const double y = line[static_cast<std::size_t>(b)];
    return descending ? before(y, x) : before(x, y);
  });
  return order;
}

void check_sorted(const Array& in, int axis, std::int64_t k, bool descending) {
  Shape shape = in.shape;
  shape[axis] = k;
  const OwnedView values = dense(in.dtype, shape);
  const OwnedView indices = dense(DType::int64, shape);
  const OwnedView only = dense(DType::int64, shape);
  std::vector<double> workspace(sort_workspace_bytes(in, axis) / 8 + 2);
  topk(in, axis, k, descending, values.view, indices.view, workspace.data());
  topk(in, axis, k, descending, Array{}, only.view, workspace.data());
  ASSERT_EQ(values_of(only.view), values_of(indices.view));
  Shape off_axis = in.shape;
  off_axis[axis] = 1;
  for (std::int64_t i = 0; i < element_count(off_axis); ++i) {
    Dims position = coordinates(off_axis, i);
    std::vector<double> line;
    for (position[axis] = 0; position[axis] < in.shape[axis]; ++position[axis])
      line.push_back(at(in, position));
    const std::vector<std::int64_t> order = naive_order(line, descending);
    for (position[axis] = 0; position[axis] < k; ++position[axis]) {
      const std::int64_t want = order[static_cast<std::size_t>(position[axis])];
      ASSERT_EQ(at(indices.view, position), static_cast<double>(want));
      const double value = line[static_cast<std::size_t>(want)];
      const double got = at(values.view, position);
      ASSERT_TRUE(got == value || (std::isnan(got) && std::isnan(value)));
    }
  }
}

TEST(Sort, RandomViewsOfEveryDtype) {
  std::mt19937 random(31);
  for (const DType dtype : all_dtypes) {
    for (int round = 0; round < 60; ++round) {
      Shape shape = random_shape(random, 3);
      shape.push_back(static_cast<std::int64_t>(random() % 40));
      const OwnedView in = random_view(dtype, shape, random, true);
      const int axis = static_cast<int>(random() % static_cast<unsigned>(shape.size()));
      check_sorted(in.view, axis, shape[axis], random() % 2 == 0);
      check_sorted(in.view, axis, static_cast<std::int64_t>(random()) % (shape[axis] + 1), random() % 2 == 0);
    }
  }
}

TEST(Sort, LongLinesWithTiesAndSpecialValues) {
  std::mt19937 random(32);
  for (const DType dtype : all_dtypes) {
    OwnedView in = dense(dtype, {3, 3000});
    for (std::int64_t i = 0; i < in.view.size(); ++i) {
      double value = static_cast<double>(random() % 2000) - (dtype_size(dtype) == 1 ? 0 : 1000);
      if (is_floating(dtype)) {
        const double special[] = {nan, -nan, inf, -inf, 0.0, -0.0};
        value = random() % 10 == 0 ? special[random() % 6] : value * 0.37e5;
      } else if (dtype_size(dtype) == 1) {
        value = static_cast<double>(random() % 256);
      }
      write_element(in.view, i, value);
    }
    for (const bool descending : {false, true}) {
      check_sorted(in.view, 1, 3000, descending);
      check_sorted(in.view, 1, 10, descending);
    }
  }
}

/// Every instruction set's sort.
class SortOn : public checks::OnTarget {};

enum class Filling { any, few_values, equal, ascending, descending, special };

/// NaNs of both signs with bits of their own, zeros of both signs, infinities and numbers, mixed.
void fill_special(const Array& line, std::mt19937& random) {
  for (std::int64_t i = 0; i < line.size(); ++i) {
    const double special[] = {0.0, -0.0, inf, -inf, 1e-42, -1e-42, nan, -nan, 1.5, -1.5};
    write_element(line, i, special[random() % 10]);
    if (line.dtype == DType::float32 && random() % 4 == 0) {
      const auto payload = static_cast<std::uint32_t>(i + 1);
      line.as<float>()[i] = std::bit_cast<float>((random() % 2 == 0 ? 0x7fc00000U : 0xffc00000U) + payload);
    }
  }
}

void fill(const Array& line, Filling filling, std::mt19937& random) {
  if (filling == Filling::special) return fill_special(line, random);
  const std::int64_t n = line.size();
  for (std::int64_t i = 0; i < n; ++i) {
    double value = static_cast<double>(random() % 20000) - 10000;
    if (filling == Filling::few_values) value = static_cast<double>(random() % 3) - 1;
    if (filling == Filling::equal) value = 7;
    if (filling == Filling::ascending) value = static_cast<double>(i);
    if (filling == Filling::descending) value = static_cast<double>(n - i);
    write_element(line, i, value == 0 ? 0.0 : value);
  }
}

/// The first k elements with and without their positions, bit by bit, from two lines whose elements are not
/// neighbours, and in place.
void check_bits(DType dtype, std::int64_t n, std::int64_t k, bool descending, Filling filling,
                std::mt19937& random) {
  const std::size_t size = dtype_size(dtype);
  const OwnedView line = dense(dtype, {n});
  fill(line.view, filling, random);
  const std::vector<std::int64_t> order = naive_order(values_of(line.view), descending);
  const auto check_values = [&](const Array& values) {
    for (std::int64_t i = 0; i < k; ++i) {
      const auto from = static_cast<std::size_t>(order[static_cast<std::size_t>(i)]) * size;
      const auto to = static_cast<std::size_t>(i * values.strides[0]) * size;
      ASSERT_EQ(std::memcmp(static_cast<const std::byte*>(values.data) + to, line.memory.data() + from, size),
                0)
          << dtype_name(dtype) << " n " << n << " k " << k << " filling " << static_cast<int>(filling)
          << " descending " << descending << " at " << i;
    }
  };
  std::vector<double> workspace(sort_workspace_bytes(line.view, 0) / 8 + 2);
  const OwnedView alone = dense(dtype, {k});
  topk(line.view, 0, k, descending, alone.view, Array{}, workspace.data());
  check_values(alone.view);
  const OwnedView spread = dense(dtype, {3 * k});
  const OwnedView indices = dense(DType::int64, {k});
  const Array strided{spread.view.data, dtype, {k}, {3}};
  topk(line.view, 0, k, descending, strided, indices.view, workspace.data());
  check_values(strided);
  for (std::int64_t i = 0; i < k; ++i)
    ASSERT_EQ(indices.view.as<std::int64_t>()[i], order[static_cast<std::size_t>(i)]);
  if (k < n) return;
  const OwnedView place = dense(dtype, {n});
  std::memcpy(place.view.data, line.view.data, static_cast<std::size_t>(n) * size);
  sort(place.view, 0, descending, place.view, Array{}, workspace.data());
  check_values(place.view);
}

TEST_P(SortOn, LinesOfEveryLengthAndFilling) {
  std::mt19937 random(33);
  std::vector<std::int64_t> lengths{100, 127, 128, 129, 191, 192, 193, 255, 256, 257, 511, 700, 1025, 3000};
  for (std::int64_t n = 1; n <= 66; ++n) lengths.push_back(n);
  for (const DType dtype : {DType::float32, DType::float64, DType::bfloat16, DType::int32, DType::int64}) {
    for (const std::int64_t n : lengths) {
      for (const Filling filling : {Filling::any, Filling::few_values, Filling::equal, Filling::ascending,
                                    Filling::descending, Filling::special}) {
        if (filling == Filling::special && !is_floating(dtype)) continue;
        const bool descending = random() % 2 == 0;
        ASSERT_NO_FATAL_FAILURE(check_bits(dtype, n, n, descending, filling, random));
        for (const std::int64_t k : {std::int64_t{1}, std::int64_t{8}, n / 3})
          ASSERT_NO_FATAL_FAILURE(check_bits(dtype, n, std::min(k, n), descending, filling, random));
      }
    }
  }
}

/// Neighbours in memory, before and behind the sorted lines, stay as they are.
TEST_P(SortOn, WritesNothingBesideTheLines) {
  std::mt19937 random(34);
  for (const std::int64_t n : {3, 17, 100, 300, 1000}) {
    const OwnedView all = dense(DType::float32, {n + 40});
    fill(all.view, Filling::any, random);
    const std::vector<double> before = values_of(all.view);
    const Array line{all.view.as<float>() + 20, DType::float32, {n}, {1}};
    std::vector<double> workspace(sort_workspace_bytes(line, 0) / 8 + 2);
    const double mark = workspace.back() = 0.125;
    sort(line, 0, false, line, Array{}, workspace.data());
    const std::vector<double> after = values_of(all.view);
    EXPECT_TRUE(std::equal(before.begin(), before.begin() + 20, after.begin()));
    EXPECT_TRUE(std::equal(before.end() - 20, before.end(), after.end() - 20));
    EXPECT_TRUE(std::is_sorted(after.begin() + 20, after.end() - 20));
    EXPECT_EQ(workspace.back(), mark);
  }
}

INSTANTIATE_TEST_SUITE_P(, SortOn, checks::every_target(), checks::target_name);

TEST(Sort, IntegerLimitsAndInPlace) {
  std::int64_t values[5] = {0, std::numeric_limits<std::int64_t>::max(), -1,
                            std::numeric_limits<std::int64_t>::min(), 1};
  const Array view{values, DType::int64, {5}, {1}};
  std::vector<double> workspace(sort_workspace_bytes(view, 0) / 8 + 2);
  sort(view, 0, false, view, Array{}, workspace.data());
  EXPECT_TRUE(std::is_sorted(values, values + 5));
  sort(view, 0, true, view, Array{}, workspace.data());
  EXPECT_EQ(values[0], std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(values[4], std::numeric_limits<std::int64_t>::min());
}

// numpy.searchsorted([1, 2, 2, 3, nan], [0, 1, 2, 2.5, 9, nan], side) of NumPy.
TEST(Sort, SearchSorted) {
  const OwnedView edges = dense(DType::float64, {5}, {1, 2, 2, 3, nan});
  const OwnedView values = dense(DType::float64, {6}, {0, 1, 2, 2.5, 9, nan});
  OwnedView out = dense(DType::int64, {6});
  searchsorted(edges.view, values.view, false, out.view);
  EXPECT_EQ(values_of(out.view), (std::vector<double>{0, 0, 1, 3, 4, 4}));
  searchsorted(edges.view, values.view, true, out.view);
  EXPECT_EQ(values_of(out.view), (std::vector<double>{0, 1, 3, 3, 4, 5}));
}

}  // namespace
}  // namespace chainrule::kernels
