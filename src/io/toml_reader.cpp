#include <algorithm>
#include <charconv>
#include <optional>

#include "io/file.hpp"
#include "io/toml.hpp"
#include "tensor/text.hpp"

namespace chainrule::io {
namespace {

struct TomlAssertion {};

// Takes the place of `assert` inside of toml++, where hostile files do reach some (3.3.0: `[]`). It stays
// on in release builds, which would otherwise run on behind a broken precondition.
constexpr void check_toml(bool holds) {
  if (!holds) throw TomlAssertion{};
}

}  // namespace
}  // namespace chainrule::io

// toml++ ignores its own TOML_ASSERT where NDEBUG is defined.
#undef NDEBUG
#define TOML_ASSERT(condition) ::chainrule::io::check_toml(static_cast<bool>(condition))
// Debian's package offers a shared library; compiled in, there is one less to ship.
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#define TOML_MAX_NESTED_VALUES 32  // values in values; the default would allow 256
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace chainrule::io {
namespace {

constexpr std::uint64_t largest_file = std::uint64_t{1} << 20;

// `name[index]` or `name`, one part of a key's path.
struct Step {
  std::string_view name;
  std::optional<std::size_t> index;
};

Step parse_step(std::string_view part) {
  const std::size_t bracket = part.find('[');
  if (bracket == std::string_view::npos) return {part, std::nullopt};
  std::size_t index = 0;
  std::from_chars(part.data() + bracket + 1, part.data() + part.size(), index);
  return {part.substr(0, bracket), index};
}

const toml::node* find_node(const toml::table& root, std::string_view path) {
  const toml::node* node = &root;
  while (!path.empty()) {
    const std::size_t dot = std::min(path.find('.'), path.size());
    const Step step = parse_step(path.substr(0, dot));
    path.remove_prefix(std::min(dot + 1, path.size()));
    const toml::table* table = node->as_table();
    node = table != nullptr ? table->get(step.name) : nullptr;
    if (node != nullptr && step.index) {
      const toml::array* array = node->as_array();
      node = array != nullptr ? array->get(*step.index) : nullptr;
    }
    if (node == nullptr) return nullptr;
  }
  return node;
}

std::string describe(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return value->get() ? "true" : "false";
  if (const auto* value = node.as_integer()) return "the integer " + std::to_string(value->get());
  if (const auto* value = node.as_string()) return "the string " + quote(value->get());
  if (const auto* value = node.as_floating_point()) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value->get()).ptr;
    return "the real number " + std::string(digits, end);
  }
  if (node.is_array()) return "an array";
  return node.is_table() ? "a table" : "a date or time";
}

template <typename T>
const char* type_text() {
  if constexpr (std::same_as<T, bool>) return "true or false";
  if constexpr (std::same_as<T, std::int64_t>) return "an integer";
  if constexpr (std::same_as<T, double>) return "a number";
  if constexpr (std::same_as<T, std::string>) return "a string";
  if constexpr (std::same_as<T, std::vector<std::int64_t>>) return "an array of integers";
  if constexpr (std::same_as<T, std::vector<double>>) return "an array of numbers";
  return "an array of strings";
}

template <typename T>
std::optional<T> scalar(const toml::node& node) {
  if constexpr (std::same_as<T, double>) {
    if (const auto* integer = node.as_integer()) return static_cast<double>(integer->get());
  }
  const auto* value = node.as<T>();
  if (value == nullptr) return std::nullopt;
  return value->get();
}

template <typename T>
std::optional<T> convert(const toml::node& node) {
  if constexpr (requires { typename T::allocator_type; } && !std::same_as<T, std::string>) {
    const toml::array* array = node.as_array();
    if (array == nullptr) return std::nullopt;
    T result;
    for (const toml::node& element : *array) {
      auto value = scalar<typename T::value_type>(element);
      if (!value) return std::nullopt;
      result.push_back(std::move(*value));
    }
    return result;
  } else {
    return scalar<T>(node);
  }
}

bool is_array_of_tables(const toml::node& node) {
  const toml::array* array = node.as_array();
  return array != nullptr && !array->empty() && array->is_homogeneous(toml::node_type::table);
}

std::string joined(const std::string& table, std::string_view key) {
  return table.empty() ? std::string(key) : table + "." + std::string(key);
}

using Known = std::set<std::string, std::less<>>;

struct UnknownKey {
  std::uint64_t line = 0;
  std::string table;
  std::string name;
};

// The names that were asked for inside of `table`.
std::vector<std::string> known_names(const Known& known, const std::string& table) {
  const std::string prefix = table.empty() ? "" : table + ".";
  std::set<std::string> names;
  for (auto at = known.lower_bound(prefix); at != known.end() && at->starts_with(prefix); ++at) {
    const std::string rest = at->substr(prefix.size());
    names.insert(rest.substr(0, rest.find_first_of(".[")));
  }
  names.erase("");
  return {names.begin(), names.end()};
}

void find_unknown(const toml::table& table, const std::string& path, const Known& known,
                  std::optional<UnknownKey>& first) {
  const std::vector<std::string> names = known_names(known, path);
  for (const auto& [key, node] : table) {
    const std::string full = joined(path, key.str());
    if (std::find(names.begin(), names.end(), key.str()) == names.end()) {
      const auto line = std::uint64_t{key.source().begin.line};
      if (!first || line < first->line) first = UnknownKey{line, path, std::string(key.str())};
    } else if (const toml::table* inner = node.as_table()) {
      find_unknown(*inner, full, known, first);
    } else if (is_array_of_tables(node)) {
      std::size_t index = 0;
      for (const toml::node& element : *node.as_array()) {
        find_unknown(*element.as_table(), full + "[" + std::to_string(index++) + "]", known, first);
      }
    }
  }
}

// A right name in the wrong table, such as a forgotten section header.
std::string elsewhere(const Known& known, const std::string& name) {
  for (const std::string& path : known) {
    if (path.ends_with("." + name)) return "there is a key " + quote(path);
  }
  return {};
}

}  // namespace

struct TomlReader::Document {
  toml::table root;
};

TomlReader::TomlReader(const std::string& path) : name_(path) {
  parse(read_text({"TomlReader", path}, largest_file));
}

TomlReader::TomlReader(const std::string& name, const std::string& text) : name_(name) { parse(text); }

TomlReader::~TomlReader() = default;
TomlReader::TomlReader(TomlReader&&) noexcept = default;
TomlReader& TomlReader::operator=(TomlReader&&) noexcept = default;

void TomlReader::fail(std::uint64_t line, ErrorParts parts) const {
  parts.problem = name_ + ":" + std::to_string(line) + ": " + parts.problem;
  throw IoError(std::move(parts));
}

void TomlReader::parse(const std::string& text) {
  if (const std::uint64_t line = line_of_deep_key(text)) {
    fail(line, {.problem = "a key has too many parts", .wanted = "at most 32"});
  }
  document_ = std::make_unique<Document>();
  try {
    document_->root = toml::parse(std::string_view(text));
  } catch (const toml::parse_error& error) {
    fail(error.source().begin.line, {.problem = "not TOML: " + std::string(error.description())});
  } catch (const TomlAssertion&) {
    throw IoError({.problem = name_ + ": not TOML"});
  }
}

template <TomlType T>
T TomlReader::get(std::string_view key) {
  known_.emplace(key);
  const toml::node* node = find_node(document_->root, key);
  if (node == nullptr) {
    throw IoError({.argument = std::string(key),
                   .problem = name_ + ": a key is missing",
                   .wanted = quote(key) + " with " + type_text<T>()});
  }
  if (auto value = convert<T>(*node)) return std::move(*value);
  fail(node->source().begin.line, {.argument = std::string(key),
                                   .problem = "a value of the wrong type",
                                   .got = describe(*node),
                                   .wanted = type_text<T>()});
}

bool TomlReader::has(std::string_view key) {
  known_.emplace(key);
  return find_node(document_->root, key) != nullptr;
}

std::size_t TomlReader::table_count(std::string_view key) {
  known_.emplace(key);
  const toml::node* node = find_node(document_->root, key);
  if (node == nullptr) return 0;
  if (is_array_of_tables(*node)) return node->as_array()->size();
  fail(node->source().begin.line, {.argument = std::string(key),
                                   .problem = "a value of the wrong type",
                                   .got = describe(*node),
                                   .wanted = "tables [[" + std::string(key) + "]]"});
}

std::vector<std::string> TomlReader::keys(std::string_view table) {
  known_.emplace(table);
  const toml::node* node = find_node(document_->root, table);
  std::vector<std::string> names;
  if (node == nullptr) return names;
  if (!node->is_table()) {
    fail(node->source().begin.line, {.argument = std::string(table),
                                     .problem = "a value of the wrong type",
                                     .got = describe(*node),
                                     .wanted = "a table"});
  }
  for (const auto& [key, value] : *node->as_table()) names.emplace_back(key.str());
  return names;
}

void TomlReader::refuse(std::string_view key, const std::string& problem, const std::string& wanted,
                        const std::string& hint) const {
  const toml::node* node = find_node(document_->root, key);
  ErrorParts parts{.argument = std::string(key), .problem = problem, .wanted = wanted, .hint = hint};
  if (node != nullptr) {
    parts.got = describe(*node);
    fail(node->source().begin.line, std::move(parts));
  }
  parts.problem = name_ + ": " + problem;
  throw IoError(std::move(parts));
}

void TomlReader::finish() const {
  std::optional<UnknownKey> unknown;
  find_unknown(document_->root, "", known_, unknown);
  if (!unknown) return;
  const std::vector<std::string> names = known_names(known_, unknown->table);
  std::string hint = elsewhere(known_, unknown->name);
  if (hint.empty() || nearest_name(unknown->name, names)) hint = suggest(unknown->name, names);
  const std::string place = unknown->table.empty() ? "" : " in [" + unknown->table + "]";
  fail(unknown->line, {.problem = "unknown key " + quote(unknown->name) + place, .hint = hint});
}

template bool TomlReader::get<bool>(std::string_view);
template std::int64_t TomlReader::get<std::int64_t>(std::string_view);
template double TomlReader::get<double>(std::string_view);
template std::string TomlReader::get<std::string>(std::string_view);
template std::vector<std::int64_t> TomlReader::get<std::vector<std::int64_t>>(std::string_view);
template std::vector<double> TomlReader::get<std::vector<double>>(std::string_view);
template std::vector<std::string> TomlReader::get<std::vector<std::string>>(std::string_view);

}  // namespace chainrule::io
