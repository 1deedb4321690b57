#include "kernels/cpu/sort.hpp"

#include <cmath>
#include <limits>
#include <numeric>

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
