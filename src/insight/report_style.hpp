#pragma once

#include <string_view>

namespace chainrule::report {

/// The page's style sheet: light and dark by `prefers-color-scheme`, paper, 360 pixels and wider.
std::string_view style_sheet();

/// The page's script: a slider instead of the row of decision-boundary frames. Everything can be read
/// without it.
std::string_view script();

}  // namespace chainrule::report
