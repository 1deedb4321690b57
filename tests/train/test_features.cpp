// Features that are indices: words, categories, places in a table.

#include <gtest/gtest.h>

#include <chainrule/ops.hpp>

#include "train/support.hpp"

namespace chainrule {
namespace {

// 60 pairs of words out of 6; the class is whether the first word is one of the last three.
data::Dataset pairs(DType dtype) {
  std::vector<std::int64_t> words;
  std::vector<std::int64_t> classes;
  for (std::int64_t i = 0; i < 60; ++i) {
    words.insert(words.end(), {i % 6, i / 6 % 6});
    classes.push_back(i % 6 >= 3 ? 1 : 0);
  }
  return data::from(Tensor::from(words, {60, 2}).astype(dtype).eval(), Tensor::from(classes, {60}));
}

TEST(IndexFeatures, TrainAnEmbedding) {
  for (const DType dtype : {DType::int32, DType::int64}) {
    const Context scope({.seed = 1});
    const data::Dataset words = pairs(dtype);
    EXPECT_EQ(words.features.dtype(), dtype);
    nn::Sequential model(nn::Embedding(6, 4), nn::Flatten(), nn::Linear(8, 2));
    const train::Run run = train::fit(
        model, words, {.optimizer = optim::Adam({.lr = 0.05}), .epochs = 20, .batch_size = 16, .seed = 1});
    EXPECT_EQ(run.outcome, train::Outcome::finished);
    EXPECT_EQ(train::evaluate(model, words).metrics.at("accuracy"), 1);
  }
}

TEST(IndexFeatures, PassTheLoaderAsTheyAre) {
  data::Dataset words = pairs(DType::int64);
  data::Loader loader(words, {.batch_size = 7});
  const std::optional<data::Batch> batch = loader.next();
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(batch->features.dtype(), DType::int64);
  EXPECT_EQ(batch->features.to_vector<std::int64_t>(),
            slice(words.features, 0, 0, 7).to_vector<std::int64_t>());
  words.scaling = data::Scaling::bytes_to_unit();
  EXPECT_THROW(words.check(), DTypeError) << "an index has no scale";
  EXPECT_THROW(data::Loader(words, {}), DTypeError);
}

// A table's whole numbers are numbers.
TEST(IndexFeatures, FilesHoldNumbers) {
  const test::TemporaryFolder folder;
  const data::Dataset words = pairs(DType::int64);
  save_npz(folder.file("pairs.npz"), {{"x", words.features.to_host()}, {"y", words.targets.to_host()}});
  EXPECT_EQ(data::npz(folder.file("pairs.npz")).features.dtype(), DType::float32);
}

TEST(Batches, AreTrees) {
  data::Loader loader(test::small_data(), {.batch_size = 16});
  std::optional<data::Batch> batch = loader.next();
  ASSERT_TRUE(batch.has_value());
  std::vector<std::string> paths;
  for (const Leaf& leaf : leaves(*batch)) paths.push_back(leaf.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"features", "targets"}));
}

}  // namespace
}  // namespace chainrule
