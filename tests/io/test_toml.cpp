#include "io/toml.hpp"

#include <limits>

#include "io/support.hpp"

namespace chainrule::test {
namespace {

using io::TomlReader;
using io::TomlWriter;
using Strings = std::vector<std::string>;

TEST(Toml, ReadsTypedValues) {
  TomlReader config(reference("toml/train.toml"));
  EXPECT_EQ(config.get<std::int64_t>("seed"), 7);
  EXPECT_EQ(config.get<std::string>("name"), "run \"a\"");
  EXPECT_EQ(config.get<double>("optimizer.learning_rate", 1.0), 0.001);
  EXPECT_EQ(config.get<double>("optimizer.weight_decay", 0.5), 0.5);
  EXPECT_EQ(config.get<std::vector<double>>("optimizer.betas"), (std::vector<double>{0.9, 0.999}));
  ASSERT_EQ(config.table_count("layer"), 2U);
  EXPECT_EQ(config.get<std::int64_t>("layer[0].units"), 16);
  EXPECT_EQ(config.get<double>("layer[1].units"), 4.0);
  EXPECT_TRUE(config.get<bool>("layer[0].bias", true));
  EXPECT_FALSE(config.get<bool>("layer[1].bias", true));
  EXPECT_EQ(config.keys("optimizer"), (Strings{"betas", "learning_rate"}));
  EXPECT_NO_THROW(config.finish());
}

TEST(Toml, UnknownKeysAreAnsweredWithLineAndNearestKey) {
  const auto finish = [](const std::string& text) {
    TomlReader config("train.toml", text);
    config.get<std::int64_t>("seed", 0);
    config.get<double>("optimizer.learning_rate", 0.0);
    for (std::size_t i = 0; i < config.table_count("layer"); ++i) {
      config.get<std::int64_t>("layer[" + std::to_string(i) + "].units", 0);
    }
    return parts_of<IoError>([&] { config.finish(); });
  };
  ErrorParts parts = finish("seed = 1\n\n[optimiser]\nlearning_rate = 1\n");
  EXPECT_TRUE(contains(parts.problem, "train.toml:3: ")) << parts.problem;
  EXPECT_TRUE(contains(parts.problem, "\"optimiser\""));
  EXPECT_TRUE(contains(parts.hint, "\"optimizer\""));
  parts = finish("[optimizer]\nlearning_rat = 1\n");
  EXPECT_TRUE(contains(parts.problem, "train.toml:2: "));
  EXPECT_TRUE(contains(parts.hint, "\"learning_rate\""));
  parts = finish("[[layer]]\nunits = 1\n[[layer]]\nunit = 1\n");
  EXPECT_TRUE(contains(parts.problem, "train.toml:4: "));
  EXPECT_TRUE(contains(parts.hint, "\"units\""));
  parts = finish("learning_rate = 1\n");
  EXPECT_TRUE(contains(parts.hint, "optimizer.learning_rate"));
}

TEST(Toml, WrongTypesAndMissingKeysNameTheKey) {
  TomlReader config("c.toml", "a = 1.5\nb = [1, \"x\"]\nc = \"text\"\n[d]\ne = 2020-01-01\n");
  ErrorParts parts = parts_of<IoError>([&] { config.get<std::int64_t>("a"); });
  EXPECT_EQ(parts.argument, "a");
  EXPECT_TRUE(contains(parts.problem, "c.toml:1: "));
  EXPECT_TRUE(contains(parts.got, "1.5"));
  EXPECT_EQ(parts.wanted, "an integer");
  EXPECT_TRUE(
      contains(parts_of<IoError>([&] { config.get<std::vector<std::int64_t>>("b"); }).problem, "c.toml:2"));
  EXPECT_EQ(parts_of<IoError>([&] { config.get<double>("d.e"); }).argument, "d.e");
  EXPECT_EQ(parts_of<IoError>([&] { config.get<double>("d"); }).got, "a table");
  EXPECT_EQ(parts_of<IoError>([&] { config.get<double>("nothing.here"); }).argument, "nothing.here");
  EXPECT_FALSE(parts_of<IoError>([&] { config.table_count("c"); }).wanted.empty());
  parts = parts_of<IoError>([&] { config.refuse("c", "no such loss", "mse or mae"); });
  EXPECT_TRUE(contains(parts.problem, "c.toml:3: no such loss"));
  EXPECT_TRUE(contains(parts.got, "text"));
}

TEST(Toml, SyntaxErrorsNameTheLine) {
  for (const char* text :
       {"a = 1\nb = \n", "a = 1\na = 2\n", "x = 1\n[t\n", "x = 1\ny = \"\n", "x=1\ny = 1e\n"}) {
    EXPECT_TRUE(contains(parts_of<IoError>([&] { TomlReader("c.toml", text); }).problem, "c.toml:")) << text;
  }
}

// Where toml++ 3.3.0 by itself fails an assertion or runs into undefined behaviour.
TEST(Toml, MalformedKeysAreErrors) {
  for (const char* text : {"[?]", "[\x01]", "[]", "[", "{", "x = {]", "a.\n", "\xc3\xa9 = 1",
                           "x = 1 \xef\xbb\x94", "x = \"\"\"\\\n \xc3\xa9"}) {
    EXPECT_TRUE(parts_of<IoError>([&] { TomlReader("c.toml", text); }).problem.starts_with("c.toml")) << text;
  }
}

std::string repeated(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

TEST(Toml, DeepNestingIsAnErrorNotACrash) {
  const auto fails = [](const std::string& text) {
    EXPECT_FALSE(parts_of<IoError>([&] { TomlReader("c.toml", text); }).problem.empty());
  };
  fails(repeated("a.", 200'000) + "a = 1\n");
  fails("[" + repeated("a . ", 200'000) + "a]\n");
  fails(repeated("\"=\".", 200'000) + "a = 1\n");
  fails("x = {" + repeated("a.", 200'000) + "a = 1}\n");
  fails("x = [\"\"\"\n\"\"\"\"\", {" + repeated("a.", 200'000) + "a = 1}]\n");
  fails("x = " + repeated("[", 300'000));
  fails("x = " + repeated("{a=", 300'000));
  EXPECT_NO_THROW(
      TomlReader("c.toml", "x = \"" + repeated(".", 1000) + "\" # " + repeated(".", 1000) + "\n"));
  EXPECT_NO_THROW(TomlReader("c.toml", "x = [" + repeated("1.5, ", 1000) + "]\n"));
}

TEST(Toml, WritesWhatItReads) {
  TomlWriter writer;
  const double tricky[] = {0.1, 1e-300, 5e-324, -0.0, 1e22, 3.0, 123456789.123456789};
  writer.set("optimizer.name", std::string("adam"));
  writer.set("seed", std::int64_t{7});
  for (std::size_t i = 0; i < std::size(tricky); ++i)
    writer.set("optimizer.x" + std::to_string(i), tricky[i]);
  writer.set("optimizer.inf", std::numeric_limits<double>::infinity());
  writer.set("optimizer.names", Strings{"a\"\\\n\t\x01", "ü"});
  writer.set("layer[0].units", std::int64_t{3});
  writer.set("layer[1].units", std::int64_t{4});
  writer.set("odd key.a b", true);
  writer.set("seed", std::int64_t{8});
  TomlReader reader("c.toml", writer.text());
  EXPECT_EQ(reader.get<std::int64_t>("seed"), 8);
  for (std::size_t i = 0; i < std::size(tricky); ++i) {
    const double value = reader.get<double>("optimizer.x" + std::to_string(i));
    EXPECT_EQ(std::memcmp(&value, &tricky[i], sizeof value), 0) << tricky[i];
  }
  EXPECT_EQ(reader.get<double>("optimizer.inf"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(reader.get<Strings>("optimizer.names"), (Strings{"a\"\\\n\t\x01", "ü"}));
  EXPECT_EQ(reader.get<std::int64_t>("layer[1].units"), 4);
  EXPECT_TRUE(reader.get<bool>("odd key.a b"));
  EXPECT_TRUE(writer.text().starts_with("seed = 8\n\n[optimizer]\nname = \"adam\"\nx0 = 0.1\n"))
      << writer.text();
}

TEST(Toml, WriterRefusesWhatTomlCannotHold) {
  TomlWriter writer;
  EXPECT_EQ(parts_of<ArgumentError>([&] { writer.set("a", std::string("\xff")); }).argument, "value");
  EXPECT_EQ(parts_of<ArgumentError>([&] { writer.set("a[0].b.c", true); }).argument, "key");
}

}  // namespace
}  // namespace chainrule::test
