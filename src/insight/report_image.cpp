#include "insight/report_image.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <zlib.h>

#include <chainrule/error.hpp>

namespace chainrule::report {
namespace {

constexpr std::size_t max_side = 4096;

// Every 17th of matplotlib's 256 entries.
constexpr std::array<Rgb, 16> viridis_anchors = {{{68, 1, 84},
                                                  {72, 26, 108},
                                                  {71, 47, 125},
                                                  {65, 68, 135},
                                                  {57, 86, 140},
                                                  {49, 104, 142},
                                                  {42, 120, 142},
                                                  {35, 136, 142},
                                                  {31, 152, 139},
                                                  {34, 168, 132},
                                                  {53, 183, 121},
                                                  {84, 197, 104},
                                                  {122, 209, 81},
                                                  {165, 219, 54},
                                                  {210, 226, 27},
                                                  {253, 231, 37}}};

// Okabe and Ito without black, in an order whose first two stand for "here" and "there" anywhere.
constexpr std::array<Rgb, 7> okabe_ito = {{{0, 114, 178},
                                           {213, 94, 0},
                                           {0, 158, 115},
                                           {204, 121, 167},
                                           {230, 159, 0},
                                           {86, 180, 233},
                                           {240, 228, 66}}};

std::uint8_t blend(std::uint8_t a, std::uint8_t b, double t) {
  return static_cast<std::uint8_t>(std::lround(a + t * (b - a)));
}

void append_big_endian(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xFFU);
}

void append_chunk(std::string& out, std::string_view type, std::string_view data) {
  append_big_endian(out, static_cast<std::uint32_t>(data.size()));
  const std::size_t begin = out.size();
  out += type;
  out += data;
  const auto* checked = reinterpret_cast<const Bytef*>(out.data() + begin);
  append_big_endian(out,
                    static_cast<std::uint32_t>(crc32(0, checked, static_cast<uInt>(out.size() - begin))));
}

std::string deflate(const std::string& raw) {
  uLongf size = compressBound(static_cast<uLong>(raw.size()));
  std::string out(size, '\0');
  const int status = compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                               reinterpret_cast<const Bytef*>(raw.data()), static_cast<uLong>(raw.size()), 9);
  if (status != Z_OK) {
    throw Error({.function = "encode_png",
                 .problem = "zlib could not compress the picture",
                 .got = fmt::format("zlib status {}", status)});
  }
  out.resize(size);
  return out;
}

/// Rows with PNG's filter 1 (each byte less the one a pixel to the left): photographs and smooth fields
/// shrink to about two thirds of what they take unfiltered.
std::string filtered_rows(std::span<const std::uint8_t> pixels, std::size_t row_bytes, std::size_t channels) {
  std::string raw;
  raw.reserve(pixels.size() + pixels.size() / row_bytes);
  for (std::size_t begin = 0; begin < pixels.size(); begin += row_bytes) {
    raw += '\1';
    for (std::size_t i = 0; i < row_bytes; ++i) {
      const int left = i < channels ? 0 : pixels[begin + i - channels];
      raw += static_cast<char>(static_cast<std::uint8_t>(pixels[begin + i] - left));
    }
  }
  return raw;
}

}  // namespace

Rgb mix(Rgb a, Rgb b, double t) {
  t = std::isnan(t) ? 0 : std::clamp(t, 0.0, 1.0);
  return {blend(a.red, b.red, t), blend(a.green, b.green, t), blend(a.blue, b.blue, t)};
}

Rgb viridis(double t) {
  if (!(t > 0)) return viridis_anchors.front();
  if (t >= 1) return viridis_anchors.back();
  const double position = t * (viridis_anchors.size() - 1);
  const auto i = static_cast<std::size_t>(position);
  return mix(viridis_anchors[i], viridis_anchors[i + 1], position - static_cast<double>(i));
}

Rgb class_color(std::size_t index) { return okabe_ito[index % okabe_ito.size()]; }

std::string encode_png(std::span<const std::uint8_t> pixels, std::size_t width, std::size_t height,
                       std::size_t channels) {
  const bool sides_fit = width > 0 && height > 0 && width <= max_side && height <= max_side;
  const bool known = channels == 1 || channels == 3 || channels == 4;
  if (!sides_fit || !known || pixels.size() != width * height * channels) {
    throw ArgumentError(
        {.function = "encode_png",
         .argument = "pixels",
         .problem = "not a picture",
         .got = fmt::format("{} bytes for {} × {} × {}", pixels.size(), width, height, channels),
         .wanted = fmt::format("sides from 1 to {}, 1, 3 or 4 channels, a byte for each", max_side)});
  }
  std::string header;
  append_big_endian(header, static_cast<std::uint32_t>(width));
  append_big_endian(header, static_cast<std::uint32_t>(height));
  header += '\x08';                                              // bits per channel
  header += channels == 1 ? '\0' : channels == 3 ? '\2' : '\6';  // gray, RGB, RGBA
  header.append(3, '\0');                                        // deflate, adaptive filters, no interlace
  std::string out = "\x89PNG\r\n\x1a\n";
  append_chunk(out, "IHDR", header);
  append_chunk(out, "IDAT", deflate(filtered_rows(pixels, width * channels, channels)));
  append_chunk(out, "IEND", "");
  return out;
}

std::string encode_base64(std::string_view bytes) {
  static constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::string_view group = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (k < group.size() ? static_cast<unsigned char>(group[k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= group.size() ? alphabet[bits >> (18 - 6 * k) & 63U] : '=';
    }
  }
  return out;
}

std::string png_uri(std::span<const std::uint8_t> pixels, std::size_t width, std::size_t height,
                    std::size_t channels) {
  return "data:image/png;base64," + encode_base64(encode_png(pixels, width, height, channels));
}

}  // namespace chainrule::report
