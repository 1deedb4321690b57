#include "kernels/cpu/lanes.hpp"

#include <string>
#include <vector>

#include <hwy/targets.h>

#include <chainrule/error.hpp>

#include "kernels/cpu/lane_families.hpp"

namespace chainrule::kernels {
namespace {

std::vector<LaneEntry> gather() {
  std::vector<LaneEntry> entries;
  for (const LaneTable table :
       {arithmetic_lanes(), comparison_lanes(), integer_lanes(), exponential_lanes(), logarithm_lanes(),
        circular_lanes(), error_function_lanes(), scalar_lanes()}) {
    entries.insert(entries.end(), table.begin(), table.end());
  }
  return entries;
}

// Gathered once; again only after force_target.
std::vector<LaneEntry>& entries() {
  static std::vector<LaneEntry> gathered = gather();
  return gathered;
}

// This file is compiled with the flags of the families, so it knows the same instruction sets.
std::string known_targets() {
  std::string names;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    names += names.empty() ? "" : ", ";
    names += hwy::TargetName(target);
  }
  return names;
}

std::int64_t target_called(std::string_view name) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (name == hwy::TargetName(target)) return target;
  }
  throw ArgumentError({.function = "force_target",
                       .argument = "name",
                       .problem = "no such instruction set here",
                       .got = std::string(name),
                       .wanted = known_targets()});
}

}  // namespace

std::span<const LaneEntry> lane_kernels() { return entries(); }

LaneKernel find_lane_kernel(std::string_view op, DType dtype) {
  for (const LaneEntry& entry : lane_kernels()) {
    if (entry.dtype == dtype && entry.op == op) return entry.kernel;
  }
  return nullptr;
}

std::span<const ChainLink> chain_links() { return arithmetic_links(); }

ChainCode find_chain_code(LaneKernel kernel, ChainValue value, ChainOperand operand) {
  for (const ChainLink& link : chain_links()) {
    if (link.kernel == kernel && link.value == value && link.operand == operand) return link.code;
  }
  return nullptr;
}

LaneChain find_chain(DType dtype) { return arithmetic_chain(dtype); }

LaneKernel find_cast_kernel(DType from, DType to) {
  return cast_lanes()[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
}

std::string_view active_target() {
  // The lower the bit, the better the instruction set.
  const std::int64_t usable = HWY_TARGETS & hwy::SupportedTargets();
  return hwy::TargetName(usable & -usable);
}

void force_target(std::string_view name) {
  hwy::SetSupportedTargetsForTest(0);
  if (!name.empty()) hwy::SetSupportedTargetsForTest(target_called(name));
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  entries() = gather();
}

}  // namespace chainrule::kernels
