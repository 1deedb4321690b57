#pragma once

#include <string>

/// Runs the chainrule program as a child process.
namespace program {

struct Result {
  int status = -1;     ///< exit status; -1 when it was ended by a signal
  std::string output;  ///< stdout
  std::string errors;  ///< stderr
};

/// `arguments` as a shell reads them.
Result run(const std::string& arguments);

}  // namespace program
