#include <chainrule/text.hpp>
#include <vector>

#include <gtest/gtest.h>

namespace chainrule {
namespace {

TEST(Text, EditDistance) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);  // Levenshtein's classic
  EXPECT_EQ(edit_distance("ca", "ac"), 1U);           // a swap is one edit
  EXPECT_EQ(edit_distance("ca", "abc"), 3U);          // 2 only if a swapped pair may be edited again
  EXPECT_EQ(edit_distance("ReLU", "relu"), 0U);
}

TEST(Text, NearestName) {
  const std::vector<std::string> names = {"optimizer", "data", "model"};
  EXPECT_EQ(nearest_name("optimiser", names), "optimizer");
  EXPECT_EQ(nearest_name("dtaa", names), "data");
  EXPECT_EQ(nearest_name("completely", names), std::nullopt);
  EXPECT_EQ(nearest_name("x", {}), std::nullopt);
  EXPECT_EQ(suggest("optimiser", names), "did you mean \"optimizer\"?");
  EXPECT_EQ(suggest("completely", names), "valid here: \"optimizer\", \"data\", \"model\"");
}

TEST(Text, QuotesAnything) {
  EXPECT_EQ(quote("a\n\xff\xc3\xbc"), "\"a\\x0a\\xff\xc3\xbc\"");
  EXPECT_LT(quote(std::string(1000, 'x')).size(), 70U);
}

// Boundaries from the Unicode standard's table of well-formed byte sequences (table 3-7).
TEST(Text, Utf8) {
  for (const char* text :
       {"", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(text));
  }
  for (const char* text : {"\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                           "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(text));
  }
}

TEST(Text, CountsAreGroupedByThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(-999), "-999");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
}

}  // namespace
}  // namespace chainrule
