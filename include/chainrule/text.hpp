#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <chainrule/export.hpp>

/// Small helpers for texts that people read: suggestions, quotations.
namespace chainrule {

/// The optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours,
/// each at cost 1, with letters compared regardless of case. O(|a| |b|) time.
CHAINRULE_API std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate with the smallest edit distance to `name`, the first among equals; nothing where even
/// that one is more than a third of the name away (one edit is always near enough).
CHAINRULE_API std::optional<std::string> nearest_name(std::string_view name,
                                                      std::span<const std::string> candidates);

/// `did you mean "x"?` for the nearest candidate, else the candidates where they are few, else empty.
/// What goes into an error's hint.
CHAINRULE_API std::string suggest(std::string_view name, std::span<const std::string> candidates);

/// `text` in double quotes, fit for an error message whatever it holds: control bytes and bytes that
/// are not UTF-8 as \xNN, cut after about 60 bytes.
CHAINRULE_API std::string quote(std::string_view text);

/// Whether `text` is well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF).
CHAINRULE_API bool is_utf8(std::string_view text);

/// A number for people, in up to six digits: 2.5, 1.5e-07, nan.
CHAINRULE_API std::string short_number(double value);

/// A count for people: 60,000.
CHAINRULE_API std::string grouped(std::int64_t count);

}  // namespace chainrule
