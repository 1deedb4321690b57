#include <nlohmann/json.hpp>

#include "fuzz.hpp"
#include "io/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  return chainrule::fuzz::run(bytes, size, [](const std::string& path) { chainrule::io::read_json(path); });
}
