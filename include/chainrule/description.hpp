#pragma once

#include <string_view>

namespace chainrule {

/// What people read about a loss, an optimizer, a schedule or an initializer; each folder keeps a table of
/// its own.
struct Description {
  std::string_view name;     ///< as in code: "huber_loss", "AdamW"
  std::string_view formula;  ///< where it is a formula of numbers, `parse_expression` reads it
  std::string_view summary;  ///< one sentence
  std::string_view source;   ///< paper or book, where there is one
};

}  // namespace chainrule
