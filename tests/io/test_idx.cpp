#include <zlib.h>

#include "io/support.hpp"

namespace chainrule::test {
namespace {

void load(const std::string& path) { load_idx(path); }

std::string idx(int code, std::initializer_list<int> lengths, const std::string& data) {
  std::string bytes = {0, 0, static_cast<char>(code), static_cast<char>(lengths.size())};
  for (const int length : lengths) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(length >> shift & 255);
  }
  return bytes + data;
}

TEST(Idx, ReadsPlainAndCompressedFiles) {
  int files = 0;
  for (const auto& [name, wanted] : expected().items()) {
    if (!name.starts_with("idx/")) continue;
    expect_matches(load_idx(reference(name)), wanted, name);
    ++files;
  }
  EXPECT_EQ(files, 7);
}

TEST(Idx, RefusesWhatDoesNotFit) {
  EXPECT_TRUE(contains(error_of(idx(8, {3}, "ab"), load).problem, "end"));
  EXPECT_TRUE(contains(error_of(idx(8, {3}, "abcd"), load).problem, "more bytes"));
  EXPECT_TRUE(contains(error_of(idx(7, {1}, "a"), load).got, "byte 2: 7"));
  EXPECT_TRUE(contains(error_of(idx(8, {1, 1, 1, 1, 1, 1, 1, 1, 1}, "a"), load).got, "byte 3: 9"));
  EXPECT_TRUE(contains(error_of("ab", load).got, "byte 2"));
  EXPECT_TRUE(contains(error_of("abcd", load).problem, "IDX"));
  EXPECT_TRUE(contains(error_of("", load).wanted, "4 more bytes"));
}

TEST(Idx, ChecksGzip) {
  const std::string good = read_bytes(reference("idx/pixels-idx3-ubyte.gz"));
  std::string damaged = good;
  damaged[good.size() - 6] ^= 1;  // the checksum
  EXPECT_TRUE(contains(error_of(damaged, load).problem, "damaged"));
  EXPECT_TRUE(contains(error_of(good + "x", load).problem, "follow"));
  EXPECT_TRUE(contains(error_of(good.substr(0, good.size() - 1), load).problem, "early"));
}

// The data set itself, where the machine has it: the counts and the ten classes of 6,000 that its authors
// publish (https://github.com/zalandoresearch/fashion-mnist).
TEST(Idx, ReadsFashionMnist) {
  const std::string folder = "/usr/share/datasets/fashion-mnist/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "the data set is not installed";
  const HostArray labels = load_idx(folder + "train-labels-idx1-ubyte.gz");
  ASSERT_EQ(labels.shape, Shape({60000}));
  std::vector<int> counts(10);
  for (std::int64_t i = 0; i < labels.size(); ++i) ++counts.at(labels.data<std::uint8_t>()[i]);
  EXPECT_EQ(counts, std::vector<int>(10, 6000));
  EXPECT_EQ(load_idx(folder + "t10k-images-idx3-ubyte.gz").shape, Shape({10000, 28, 28}));
}

}  // namespace
}  // namespace chainrule::test
