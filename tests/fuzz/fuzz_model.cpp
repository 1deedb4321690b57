#include <chainrule/nn.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  return chainrule::fuzz::run(bytes, size, [](const std::string& path) { chainrule::nn::load(path); });
}
