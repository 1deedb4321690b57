#include "cli/program.hpp"

#include <fcntl.h>
#include <pty.h>
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

namespace {

[[noreturn]] void become(const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {CHAINRULE_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  execv(CHAINRULE_PROGRAM, pointers.data());
  _exit(127);
}

}  // namespace

Result run_on_terminal(const std::vector<std::string>& arguments) {
  int terminal = -1;
  struct winsize size {
    24, 80, 0, 0
  };
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) become(arguments);
  Result result;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = read(terminal, buffer.data(), buffer.size())) > 0;)
    result.output.append(buffer.data(), static_cast<std::size_t>(n));
  result.status = wait(child);
  close(terminal);
  return result;
}

pid_t start(const std::vector<std::string>& arguments) {
  const pid_t child = fork();
  if (child != 0) return child;
  const int nowhere = open("/dev/null", O_WRONLY);
  dup2(nowhere, STDOUT_FILENO);
  dup2(nowhere, STDERR_FILENO);
  become(arguments);
}

int wait(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::filesystem::path scratch() {
  return std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
}

void wait_for(const std::string& path) {
  for (int tries = 0; tries < 60'000 && !std::filesystem::exists(path); ++tries) usleep(1000);
}

}  // namespace program
