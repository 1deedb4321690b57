#include "insight/cost.hpp"

#include <algorithm>
#include <chrono>

#include "graph/node.hpp"
#include "graph/op.hpp"

namespace chainrule::insight {
namespace {

using Clock = std::chrono::steady_clock;

double bytes_of(const TensorSpec& spec) {
  return static_cast<double>(element_count(spec.shape)) * static_cast<double>(dtype_size(spec.dtype));
}

double seconds_of(const std::function<void()>& call, std::int64_t times) {
  const auto start = Clock::now();
  for (std::int64_t i = 0; i < times; ++i) call();
  return std::chrono::duration<double>(Clock::now() - start).count() / static_cast<double>(times);
}

}  // namespace

Cost cost_of(std::span<const Tensor> outputs) {
  Cost cost;
  const auto is_new = [](const Node& node) { return !node.evaluated.load(); };
  for (const Node* node : collect_nodes(outputs, is_new)) {
    if (is_new(*node)) {
      cost.flops += flops_of(*node);
    } else if (node->op != &ops::constant) {
      for (const TensorSpec& spec : node->outputs) cost.bytes += bytes_of(spec);
    }
  }
  for (const Tensor& output : outputs) cost.bytes += bytes_of(spec_of(output));
  return cost;
}

Floor floor_of(const Cost& cost, const MachineLimits& limits) {
  const double computing = cost.flops / limits.float32_flops;
  const double moving = cost.bytes / limits.bandwidth(cost.bytes);
  if (computing >= moving) return {computing, "multiply-adds"};
  return {moving, limits.level_of(cost.bytes).name};
}

double median_seconds(const std::function<void()>& call, double seconds) {
  constexpr double shortest = 20e-6;
  constexpr std::size_t least = 20;
  call();
  std::int64_t times = 1;
  while (seconds_of(call, times) * static_cast<double>(times) < shortest) times *= 2;
  std::vector<double> measured;
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  while (measured.size() < least || Clock::now() < deadline) measured.push_back(seconds_of(call, times));
  const auto middle = measured.begin() + static_cast<std::ptrdiff_t>(measured.size() / 2);
  std::nth_element(measured.begin(), middle, measured.end());
  return *middle;
}

}  // namespace chainrule::insight
