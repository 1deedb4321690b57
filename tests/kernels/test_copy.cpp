#include "kernels/cpu/copy.hpp"

#include <chainrule/buffer.hpp>

#include "kernels/cpu/strided.hpp"
#include "kernels/targets.hpp"
#include "kernels/views.hpp"

namespace chainrule::kernels {
namespace {

using namespace testing;

TEST(Copy, AnyStridesAnyDtype) {
  std::mt19937 random(1);
  for (const DType dtype : all_dtypes) {
    for (int round = 0; round < 200; ++round) {
      const Shape shape = random_shape(random);
      const OwnedView src = random_view(dtype, shape, random, true);
      const OwnedView dst = random_view(dtype, shape, random, false);
      strided_copy(src.view, dst.view);
      EXPECT_EQ(values_of(src.view), values_of(dst.view)) << to_string(shape);
    }
  }
}

TEST(Copy, LargeTransposesWithEdges) {
  std::mt19937 random(2);
  for (const DType dtype : {DType::uint8, DType::bfloat16, DType::float32, DType::float64}) {
    for (const auto& [rows, columns] : {std::pair{130, 201}, {64, 64}, {17, 300}, {300, 17}}) {
      OwnedView src = dense(dtype, {3, rows, columns});
      for (std::int64_t i = 0; i < src.view.size(); ++i) {
        write_element(src.view, i, static_cast<double>(random() % 250));
      }
      const Array transposed{src.view.data, dtype, {3, columns, rows}, {rows * columns, 1, columns}};
      OwnedView dst = dense(dtype, transposed.shape);
      strided_copy(transposed, dst.view);
      EXPECT_EQ(values_of(transposed), values_of(dst.view));
    }
  }
}

class CopyOn : public checks::OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, CopyOn, checks::every_target(), checks::target_name);

/// A transpose to memory that starts `offset` elements behind a line, with elements that tell their place.
template <typename T>
void check_transpose(std::int64_t rows, std::int64_t columns, std::int64_t offset) {
  const std::int64_t size = rows * columns;
  const auto bytes = static_cast<std::size_t>(size + offset + 1) * sizeof(T);
  const Buffer from = Buffer::allocate(bytes), to = Buffer::allocate(bytes);
  T* const src = static_cast<T*>(from.data());
  T* const dst = static_cast<T*>(to.data());
  const auto value = [](std::int64_t i) { return static_cast<T>(i * 7 + i / 251); };
  for (std::int64_t i = 0; i < size; ++i) src[i] = value(i);
  for (std::int64_t i = 0; i < size + offset + 1; ++i) dst[i] = T{99};
  const DType dtype = sizeof(T) == 1   ? DType::uint8
                      : sizeof(T) == 2 ? DType::bfloat16
                      : sizeof(T) == 4 ? DType::int32
                                       : DType::int64;
  strided_copy(Array{src, dtype, {columns, rows}, {1, columns}},
               Array{dst + offset, dtype, {columns, rows}, {rows, 1}});
  std::int64_t wrong = 0;
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) wrong += dst[offset + c * rows + r] != value(r * columns + c);
  }
  EXPECT_EQ(wrong, 0) << rows << " x " << columns << ", " << sizeof(T) << " bytes, offset " << offset;
  for (std::int64_t i = 0; i < offset; ++i) EXPECT_EQ(dst[i], T{99});
  EXPECT_EQ(dst[offset + size], T{99});
}

TEST_P(CopyOn, TransposesOfEverySize) {
  for (const std::int64_t rows : {16, 33, 64, 130}) {
    for (const std::int64_t columns : {17, 64, 128}) {
      for (const std::int64_t offset : {0, 1}) {
        check_transpose<std::uint8_t>(rows, columns, offset);
        check_transpose<std::uint16_t>(rows, columns, offset);
        check_transpose<std::uint32_t>(rows, columns, offset);
        check_transpose<std::uint64_t>(rows, columns, offset);
      }
    }
  }
}

// So large that they are written past the caches: rows that start with a line, with 16 bytes, and with
// neither, which are not.
TEST_P(CopyOn, TransposesPastTheCaches) {
  check_transpose<std::uint16_t>(2560, 2560, 0);
  for (const std::int64_t offset : {0, 1}) {
    check_transpose<std::uint32_t>(1792, 1792, offset);
    check_transpose<std::uint64_t>(1280, 1280, offset);
  }
  check_transpose<std::uint32_t>(1796, 1800, 0);
  check_transpose<std::uint64_t>(1282, 1290, 0);
}

TEST(Copy, LeavesTheGapsOfTheDestinationAlone) {
  OwnedView dst = dense(DType::float32, {4, 6}, std::vector<double>(24, -1));
  const Array middle{dst.view.as<float>() + 7, DType::float32, {2, 3}, {6, 1}};
  const float value = 5;
  fill(middle, &value);
  for (std::int64_t r = 0; r < 4; ++r) {
    for (std::int64_t c = 0; c < 6; ++c) {
      const bool inside = r >= 1 && r < 3 && c >= 1 && c < 4;
      EXPECT_EQ(at(dst.view, {r, c}), inside ? 5 : -1);
    }
  }
}

TEST(Copy, FillOfReversedAndEmptyViews) {
  std::mt19937 random(3);
  for (const DType dtype : all_dtypes) {
    OwnedView one = dense(dtype, {}, {1});
    for (int round = 0; round < 50; ++round) {
      const OwnedView dst = random_view(dtype, random_shape(random), random, false);
      fill(dst.view, one.view.data);
      for (const double value : values_of(dst.view)) EXPECT_EQ(value, 1);
    }
  }
}

TEST(Tile, EveryRangeOfRandomViews) {
  std::mt19937 random(4);
  for (const DType dtype : all_dtypes) {
    for (int round = 0; round < 100; ++round) {
      const OwnedView src = random_view(dtype, random_shape(random), random, true);
      const std::int64_t size = src.view.size();
      if (size == 0) continue;
      const auto begin = static_cast<std::int64_t>(random()) % size;
      const std::int64_t count = 1 + static_cast<std::int64_t>(random()) % (size - begin);
      for (const Array& view : {src.view, collapsed(src.view)}) {
        OwnedView tile = dense(dtype, {count});
        load_tile(view, begin, count, tile.view.data);
        for (std::int64_t i = 0; i < count; ++i) {
          ASSERT_EQ(at_flat(tile.view, i), at_flat(src.view, begin + i));
        }
      }
    }
  }
}

TEST(Tile, TransposedViewInBlocks) {
  const std::int64_t m = 90;
  const std::int64_t n = 33;
  OwnedView memory = dense(DType::float32, {n, m});
  for (std::int64_t i = 0; i < n * m; ++i) write_element(memory.view, i, static_cast<double>(i));
  const Array view{memory.view.data, DType::float32, {m, n}, {1, m}};
  for (const auto& [begin, count] : {std::pair{0, 90 * 33}, {5, 2000}, {33, 1024}, {2940, 30}}) {
    OwnedView tile = dense(DType::float32, {count});
    load_tile(view, begin, count, tile.view.data);
    for (std::int64_t i = 0; i < count; ++i) {
      ASSERT_EQ(at_flat(tile.view, i), at_flat(view, begin + i)) << begin << " " << i;
    }
  }
}

TEST(Tile, StoreUndoesLoad) {
  std::mt19937 random(5);
  for (const DType dtype : all_dtypes) {
    for (int round = 0; round < 50; ++round) {
      const Shape shape = random_shape(random);
      const OwnedView src = random_view(dtype, shape, random, true);
      const OwnedView dst = random_view(dtype, shape, random, false);
      const std::int64_t size = src.view.size();
      OwnedView tile = dense(dtype, {7});
      for (std::int64_t begin = 0; begin < size; begin += 7) {
        const std::int64_t count = std::min<std::int64_t>(7, size - begin);
        load_tile(src.view, begin, count, tile.view.data);
        store_tile(dst.view, begin, count, tile.view.data);
      }
      EXPECT_EQ(values_of(src.view), values_of(dst.view));
    }
  }
}

}  // namespace
}  // namespace chainrule::kernels
