#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>

#include <chainrule/error.hpp>

#include "insight/report_image.hpp"
#include "insight/report_svg.hpp"
#include "insight/report_text.hpp"

namespace chainrule::report {
namespace {

// RFC 4648, section 10.
TEST(ReportImage, Base64) {
  EXPECT_EQ(encode_base64(""), "");
  EXPECT_EQ(encode_base64("f"), "Zg==");
  EXPECT_EQ(encode_base64("fo"), "Zm8=");
  EXPECT_EQ(encode_base64("foo"), "Zm9v");
  EXPECT_EQ(encode_base64("foob"), "Zm9vYg==");
  EXPECT_EQ(encode_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(encode_base64("\xFF\xFE\xFD"), "//79");
}

std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8U | static_cast<unsigned char>(bytes.at(at + i));
  return value;
}

/// The pixels of a PNG whose rows use filter 1, after checking signature and checksums.
std::string decode_png(const std::string& png, std::size_t row_bytes, std::size_t rows,
                       std::size_t channels) {
  EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  std::string data;
  for (std::size_t at = 8; at < png.size();) {
    const std::size_t length = big_endian(png, at);
    const std::string body = png.substr(at + 4, 4 + length);
    EXPECT_EQ(crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())),
              big_endian(png, at + 8 + length));
    if (body.starts_with("IDAT")) data = body.substr(4);
    at += 12 + length;
  }
  std::string raw(rows * (row_bytes + 1), '\0');
  uLongf size = static_cast<uLongf>(raw.size());
  EXPECT_EQ(uncompress(reinterpret_cast<Bytef*>(raw.data()), &size,
                       reinterpret_cast<const Bytef*>(data.data()), static_cast<uLong>(data.size())),
            Z_OK);
  EXPECT_EQ(size, raw.size());
  std::string pixels;
  for (std::size_t r = 0; r < rows; ++r) {
    EXPECT_EQ(raw[r * (row_bytes + 1)], 1);
    std::string row = raw.substr(r * (row_bytes + 1) + 1, row_bytes);
    for (std::size_t i = channels; i < row_bytes; ++i) row[i] = static_cast<char>(row[i] + row[i - channels]);
    pixels += row;
  }
  return pixels;
}

TEST(ReportImage, PngHoldsItsPixels) {
  for (const std::size_t channels : {1U, 3U, 4U}) {
    std::vector<std::uint8_t> pixels(5 * 3 * channels);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 89);
    const std::string png = encode_png(pixels, 5, 3, channels);
    EXPECT_EQ(big_endian(png, 16), 5U);
    EXPECT_EQ(big_endian(png, 20), 3U);
    EXPECT_EQ(decode_png(png, 5 * channels, 3, channels), std::string(pixels.begin(), pixels.end()));
  }
  EXPECT_THROW(encode_png({}, 0, 0, 1), ArgumentError);
  EXPECT_THROW(encode_png(std::vector<std::uint8_t>(4), 2, 2, 2), ArgumentError);
  EXPECT_THROW(encode_png(std::vector<std::uint8_t>(4), std::size_t{1} << 63U, 2, 1), ArgumentError);
}

// Entries 40, 77 and 201 of matplotlib's table of 256, which lie between our anchors.
TEST(ReportImage, ViridisIsMatplotlibs) {
  const auto near = [](double t, int r, int g, int b) {
    const Rgb c = viridis(t);
    EXPECT_NEAR(c.red, r, 7);
    EXPECT_NEAR(c.green, g, 7);
    EXPECT_NEAR(c.blue, b, 7);
  };
  near(0, 68, 1, 84);
  near(40 / 255.0, 69, 55, 129);
  near(77 / 255.0, 52, 96, 141);
  near(201 / 255.0, 115, 208, 86);
  near(1, 253, 231, 37);
  near(std::numeric_limits<double>::quiet_NaN(), 68, 1, 84);
  near(std::numeric_limits<double>::infinity(), 253, 231, 37);
}

TEST(ReportText, Escapes) {
  EXPECT_EQ(escape("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(escape("größe → 数"), "größe → 数");
  EXPECT_EQ(escape("\xC3"), "\uFFFD");                      // truncated
  EXPECT_EQ(escape("\xC0\xAF"), "\uFFFD\uFFFD");            // overlong
  EXPECT_EQ(escape("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(escape(std::string("a\0b\x1b\u0085c", 7)), "abc");
  EXPECT_EQ(escape("数数数", 2), "数数…");
}

TEST(ReportText, WritesNumbers) {
  EXPECT_EQ(number(0.34214), "0.3421");
  EXPECT_EQ(number(-12.5), "−12.50");
  EXPECT_EQ(number(9.9999, 3), "10.0");
  EXPECT_EQ(number(3.2e-5), "3.2·10⁻⁵");
  EXPECT_EQ(number(1e12), "10¹²");
  EXPECT_EQ(number(20'690, 2), "20,690");
  EXPECT_EQ(number(199'498, 2), "2·10⁵");
  EXPECT_EQ(number(12'345.678, 7), "12345.68");
  EXPECT_EQ(trimmed(2, 3), "2");
  EXPECT_EQ(trimmed(0.4, 2), "0.4");
  EXPECT_EQ(trimmed(1000, 3), "1000");
  EXPECT_EQ(scientific(5e4, 1), "5·10⁴");
  EXPECT_EQ(number(0), "0");
  EXPECT_EQ(number(-std::numeric_limits<double>::infinity()), "−∞");
  EXPECT_EQ(grouped(-1'234'567), "−1,234,567");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(std::numeric_limits<std::int64_t>::min()), "−9,223,372,036,854,775,808");
  EXPECT_EQ(with_prefix(203'530), "204\u202Fk");
  EXPECT_EQ(with_prefix(1'234'567, "B"), "1.23\u202FMB");
  EXPECT_EQ(with_prefix(999'999), "1.00\u202FM");
  EXPECT_EQ(duration(252), "4 min 12 s");
  EXPECT_EQ(duration(59.99), "1 min 0 s");
  EXPECT_EQ(with_error(87.34, 0.33), "87.3 ± 0.3");
  EXPECT_EQ(with_error(0.48215, 0.0112), "0.48 ± 0.01");
}

TEST(ReportText, CsvQuotesAndDisarms) {
  Csv csv{"name", "value"};
  csv.cell("a,\"b\"").cell(0.5).end_row();
  csv.cell("=1+1").cell(std::numeric_limits<double>::quiet_NaN()).end_row();
  EXPECT_EQ(csv.text(), "name,value\n\"a,\"\"b\"\"\",0.5\n'=1+1,nan\n");
  EXPECT_NE(csv.link("x.csv").find("data:text/csv;charset=utf-8,name,value%0A%22a,"), std::string::npos);
}

TEST(ReportSvg, TicksAreRoundAndInside) {
  EXPECT_EQ(linear_ticks(0, 1, 5), (std::vector<double>{0, 0.2, 0.2 * 2, 0.2 * 3, 0.2 * 4, 1}));
  EXPECT_EQ(linear_ticks(1, 10, 6), (std::vector<double>{2, 4, 6, 8, 10}));
  EXPECT_EQ(log_ticks(0.5, 200), (std::vector<double>{1, 10, 100}));
  EXPECT_EQ(log_ticks(0.3, 3), (std::vector<double>{0.5, 1, 2}));
  EXPECT_TRUE(linear_ticks(1, 1).empty());
  EXPECT_TRUE(linear_ticks(-std::numeric_limits<double>::max(), std::numeric_limits<double>::max()).empty());
  EXPECT_LE(linear_ticks(1e16, 1e16 + 4).size(), 12U);
  EXPECT_LE(log_ticks(1e-150, 1e150).size(), 9U);
}

// Steps and epochs are whole; a loss that spans decades is labelled with powers alone.
TEST(ReportSvg, TicksSayWhatTheyCount) {
  const Chart chart{.x_label = "step",
                    .x = {1, 2, 3, 4},
                    .panels = {{.lines = {{"loss", "c1", {0.7, 1e6, 1e18, 1e34}}}, .log_scale = true},
                               {.lines = {{"speed", "c2", {2e6, 1e6, 2e6, 1.5e6}}}, .from_zero = true}}};
  const std::string svg = line_chart(chart);
  EXPECT_EQ(svg.find(">1.5<"), std::string::npos);
  for (const char* label : {">1<", ">4<", ">10¹¹<", ">1\u202FM<"})
    EXPECT_NE(svg.find(label), std::string::npos) << label;
  EXPECT_EQ(svg.find(">100000<"), std::string::npos);
}

TEST(ReportSvg, GapsBreakTheLine) {
  Chart chart{.x = {1, 2, 3, 4},
              .panels = {{.lines = {{"y", "c1", {1, std::numeric_limits<double>::quiet_NaN(), 2, 3}}}}}};
  const std::string svg = line_chart(chart);
  const std::size_t path = svg.find("class=\"line c1\" d=\"");
  ASSERT_NE(path, std::string::npos);
  const std::string d = svg.substr(path + 19, svg.find('"', path + 19) - path - 19);
  EXPECT_EQ(std::count(d.begin(), d.end(), 'M'), 2);
  EXPECT_EQ(std::count(d.begin(), d.end(), 'L'), 1);
  chart.panels[0].lines[0].y.assign(4, std::numeric_limits<double>::infinity());
  EXPECT_EQ(line_chart(chart), "");
}

}  // namespace
}  // namespace chainrule::report
