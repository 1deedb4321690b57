#include <chainrule/error.hpp>

#include <utility>

#include "tensor/region.hpp"

namespace chainrule {
namespace {

thread_local std::string region_path;
thread_local bool region_in_derivative = false;

std::string compose(const ErrorParts& parts) {
  std::string text = parts.function;
  if (!text.empty()) text += ": ";
  text += parts.problem;
  const char* separator = parts.problem.empty() ? "" : "; ";
  const auto add = [&](const char* label, const std::string& part) {
    if (part.empty()) return;
    text += separator;
    text += label;
    text += part;
    separator = "; ";
  };
  add("argument ", parts.argument);
  add("got ", parts.got);
  add("wanted ", parts.wanted);
  add("at ", parts.region);
  add("hint: ", parts.hint);
  return text;
}

ErrorParts with_region(ErrorParts parts) {
  if (parts.region.empty()) parts.region = region_path;
  return parts;
}

}  // namespace

Error::Error(ErrorParts parts)
    : std::runtime_error(compose(with_region(parts))), parts_(with_region(std::move(parts))) {}

Region::Region(std::string_view name) : length_before_(region_path.size()) {
  if (!region_path.empty()) region_path += '.';
  region_path += name;
}

Region::Region(std::string_view name, long index) : Region(name) {
  region_path += '[' + std::to_string(index) + ']';
}

Region::~Region() { region_path.resize(length_before_); }

RegionOverride::RegionOverride(const std::string* path, bool derivative)
    : saved_derivative_(std::exchange(region_in_derivative, derivative)) {
  saved_.swap(region_path);
  if (path != nullptr) region_path = *path;
}

RegionOverride::~RegionOverride() {
  region_path.swap(saved_);
  region_in_derivative = saved_derivative_;
}

bool RegionOverride::in_derivative() { return region_in_derivative; }

const std::string& Region::current() { return region_path; }

}  // namespace chainrule
