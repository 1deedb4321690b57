#include <filesystem>
#include <fstream>
#include <string_view>

#include <chainrule/train.hpp>

#include "fuzz.hpp"

namespace {

// In memory where that is possible.
std::string run_folder() {
  const std::string name = "/chainrule-fuzz-" + std::to_string(::getpid());
  std::string folder = (std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp") + name;
  std::filesystem::create_directories(folder);
  return folder;
}

}  // namespace

// The first line is the run's record, the rest its metrics.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const std::string folder = run_folder();
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const std::size_t line = std::min(text.find('\n'), size);
  std::ofstream(folder + "/run.json", std::ios::binary) << text.substr(0, line);
  std::ofstream(folder + "/metrics.jsonl", std::ios::binary) << text.substr(std::min(line + 1, size));
  try {
    chainrule::train::load_run(folder);
  } catch (const chainrule::IoError&) {
  }
  return 0;
}
