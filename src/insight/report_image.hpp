#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Pictures inside the page: colours, PNG, base64.
namespace chainrule::report {

struct Rgb {
  std::uint8_t red = 0, green = 0, blue = 0;
};

/// matplotlib's viridis at `t` in [0, 1] (Smith and van der Walt, 2015), by linear interpolation between
/// 16 of its entries; off by at most 7 of 255. Values outside and NaN take the nearer end, NaN the lower.
Rgb viridis(double t);

/// The colour of class `index`: Okabe and Ito's palette (2008), told apart by colour-blind eyes; repeats
/// after seven.
Rgb class_color(std::size_t index);

/// `a` for t = 0, `b` for t = 1.
Rgb mix(Rgb a, Rgb b, double t);

/// A picture of 1 (gray), 3 (RGB) or 4 (RGBA) bytes per pixel, row-major. Throws `ArgumentError` if the
/// number of bytes is not width × height × channels, or a side is 0 or above 4096.
std::string encode_png(std::span<const std::uint8_t> pixels, std::size_t width, std::size_t height,
                       std::size_t channels);

/// RFC 4648 base64, with padding.
std::string encode_base64(std::string_view bytes);

/// `data:image/png;base64,…`
std::string png_uri(std::span<const std::uint8_t> pixels, std::size_t width, std::size_t height,
                    std::size_t channels);

}  // namespace chainrule::report
