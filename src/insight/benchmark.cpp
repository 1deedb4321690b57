// The library's own speed: ops of the registry and training steps, against the machine's limits.

#include <chainrule/benchmark.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <chainrule/compile.hpp>
#include <chainrule/error.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/random.hpp>
#include <chainrule/text.hpp>
#include <chainrule/transforms.hpp>

#include "graph/context_state.hpp"
#include "graph/op.hpp"
#include "insight/cost.hpp"
#include "insight/units.hpp"

namespace chainrule {
namespace {

using insight::Cost;
using insight::right_aligned;
using insight::scaled;
using insight::short_duration;

BenchmarkRow row_of(std::string name, std::string what, const Cost& cost, double seconds,
                    const MachineLimits& limits) {
  const insight::Floor floor = insight::floor_of(cost, limits);
  return {.name = std::move(name),
          .what = std::move(what),
          .seconds = seconds,
          .flops = cost.flops,
          .bytes = cost.bytes(),
          .floor = floor.seconds,
          .bound = floor.bound};
}

// ---- ops ----

// An elementwise op takes numbers anywhere; its ranges say which.
bool has_own_workload(const OpDef& op) {
  return op.kind == OpKind::elementwise && !op.ranges.empty() && op.samples == nullptr &&
         op.attributes.empty();
}

Sample workload_of(const OpDef& op, std::int64_t elements) {
  if (op.workload != nullptr) return op.workload(elements);
  Sample sample{.what = "vector"};
  for (std::size_t i = 0; i < op.arguments.size(); ++i) {
    const Range range = i < op.ranges.size() ? op.ranges[i] : Range{};
    Tensor x = random::uniform(random::key(i), {elements}, range.low, range.high);
    const bool is_condition =
        op.element_rule == ElementRule::logical || (op.element_rule == ElementRule::select && i == 0);
    sample.inputs.push_back(is_condition ? x > (range.low + range.high) / 2 : x);
  }
  return sample;
}

std::vector<const OpDef*> chosen_ops(const std::vector<std::string>& names) {
  std::vector<const OpDef*> chosen;
  std::vector<std::string> known;
  for (const OpDef* op : op_table()) {
    if (op->workload == nullptr && !has_own_workload(*op)) continue;
    known.emplace_back(op->name);
    if (names.empty() || std::find(names.begin(), names.end(), op->name) != names.end()) chosen.push_back(op);
  }
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    throw ArgumentError({.function = "benchmark_ops",
                         .argument = "names",
                         .problem = find_op(name) == nullptr
                                        ? "no op has this name"
                                        : "this op has nothing to time: no workload is declared",
                         .got = quote(name),
                         .hint = suggest(name, known)});
  }
  return chosen;
}

std::string shapes_of(const std::vector<Tensor>& inputs) {
  std::string text;
  for (const Tensor& x : inputs) {
    if (x.rank() == 0) continue;
    if (!text.empty()) text += ", ";
    text += std::string(dtype_name(x.dtype())) + to_string(x.shape());
  }
  return text;
}

BenchmarkRow time_op(const OpDef& op, std::int64_t elements, double seconds, const MachineLimits& limits) {
  Sample work = workload_of(op, elements);
  eval(work.inputs);
  auto f = compile([&](const std::vector<Tensor>& x) { return make_outputs(op, x, work.attributes); });
  const Cost cost = insight::cost_of(make_outputs(op, work.inputs, work.attributes));
  const double median = insight::median_seconds([&] { f(work.inputs); }, seconds);
  std::string what = shapes_of(work.inputs);
  if (what.empty()) what = std::to_string(elements) + " elements";
  return row_of(std::string(op.name), std::move(what), cost, median, limits);
}

// ---- training steps ----

struct StepCase {
  std::vector<std::int64_t> widths;
  std::int64_t batch;
  bool adam;
};

nn::Sequential perceptron(const std::vector<std::int64_t>& widths) {
  nn::Sequential model;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    if (i > 0) model.add(nn::ReLU());
    model.add(nn::Linear(widths[i], widths[i + 1]));
  }
  return model;
}

Tensor loss_of(const nn::Sequential& model, const Tensor& x, const Tensor& y) {
  return nn::mse_loss(model(x), y);
}

// While it lives, nothing is computed, as inside of `compile`: the step stays an expression that can be
// counted.
class Tracing {
 public:
  Tracing() : saved_(context_state()) { context_state().tracing = true; }
  ~Tracing() { context_state() = std::move(saved_); }
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;

 private:
  ContextState saved_;
};

Cost step_cost(nn::Sequential model, optim::Optimizer optimizer, const Tensor& x, const Tensor& y) {
  const Tracing tracing;
  auto [loss, gradient] = value_and_grad(loss_of)(model, x, y);
  optimizer.update(model, gradient);
  std::vector<Tensor> outputs{loss};
  for (const Leaf& leaf : leaves(model)) outputs.push_back(*leaf.tensor);
  for (const Leaf& leaf : leaves(optimizer)) outputs.push_back(*leaf.tensor);
  return insight::cost_of(outputs);
}

BenchmarkRow time_step(const StepCase& c, double seconds, const MachineLimits& limits) {
  nn::Sequential model = perceptron(c.widths);
  optim::Optimizer optimizer = c.adam ? optim::Optimizer(optim::Adam()) : optim::Optimizer(optim::SGD());
  optimizer.init(model);
  const Tensor x = random::normal(random::key(1), {c.batch, c.widths.front()}).eval();
  const Tensor y = random::normal(random::key(2), {c.batch, c.widths.back()}).eval();
  auto step = compile(
      [&](const Tensor& in, const Tensor& target) {
        auto [loss, gradient] = value_and_grad(loss_of)(model, in, target);
        optimizer.update(model, gradient);
        return loss;
      },
      model, optimizer);
  step(x, y).eval();
  const Cost cost = step_cost(model, optimizer, x, y);
  const double median = insight::median_seconds([&] { step(x, y); }, seconds);
  return row_of(fmt::format("MLP {}, {}", fmt::join(c.widths, "-"), optimizer.name()),
                fmt::format("batch {}", c.batch), cost, median, limits);
}

}  // namespace

std::vector<BenchmarkRow> benchmark_ops(const MachineLimits& limits, const BenchmarkOptions& options) {
  constexpr std::int64_t least = 256;
  for (const std::int64_t size : options.sizes) {
    if (size >= least && size <= (std::int64_t{1} << 30)) continue;
    throw ArgumentError({.function = "benchmark_ops",
                         .argument = "sizes",
                         .problem = "a workload needs a number of elements that it can have",
                         .got = std::to_string(size),
                         .wanted = "256 to 2^30"});
  }
  std::vector<BenchmarkRow> rows;
  for (const OpDef* op : chosen_ops(options.names)) {
    for (const std::int64_t size : options.sizes) rows.push_back(time_op(*op, size, options.seconds, limits));
  }
  return rows;
}

std::vector<BenchmarkRow> benchmark_steps(const MachineLimits& limits, double seconds) {
  const std::vector<std::int64_t> tiny{2, 16, 16, 1};
  const std::vector<std::int64_t> small{784, 256, 128, 10};
  std::vector<BenchmarkRow> rows;
  for (const StepCase& c : {StepCase{tiny, 32, false}, StepCase{tiny, 32, true}, StepCase{small, 64, true},
                            StepCase{small, 128, true}})
    rows.push_back(time_step(c, seconds, limits));
  return rows;
}

std::string to_text(const std::vector<BenchmarkRow>& rows) {
  std::size_t name = 4;
  std::size_t what = 4;
  for (const BenchmarkRow& row : rows) {
    name = std::max(name, row.name.size());
    what = std::max(what, row.what.size());
  }
  std::string text = fmt::format("{:<{}}  {:<{}}  {:>10}  {:>12}  {:>10}  {:>10}  {:>7}  bound by\n", "work",
                                 name, "on", what, "time", "FLOP/s", "B/s", "floor", "× floor");
  for (const BenchmarkRow& row : rows) {
    text += fmt::format("{:<{}}  {:<{}}  {}  {}  {}  {}  {:>7.2f}  {}\n", row.name, name, row.what, what,
                        right_aligned(short_duration(row.seconds), 10),
                        right_aligned(scaled(row.flops / row.seconds, "FLOP/s"), 12),
                        right_aligned(scaled(row.bytes / row.seconds, "B/s"), 10),
                        right_aligned(short_duration(row.floor), 10), row.seconds / row.floor, row.bound);
  }
  return text;
}

std::string to_text(const MachineLimits& limits) {
  std::string text =
      fmt::format("{} threads, {}: {} float32, {} float64, ", limits.threads, limits.instruction_set,
                  scaled(limits.float32_flops, "FLOP/s"), scaled(limits.float64_flops, "FLOP/s"));
  text += limits.bfloat16_flops > 0 ? scaled(limits.bfloat16_flops, "FLOP/s") + " bfloat16"
                                    : std::string("no bfloat16 instructions");
  text += fmt::format("; {}, {}\n", scaled(limits.float32_divisions, "divisions/s"),
                      scaled(limits.float32_roots, "roots/s"));
  for (const MachineLimits::Level& level : limits.levels) {
    text += fmt::format("{:<7} {:>9}  reads {:>9}, updates {:>9}\n", level.name,
                        level.bytes > 0 ? scaled(static_cast<double>(level.bytes), "B") : std::string(),
                        scaled(level.read_rate, "B/s"), scaled(level.update_rate, "B/s"));
  }
  return text;
}

}  // namespace chainrule
