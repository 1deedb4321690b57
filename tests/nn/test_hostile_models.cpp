// Architectures in files that nobody's model wrote.

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/io.hpp>
#include <chainrule/nn.hpp>

#include "io/support.hpp"
#include "support/json_mutations.hpp"

namespace cr = chainrule;
namespace nn = chainrule::nn;

namespace {

TEST(HostileModels, EveryMutationIsReadOrRefused) {
  const cr::test::TemporaryFolder folder;
  const nn::Sequential model(nn::Linear(3, 4), nn::BatchNorm(4), nn::ReLU(), nn::Dropout(0.5),
                             nn::Sequential(nn::Linear(4, 2), nn::LeakyReLU()));
  const std::string file = folder.file("model.safetensors");
  model.save(file);
  const cr::Safetensors content = cr::load_safetensors(file);
  const auto architecture = nlohmann::ordered_json::parse(content.metadata.at("architecture"));
  int refused = 0;
  for (const auto& document : cr::testing::mutations(architecture)) {
    cr::save_safetensors(file, content.arrays, {{"architecture", document.dump()}});
    try {
      nn::load(file);
    } catch (const cr::IoError&) {
      ++refused;
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what() << "\n" << document.dump();
    }
  }
  EXPECT_GT(refused, 50);
}

TEST(HostileModels, NestingIsBounded) {
  const cr::test::TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += R"({"type": "Sequential", "modules": {"0": )";
  cr::save_safetensors(folder.file("deep"), {}, {{"architecture", text}});
  EXPECT_THROW(nn::load(folder.file("deep")), cr::IoError);
}

}  // namespace
