#include "cli/program.hpp"

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <unistd.h>

namespace program {

Result run(const std::string& arguments) {
  const std::filesystem::path errors =
      std::filesystem::temp_directory_path() / ("chainrule-cli-" + std::to_string(getpid()));
  const std::string command =
      std::string("'") + CHAINRULE_PROGRAM + "' " + arguments + " 2>'" + errors.string() + "'";
  Result result;
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return result;
  std::array<char, 4096> buffer{};
  for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    result.output.append(buffer.data(), n);
  const int status = pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  std::ostringstream text;
  text << std::ifstream(errors).rdbuf();
  result.errors = text.str();
  std::filesystem::remove(errors);
  return result;
}

}  // namespace program
