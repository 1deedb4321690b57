#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <chainrule/buffer.hpp>
#include <chainrule/dtype.hpp>
#include <chainrule/error.hpp>
#include <chainrule/shape.hpp>

namespace chainrule {
namespace {

TEST(DType, NamesRoundTrip) {
  for (int i = 0; i < dtype_count; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
  }
  EXPECT_THROW(dtype_from_name("float16"), ArgumentError);
}

// PyTorch 2.13, torch.promote_types, for the dtypes we share.
TEST(DType, PromotionTable) {
  using enum DType;
  EXPECT_EQ(promote(boolean, uint8), uint8);
  EXPECT_EQ(promote(uint8, int32), int32);
  EXPECT_EQ(promote(int32, int64), int64);
  EXPECT_EQ(promote(int64, bfloat16), bfloat16);
  EXPECT_EQ(promote(int64, float32), float32);
  EXPECT_EQ(promote(bfloat16, float32), float32);
  EXPECT_EQ(promote(float32, float64), float64);
  for (int i = 0; i < dtype_count; ++i) {
    for (int j = 0; j < dtype_count; ++j) {
      const auto a = static_cast<DType>(i);
      const auto b = static_cast<DType>(j);
      EXPECT_EQ(promote(a, b), promote(b, a));
      EXPECT_GE(dtype_category(promote(a, b)), dtype_category(a));
    }
  }
}

TEST(BFloat16, RoundsToNearestEven) {
  EXPECT_EQ(bfloat16(1.0F).bits, 0x3f80);
  EXPECT_EQ(bfloat16(1.00390625F).bits, 0x3f80);  // halfway between 0x3f80 and 0x3f81: even wins
  EXPECT_EQ(bfloat16(1.01171875F).bits, 0x3f82);  // halfway between 0x3f81 and 0x3f82
  EXPECT_EQ(bfloat16(3.4e38F).bits, 0x7f80);      // past the largest bfloat16: infinity
  EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::signbit(static_cast<float>(bfloat16(-0.0F))));
}

TEST(Shape, CountsAndLimits) {
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({2, 3, 4}), 24);
  EXPECT_EQ(element_count({5, 0, std::int64_t{1} << 62}), 0);
  EXPECT_THROW(element_count({2, -1}), ShapeError);
  EXPECT_THROW(element_count({std::int64_t{1} << 40, std::int64_t{1} << 40}), ShapeError);
  EXPECT_THROW(Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
}

TEST(Shape, Broadcasting) {
  EXPECT_EQ(broadcast_shapes({3, 1}, {4}, "add"), Shape({3, 4}));
  EXPECT_EQ(broadcast_shapes({}, {2, 0}, "add"), Shape({2, 0}));
  try {
    broadcast_shapes({3, 2}, {4}, "add");
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_EQ(error.parts().function, "add");
    EXPECT_EQ(error.parts().got, "[3, 2] and [4]");
  }
}

TEST(Shape, Axes) {
  EXPECT_EQ(normalize_axes({-1, 0}, 3, "sum"), Dims({0, 2}));
  EXPECT_EQ(normalize_axes({}, 2, "sum"), Dims({0, 1}));
  EXPECT_THROW(normalize_axes({0, -3}, 3, "sum"), ArgumentError);
  EXPECT_THROW(normalize_axis(3, 3, "sum"), ArgumentError);
  EXPECT_THROW(normalize_axis(0, 0, "sum"), ArgumentError);
}

TEST(Error, NamesTheRegion) {
  const Region outer("Sequential", 2);
  const Region inner("Linear");
  const ShapeError error({.function = "matmul", .problem = "inner dimensions differ"});
  EXPECT_EQ(error.parts().region, "Sequential[2].Linear");
  EXPECT_NE(std::string(error.what()).find("Sequential[2].Linear"), std::string::npos);
}

TEST(Buffer, IsSharedAndReused) {
  void* first = nullptr;
  {
    Buffer a = Buffer::allocate(1000);
    EXPECT_TRUE(a.writable_in_place());
    const Buffer b = a;
    EXPECT_FALSE(a.writable_in_place());
    EXPECT_EQ(a.data(), b.data());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data()) % 64, 0U);
    first = a.data();
  }
  EXPECT_EQ(Buffer::allocate(990).data(), first);
}

TEST(Buffer, BorrowedIsNeverWrittenAndReleasedOnce) {
  const int value = 7;
  int released = 0;
  {
    const Buffer a = Buffer::borrow(&value, sizeof value, [&] { ++released; });
    EXPECT_FALSE(a.writable_in_place());
    EXPECT_EQ(a.data(), &value);
  }
  EXPECT_EQ(released, 1);
}

}  // namespace
}  // namespace chainrule
