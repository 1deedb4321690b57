// What an instruction does and what it costs at least: from the declarations of its ops and the sizes of its
// arrays.

#include <algorithm>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "graph/op.hpp"
#include "graph/origin.hpp"
#include "insight/profile_parts.hpp"

namespace chainrule::insight {
namespace {

using ArraySpec = Plan::ArraySpec;

std::span<const ArraySpec> arrays_of(const Plan& plan, const Instruction& instruction) {
  return {plan.arrays.data() + instruction.first_array,
          static_cast<std::size_t>(instruction.input_count + instruction.output_count)};
}

// What lies in memory: an axis along which one number is seen again and again counts once.
double bytes_of(const ArraySpec& array) {
  auto bytes = static_cast<double>(dtype_size(array.spec.dtype));
  for (int axis = 0; axis < array.spec.shape.size(); ++axis) {
    const bool repeated = axis < array.location.strides.size() && array.location.strides[axis] == 0;
    if (!repeated) bytes *= static_cast<double>(array.spec.shape[axis]);
  }
  return bytes;
}

std::vector<const Node*> nodes_of(const Instruction& instruction) {
  std::vector<const Node*> nodes;
  for (const ElementStep& step : instruction.steps) nodes.push_back(step.node);
  if (nodes.empty() && instruction.node.defined()) nodes.push_back(instruction.node.node());
  return nodes;
}

// An optimizer opens a region of its own.
ProfilePass pass_of(const Node& node) {
  if (node.region == nullptr) return ProfilePass::step;
  if (node.region->starts_with("optimizer.")) return ProfilePass::update;
  return is_derivative(node) ? ProfilePass::backward : ProfilePass::forward;
}

// The steps of a fused pass take about the same time each, whatever they compute.
std::vector<Stake> stakes_of(const std::vector<const Node*>& nodes) {
  std::vector<Stake> stakes;
  int place = 0;
  for (const Node* node : nodes) {
    const std::string region = node->region == nullptr ? std::string() : *node->region;
    const ProfilePass pass = pass_of(*node);
    const auto same = [&](const Stake& s) { return s.region == region && s.pass == pass; };
    const auto found = std::find_if(stakes.begin(), stakes.end(), same);
    const double weight = 1.0 / static_cast<double>(nodes.size());
    Stake& stake = found != stakes.end() ? *found : stakes.emplace_back(Stake{region, pass, 0.0});
    stake.weight += weight;
    stake.flops += flops_of(*node);
    stake.step = place++;
  }
  if (stakes.empty()) stakes.push_back({});
  std::stable_sort(stakes.begin(), stakes.end(),
                   [](const Stake& a, const Stake& b) { return a.weight > b.weight; });
  return stakes;
}

std::string name_of(const Instruction& instruction, const std::vector<const Node*>& nodes) {
  constexpr std::size_t most_names = 4;
  if (nodes.empty()) return instruction.kernel;
  std::vector<std::string_view> names;
  for (const Node* node : nodes) {
    if (std::find(names.begin(), names.end(), node->op->name) == names.end()) names.push_back(node->op->name);
  }
  const std::size_t shown = std::min(names.size(), most_names);
  std::string text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (shown < names.size()) text += fmt::format(" +{}", names.size() - shown);
  return text;
}

const ArraySpec* largest(std::span<const ArraySpec> arrays) {
  const auto size = [](const ArraySpec& a) { return element_count(a.spec.shape); };
  const auto found =
      std::max_element(arrays.begin(), arrays.end(),
                       [&](const ArraySpec& a, const ArraySpec& b) { return size(a) < size(b); });
  return found == arrays.end() ? nullptr : &*found;
}

std::string what_of(const Plan& plan, const Instruction& instruction) {
  const auto arrays = arrays_of(plan, instruction);
  const auto inputs = arrays.first(static_cast<std::size_t>(instruction.input_count));
  const auto outputs = arrays.subspan(static_cast<std::size_t>(instruction.input_count));
  const ArraySpec* in = largest(inputs);
  const ArraySpec* out = largest(outputs);
  const ArraySpec* any = out != nullptr ? out : in;
  if (any == nullptr) return {};
  const std::string dtype(dtype_name(any->spec.dtype));
  const Node* node = instruction.node.node();
  if (node != nullptr && instruction.steps.empty() && node->op == &ops::matmul && inputs.size() == 2)
    return fmt::format("{} {} × {}", dtype, to_string(inputs[0].spec.shape), to_string(inputs[1].spec.shape));
  if (in == nullptr || out == nullptr || element_count(in->spec.shape) <= element_count(out->spec.shape))
    return dtype + " " + to_string(any->spec.shape);
  return fmt::format("{} {} → {}", dtype, to_string(in->spec.shape), to_string(out->spec.shape));
}

}  // namespace

TimedInstruction describe(const Plan& plan, const Instruction& instruction) {
  TimedInstruction work;
  work.plan = &plan;
  work.instruction = &instruction;
  const std::vector<const Node*> nodes = nodes_of(instruction);
  work.name = name_of(instruction, nodes);
  work.what = what_of(plan, instruction);
  work.stakes = stakes_of(nodes);
  for (const Node* node : nodes) add_operations(work, *node);
  const auto arrays = arrays_of(plan, instruction);
  std::set<std::pair<int, std::int64_t>> seen;
  for (int i = 0; i < instruction.input_count; ++i) {
    const ArraySpec& array = arrays[static_cast<std::size_t>(i)];
    if (seen.insert({array.location.slot, array.location.offset}).second) work.read += bytes_of(array);
  }
  for (const ArraySpec& array : arrays.subspan(static_cast<std::size_t>(instruction.input_count)))
    if (array.location.slot >= 0) work.written += bytes_of(array);
  if (!nodes.empty() && is_floating(nodes.back()->outputs[0].dtype))
    work.dtype = nodes.back()->outputs[0].dtype;
  return work;
}

void set_floor(TimedInstruction& work, const MachineLimits& limits, const Overheads& overheads) {
  const Floor floor = floor_of(work, limits);
  const bool is_overhead = !(floor.seconds > overheads.kernel);
  work.floor = is_overhead ? overheads.kernel : floor.seconds;
  work.bound = is_overhead ? "overhead" : floor.bound;
}

}  // namespace chainrule::insight
