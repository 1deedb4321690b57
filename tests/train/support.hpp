#pragma once

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <chainrule/context.hpp>
#include <chainrule/data.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/train.hpp>

#include "io/support.hpp"

namespace chainrule::test {

inline nn::Sequential small_model(std::uint64_t seed = 1) {
  const Context scope({.seed = seed});
  return nn::Sequential(nn::Linear(2, 16), nn::ReLU(), nn::Dropout(0.1), nn::Linear(16, 2));
}

/// 103 examples: with batches of 16 the last one is smaller.
inline data::Dataset small_data() { return data::xor_clouds({.examples = 103, .noise = 0.3, .seed = 3}); }

/// In memory where that is possible: many small files that are made durable take seconds on a disk.
class MemoryFolder {
 public:
  MemoryFolder()
      : folder_((::setenv("TMPDIR", std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp", 1),
                 TemporaryFolder())) {}
  std::string file(const std::string& name) const { return folder_.file(name); }

 private:
  TemporaryFolder folder_;
};

inline std::vector<float> weights(nn::Sequential& model) {
  std::vector<float> all;
  for (const Leaf& leaf : leaves(model)) {
    const std::vector<float> values = leaf.tensor->to_vector<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

}  // namespace chainrule::test
