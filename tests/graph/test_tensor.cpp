#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/tensor.hpp>

namespace cr = chainrule;

namespace {

// NumPy 2.4: print(np.array2string(x, separator=', ')) for the same arrays.
TEST(Print, LikeNumPy) {
  EXPECT_EQ(cr::to_string(cr::tensor({{1, 2}, {3, 4}})), "[[1., 2.],\n [3., 4.]]");
  EXPECT_EQ(cr::to_string(cr::tensor({1.5, -2, 10})), "[ 1.5, -2.0, 10.0]");
  EXPECT_EQ(cr::to_string(cr::Tensor(true)), "true");
  EXPECT_EQ(cr::to_string(cr::Tensor(3)), "3 int64");
  // Past 2^53, where a double has even numbers only.
  EXPECT_EQ(cr::to_string(cr::Tensor::from(std::vector<std::int64_t>{9007199254740993, -1}, {2})),
            "[9007199254740993,               -1] int64");
  EXPECT_EQ(cr::to_string(cr::arange(0, 4, 1, cr::DType::int32)), "[0, 1, 2, 3] int32");
  EXPECT_EQ(cr::to_string(cr::zeros({0})), "[]");
  EXPECT_EQ(cr::to_string(cr::zeros({2, 1, 2})), "[[[0., 0.]],\n\n [[0., 0.]]]");
  EXPECT_EQ(cr::to_string(cr::arange(0, 2000, 1, cr::DType::int64)),
            "[   0,    1,    2, ..., 1997, 1998, 1999] int64");
  EXPECT_EQ(cr::to_string(cr::tensor({1e-9, 1})), "[1.0000e-09, 1.0000e+00]");
  EXPECT_EQ(cr::to_string(cr::tensor({1.0 / 3, 0.5}) / cr::tensor({1, 0})), "[0.3333,    inf]");
}

TEST(Tensor, BorrowsAndReleases) {
  const std::vector<float> data = {1, 2, 3, 4};
  int released = 0;
  {
    const cr::Tensor x = cr::Tensor::borrow(data.data(), {2, 2}, [&] { ++released; });
    EXPECT_EQ(x.to_host().buffer.data(), data.data());
    EXPECT_EQ(cr::sum(x * 2).item<int>(), 20);
  }
  EXPECT_EQ(released, 1);
}

TEST(Tensor, ViewsShareMemory) {
  const cr::Tensor x = cr::arange(0, 24).reshape({2, 3, 4});
  const void* data = x.to_host().buffer.data();
  EXPECT_EQ(cr::slice(x, 1, 0, 3, 2).shape(), cr::Shape({2, 2, 4}));
  EXPECT_EQ(x.reshape({6, 4}).to_host().buffer.data(), data);
  EXPECT_EQ(x[0].to_host().buffer.data(), data);
  EXPECT_EQ(cr::permute(x, {2, 0, 1})[1].to_vector<float>(), (std::vector<float>{1, 5, 9, 13, 17, 21}));
  EXPECT_EQ(cr::slice(x, -1, 3, -5, -2)[0][0].to_vector<float>(), (std::vector<float>{3, 1}));
  EXPECT_EQ(cr::flip(x, {2})[0][0].to_vector<float>(), (std::vector<float>{3, 2, 1, 0}));
}

TEST(Tensor, RankUpToEight) {
  const cr::Tensor x = cr::ones({1, 2, 1, 2, 1, 2, 1, 2});
  EXPECT_EQ(cr::sum(x + 1, {1, 3}).size(), 4);
  EXPECT_THROW(cr::unsqueeze(x, 0), cr::ShapeError);
}

// More of them than a thread keeps the memory of, made by one thread and dropped by another, and the other
// way round.
TEST(Tensor, ExpressionsMoveBetweenThreads) {
  const auto chain = [] {
    std::vector<cr::Tensor> sums{cr::ones({3}).eval()};
    for (int i = 0; i < 2000; ++i) sums.push_back(sums.back() + 1.0);
    return sums;
  };
  for (int round = 0; round < 3; ++round) {
    std::vector<cr::Tensor> made_there;
    std::thread([&] { made_there = chain(); }).join();
    EXPECT_EQ(made_there.back().to_vector<float>(), std::vector<float>(3, 2001));
    made_there.clear();
    std::vector<cr::Tensor> made_here = chain();
    std::thread([&] {
      EXPECT_EQ(made_here.back().to_vector<float>(), std::vector<float>(3, 2001));
      made_here.clear();
    }).join();
  }
}

TEST(Tensor, ConversionsThatDoNotFitThrow) {
  EXPECT_EQ(cr::Tensor(2.0).item<int>(), 2);
  EXPECT_THROW(cr::Tensor(0.5).item<int>(), cr::DTypeError);
  EXPECT_THROW(cr::Tensor(-1).item<unsigned char>(), cr::DTypeError);
  EXPECT_EQ(cr::Tensor((std::int64_t{1} << 53) + 1).item<std::int64_t>(), (std::int64_t{1} << 53) + 1);
  EXPECT_THROW(cr::tensor({1, 300}).to_vector<std::uint8_t>(), cr::DTypeError);
}

}  // namespace
