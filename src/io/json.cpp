#include "io/json.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "io/atomic_file.hpp"
#include "io/file.hpp"

namespace chainrule::io {
namespace {

constexpr std::uint64_t largest_file = std::uint64_t{64} << 20;
constexpr int deepest = 64;

}  // namespace

Json parse_json(std::string_view text, const std::string& name, std::uint64_t first_line) {
  const FileContext context{"read_json", name};
  const auto limit_depth = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > deepest) {
      context.fail_at_line(first_line, "JSON values are nested too deeply", {}, "at most 64 levels");
    }
    return true;
  };
  try {
    return Json::parse(text, limit_depth);
  } catch (const Json::exception& error) {
    std::size_t byte = 0;
    if (const auto* parse_error = dynamic_cast<const Json::parse_error*>(&error)) byte = parse_error->byte;
    const std::string_view before = text.substr(0, byte > 0 ? byte - 1 : 0);
    const auto lines = static_cast<std::uint64_t>(std::count(before.begin(), before.end(), '\n'));
    context.fail_at_line(first_line + lines, "not JSON", error.what());
  }
}

Json read_json(const std::string& path) {
  return parse_json(read_text({"read_json", path}, largest_file), path);
}

std::vector<Json> read_json_lines(const std::string& path) {
  const std::string text = read_text({"read_json_lines", path}, largest_file);
  std::vector<Json> values;
  std::uint64_t number = 1;
  std::string_view rest = text;
  for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n'), ++number) {
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    values.push_back(parse_json(line, path, number));
  }
  return values;
}

void write_json(const std::string& path, const Json& value) {
  write_file(path, value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n", "write_json");
}

}  // namespace chainrule::io
