#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <chainrule/error.hpp>

/// Configuration files. toml++ stays behind this header.
namespace chainrule::io {

/// What a key of a configuration can hold. Integers are taken where reals are wanted, not the other way.
using TomlValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<std::string>>;

template <typename T>
concept TomlType = std::same_as<T, bool> || std::same_as<T, std::int64_t> || std::same_as<T, double> ||
    std::same_as<T, std::string> || std::same_as<T, std::vector<std::int64_t>> ||
    std::same_as<T, std::vector<double>> || std::same_as<T, std::vector<std::string>>;

/// Reads a configuration and answers every mistake in it with its line.
///
///     TomlReader config("train.toml");
///     const double rate = config.get<double>("optimizer.learning_rate", 1e-3);
///     for (std::size_t i = 0; i < config.table_count("layer"); ++i)
///       add(config.get<std::string>("layer[" + std::to_string(i) + "].type"));
///     config.finish();
///
/// Keys are full paths: `section.key`, `layer[0].units` for the first `[[layer]]`. All errors are IoErrors
/// of the form `train.toml:12: what is wrong`; `argument` is the full path of the key.
class TomlReader {
 public:
  /// Throws IoError where the file can't be read, is above 1 MiB or is not TOML.
  explicit TomlReader(const std::string& path);
  /// Reads `text` in place of a file; `name` stands for the file in errors.
  TomlReader(const std::string& name, const std::string& text);
  ~TomlReader();
  TomlReader(TomlReader&&) noexcept;
  TomlReader& operator=(TomlReader&&) noexcept;

  /// The value of a key that must be there.
  template <TomlType T>
  T get(std::string_view key);
  /// The value of a key, or `fallback` where the file lacks it.
  template <TomlType T>
  T get(std::string_view key, T fallback) {
    return has(key) ? get<T>(key) : std::move(fallback);
  }
  /// Whether the file has the key. It counts as known from then on.
  bool has(std::string_view key);
  /// The line that a key's value stands on; nothing where the file lacks it.
  std::optional<std::uint64_t> line_of(std::string_view key) const;
  /// How many `[[key]]` the file has; 0 where there is none.
  std::size_t table_count(std::string_view key);
  /// The names inside a table in alphabetical order, for tables whose keys are the user's; "" is the root.
  std::vector<std::string> keys(std::string_view table);
  /// Throws IoError at the key's line: for values that have the right type and are wrong all the same.
  [[noreturn]] void refuse(std::string_view key, const std::string& problem, const std::string& wanted,
                           const std::string& hint = {}) const;
  /// Throws IoError for the first key in the file that nobody asked for, with the nearest one that somebody
  /// did: `train.toml:12: unknown key "optimiser"; hint: did you mean "optimizer"?`.
  void finish() const;

 private:
  struct Document;
  void parse(const std::string& text);
  [[noreturn]] void fail(std::uint64_t line, ErrorParts parts) const;
  std::string name_;
  std::unique_ptr<Document> document_;
  std::set<std::string, std::less<>> known_;
};

extern template bool TomlReader::get<bool>(std::string_view);
extern template std::int64_t TomlReader::get<std::int64_t>(std::string_view);
extern template double TomlReader::get<double>(std::string_view);
extern template std::string TomlReader::get<std::string>(std::string_view);
extern template std::vector<std::int64_t> TomlReader::get<std::vector<std::int64_t>>(std::string_view);
extern template std::vector<double> TomlReader::get<std::vector<double>>(std::string_view);
extern template std::vector<std::string> TomlReader::get<std::vector<std::string>>(std::string_view);

/// Writes a configuration in the order in which it is given, so that equal ones make equal files.
/// Numbers are written with as many digits as it takes to read the same number again.
class TomlWriter {
 public:
  /// Sets a key: `seed`, `optimizer.learning_rate`, `layer[0].units`. A second value replaces the first.
  /// Throws ArgumentError for text that is not UTF-8 and for an index anywhere but at the table's end.
  void set(const std::string& key, const TomlValue& value);
  /// The whole document: root keys, then the tables in the order of their first key.
  std::string text() const;
  /// Writes it atomically. Throws IoError.
  void save(const std::string& path) const;

 private:
  struct Table {
    std::string path;  // as in `set`; empty for the root
    std::vector<std::pair<std::string, std::string>> values;
  };
  Table& table(const std::string& path);
  std::vector<Table> tables_;
};

/// The line of the first key with more than 32 parts, or 0. toml++ makes a table of each part and takes
/// them apart recursively, which a hostile file could drive through the stack.
std::uint64_t line_of_deep_key(std::string_view text);

}  // namespace chainrule::io
