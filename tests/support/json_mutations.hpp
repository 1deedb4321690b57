#pragma once

#include <limits>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

/// Damage to a JSON document: what a reader has to answer with an error, or bear.
namespace chainrule::testing {

using nlohmann::ordered_json;

namespace detail {

inline void places(const ordered_json& json, const ordered_json::json_pointer& at,
                   std::vector<ordered_json::json_pointer>& found) {
  found.push_back(at);
  std::size_t seen = 0;
  for (const auto& [key, value] : json.items()) {
    if (!json.is_structured()) return;
    if (++seen > 3 && json.is_array()) return;  // the first of a list stand for the rest
    places(value, json.is_array() ? at / std::stoul(key) : at / key, found);
  }
}

}  // namespace detail

/// The document with each of its values replaced by something of another kind or out of every range, or
/// removed.
inline std::vector<ordered_json> mutations(const ordered_json& json) {
  static const std::vector<ordered_json> odd = {nullptr,
                                                true,
                                                -1,
                                                std::numeric_limits<std::int64_t>::max(),
                                                std::numeric_limits<std::int64_t>::min(),
                                                std::numeric_limits<std::uint64_t>::max(),
                                                1e300,
                                                "",
                                                "../x",
                                                ordered_json::array(),
                                                ordered_json::object(),
                                                {1, "a", nullptr}};
  std::vector<ordered_json::json_pointer> found;
  detail::places(json, ordered_json::json_pointer(), found);
  std::vector<ordered_json> result;
  for (const auto& place : found) {
    for (const ordered_json& value : odd) {
      ordered_json changed = json;
      changed[place] = value;
      result.push_back(std::move(changed));
    }
    if (place.empty()) continue;
    ordered_json changed = json;
    ordered_json& parent = changed[place.parent_pointer()];
    if (parent.is_object()) {
      parent.erase(place.back());
    } else {
      parent.erase(std::stoul(place.back()));
    }
    result.push_back(std::move(changed));
  }
  return result;
}

}  // namespace chainrule::testing
