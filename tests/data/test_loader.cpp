#include <algorithm>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include <chainrule/data.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

#include "kernels/parallel.hpp"
#include "kernels/pool.hpp"

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

/// Batches made when asked for, and made ahead.
constexpr std::int64_t prefetches[] = {0, 2, 5};

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
  for (const std::int64_t prefetch : prefetches) {
    data::Loader again(numbered(103), {.batch_size = 10, .shuffle = true, .seed = 7, .prefetch = prefetch});
    EXPECT_EQ(epoch_order(again, 1), second) << "the order is a function of seed and epoch alone";
  }
  std::sort(first.begin(), first.end());
  std::vector<std::int64_t> all(103);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(first, all);
}

TEST(Loader, BeginsInTheMiddle) {
  for (const std::int64_t prefetch : prefetches) {
    data::Loader loader(numbered(25), {.batch_size = 4, .shuffle = true, .seed = 1, .prefetch = prefetch});
    const std::vector<std::int64_t> whole = epoch_order(loader, 3);
    EXPECT_EQ(epoch_order(loader, 3, 2), std::vector<std::int64_t>(whole.begin() + 8, whole.end()));
    EXPECT_TRUE(epoch_order(loader, 3, 7).empty());
  }
}

TEST(Loader, DropLast) {
  data::Loader loader(numbered(10), {.batch_size = 4, .drop_last = true});
  EXPECT_EQ(loader.batches(), 2);
  EXPECT_EQ(epoch_order(loader, 0), (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_FALSE(loader.next().has_value());
}

TEST(Loader, BatchesThatAreHeldKeepTheirValues) {
  for (const std::int64_t prefetch : prefetches) {
    data::Loader loader(numbered(40), {.batch_size = 4, .prefetch = prefetch});
    std::vector<data::Batch> held;
    while (auto batch = loader.next()) held.push_back(*batch);
    ASSERT_EQ(held.size(), 10U);
    for (std::size_t i = 0; i < held.size(); ++i)
      EXPECT_EQ(held[i].targets.to_vector<float>()[0], static_cast<float>(4 * i));
  }
}

TEST(Loader, MemoryIsUsedAgain) {
  for (const std::int64_t prefetch : prefetches) {
    data::Loader loader(numbered(400), {.batch_size = 4, .prefetch = prefetch});
    std::vector<const void*> places;
    while (auto batch = loader.next()) {
      const void* place = batch->features.to_host().buffer.data();
      if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
    }
    // Those made ahead, and one that is held.
    EXPECT_LE(places.size(), static_cast<std::size_t>(prefetch + 1));
  }
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
  for (const std::int64_t prefetch : prefetches) {
    data::Loader loader(numbered(1000), {.batch_size = 3, .prefetch = prefetch});
    for (int i = 0; i < 200; ++i) {
      loader.start(i, i % 5);
      EXPECT_EQ(loader.next()->targets.to_vector<float>()[0], static_cast<float>(3 * (i % 5)));
    }
  }
}

TEST(Loader, MakesBatchesAheadWhereACoreIsFree) {
  const auto prefetch = [](int threads, std::optional<std::int64_t> asked) {
    const cr::ThreadScope scope(threads);
    return data::Loader(numbered(9), {.prefetch = asked}).prefetch();
  };
  EXPECT_EQ(prefetch(cr::usable_cores(), {}), 0);
  EXPECT_EQ(prefetch(256, {}), 0);
  EXPECT_EQ(prefetch(1, {}), cr::usable_cores() > 1 ? 2 : 0);
  EXPECT_EQ(prefetch(1, 0), 0);
  EXPECT_EQ(prefetch(256, 7), 7);
}

TEST(Loader, RowsAreCutAmongThreads) {
  // Large enough for all threads to have rows of the batch.
  constexpr std::int64_t rows = 1024, width = 200;
  std::vector<std::uint8_t> pixels(rows * width);
  std::vector<int> labels(rows);
  for (std::int64_t i = 0; i < rows; ++i) {
    labels[static_cast<std::size_t>(i)] = static_cast<int>(i);
    for (std::int64_t j = 0; j < width; ++j)
      pixels[static_cast<std::size_t>(i * width + j)] = static_cast<std::uint8_t>(i + 3 * j);
  }
  const data::Dataset set = data::from(pixels, {rows, width}, labels);
  std::optional<cr::ThreadScope> four(4);
  data::Loader loader(set, {.batch_size = rows, .shuffle = true, .seed = 3, .prefetch = 0});
  const std::uint64_t regions = cr::pool_region_count();
  const data::Batch batch = *loader.next();
  EXPECT_GT(cr::pool_region_count(), regions);
  four.reset();
  const std::vector<float> x = batch.features.to_vector<float>();
  const std::vector<std::int64_t> y = batch.targets.to_vector<std::int64_t>();
  const std::vector<float> scaled = (*set.scaling)(set.features).to_vector<float>();
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto row = static_cast<std::ptrdiff_t>(i * width), from = y[static_cast<std::size_t>(i)] * width;
    ASSERT_TRUE(std::equal(x.begin() + row, x.begin() + row + width, scaled.begin() + from)) << i;
  }
}

TEST(Loader, RefusesWhatGivesNoBatch) {
  EXPECT_THROW(data::Loader(numbered(3), {.batch_size = 0}), cr::ArgumentError);
  EXPECT_THROW(data::Loader(numbered(3), {.batch_size = 4, .drop_last = true}), cr::ArgumentError);
  EXPECT_THROW(data::Loader(numbered(3), {.dtype = cr::DType::int32}), cr::DTypeError);
  EXPECT_THROW(data::Loader(numbered(3), {.prefetch = -1}), cr::ArgumentError);
  EXPECT_THROW(data::Loader(numbered(3), {.prefetch = 1025}), cr::ArgumentError);
  data::Dataset wrong = numbered(3);
  wrong.scaling = data::Scaling{cr::zeros({5}), cr::ones({5})};
  EXPECT_THROW(data::Loader(wrong, {}), cr::ShapeError);
}

}  // namespace
