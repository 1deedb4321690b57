#include <chainrule/nn/record.hpp>

#include <nlohmann/json.hpp>

#include <chainrule/error.hpp>
#include <chainrule/nn/module.hpp>
#include <chainrule/text.hpp>

#include "io/json.hpp"

namespace chainrule::nn {
namespace {

using io::Json;

constexpr const char* kind_names[] = {"a bool", "an integer", "a number", "a string", "a list of integers"};

template <typename T>
const T& option_as(const Record& record, std::string_view name, const char* wanted) {
  const auto found = record.options.find(std::string(name));
  if (found == record.options.end()) {
    throw ArgumentError({.function = "nn::Record",
                         .argument = std::string(name),
                         .problem = "a module's option is missing",
                         .got = record.type,
                         .wanted = wanted});
  }
  if (const T* value = std::get_if<T>(&found->second)) return *value;
  throw ArgumentError({.function = "nn::Record",
                       .argument = std::string(name),
                       .problem = "a module's option is of the wrong kind",
                       .got = record.type + " with " + kind_names[found->second.index()],
                       .wanted = wanted});
}

Json json_of(const Record::Option& option) {
  return std::visit(
      [](const auto& value) -> Json {
        if constexpr (std::same_as<std::decay_t<decltype(value)>, Dims>) {
          return Json(std::vector<std::int64_t>(value.begin(), value.end()));
        } else {
          return Json(value);
        }
      },
      option);
}

Json json_of(const Record& record) {
  Json json = {{"type", record.type}};
  for (const auto& [name, option] : record.options) json["options"][name] = json_of(option);
  for (const Record& child : record.children) json["modules"][child.path] = json_of(child);
  return json;
}

[[noreturn]] void fail(const std::string& name, const std::string& problem, const Json& got,
                       const char* wanted) {
  throw IoError({.function = "nn::record_from_json",
                 .argument = name,
                 .problem = problem,
                 .got = quote(got.dump(-1, ' ', false, Json::error_handler_t::replace)),
                 .wanted = wanted});
}

Record::Option option_from(const Json& json, const std::string& name) {
  if (json.is_boolean()) return json.get<bool>();
  if (io::is_integer<std::int64_t>(json)) return json.get<std::int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (!json.is_array() || json.size() > static_cast<std::size_t>(max_rank)) {
    fail(name, "an option has no kind that modules have", json,
         "a bool, number, string or short list of integers");
  }
  Dims dims;
  for (const Json& length : json) {
    if (!io::is_integer<std::int64_t>(length))
      fail(name, "an option's list holds something else than integers", json, "integers");
    dims.push_back(length.get<std::int64_t>());
  }
  return dims;
}

// Nesting is bounded by the JSON reader.
Record record_from(const Json& json, const std::string& name) {
  if (!json.is_object() || !json.contains("type") || !json["type"].is_string()) {
    fail(name, "not the record of a module", json, "an object with the string \"type\"");
  }
  Record record;
  record.type = json["type"].get<std::string>();
  for (const char* part : {"options", "modules"}) {
    if (json.contains(part) && !json[part].is_object())
      fail(name, "a part of a record is no object", json, "an object");
  }
  if (json.contains("options")) {
    for (const auto& [key, value] : json["options"].items())
      record.options.emplace(key, option_from(value, name));
  }
  if (json.contains("modules")) {
    for (const auto& [path, child] : json["modules"].items()) {
      record.children.push_back(record_from(child, name));
      record.children.back().path = path;
    }
  }
  return record;
}

}  // namespace

bool Record::flag(std::string_view name) const { return option_as<bool>(*this, name, kind_names[0]); }
std::int64_t Record::integer(std::string_view name) const {
  return option_as<std::int64_t>(*this, name, kind_names[1]);
}
Dims Record::dims(std::string_view name) const { return option_as<Dims>(*this, name, kind_names[4]); }
std::string Record::text(std::string_view name) const {
  return option_as<std::string>(*this, name, kind_names[3]);
}
double Record::real(std::string_view name) const {
  // JSON writers may drop the point of a whole number.
  const auto found = options.find(std::string(name));
  if (found != options.end() && std::holds_alternative<std::int64_t>(found->second)) {
    return static_cast<double>(std::get<std::int64_t>(found->second));
  }
  return option_as<double>(*this, name, kind_names[2]);
}

bool Record::operator==(const Record& other) const {
  return path == other.path && type == other.type && options == other.options && children == other.children;
}

const Record& Record::child(std::string_view child_path) const {
  for (const Record& record : children) {
    if (record.path == child_path) return record;
  }
  throw ArgumentError({.function = "nn::Record",
                       .argument = std::string(child_path),
                       .problem = "a module inside of a module is missing",
                       .got = type,
                       .wanted = "a module at " + quote(child_path)});
}

std::string to_json(const Record& record) { return json_of(record).dump(); }
Record record_from_json(std::string_view json, const std::string& name) {
  return record_from(io::parse_json(json, name), name);
}

namespace detail {

RecordVisitor::RecordVisitor() { open_.emplace_back(); }

// A tree that is one named module is recorded as that module.
Record RecordVisitor::take() {
  Record& root = open_.front();
  if (root.options.empty() && root.children.size() == 1 && root.children[0].path.empty()) {
    return std::move(root.children[0]);
  }
  return std::move(root);
}

std::string RecordVisitor::relative_path() const {
  const std::string whole = path();
  const std::size_t skipped = open_.back().path.size();
  if (skipped == 0) return whole;
  return whole.size() > skipped ? whole.substr(skipped + 1) : std::string();
}

void RecordVisitor::enter(std::string_view type) {
  open_.emplace_back();
  open_.back().path = path();
  open_.back().type = type;
}

void RecordVisitor::leave() {
  Record closed = std::move(open_.back());
  open_.pop_back();
  closed.path = relative_path();
  open_.back().children.push_back(std::move(closed));
}

void RecordVisitor::add(Record::Option value) { open_.back().options[relative_path()] = std::move(value); }

}  // namespace detail
}  // namespace chainrule::nn
