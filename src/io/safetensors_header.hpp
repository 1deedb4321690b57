#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <chainrule/shape.hpp>

#include "io/file.hpp"

namespace chainrule::io {

/// One tensor's line of a safetensors header, not yet compared with the file.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  Shape shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t byte = 0;  ///< where in the file the entry ends, for errors
};

/// Parses `text`, the JSON that follows the first 8 bytes of the file. Anything but the format's own
/// structure is an IoError at the byte where it is met, so that memory stays in proportion to the text.
std::vector<SafetensorsEntry> parse_safetensors_header(const FileContext& context, std::string_view text,
                                                       std::map<std::string, std::string>& metadata);

}  // namespace chainrule::io
