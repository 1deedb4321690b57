#include "house/sources.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <stdexcept>

namespace house {
namespace {

namespace fs = std::filesystem;

const fs::path& root() {
  static const fs::path path = CHAINRULE_SOURCE_DIR;
  return path;
}

bool is_cpp(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".cpp" || extension == ".hpp" || extension == ".h";
}

// Takes comments and the contents of string literals out, line by line.
class Stripper {
 public:
  std::string strip(const std::string& line) {
    std::string code;
    for (std::size_t i = 0; i < line.size();) i = step(line, i, code);
    return code;
  }

 private:
  // Reads what starts at position i; returns where the next thing starts.
  std::size_t step(const std::string& line, std::size_t i, std::string& code) {
    if (!end_.empty()) return skip(line, i);
    if (line.compare(i, 2, "//") == 0) return line.size();
    if (line.compare(i, 2, "/*") == 0) {
      end_ = "*/";
      return i + 2;
    }
    if (line.compare(i, 2, "R\"") == 0) {
      const std::size_t open = line.find('(', i);
      end_ = ")" + line.substr(i + 2, open - i - 2) + "\"";
      return open + 1;
    }
    if (line[i] == '\'' && i + 2 < line.size() && line.find('\'', i + 1) <= i + 3)
      return line.find('\'', i + 2) + 1;
    if (line[i] == '"') return skip_quoted(line, i, code);
    code += line[i];
    return i + 1;
  }
  std::size_t skip(const std::string& line, std::size_t i) {
    const std::size_t found = line.find(end_, i);
    if (found == std::string::npos) return line.size();
    const std::size_t next = found + end_.size();
    end_.clear();
    return next;
  }
  static std::size_t skip_quoted(const std::string& line, std::size_t i, std::string& code) {
    std::size_t end = i + 1;
    while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
    code += "\"\"";
    return end + 1;
  }

  std::string end_;  // what ends the comment or raw string that is open
};

}  // namespace

Source source(const std::string& path) {
  std::ifstream file(root() / path);
  if (!file) throw std::runtime_error("can't read " + path);
  Source result{path, {}, {}};
  Stripper stripper;
  for (std::string line; std::getline(file, line);) {
    result.code.push_back(stripper.strip(line));
    result.lines.push_back(std::move(line));
  }
  return result;
}

std::vector<Source> sources(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(root() / folder)) {
    if (entry.is_regular_file() && is_cpp(entry.path())) {
      paths.push_back(fs::relative(entry.path(), root()).generic_string());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Source> result;
  for (const std::string& path : paths) result.push_back(source(path));
  return result;
}

std::vector<std::string> includes(const Source& source) {
  static const std::regex include(R"(^\s*#\s*include\s*([<"][^>"]+[>"]))");
  std::vector<std::string> result;
  std::smatch match;
  for (const std::string& line : source.lines) {
    if (line.find("include") == std::string::npos) continue;
    if (std::regex_search(line, match, include)) result.push_back(match[1]);
  }
  return result;
}

}  // namespace house
