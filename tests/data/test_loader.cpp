#include <algorithm>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include <chainrule/data.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

namespace cr = chainrule;
namespace data = chainrule::data;

namespace {

/// Example i has the features (i, −i) and the value i.
data::Dataset numbered(std::int64_t n) {
  std::vector<float> x;
  std::vector<float> y;
  for (std::int64_t i = 0; i < n; ++i) {
    x.push_back(static_cast<float>(i));
    x.push_back(static_cast<float>(-i));
    y.push_back(static_cast<float>(i));
  }
  return data::from(x, {n, 2}, y);
}

std::vector<std::int64_t> epoch_order(data::Loader& loader, std::int64_t epoch,
                                      std::int64_t first_batch = 0) {
  std::vector<std::int64_t> order;
  loader.start(epoch, first_batch);
  while (auto batch = loader.next()) {
    const std::vector<float> x = batch->features.to_vector<float>();
    const std::vector<float> y = batch->targets.to_vector<float>();
    for (std::size_t i = 0; i < y.size(); ++i) {
      EXPECT_EQ(x[2 * i], y[i]);
      EXPECT_EQ(x[2 * i + 1], -y[i]);
      order.push_back(static_cast<std::int64_t>(y[i]));
    }
  }
  return order;
}

TEST(Loader, EachEpochHasEveryExampleOnceInItsOwnOrder) {
  data::Loader loader(numbered(103), {.batch_size = 10, .shuffle = true, .seed = 7});
  EXPECT_EQ(loader.batches(), 11);
  std::vector<std::int64_t> first = epoch_order(loader, 0);
  const std::vector<std::int64_t> second = epoch_order(loader, 1);
  EXPECT_NE(first, second);
  data::Loader again(numbered(103), {.batch_size = 10, .shuffle = true, .seed = 7});
  EXPECT_EQ(epoch_order(again, 1), second) << "the order is a function of seed and epoch alone";
  std::sort(first.begin(), first.end());
  std::vector<std::int64_t> all(103);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(first, all);
}

TEST(Loader, BeginsInTheMiddle) {
  data::Loader loader(numbered(25), {.batch_size = 4, .shuffle = true, .seed = 1});
  const std::vector<std::int64_t> whole = epoch_order(loader, 3);
  EXPECT_EQ(epoch_order(loader, 3, 2), std::vector<std::int64_t>(whole.begin() + 8, whole.end()));
  EXPECT_TRUE(epoch_order(loader, 3, 7).empty());
}

TEST(Loader, DropLast) {
  data::Loader loader(numbered(10), {.batch_size = 4, .drop_last = true});
  EXPECT_EQ(loader.batches(), 2);
  EXPECT_EQ(epoch_order(loader, 0), (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_FALSE(loader.next().has_value());
}

TEST(Loader, BatchesThatAreHeldKeepTheirValues) {
  data::Loader loader(numbered(40), {.batch_size = 4});
  std::vector<data::Batch> held;
  while (auto batch = loader.next()) held.push_back(*batch);
  ASSERT_EQ(held.size(), 10U);
  for (std::size_t i = 0; i < held.size(); ++i)
    EXPECT_EQ(held[i].targets.to_vector<float>()[0], static_cast<float>(4 * i));
}

TEST(Loader, MemoryIsUsedAgain) {
  data::Loader loader(numbered(400), {.batch_size = 4});
  std::vector<const void*> places;
  while (auto batch = loader.next()) {
    const void* place = batch->features.to_host().buffer.data();
    if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
  }
  EXPECT_LE(places.size(), 5U);
}

TEST(Loader, ScalesAsTheExpressionDoes) {
  std::vector<std::uint8_t> pixels(256 * 3);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i);
  const data::Dataset set = data::from(pixels, {256, 3}, std::vector<int>(256, 0));
  data::Loader loader(set, {.batch_size = 256});
  EXPECT_EQ(loader.next()->features.to_vector<float>(), (*set.scaling)(set.features).to_vector<float>());
  data::Dataset standardized = numbered(50);
  standardized.scaling = data::Scaling::standardize(standardized);
  data::Loader second(standardized, {.batch_size = 50});
  EXPECT_EQ(second.next()->features.to_vector<float>(),
            (*standardized.scaling)(standardized.features).to_vector<float>());
}

TEST(Loader, WhatIsNoNumberBecomesZero) {
  // 0 · infinity: the scale is beyond float32.
  data::Dataset bytes = data::from(std::vector<std::uint8_t>{0, 1, 2}, {3, 1}, std::vector<int>{0, 0, 0});
  bytes.scaling = data::Scaling{cr::Tensor(0.0), cr::Tensor(1e300)};
  data::Dataset holes = data::from(std::vector<float>{1, std::numeric_limits<float>::quiet_NaN(), 3}, {3, 1},
                                   std::vector<int>{0, 0, 0});
  holes.scaling = data::Scaling{cr::Tensor(1.0), cr::Tensor(2.0)};
  for (const data::Dataset& set : {bytes, holes}) {
    data::Loader loader(set, {.batch_size = 3});
    const std::vector<float> got = loader.next()->features.to_vector<float>();
    EXPECT_EQ(got, (*set.scaling)(set.features).to_vector<float>());
    EXPECT_EQ(std::count(got.begin(), got.end(), 0.0F), set.features.dtype() == cr::DType::uint8 ? 1 : 2);
  }
}

TEST(Loader, StartDropsWhatWasBegun) {
  data::Loader loader(numbered(1000), {.batch_size = 3});
  for (int i = 0; i < 200; ++i) {
    loader.start(i, i % 5);
    EXPECT_EQ(loader.next()->targets.to_vector<float>()[0], static_cast<float>(3 * (i % 5)));
  }
}

TEST(Loader, RefusesWhatGivesNoBatch) {
  EXPECT_THROW(data::Loader(numbered(3), {.batch_size = 0}), cr::ArgumentError);
  EXPECT_THROW(data::Loader(numbered(3), {.batch_size = 4, .drop_last = true}), cr::ArgumentError);
  EXPECT_THROW(data::Loader(numbered(3), {.dtype = cr::DType::int32}), cr::DTypeError);
  data::Dataset wrong = numbered(3);
  wrong.scaling = data::Scaling{cr::zeros({5}), cr::ones({5})};
  EXPECT_THROW(data::Loader(wrong, {}), cr::ShapeError);
}

}  // namespace
