#pragma once

#include <string>
#include <vector>

/// The project's own files, as the tests of the house read them.
namespace house {

struct Source {
  std::string path;                ///< from the root: "src/ops/views.cpp"
  std::vector<std::string> lines;  ///< without line ends
  std::vector<std::string> code;   ///< the same lines without comments and with string literals emptied
};

/// C++ files below `folder` ("src"), sorted by path.
std::vector<Source> sources(const std::string& folder);
/// One file by its path from the root.
Source source(const std::string& path);
/// What `#include "…"` and `#include <…>` lines name, with their brackets or quotes.
std::vector<std::string> includes(const Source& source);

}  // namespace house
