#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

/// JSON files. Values nest at most 64 deep: many operations of the library recurse.
namespace chainrule::io {

using Json = nlohmann::ordered_json;

/// `text` as JSON. Throws IoError with the line; `name` stands for the file in errors, and `first_line` is
/// the line of it on which `text` begins.
Json parse_json(std::string_view text, const std::string& name, std::uint64_t first_line = 1);
/// A file of one value. Throws IoError where it can't be read, is above 64 MiB or is not JSON.
Json read_json(const std::string& path);
/// A file with a value on each line, such as a run's metrics. A last line without its line end is left out:
/// its writer was stopped inside of it. Empty lines are skipped.
std::vector<Json> read_json_lines(const std::string& path);
/// Writes one value, indented by two spaces, atomically. NaN and infinities become null, bytes that are not
/// UTF-8 U+FFFD. Throws IoError.
void write_json(const std::string& path, const Json& value);

}  // namespace chainrule::io
