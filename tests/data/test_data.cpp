#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include <chainrule/data.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

#include "io/support.hpp"

namespace cr = chainrule;
namespace data = chainrule::data;

namespace {

data::Dataset numbered(std::int64_t n, std::int64_t classes) {
  std::vector<float> x(static_cast<std::size_t>(2 * n));
  std::vector<std::int64_t> y(static_cast<std::size_t>(n));
  std::iota(x.begin(), x.end(), 0.0F);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<std::int64_t>(i) % classes;
  return data::from(x, {n, 2}, y);
}

TEST(Dataset, FromRanges) {
  const std::vector<std::uint8_t> pixels = {0, 51, 102, 255};
  const std::vector<int> labels = {1, 0};
  const data::Dataset set = data::from(pixels, {2, 2}, labels);
  EXPECT_EQ(set.task, data::Task::classification);
  EXPECT_EQ(set.class_names, (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(set.example_shape(), cr::Shape({2}));
  ASSERT_TRUE(set.scaling.has_value());
  const std::vector<float> scaled = (*set.scaling)(set.features).to_vector<float>();
  EXPECT_FLOAT_EQ(scaled[1], 0.2F);
  EXPECT_FLOAT_EQ(scaled[3], 1.0F);

  const data::Dataset values = data::from(std::vector<float>{1, 2, 3}, {3, 1}, std::vector<float>{1, 4, 9});
  EXPECT_EQ(values.task, data::Task::regression);
}

TEST(Dataset, RefusesWhatDoesNotFit) {
  EXPECT_THROW(data::from(std::vector<float>{1, 2, 3}, {3, 1}, std::vector<int>{0, 1}), cr::ShapeError);
  EXPECT_THROW(data::from(std::vector<float>{1, 2}, {2, 1}, std::vector<int>{0, -1}), cr::ArgumentError);
  EXPECT_THROW(data::from(cr::ones({2, 1}), cr::tensor({0, 2}, cr::DType::int64), {"a", "b"}),
               cr::ArgumentError);
  EXPECT_THROW(numbered(4, 2).subset(std::vector<std::int64_t>{4}), cr::ArgumentError);
  EXPECT_THROW(data::from(cr::Tensor(), cr::Tensor()), cr::ShapeError);
}

TEST(Dataset, HashTellsDataApart) {
  data::Dataset a = numbered(10, 2);
  EXPECT_EQ(a.hash(), numbered(10, 2).hash());
  EXPECT_NE(a.hash(), numbered(10, 5).hash());
  a.features = a.features.reshape({10, 1, 2});
  EXPECT_NE(a.hash(), numbered(10, 2).hash());
}

TEST(Scaling, StandardizesWithTheTrainingPartAlone) {
  const float gap = std::numeric_limits<float>::quiet_NaN();
  // Columns: 1, 2, 3, 4 (mean 2.5, σ² = 1.25); constant; with a missing value (mean 2, σ² = 2/3).
  const data::Dataset train = data::from(std::vector<float>{1, 7, 1, 2, 7, gap, 3, 7, 2, 4, 7, 3}, {4, 3},
                                         std::vector<float>{0, 0, 0, 0});
  const data::Scaling scaling = data::Scaling::standardize(train);
  const std::vector<double> shift = scaling.shift.to_vector<double>();
  const std::vector<double> scale = scaling.scale.to_vector<double>();
  EXPECT_DOUBLE_EQ(shift[0], 2.5);
  EXPECT_DOUBLE_EQ(scale[0], 1 / std::sqrt(1.25));
  EXPECT_DOUBLE_EQ(shift[1], 7);
  EXPECT_DOUBLE_EQ(scale[1], 1);
  EXPECT_DOUBLE_EQ(shift[2], 2);
  EXPECT_DOUBLE_EQ(scale[2], 1 / std::sqrt(2.0 / 3));
  const std::vector<float> scaled = scaling(train.features).to_vector<float>();
  EXPECT_FLOAT_EQ(scaled[0], static_cast<float>(-1.5 / std::sqrt(1.25)));
  EXPECT_EQ(scaled[1], 0);
  EXPECT_EQ(scaled[5], 0) << "a missing value becomes the mean";
}

TEST(Split, ClassesKeepTheirShare) {
  std::vector<std::int64_t> labels;
  for (const auto& [label, count] : std::map<std::int64_t, int>{{0, 60}, {1, 25}, {2, 13}, {3, 3}}) {
    labels.insert(labels.end(), static_cast<std::size_t>(count), label);
  }
  std::vector<float> x(labels.size());
  std::iota(x.begin(), x.end(), 0.0F);
  const data::Dataset set = data::from(x, {101, 1}, labels);
  const data::Split split = data::stratified_split(set, 0.2, 3);
  EXPECT_EQ(split.second.size(), 20);
  EXPECT_EQ(split.first.size(), 81);
  std::map<std::int64_t, int> counts;
  for (const std::int64_t label : split.second.targets.to_vector<std::int64_t>()) ++counts[label];
  EXPECT_EQ(counts[0], 12);
  EXPECT_EQ(counts[1], 5);
  EXPECT_NEAR(counts[2], 0.2 * 13, 1);
  EXPECT_NEAR(counts[3], 0.2 * 3, 1);
  std::set<float> all;
  for (const float v : split.first.features.to_vector<float>()) all.insert(v);
  for (const float v : split.second.features.to_vector<float>())
    EXPECT_TRUE(all.insert(v).second) << "in both parts";
  EXPECT_EQ(all.size(), 101U);
}

TEST(Split, RandomAndItsLimits) {
  const data::Split split = data::random_split(numbered(10, 2), 0.3, 1);
  EXPECT_EQ(split.second.size(), 3);
  EXPECT_EQ(split.second.features.to_vector<float>(),
            data::random_split(numbered(10, 2), 0.3, 1).second.features.to_vector<float>());
  for (const double bad : {0.0, 1.0, -0.1, 0.01, std::nan("")})
    EXPECT_THROW(data::random_split(numbered(10, 2), bad, 1), cr::ArgumentError);
}

TEST(Split, PermutationsAreUniform) {
  // All 24 orders of 4 things, 24,000 draws: χ² with 23 degrees of freedom is below 49.7 with probability
  // 0.999.
  std::map<std::vector<std::int64_t>, int> counts;
  for (std::uint64_t seed = 0; seed < 24000; ++seed) ++counts[data::permutation(4, seed)];
  double chi_squared = 0;
  for (const auto& [order, count] : counts) chi_squared += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_EQ(counts.size(), 24U);
  EXPECT_LT(chi_squared, 49.7);
}

// ---- files ----

TEST(Files, FashionMnist) {
  if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist"))
    GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const data::Dataset set = data::fashion_mnist({.part = data::Part::test});
  EXPECT_EQ(set.features.shape(), cr::Shape({10000, 28, 28}));
  EXPECT_EQ(set.classes(), 10);
  std::vector<int> counts(10);
  for (const std::int64_t label : set.targets.to_vector<std::int64_t>())
    ++counts[static_cast<std::size_t>(label)];
  EXPECT_EQ(counts, std::vector<int>(10, 1000));
  EXPECT_EQ(set.targets.to_vector<std::int64_t>()[0], 9) << "the first test picture is an ankle boot";
}

TEST(Files, FashionMnistMissing) {
  try {
    data::fashion_mnist({.directory = "/nowhere"});
    FAIL();
  } catch (const cr::IoError& error) {
    EXPECT_NE(error.parts().hint.find("dataset-fashion-mnist"), std::string::npos);
    EXPECT_NE(error.parts().got.find("/nowhere/train-images"), std::string::npos);
  }
}

class CsvData : public ::testing::Test {
 protected:
  data::Dataset read(const std::string& text, const data::CsvDataOptions& options = {}) {
    std::ofstream(folder_.file("t.csv")) << text;
    return data::csv(folder_.file("t.csv"), options);
  }
  cr::test::TemporaryFolder folder_;
};

TEST_F(CsvData, OneHotAndNames) {
  const data::Dataset set = read("size,colour,kind\n1,red,a\n2.5,blue,b\n3,red,a\n");
  EXPECT_EQ(set.feature_names, (std::vector<std::string>{"size", "colour=blue", "colour=red"}));
  EXPECT_EQ(set.features.to_vector<float>(), (std::vector<float>{1, 0, 1, 2.5, 1, 0, 3, 0, 1}));
  EXPECT_EQ(set.class_names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(set.targets.to_vector<std::int64_t>(), (std::vector<std::int64_t>{0, 1, 0}));
}

TEST_F(CsvData, IndexTargetAndDrop) {
  const data::Dataset set = read("id,y,colour\n1,10,red\n2,30,blue\n3,10,red\n",
                                 {.target = "y", .drop = {"id"}, .categorical = data::Categorical::index});
  EXPECT_EQ(set.features.to_vector<float>(), (std::vector<float>{1, 0, 1}));
  EXPECT_EQ(set.class_names, (std::vector<std::string>{"10", "30"}));
  EXPECT_EQ(set.targets.to_vector<std::int64_t>(), (std::vector<std::int64_t>{0, 1, 0}));
  EXPECT_EQ(read("x,y\n1,10\n2,30\n", {.task = data::Task::regression}).targets.to_vector<float>(),
            (std::vector<float>{10, 30}));
}

TEST_F(CsvData, MissingValues) {
  const std::string text = "x,c,y\n1,u,0.5\n,v,1.5\n3,,2.5\n";
  EXPECT_THROW(read(text), cr::ArgumentError);
  const data::Dataset set = read(text, {.missing = data::Missing::keep});
  const std::vector<float> x = set.features.to_vector<float>();
  EXPECT_TRUE(std::isnan(x[3]));
  EXPECT_EQ(x[7] + x[8], 0) << "a missing category is a row of zeros";
  EXPECT_THROW(read("x,y\n1,2.5\n2,\n", {.missing = data::Missing::keep}), cr::ArgumentError);
}

TEST_F(CsvData, Mistakes) {
  EXPECT_THROW(read("x,y\n1,2\n", {.target = "z"}), cr::ArgumentError);
  EXPECT_THROW(read("x,y\n1,2\n", {.drop = {"z"}}), cr::ArgumentError);
  EXPECT_THROW(read("y\n1\n"), cr::ArgumentError);
  EXPECT_THROW(read("x,y\n1,a\n", {.task = data::Task::regression}), cr::ArgumentError);
  EXPECT_THROW(read("x,y\n1,0.5\n", {.task = data::Task::classification}), cr::ArgumentError);
}

TEST(Files, NumpyAndIdx) {
  const cr::test::TemporaryFolder folder;
  const cr::Tensor x = cr::tensor({{1, 2}, {3, 4}});
  const cr::Tensor y = cr::tensor({0, 1}, cr::DType::int64).reshape({2, 1});
  cr::save_npy(folder.file("x.npy"), x.to_host());
  cr::save_npy(folder.file("y.npy"), y.to_host());
  cr::save_npz(folder.file("xy.npz"), {{"x", x.to_host()}, {"y", y.to_host()}});
  const data::Dataset a = data::npy(folder.file("x.npy"), folder.file("y.npy"));
  EXPECT_EQ(a.targets.shape(), cr::Shape({2}));
  EXPECT_EQ(a.hash(), data::npz(folder.file("xy.npz")).hash());
  EXPECT_THROW(data::npz(folder.file("xy.npz"), "features"), cr::ArgumentError);
}

TEST(Files, ATableReadByAnothersFormat) {
  const cr::test::TemporaryFolder folder;
  std::ofstream(folder.file("train.csv")) << "kind,size,code,y\na,1,7,0.5\nb,2,x,1.5\na,3,8,2.5\n";
  std::ofstream(folder.file("new.csv")) << "code,extra,size,kind\n8,0,5,b\n7,0,6,c\n";
  const data::Table table = data::csv_table(folder.file("train.csv"));
  EXPECT_EQ(table.dataset.feature_names,
            (std::vector<std::string>{"kind=a", "kind=b", "size", "code=7", "code=8", "code=x"}));
  EXPECT_EQ(data::read_features(folder.file("train.csv"), table.format).to_vector<float>(),
            table.dataset.features.to_vector<float>());
  // By hand: b is known, c is not; the numbers in the column of codes are texts there.
  EXPECT_EQ(data::read_features(folder.file("new.csv"), table.format).to_vector<float>(),
            (std::vector<float>{0, 1, 5, 0, 1, 0, 0, 0, 6, 1, 0, 0}));
  std::ofstream(folder.file("text.csv")) << "code,size,kind\n8,big,b\n";
  EXPECT_THROW(data::read_features(folder.file("text.csv"), table.format), cr::ArgumentError);
}

TEST(Files, TheTaskDecidesWhatWholeNumbersAre) {
  const cr::test::TemporaryFolder folder;
  cr::save_npy(folder.file("x.npy"), cr::ones({3, 2}).to_host());
  cr::save_npy(folder.file("y.npy"), cr::tensor({5, 2000000, 7}, cr::DType::int64).to_host());
  cr::save_npy(folder.file("z.npy"), cr::tensor({0, 1, 1}).to_host());
  cr::save_npy(folder.file("half.npy"), cr::tensor({0, 0.5, 1}).to_host());
  EXPECT_THROW(data::npy(folder.file("x.npy"), folder.file("y.npy")), cr::ArgumentError)
      << "too many classes";
  const data::Dataset values = data::npy(folder.file("x.npy"), folder.file("y.npy"), data::Task::regression);
  EXPECT_EQ(values.targets.to_vector<float>(), (std::vector<float>{5, 2000000, 7}));
  const data::Dataset classes =
      data::npy(folder.file("x.npy"), folder.file("z.npy"), data::Task::classification);
  EXPECT_EQ(classes.classes(), 2);
  EXPECT_THROW(data::npy(folder.file("x.npy"), folder.file("half.npy"), data::Task::classification),
               cr::ArgumentError);
}

}  // namespace
