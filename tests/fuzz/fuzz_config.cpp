#include <chainrule/train.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  return chainrule::fuzz::run(bytes, size,
                              [](const std::string& path) { chainrule::train::load_config(path); });
}
