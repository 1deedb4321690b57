#include "graph/log.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace chainrule {

bool log_enabled(LogTopic topic) {
  static const std::string wanted = [] {
    const char* value = std::getenv("CHAINRULE_LOG");
    return "," + std::string(value == nullptr ? "" : value) + ",";
  }();
  constexpr std::string_view names[] = {",plan,", ",dispatch,", ",batch,"};
  return wanted.find(names[static_cast<std::size_t>(topic)]) != std::string::npos;
}

void log(LogTopic topic, const std::function<std::string()>& text) {
  if (log_enabled(topic)) std::fprintf(stderr, "chainrule: %s\n", text().c_str());
}

}  // namespace chainrule
