#pragma once

#include <string>
#include <string_view>

/// Text in columns for the terminal, where a letter with an accent is one column wide.
namespace chainrule::insight {

/// Seven significant digits at most, without trailing zeros: 0.5, 2.237328, 1.7e-12.
std::string short_number(double value);

/// The number of columns that UTF-8 text takes: combining marks take none.
std::size_t columns(std::string_view text);

/// `text` with spaces after it up to a width.
std::string padded(std::string_view text, std::size_t width);

/// `text` in lines of at most 80 columns, with a new line at its end: those after the first begin with
/// `indent` spaces. A note, which eight spaces set apart, gets a line of its own where it does not fit;
/// nothing is broken inside of a word.
std::string wrapped(std::string_view text, std::size_t indent);

/// Two digits: 1.7e-12.
std::string error_number(double value);

}  // namespace chainrule::insight
