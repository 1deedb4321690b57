#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

/// The chainrule program as a child process.
namespace program {

struct Result {
  int status = -1;
  std::string output;  ///< stdout
  std::string errors;  ///< stderr
};

/// Runs it with arguments as a shell reads them.
Result run(const std::string& arguments);

/// Runs it with its stdout and stderr on a terminal (of 80 columns); both are in `output`.
Result run_on_terminal(const std::vector<std::string>& arguments);

/// Starts it without waiting for its end; what it prints is thrown away.
pid_t start(const std::vector<std::string>& arguments);
/// Waits for its end; the exit status, or −1 where a signal ended it.
int wait(pid_t child);
/// Where tests write their runs: in memory where that is possible, since files that are made durable take
/// long on a disk.
std::filesystem::path scratch();
/// Waits until a file exists, up to a minute.
void wait_for(const std::string& path);

}  // namespace program
