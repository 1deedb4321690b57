#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>

#include "kernels/cpu/lanes.hpp"

namespace chainrule::kernels::checks {

/// The instruction sets that this build and this machine have.
inline std::vector<std::string> targets() {
  std::vector<std::string> names;
  for (const char* name : {"AVX3_DL", "AVX3", "AVX2", "SSE4", "SSSE3", "EMU128", "SCALAR", "NEON"}) {
    try {
      force_target(name);
      names.emplace_back(name);
    } catch (const ArgumentError&) {
    }
  }
  force_target("");
  return names;
}

/// A test for each instruction set, with its kernels:
///
///     class Sort : public checks::OnTarget {};
///     INSTANTIATE_TEST_SUITE_P(, Sort, checks::every_target(), checks::target_name);
///     TEST_P(Sort, ...)
class OnTarget : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { force_target(GetParam()); }
  void TearDown() override { force_target(""); }
};
inline auto every_target() { return ::testing::ValuesIn(targets()); }
inline std::string target_name(const ::testing::TestParamInfo<std::string>& target) { return target.param; }

}  // namespace chainrule::kernels::checks
