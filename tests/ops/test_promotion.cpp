// The promotion table against PyTorch's (tests/reference/tensor/generate.py).

#include <gtest/gtest.h>

#include <chainrule/ops.hpp>

#include "reference.hpp"

namespace cr = chainrule;

namespace {

cr::Tensor two_of(cr::DType dtype) { return cr::ones({2}, dtype); }

TEST(Promotion, OfTwoTensors) {
  const nlohmann::json table = cr::test::read_reference("tensor/promotion.json");
  ASSERT_EQ(table["pairs"].size(), 49U);
  for (const auto& row : table["pairs"]) {
    const cr::DType a = cr::dtype_from_name(row[0].get<std::string>());
    const cr::DType b = cr::dtype_from_name(row[1].get<std::string>());
    const cr::DType expected = cr::dtype_from_name(row[2].get<std::string>());
    EXPECT_EQ(cr::promote(a, b), expected) << row;
    EXPECT_EQ((two_of(a) + two_of(b)).dtype(), expected) << row;
    EXPECT_EQ(cr::where(two_of(cr::DType::boolean), two_of(a), two_of(b)).dtype(), expected) << row;
    EXPECT_EQ(cr::concatenate({two_of(a), two_of(b)}).dtype(), expected) << row;
    EXPECT_EQ(cr::stack({two_of(a), two_of(b)}).dtype(), expected) << row;
    EXPECT_EQ(cr::matmul(two_of(a), two_of(b)).dtype(), expected) << row;
  }
}

TEST(Promotion, NumbersOfCppDoNotWiden) {
  const nlohmann::json table = cr::test::read_reference("tensor/promotion.json");
  ASSERT_EQ(table["scalars"].size(), 21U);
  for (const auto& row : table["scalars"]) {
    const cr::Tensor x = two_of(cr::dtype_from_name(row[0].get<std::string>()));
    const auto kind = row[1].get<std::string>();
    const cr::DType expected = cr::dtype_from_name(row[2].get<std::string>());
    if (kind == "bool") {
      EXPECT_EQ((x + true).dtype(), expected) << row;
    } else if (kind == "integer") {
      EXPECT_EQ((x + 3).dtype(), expected) << row;
      EXPECT_EQ((std::int64_t{3} * x).dtype(), expected) << row;
      EXPECT_EQ((x + std::uint8_t{3}).dtype(), expected) << row;
    } else {
      EXPECT_EQ((x + 0.5).dtype(), expected) << row;
      EXPECT_EQ((0.5F * x).dtype(), expected) << row;
    }
  }
}

}  // namespace
