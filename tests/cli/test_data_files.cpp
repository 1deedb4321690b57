// Data files in, predictions for other files out: raw data are scaled once, as in training.

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chainrule/io.hpp>
#include <chainrule/ops.hpp>

#include <unistd.h>

#include "cli/program.hpp"

namespace cr = chainrule;

namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

class DataFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = program::scratch() / ("chainrule-files-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
  }
  static Json json_of(const std::string& arguments) {
    const program::Result result = program::run(arguments + " --json");
    EXPECT_EQ(result.status, 0) << arguments << "\n" << result.errors;
    return result.status == 0 ? Json::parse(result.output) : Json();
  }

  /// Pictures of 2 × 2 bytes: class 1 is bright on the left.
  static constexpr int pictures = 120;
  static std::uint8_t pixel(int i, int at) {
    const bool bright = (i % 2 == 1) == (at % 2 == 0);
    return static_cast<std::uint8_t>((bright ? 200 : 20) + (i * 7 + at * 3) % 50);
  }
  static std::string idx_pictures() {
    std::string bytes{0, 0, 8, 3, 0, 0, 0, static_cast<char>(pictures), 0, 0, 0, 2, 0, 0, 0, 2};
    for (int i = 0; i < pictures; ++i) {
      for (int at = 0; at < 4; ++at) bytes += static_cast<char>(pixel(i, at));
    }
    return bytes;
  }
  static std::string idx_labels() {
    std::string bytes{0, 0, 8, 1, 0, 0, 0, static_cast<char>(pictures)};
    for (int i = 0; i < pictures; ++i) bytes += static_cast<char>(i % 2);
    return bytes;
  }
  static cr::Tensor picture_tensor() {
    std::vector<std::uint8_t> bytes;
    for (int i = 0; i < pictures; ++i) {
      for (int at = 0; at < 4; ++at) bytes.push_back(pixel(i, at));
    }
    return cr::Tensor::from(bytes, {pictures, 2, 2});
  }
  static cr::Tensor label_tensor() {
    std::vector<std::int64_t> labels;
    for (int i = 0; i < pictures; ++i) labels.push_back(i % 2);
    return cr::Tensor::from(labels, {pictures});
  }
  static int right_of(const Json& predictions) {
    int right = 0;
    for (std::size_t i = 0; i < predictions.size(); ++i)
      right += predictions[i].at("class") == std::to_string(i % 2) ? 1 : 0;
    return right;
  }

 private:
  fs::path folder_;
};

TEST_F(DataFiles, IdxAndArraysTrainAndPredictTheSame) {
  write("train-images-idx3-ubyte", idx_pictures());
  write("train-labels-idx1-ubyte", idx_labels());
  const cr::Tensor bytes = picture_tensor();
  cr::save_npy(path("x.npy"), bytes.to_host());
  cr::save_npy(path("y.npy"), label_tensor().to_host());
  cr::save_npy(path("unit.npy"), (bytes.astype(cr::DType::float32) / 255).to_host());
  cr::save_npz(path("both.npz"), {{"pixels", bytes.to_host()}, {"label", label_tensor().to_host()}});
  write("both.toml", "[data]\nsource = \"" + path("both.npz") +
                         "\"\nfeatures_array = \"pixels\"\ntargets_array = \"label\"\n[training]\nepochs = "
                         "10\nbatch_size = 32\n[optimizer]\nlr = 0.01\n");
  // MNIST's names tell where the labels are.
  json_of("train " + path("train-images-idx3-ubyte") + " --epochs 10 --batch-size 32 --lr 0.01 --run " +
          path("idx"));
  json_of("train " + path("x.npy") + " --targets " + path("y.npy") + " --epochs 10 --run " + path("npy"));
  json_of("train " + path("both.toml") + " --run " + path("npz"));
  for (const std::string run : {"idx", "npy", "npz"}) {
    SCOPED_TRACE(run);
    const Json from_bytes = json_of("predict " + path(run) + " " + path("x.npy")).at("predictions");
    ASSERT_EQ(from_bytes.size(), static_cast<std::size_t>(pictures)) << "all rows of a file";
    EXPECT_EQ(right_of(from_bytes), pictures) << "easily told apart";
    EXPECT_EQ(json_of("predict " + path(run) + " " + path("train-images-idx3-ubyte")).at("predictions"),
              from_bytes);
    EXPECT_EQ(json_of("predict " + path(run) + " " + path("x.npy") + " --count 3").at("predictions").size(),
              3U);
    const Json from_unit = json_of("predict " + path(run) + " " + path("unit.npy")).at("predictions");
    for (std::size_t i = 0; i < from_bytes.size(); ++i) {
      EXPECT_NEAR(from_unit[i].at("probability").get<double>(), from_bytes[i].at("probability").get<double>(),
                  1e-5)
          << "pictures in [0, 1] are not divided by 255 once more";
    }
  }
  EXPECT_EQ(right_of(json_of("predict " + path("npz") + " " + path("both.npz")).at("predictions")), pictures);
  const program::Result nameless = program::run("predict " + path("idx") + " " + path("both.npz"));
  EXPECT_EQ(nameless.status, 2);
  EXPECT_NE(nameless.errors.find("pixels"), std::string::npos) << "it says which arrays there are";
  const program::Result wrong = program::run("predict " + path("idx") + " " + path("y.npy"));
  EXPECT_EQ(wrong.status, 2);
  EXPECT_NE(wrong.errors.find("[2, 2]"), std::string::npos) << wrong.errors;
  const program::Result lonely = program::run("train " + path("x.npy") + " --run " + path("lonely"));
  EXPECT_EQ(lonely.status, 2);
  EXPECT_NE(lonely.errors.find("--targets"), std::string::npos) << lonely.errors;
}

TEST_F(DataFiles, TablesWithOtherDelimitersTargetsAndGaps) {
  std::string table = "kind;size;weight;noise\n";
  std::string bare;
  for (int i = 0; i < 200; ++i) {
    const bool cat = i % 2 == 0;
    const int size = (cat ? 10 : 1000) + i % 7;
    table += std::string(cat ? "cat" : "dog") + ";" + std::to_string(size) + ";" +
             (i % 3 == 0 ? "light" : "heavy") + ";" + std::to_string(i % 5) + "\n";
    bare += std::to_string(size) + "\t" + std::to_string(i % 2) + "\n";
  }
  write("animals.csv", table);
  write("bare.tsv", bare);
  const program::Result trained =
      program::run("train " + path("animals.csv") + " --target kind --epochs 20 --run " + path("animals"));
  ASSERT_EQ(trained.status, 0) << trained.errors;
  EXPECT_NE(trained.errors.find("column kind"), std::string::npos) << "it says what the target is";
  // A new table: other order, a column too many, a category that is new, a gap.
  write("new.csv", "noise;size;weight;colour\n1;12;light;red\n2;1003;unheard of;blue\n;11;heavy;red\n");
  const Json predictions = json_of("predict " + path("animals") + " " + path("new.csv")).at("predictions");
  ASSERT_EQ(predictions.size(), 3U);
  EXPECT_EQ(predictions[0].at("class"), "cat");
  EXPECT_EQ(predictions[1].at("class"), "dog");
  EXPECT_EQ(predictions[2].at("class"), "cat");
  write("short.csv", "noise;weight\n1;light\n");
  const program::Result missing = program::run("predict " + path("animals") + " " + path("short.csv"));
  EXPECT_EQ(missing.status, 2);
  EXPECT_NE(missing.errors.find("size"), std::string::npos) << missing.errors;

  const program::Result headless = program::run("train " + path("bare.tsv") + " --run " + path("bare"));
  EXPECT_EQ(headless.status, 2);
  EXPECT_NE(headless.errors.find("--no-header"), std::string::npos) << headless.errors;
  const Json bare_run =
      json_of("train " + path("bare.tsv") + " --no-header --epochs 20 --run " + path("bare"));
  EXPECT_GT(bare_run.at("test").at("accuracy").get<double>(), 0.95);
  const Json values = json_of("train " + path("bare.tsv") +
                              " --no-header --task regression --epochs 3 --run " + path("values"));
  EXPECT_TRUE(values.at("test").contains("r2"));
}

TEST_F(DataFiles, ARunFindsItsDataFromEverywhereAndNoticesAChange) {
  std::string table = "a,b,class\n";
  for (int i = 0; i < 100; ++i)
    table += std::to_string(i) + "," + std::to_string(i * 7 % 13) + "," + (i < 50 ? "low" : "high") + "\n";
  write("t.csv", table);
  const fs::path before = fs::current_path();
  fs::current_path(path(""));
  const program::Result trained = program::run("train t.csv --epochs 2 --run run");
  fs::current_path(before);
  ASSERT_EQ(trained.status, 0) << trained.errors;
  EXPECT_FALSE(json_of("evaluate " + path("run")).at("data_changed"));
  write("t.csv", table + "1000,5,high\n");
  EXPECT_TRUE(json_of("evaluate " + path("run")).at("data_changed"));
  // predict needs none of it.
  fs::remove(path("t.csv"));
  write("new.csv", "a,b\n1,2\n99,3\n");
  EXPECT_EQ(json_of("predict " + path("run") + " " + path("new.csv")).at("predictions").size(), 2U);
  EXPECT_EQ(program::run("evaluate " + path("run")).status, 2) << "the data are gone";
}

TEST_F(DataFiles, WhatCanNotWorkIsSaidAtOnce) {
  std::string one_class = "a,class\n";
  std::string ids = "id,class\n";
  std::string gaps = "a,class\n";
  std::string infinite = "a,class\n";
  for (int i = 0; i < 1500; ++i) {
    one_class += std::to_string(i) + ",yes\n";
    ids += "user" + std::to_string(i) + "," + (i % 2 == 0 ? "yes" : "no") + "\n";
    gaps += (i == 3 ? std::string() : std::to_string(i)) + "," + (i % 2 == 0 ? "yes" : "no") + "\n";
    infinite +=
        (i == 3 ? std::string("1e999") : std::to_string(i)) + "," + (i % 2 == 0 ? "yes" : "no") + "\n";
  }
  write("one.csv", one_class);
  write("ids.csv", ids);
  write("gaps.csv", gaps);
  write("infinite.csv", infinite);
  const std::pair<std::string, std::string> wrong[] = {
      {"one.csv", "of one class"}, {"ids.csv", "data.drop"}, {"gaps.csv", "data.missing = \"mean\""}};
  for (const auto& [file, message] : wrong) {
    SCOPED_TRACE(file);
    const program::Result result = program::run("train " + path(file) + " --run " + path("x"));
    EXPECT_EQ(result.status, 2);
    EXPECT_NE(result.errors.find(message), std::string::npos) << result.errors;
    EXPECT_FALSE(fs::exists(path("x")));
  }
  const program::Result filled =
      program::run("train " + path("gaps.csv") + " --missing mean --epochs 1 --run " + path("filled"));
  EXPECT_EQ(filled.status, 0) << filled.errors;
  EXPECT_NE(filled.errors.find("missing (NaN)"), std::string::npos) << "filled in, and said so";
  const program::Result refused =
      program::run("train " + path("infinite.csv") + " --run " + path("infinite"));
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.errors.find("--ignore-checks"), std::string::npos) << refused.errors;
  EXPECT_EQ(program::run("train " + path("infinite.csv") + " --ignore-checks --epochs 1 --run " + path("all"))
                .status,
            0);
}

}  // namespace
