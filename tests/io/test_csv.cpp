#include <clocale>
#include <cmath>
#include <locale>

#include "io/support.hpp"

namespace chainrule::test {
namespace {

CsvTable parse(const std::string& text, const CsvOptions& options = {}) {
  const MemoryFile file(text);
  return read_csv(file.path(), options);
}

void load(const std::string& path) { read_csv(path); }

std::vector<double> reals(const CsvColumn& column) {
  EXPECT_EQ(column.type, CsvType::real);
  return {column.values.data<double>(), column.values.data<double>() + column.values.size()};
}

std::vector<std::int64_t> integers(const CsvColumn& column) {
  EXPECT_NE(column.type, CsvType::real);
  return {column.values.data<std::int64_t>(), column.values.data<std::int64_t>() + column.values.size()};
}

TEST(Csv, ReadsQuotesLineEndsAndMissingValues) {
  const CsvTable table = read_csv(reference("csv/quoted.csv"));
  EXPECT_EQ(table.rows(), 3);
  const CsvColumn& name = table.column("name");
  EXPECT_EQ(name.categories, (std::vector<std::string>{"Jones", "Smith, A."}));
  EXPECT_EQ(integers(name), (std::vector<std::int64_t>{1, 0, 0}));
  const CsvColumn& height = table.column("height, cm");
  EXPECT_EQ(height.missing, 1);
  EXPECT_EQ(reals(height)[0], 150);
  EXPECT_TRUE(std::isnan(reals(height)[1]));
  EXPECT_EQ(table.column("age").type, CsvType::integer);
  EXPECT_EQ(integers(table.column("age")), (std::vector<std::int64_t>{41, 7, 12}));
  const CsvColumn& note = table.column("note");
  EXPECT_EQ(note.categories, (std::vector<std::string>{"said \"hi\"", "two\nlines"}));
  EXPECT_EQ(integers(note), (std::vector<std::int64_t>{0, 1, -1}));
  EXPECT_EQ(note.missing, 1);
}

TEST(Csv, ReadsNumbersOfAnySize) {
  const CsvTable table = read_csv(reference("csv/numbers.csv"), {.delimiter = ';'});
  EXPECT_EQ(integers(table.column("x")), (std::vector<std::int64_t>{1, -2, 9223372036854775807}));
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(reals(table.column("y")), (std::vector<double>{0.1, infinity, -0.0}));
  const auto column = [](const std::string& field) { return parse("x\n" + field + "\n").columns()[0]; };
  EXPECT_EQ(reals(column("9223372036854775808"))[0], 9223372036854775808.0);
  EXPECT_EQ(reals(column("-inf"))[0], -infinity);
  EXPECT_EQ(reals(column("5e-324"))[0], 5e-324);
  EXPECT_EQ(reals(column("-1e999999999999999999999"))[0], -infinity);
  EXPECT_EQ(reals(column("1e-999999999999999999999"))[0], 0.0);
  EXPECT_EQ(reals(column(std::string(500, '9')))[0], infinity);
  EXPECT_EQ(reals(column("0." + std::string(500, '0') + "1"))[0], 0.0);
  EXPECT_EQ(reals(column("0." + std::string(500, '0') + "1e500"))[0], 0.1);
  for (const char* text : {"1,5x", "0x10", "1e", "--1", "+-1", "1 2", ".", "e5", "+"}) {
    EXPECT_EQ(column("\"" + std::string(text) + "\"").type, CsvType::categorical) << text;
  }
}

TEST(Csv, IsTheSameUnderEveryLocale) {
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Comma));
  const CsvTable table = parse("x,y\n1.5,1234567\n");
  std::locale::global(before);
  EXPECT_EQ(reals(table.column("x"))[0], 1.5);
  EXPECT_EQ(integers(table.column("y"))[0], 1234567);
}

TEST(Csv, RaggedRowsNameTheirLine) {
  const ErrorParts parts = error_of("a,b\n\"1\n2\",3\n4,5,6\n", load);
  EXPECT_EQ(parts.function, "read_csv");
  EXPECT_TRUE(contains(parts.got, "line 4: 3 fields"));
  EXPECT_EQ(parts.wanted, "2 fields");
}

TEST(Csv, RefusesStrayQuotesAndBinaryFiles) {
  EXPECT_TRUE(contains(error_of("a,b\n1,\"2\n3,4\n", load).got, "line 2"));
  EXPECT_TRUE(contains(error_of("a,b\n1,2\"\n", load).got, "line 2"));
  EXPECT_TRUE(contains(error_of("a,b\n\"1\"x,2\n", load).got, "line 2"));
  EXPECT_TRUE(contains(error_of(std::string("a\0b\n1\n", 6), load).got, "byte 1"));
  EXPECT_EQ(error_of("a,b,a\n1,2,3\n", load).argument, "a");
  EXPECT_FALSE(error_of("", load).problem.empty());
  EXPECT_FALSE(error_of("\n\r\n", load).problem.empty());
}

TEST(Csv, SuggestsTheNearestColumn) {
  const CsvTable table = parse("species,sepal_length\na,1\n");
  const ErrorParts parts = parts_of<ArgumentError>([&] { table.column("sepal_lenght"); });
  EXPECT_TRUE(contains(parts.hint, "\"sepal_length\""));
  EXPECT_TRUE(contains(parts.got, "sepal_lenght"));
}

TEST(Csv, FindsOutAboutTheHeader) {
  const CsvOptions automatic{.header = CsvHeader::automatic};
  EXPECT_EQ(parse("x,y\n1,a\n", automatic).rows(), 1);
  EXPECT_EQ(parse("1,a\n2,b\n", automatic).rows(), 2);
  EXPECT_EQ(parse("a,b\nc,d\n", automatic).rows(), 2);
  EXPECT_EQ(parse("1,a\n2,b\n", {.header = CsvHeader::no}).columns()[1].name, "column1");
  const CsvTable empty = parse("x,y\n");
  EXPECT_EQ(empty.rows(), 0);
  EXPECT_EQ(empty.column("x").type, CsvType::real);
}

TEST(Csv, ChecksOptions) {
  EXPECT_EQ(error_of<ArgumentError>("x\n", [](auto& path) { read_csv(path, {.delimiter = '"'}); }).argument,
            "quote");
  EXPECT_EQ(error_of<ArgumentError>("x\n", [](auto& path) { read_csv(path, {.delimiter = '\n'}); }).argument,
            "delimiter");
}

}  // namespace
}  // namespace chainrule::test
