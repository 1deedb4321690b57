#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

/// JSON files. Values nest at most 64 deep: many operations of the library recurse.
namespace chainrule::io {

/// Whether the value is a whole number that T holds. 3.0 is none: what we write as an integer has no point.
template <typename T, typename AnyJson>
bool is_integer(const AnyJson& json) {
  if (json.is_number_unsigned()) return std::in_range<T>(json.template get_ref<const std::uint64_t&>());
  return json.is_number_integer() && std::in_range<T>(json.template get_ref<const std::int64_t&>());
}

/// As nlohmann's, but what is asked for as an integer has to be one that fits: 1e300 or -1 in a file is an
/// error of its type, where nlohmann would convert it to who knows what.
template <typename T, typename = void>
struct CheckedIntegers : nlohmann::adl_serializer<T> {};

template <typename T>
struct CheckedIntegers<T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>>>
    : nlohmann::adl_serializer<T> {
  template <typename AnyJson>
  static void from_json(const AnyJson& json, T& value) {
    if (!is_integer<T>(json)) {
      const std::string got = json.is_number() ? json.dump() : json.type_name();
      throw AnyJson::type_error::create(302,
                                        "a whole number of at most " + std::to_string(8 * sizeof(T)) +
                                            " bits is wanted, and this is " + got,
                                        &json);
    }
    nlohmann::adl_serializer<T>::from_json(json, value);
  }
};

/// Keeps the order of keys.
using Json = nlohmann::basic_json<nlohmann::ordered_map, std::vector, std::string, bool, std::int64_t,
                                  std::uint64_t, double, std::allocator, CheckedIntegers>;

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
