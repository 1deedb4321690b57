#include "kernels/cpu/index.hpp"

#include <cmath>

#include "kernels/cpu/sum_rows.hpp"
#include "kernels/views.hpp"

namespace chainrule::kernels {
namespace {

using namespace testing;

/// Random indices in [−length, length) of either width.
OwnedView random_index(const Shape& shape, std::int64_t length, std::mt19937& random) {
  OwnedView index = random_view(random() % 2 == 0 ? DType::int32 : DType::int64, shape, random, false);
  for (std::int64_t i = 0; i < index.view.size(); ++i) {
    const auto value = static_cast<std::int64_t>(random() % static_cast<unsigned>(2 * length)) - length;
    write_element(index.view, offset_of(index.view, coordinates(shape, i)), static_cast<double>(value));
  }
  return index;
}

/// The same positions without a negative index.
void count_from_the_start(const Array& index, std::int64_t length) {
  for (std::int64_t i = 0; i < index.size(); ++i) {
    const Dims position = coordinates(index.shape, i);
    const auto value = static_cast<std::int64_t>(at(index, position));
    if (value < 0) write_element(index, offset_of(index, position), static_cast<double>(value + length));
  }
}

std::int64_t resolve(const Array& index, const Dims& position, std::int64_t length) {
  const auto value = static_cast<std::int64_t>(at(index, position));
  return value < 0 ? value + length : value;
}

/// A random shape with at least one dimension and no empty one.
Shape filled_shape(std::mt19937& random) {
  Shape shape = random_shape(random, 2);
  shape.push_back(1 + static_cast<std::int64_t>(random() % 20));
  for (std::int64_t& n : shape) n = std::max<std::int64_t>(1, n);
  return shape;
}

int random_axis(const Shape& shape, std::mt19937& random) {
  return static_cast<int>(random() % static_cast<unsigned>(shape.size()));
}

// torch.gather: out[i][j] = in[index[i][j]][j] for axis 0, and so on.
TEST(Index, GatherByItsDefinition) {
  std::mt19937 random(21);
  for (const DType dtype : all_dtypes) {
    for (int round = 0; round < 60; ++round) {
      const Shape shape = filled_shape(random);
      const int axis = random_axis(shape, random);
      Shape taken = shape;
      taken[axis] = static_cast<std::int64_t>(random() % 12);
      const OwnedView in = random_view(dtype, shape, random, true);
      const OwnedView index = random_index(taken, shape[axis], random);
      const OwnedView out = random_view(dtype, taken, random, false);
      ASSERT_EQ(gather(in.view, index.view, axis, out.view), -1);
      for (std::int64_t i = 0; i < out.view.size(); ++i) {
        Dims position = coordinates(taken, i);
        const double got = at(out.view, position);
        position[axis] = resolve(index.view, position, shape[axis]);
        ASSERT_EQ(got, at(in.view, position));
      }
    }
  }
}

TEST(Index, ScatterByItsDefinition) {
  std::mt19937 random(22);
  for (const ScatterMode mode : {ScatterMode::set, ScatterMode::add}) {
    for (const DType dtype : all_dtypes) {
      for (int round = 0; round < 40; ++round) {
        const Shape shape = filled_shape(random);
        const int axis = random_axis(shape, random);
        Shape taken = shape;
        taken[axis] = static_cast<std::int64_t>(random() % 8);
        const OwnedView src = random_view(dtype, taken, random, true);
        const OwnedView index = random_index(taken, shape[axis], random);
        const OwnedView out = random_view(dtype, shape, random, false);
        OwnedView want = dense(dtype, shape, values_of(out.view));
        for (std::int64_t i = 0; i < src.view.size(); ++i) {
          Dims position = coordinates(taken, i);
          const double value = at(src.view, position);
          position[axis] = resolve(index.view, position, shape[axis]);
          const std::int64_t offset = offset_of(want.view, position);
          const double before = mode == ScatterMode::add ? read_element(want.view, offset) : 0;
          write_element(want.view, offset, before + value);
        }
        ASSERT_EQ(scatter(mode, index.view, src.view, axis, out.view), -1);
        ASSERT_EQ(values_of(out.view), values_of(want.view));
      }
    }
  }
}

/// The shape of take: `shape` with `axis` replaced by `index`.
Shape taken_shape(const Shape& shape, int axis, const Shape& index) {
  Shape taken;
  for (int d = 0; d < shape.size(); ++d) {
    if (d != axis) {
      taken.push_back(shape[d]);
    } else {
      for (const std::int64_t n : index) taken.push_back(n);
    }
  }
  return taken;
}

/// The position in the operand that an output position of take reads.
Dims take_source(const Dims& position, int axis, const Array& index, std::int64_t length, int rank) {
  Dims source;
  Dims at_index;
  const int wide = index.shape.size();
  for (int d = 0; d < wide; ++d) at_index.push_back(position[axis + d]);
  for (int d = 0; d < axis; ++d) source.push_back(position[d]);
  source.push_back(resolve(index, at_index, length));
  for (int d = axis + 1; d < rank; ++d) source.push_back(position[d + wide - 1]);
  return source;
}

TEST(Index, TakeAndPutByTheirDefinitions) {
  std::mt19937 random(23);
  for (const DType dtype : all_dtypes) {
    for (int round = 0; round < 60; ++round) {
      const Shape shape = filled_shape(random);
      const int axis = random_axis(shape, random);
      const OwnedView index = random_index(random_shape(random, 2, 6), shape[axis], random);
      const Shape taken = taken_shape(shape, axis, index.view.shape);
      const OwnedView in = random_view(dtype, shape, random, true);
      const OwnedView out = random_view(dtype, taken, random, false);
      ASSERT_EQ(take(in.view, index.view, axis, out.view), -1);
      const OwnedView sums = random_view(dtype, shape, random, false);
      OwnedView want = dense(dtype, shape, values_of(sums.view));
      for (std::int64_t i = 0; i < out.view.size(); ++i) {
        const Dims position = coordinates(taken, i);
        const Dims source = take_source(position, axis, index.view, shape[axis], shape.size());
        ASSERT_EQ(at(out.view, position), at(in.view, source));
        const std::int64_t offset = offset_of(want.view, source);
        write_element(want.view, offset, read_element(want.view, offset) + at(out.view, position));
      }
      ASSERT_EQ(put(ScatterMode::add, index.view, out.view, axis, sums.view), -1);
      ASSERT_EQ(values_of(sums.view), values_of(want.view));
      ASSERT_EQ(put(ScatterMode::set, index.view, out.view, axis, sums.view), -1);
      OwnedView again = dense(dtype, taken);
      ASSERT_EQ(take(sums.view, index.view, axis, again.view), -1);
      ASSERT_EQ(values_of(again.view), values_of(out.view));
    }
  }
}

TEST(Index, AnIndexOutOfRangeIsReportedAndNothingIsTouched) {
  std::int64_t positions[6] = {0, 2, -3, 3, -4, 1};
  const Array index{positions, DType::int64, {6}, {1}};
  EXPECT_EQ(first_bad_index(index, 3), 3);
  EXPECT_EQ(first_bad_index(index, 4), -1);
  EXPECT_EQ(first_bad_index(index, 0), 0);
  OwnedView in = dense(DType::float32, {3}, {1, 2, 3});
  OwnedView out = dense(DType::float32, {6}, std::vector<double>(6, 9));
  const std::vector<double> before = values_of(out.view);
  EXPECT_EQ(take(in.view, index, 0, out.view), 3);
  EXPECT_EQ(values_of(out.view), before);
  EXPECT_EQ(gather(in.view, index, 0, out.view), 3);  // checks as it goes
  EXPECT_EQ(put(ScatterMode::add, index, out.view, 0, in.view), 3);
  EXPECT_EQ(scatter(ScatterMode::set, index, out.view, 0, in.view), 3);
  EXPECT_EQ(scatter_add(in.view, index, out.view, 0, in.view), 3);  // in place
  EXPECT_EQ(values_of(in.view), (std::vector<double>{1, 2, 3}));
  positions[1] = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(first_bad_index(index, 3), 1);
}

/// Rows of all lengths around a cache line and around the piece that is summed at once; for an index twice as
/// long as the axis most rows have several summands, for one half as long most have none.
TEST(Index, SumRowsByItsDefinition) {
  std::mt19937 random(25);
  for (const DType dtype : all_dtypes) {
    for (const std::int64_t width : {1, 15, 16, 17, 64, 511, 512, 513, 1024, 4099}) {
      for (const std::int64_t count : {std::int64_t{0}, std::int64_t{3}, std::int64_t{12}}) {
        const Shape shape{2, 6, width};
        const Shape taken{2, count, width};
        const OwnedView src = dense(dtype, taken, values_of(random_view(dtype, taken, random, true).view));
        const OwnedView chosen = random_index({count}, 6, random);
        const OwnedView index = dense(chosen.view.dtype, {count}, values_of(chosen.view));
        const OwnedView want = dense(dtype, shape, std::vector<double>(static_cast<std::size_t>(12 * width)));
        for (std::int64_t i = 0; i < src.view.size(); ++i) {
          const Dims position = coordinates(taken, i);
          const std::int64_t to = offset_of(want.view, take_source(position, 1, index.view, 6, 3));
          write_element(want.view, to, read_element(want.view, to) + at(src.view, position));
        }
        std::vector<std::int32_t> workspace(static_cast<std::size_t>(6 + count), 77);
        for (void* memory : {static_cast<void*>(nullptr), static_cast<void*>(workspace.data())}) {
          const OwnedView got = dense(dtype, shape);
          ASSERT_EQ(sum_rows(index.view, src.view, 1, got.view, memory), -1);
          ASSERT_EQ(values_of(got.view), values_of(want.view));
        }
      }
    }
  }
}

TEST(Index, SumRowsAddsInOrderToZero) {
  const OwnedView src = dense(DType::float32, {4, 1}, {1e8, 1, -1e8, -0.0});
  std::int64_t positions[4] = {-3, 0, 0, 1};
  const Array index{positions, DType::int64, {4}, {1}};
  const OwnedView out = dense(DType::float32, {3, 1});
  std::int32_t workspace[7];
  ASSERT_EQ(sum_rows(index, src.view, 0, out.view, workspace), -1);
  EXPECT_EQ(values_of(out.view), (std::vector<double>{0, 0, 0}));  // (1e8 + 1) − 1e8
  EXPECT_FALSE(std::signbit(out.view.as<float>()[1]));
  positions[2] = -4;
  EXPECT_EQ(sum_rows(index, src.view, 0, out.view, workspace), 2);
}

TEST(Index, SumRowsNeedsAWorkspaceForLargeResultsOnly) {
  const Array index{nullptr, DType::int64, {5, 7}, {7, 1}};
  const Array src{nullptr, DType::float32, {5, 7, 1024}, {7168, 1024, 1}};
  EXPECT_EQ(sum_rows_workspace_bytes(index, src, 0, {8193, 1024}), 4U * (8193 + 35));
  EXPECT_EQ(sum_rows_workspace_bytes(index, src, 0, {8192, 1024}), 0U);
  const Array broadcast{nullptr, DType::float32, {5, 7, 1024}, {0, 0, 1}};
  EXPECT_EQ(sum_rows_workspace_bytes(index, broadcast, 0, {8193, 1024}), 0U);
  const Array apart{nullptr, DType::int64, {5, 7}, {20, 2}};
  EXPECT_EQ(sum_rows_workspace_bytes(apart, src, 0, {8193, 1024}), 0U);
  const Array narrow{nullptr, DType::float32, {5, 7, 1023}, {7161, 1023, 1}};
  EXPECT_EQ(sum_rows_workspace_bytes(index, narrow, 0, {1 << 20, 1023}), 0U);
}

/// A result that is written past the caches, in rows of which some start and end within a cache line.
TEST(Index, TakeOfManyBytes) {
  constexpr std::int64_t width = 1000003;
  const OwnedView in = dense(DType::uint8, {3, width});
  for (std::int64_t i = 0; i < in.view.size(); ++i)
    in.view.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(i % 251);
  std::vector<std::int32_t> positions(35);
  for (std::size_t j = 0; j < positions.size(); ++j) positions[j] = static_cast<std::int32_t>(j * j % 6) - 3;
  const Array index{positions.data(), DType::int32, {35}, {1}};
  const OwnedView out = dense(DType::uint8, {35, width});
  ASSERT_EQ(take(in.view, index, 0, out.view), -1);
  for (std::int64_t j = 0; j < 35; ++j) {
    const std::int64_t row = (positions[static_cast<std::size_t>(j)] + 3) % 3;
    ASSERT_TRUE(std::equal(out.view.as<std::uint8_t>() + j * width,
                           out.view.as<std::uint8_t>() + (j + 1) * width,
                           in.view.as<std::uint8_t>() + row * width));
  }
}

/// Rows that are longer than a vector, and a rest.
TEST(Index, GatherAndScatterAddAlongRows) {
  std::mt19937 random(24);
  for (const DType dtype : all_dtypes) {
    for (const std::int64_t columns : {1, 7, 16, 33, 130}) {
      const Shape shape{3, columns};
      // The longer rows are of more than one piece that is looked at together.
      const Shape taken{3, static_cast<std::int64_t>(random() % (columns == 130 ? 1300 : 100))};
      const OwnedView in = dense(dtype, shape, values_of(random_view(dtype, shape, random, false).view));
      const OwnedView src = dense(dtype, taken, values_of(random_view(dtype, taken, random, false).view));
      const OwnedView index = random_index(taken, columns, random);
      if (random() % 2 == 0) count_from_the_start(index.view, columns);
      const OwnedView got = dense(dtype, taken);
      ASSERT_EQ(gather(in.view, index.view, 1, got.view), -1);
      const OwnedView want = dense(dtype, shape, values_of(in.view));
      for (std::int64_t i = 0; i < src.view.size(); ++i) {
        Dims position = coordinates(taken, i);
        const double value = at(src.view, position);
        const double gathered = at(got.view, position);
        position[1] = resolve(index.view, position, columns);
        ASSERT_EQ(gathered, at(in.view, position));
        const std::int64_t offset = offset_of(want.view, position);
        write_element(want.view, offset, read_element(want.view, offset) + value);
      }
      const OwnedView sums = dense(dtype, shape);
      ASSERT_EQ(scatter_add(in.view, index.view, src.view, 1, sums.view), -1);
      ASSERT_EQ(values_of(sums.view), values_of(want.view));
      const OwnedView in_place = dense(dtype, shape, values_of(in.view));
      ASSERT_EQ(scatter_add(in_place.view, index.view, src.view, 1, in_place.view), -1);
      ASSERT_EQ(values_of(in_place.view), values_of(want.view));
    }
  }
}

TEST(Index, AlongRowsTheFirstIndexOutOfRangeIsReported) {
  for (const DType dtype : {DType::float32, DType::float64, DType::uint8}) {
    for (const std::int64_t bad : {std::int64_t{0}, std::int64_t{38}, std::int64_t{53}, std::int64_t{79}}) {
      for (const std::int64_t wrong :
           {std::int64_t{5}, std::int64_t{-6}, std::numeric_limits<std::int64_t>::min(),
            std::numeric_limits<std::int64_t>::max()}) {
        std::vector<std::int64_t> positions(80, bad % 2 == 0 ? 0 : -5);
        positions[static_cast<std::size_t>(bad)] = wrong;
        const Array index{positions.data(), DType::int64, {2, 40}, {40, 1}};
        const OwnedView in = dense(dtype, {2, 5}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
        const OwnedView out = dense(dtype, {2, 40});
        const OwnedView sums = dense(dtype, {2, 5});
        EXPECT_EQ(gather(in.view, index, 1, out.view), bad);
        EXPECT_EQ(scatter_add(in.view, index, out.view, 1, sums.view), bad);
        EXPECT_EQ(scatter_add(in.view, index, out.view, 1, in.view), bad);
        EXPECT_EQ(values_of(in.view), (std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
      }
    }
  }
}

TEST(Index, OneHot) {
  std::int32_t classes[4] = {2, 0, -1, 1};
  for (const DType dtype : all_dtypes) {
    OwnedView out = dense(dtype, {2, 2, 3}, std::vector<double>(12, 1));
    EXPECT_EQ(one_hot(Array{classes, DType::int32, {2, 2}, {2, 1}}, out.view), -1);
    EXPECT_EQ(values_of(out.view), (std::vector<double>{0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0}));
    OwnedView narrow = dense(dtype, {2, 2, 2});
    EXPECT_EQ(one_hot(Array{classes, DType::int32, {2, 2}, {2, 1}}, narrow.view), 0);
  }
}

}  // namespace
}  // namespace chainrule::kernels
