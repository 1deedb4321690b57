#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <chainrule/error.hpp>
#include <chainrule/text.hpp>

#include "io/toml.hpp"
#include "train/build.hpp"

/// The two directions in which a configuration's one list of keys is walked.
namespace chainrule::train {

/// Numbers that only say that something must be finite.
inline constexpr double finite = 1e30;
inline constexpr std::int64_t most_counted = 1'000'000'000;

/// Gives each key's value from a file to its field, or refuses it. Without a file it checks what the fields
/// hold.
class ConfigReader {
 public:
  ConfigReader() = default;
  explicit ConfigReader(io::TomlReader& toml) : toml_(&toml) {}

  template <io::TomlType T>
  void value(const std::string& key, T& field) {
    if (toml_ != nullptr) field = toml_->get<T>(key, field);
  }
  void real(const std::string& key, double& field, double low, double high) {
    value(key, field);
    if (!(field >= low && field <= high)) refuse_number(key, field, range(low, high));
  }
  /// low ≤ field < 1
  void share(const std::string& key, double& field, double low = 0) {
    value(key, field);
    if (!(field >= low && field < 1)) refuse_number(key, field, short_number(low) + " or more, and below 1");
  }
  void optional_real(const std::string& key, std::optional<double>& field, double low, double high) {
    if (!field && (toml_ == nullptr || !toml_->has(key))) return;
    double number = field.value_or(low);
    real(key, number, low, high);
    field = number;
  }
  void reals(const std::string& key, std::vector<double>& field, double low, double high) {
    value(key, field);
    for (const double number : field) {
      if (!(number >= low && number <= high)) refuse_number(key, number, range(low, high));
    }
  }
  void count(const std::string& key, std::int64_t& field, std::int64_t least,
             std::int64_t most = most_counted) {
    value(key, field);
    if (field < least || field > most)
      refuse(key, "this number is out of its range", std::to_string(least) + " to " + std::to_string(most),
             {}, std::to_string(field));
  }
  void seed(const std::string& key, std::uint64_t& field) {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (field > most)
      refuse(key, "this number is out of its range", "0 to " + std::to_string(most), {},
             std::to_string(field));
    auto number = static_cast<std::int64_t>(field);
    count(key, number, 0, std::numeric_limits<std::int64_t>::max());
    field = static_cast<std::uint64_t>(number);
  }
  void choice(const std::string& key, std::string& field, const Names& names) {
    value(key, field);
    check_choice(key, field, names);
  }
  void choices(const std::string& key, Names& fields, const Names& names) {
    value(key, fields);
    for (const std::string& field : fields) check_choice(key, field, names);
  }
  std::size_t tables(const std::string& key, std::size_t count) {
    return toml_ == nullptr ? count : std::max(count, toml_->table_count(key));
  }
  /// IoError with the key's line, or ArgumentError where there is no file.
  [[noreturn]] void refuse(const std::string& key, const std::string& problem, const std::string& wanted,
                           const std::string& hint = {}, const std::string& got = {}) const {
    if (toml_ != nullptr) toml_->refuse(key, problem, wanted, hint);
    throw ArgumentError({.function = "train::check_config",
                         .argument = key,
                         .problem = problem,
                         .got = got,
                         .wanted = wanted,
                         .hint = hint});
  }

 private:
  void check_choice(const std::string& key, const std::string& field, const Names& names) const {
    if (std::find(names.begin(), names.end(), field) != names.end()) return;
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    refuse(key, "there is no " + quote(field), list, suggest(field, names), field);
  }
  [[noreturn]] void refuse_number(const std::string& key, double field, const std::string& wanted) const {
    refuse(key, "this number is out of its range", wanted, {}, short_number(field));
  }
  static std::string range(double low, double high) {
    if (high >= finite) return "a finite number, " + short_number(low) + " or more";
    return "a number from " + short_number(low) + " to " + short_number(high);
  }
  io::TomlReader* toml_ = nullptr;
};

class ConfigWriter {
 public:
  template <io::TomlType T>
  void value(const std::string& key, T& field) {
    toml_.set(key, field);
  }
  void real(const std::string& key, double& field, double, double) { toml_.set(key, field); }
  void share(const std::string& key, double& field, double = 0) { toml_.set(key, field); }
  void optional_real(const std::string& key, std::optional<double>& field, double, double) {
    if (field) toml_.set(key, *field);
  }
  void reals(const std::string& key, std::vector<double>& field, double, double) { toml_.set(key, field); }
  void count(const std::string& key, std::int64_t& field, std::int64_t, std::int64_t = 0) {
    toml_.set(key, field);
  }
  void seed(const std::string& key, std::uint64_t& field) {
    toml_.set(key, static_cast<std::int64_t>(field));
  }
  void choice(const std::string& key, std::string& field, const Names&) { toml_.set(key, field); }
  void choices(const std::string& key, Names& fields, const Names&) { toml_.set(key, fields); }
  std::size_t tables(const std::string&, std::size_t count) { return count; }
  std::string text() const { return toml_.text(); }

 private:
  io::TomlWriter toml_;
};

}  // namespace chainrule::train
