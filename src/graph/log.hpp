#pragma once

#include <functional>
#include <string>

#include <chainrule/export.hpp>

namespace chainrule {

/// What `CHAINRULE_LOG` (a comma-separated list) can ask for. The library is silent otherwise.
enum class LogTopic : unsigned char {
  plan,      ///< the graph after each pass, what was fused and why not, captured constants, retracing
  dispatch,  ///< which kernel was taken and why others were refused
  batch      ///< batching rules that loop
};

bool log_enabled(LogTopic topic);
/// Writes one line to stderr when the topic is asked for; the text is made only then.
void log(LogTopic topic, const std::function<std::string()>& text);

}  // namespace chainrule
