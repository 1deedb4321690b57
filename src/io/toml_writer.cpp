#include <algorithm>
#include <charconv>
#include <cmath>

#include <chainrule/text.hpp>

#include "io/atomic_file.hpp"
#include "io/toml.hpp"

namespace chainrule::io {
namespace {

std::string string_text(const std::string& text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  if (!is_utf8(text)) {
    throw ArgumentError({.function = "TomlWriter::set",
                         .argument = "value",
                         .problem = "the text is not UTF-8",
                         .got = quote(text),
                         .wanted = "UTF-8"});
  }
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      result += {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string value_text(bool value) { return value ? "true" : "false"; }
std::string value_text(std::int64_t value) { return std::to_string(value); }
std::string value_text(const std::string& value) { return string_text(value); }

std::string value_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char digits[32];
  std::string text(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  // Without a point or an exponent it would be read as an integer.
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

template <typename T>
std::string value_text(const std::vector<T>& values) {
  std::string text = "[";
  for (const T& value : values) {
    if (text.size() > 1) text += ", ";
    text += value_text(value);
  }
  return text + "]";
}

std::string key_text(const std::string& key) {
  const auto bare = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !key.empty() && std::all_of(key.begin(), key.end(), bare) ? key : string_text(key);
}

// `a.b` as `[a.b]`, `a.b[2]` as `[[a.b]]`.
std::string header_text(std::string path) {
  const bool is_array = path.ends_with(']');
  path.resize(std::min(path.find('['), path.size()));
  std::string keys;
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    if (begin > 0) keys += '.';
    keys += key_text(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return is_array ? "[[" + keys + "]]" : "[" + keys + "]";
}

}  // namespace

TomlWriter::Table& TomlWriter::table(const std::string& path) {
  const auto found =
      std::find_if(tables_.begin(), tables_.end(), [&](const Table& t) { return t.path == path; });
  if (found != tables_.end()) return *found;
  const std::size_t bracket = path.find('[');
  if (bracket != std::string::npos && path.find(']', bracket) != path.size() - 1) {
    throw ArgumentError({.function = "TomlWriter::set",
                         .argument = "key",
                         .problem = "an index may stand at the end of the table's path alone",
                         .got = quote(path)});
  }
  // The root's keys must stand before the first header.
  const auto position = path.empty() ? tables_.begin() : tables_.end();
  return *tables_.insert(position, {path, {}});
}

void TomlWriter::set(const std::string& key, const TomlValue& value) {
  const std::size_t dot = key.rfind('.');
  const std::string path = dot == std::string::npos ? "" : key.substr(0, dot);
  const std::string name = dot == std::string::npos ? key : key.substr(dot + 1);
  std::string text = std::visit([](const auto& v) { return value_text(v); }, value);
  auto& values = table(path).values;
  const auto found =
      std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.first == name; });
  if (found != values.end()) {
    found->second = std::move(text);
  } else {
    values.emplace_back(name, std::move(text));
  }
}

std::string TomlWriter::text() const {
  std::string text;
  for (const Table& table : tables_) {
    if (!table.path.empty()) text += (text.empty() ? "" : "\n") + header_text(table.path) + "\n";
    for (const auto& [key, value] : table.values) text += key_text(key) + " = " + value + "\n";
  }
  return text;
}

void TomlWriter::save(const std::string& path) const { write_file(path, text(), "TomlWriter::save"); }

}  // namespace chainrule::io
