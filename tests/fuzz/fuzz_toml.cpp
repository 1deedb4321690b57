#include "fuzz.hpp"
#include "io/toml.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  return chainrule::fuzz::run(bytes, size, [](const std::string& path) {
    chainrule::io::TomlReader config(path);
    config.get<std::int64_t>("seed", 0);
    config.get<double>("optimizer.learning_rate", 0.0);
    config.get<std::vector<double>>("optimizer.betas", {});
    const std::size_t layers = config.table_count("layer");
    for (std::size_t i = 0; i < layers; ++i) {
      config.get<std::int64_t>("layer[" + std::to_string(i) + "].units", 0);
    }
    config.keys("");
    config.finish();
  });
}
