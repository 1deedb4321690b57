#pragma once

#include <string>

namespace chainrule {

/// Replaces the region path for a scope: a derivative belongs to the layer whose op it is of.
class RegionOverride {
 public:
  explicit RegionOverride(const std::string* path);
  ~RegionOverride();
  RegionOverride(const RegionOverride&) = delete;
  RegionOverride& operator=(const RegionOverride&) = delete;

 private:
  std::string saved_;
};

}  // namespace chainrule
