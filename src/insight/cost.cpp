#include "insight/cost.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

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

void add_operations(Cost& cost, const Node& node) {
  cost.flops += flops_of(node);
  if (!is_floating(node.outputs[0].dtype)) return;
  cost.divisions += node.op->divisions_per_element * elements_of(node);
  cost.roots += node.op->roots_per_element * elements_of(node);
}

Cost cost_of(std::span<const Tensor> outputs) {
  Cost cost;
  std::optional<DType> of_products;
  const auto is_new = [](const Node& node) { return !node.evaluated.load(); };
  for (const Node* node : collect_nodes(outputs, is_new)) {
    if (is_new(*node)) {
      add_operations(cost, *node);
      if (node->op == &ops::matmul) of_products = node->outputs[0].dtype;
    } else if (node->op != &ops::constant) {
      for (const TensorSpec& spec : node->outputs) cost.read += bytes_of(spec);
    }
  }
  for (const Tensor& output : outputs) {
    cost.written += bytes_of(spec_of(output));
    if (is_floating(output.dtype())) cost.dtype = output.dtype();
  }
  if (of_products) cost.dtype = *of_products;
  return cost;
}

// Updating reads and writes as much as it moves; what is left of its time beside reading is writing.
double moving_seconds(const Cost& cost, const MachineLimits::Level& level) {
  const double reading = 1 / level.read_rate;
  const double writing = std::max(reading, 2 / level.update_rate - reading);
  return cost.read * reading + cost.written * writing;
}

Floor floor_of(const Cost& cost, const MachineLimits& limits) {
  const bool is_double = cost.dtype == DType::float64;
  double peak = is_double ? limits.float64_flops : limits.float32_flops;
  if (cost.dtype == DType::bfloat16 && limits.bfloat16_flops > 0) peak = limits.bfloat16_flops;
  Floor floor;
  const auto consider = [&](double seconds, std::string bound) {
    if (floor.bound.empty() || seconds > floor.seconds) floor = {seconds, std::move(bound)};
  };
  if (peak > 0) consider(cost.flops / peak, "multiply-adds");
  if (limits.float32_divisions > 0 && limits.float32_roots > 0) {
    const double slow_rate = is_double ? 0.5 : 1;  // half as many in a vector
    consider((cost.divisions / limits.float32_divisions + cost.roots / limits.float32_roots) / slow_rate,
             "divisions and roots");
  }
  const MachineLimits::Level& level = limits.level_of(cost.bytes());
  consider(moving_seconds(cost, level), level.name);
  return floor;
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
