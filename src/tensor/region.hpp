#pragma once

#include <string>

namespace chainrule {

/// Replaces the region path for a scope: a derivative belongs to the layer whose op it is of, and so does
/// what an op's definition is made of.
class RegionOverride {
 public:
  RegionOverride(const std::string* path, bool derivative);
  ~RegionOverride();
  RegionOverride(const RegionOverride&) = delete;
  RegionOverride& operator=(const RegionOverride&) = delete;

  /// Whether this thread is inside of a scope that builds derivatives.
  static bool in_derivative();

 private:
  std::string saved_;
  bool saved_derivative_;
};

}  // namespace chainrule
