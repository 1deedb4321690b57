// The kernel of `scan`: a plan of the body, run step by step.

#include <algorithm>

#include "graph/plan.hpp"
#include "graph/subgraph.hpp"
#include "kernels/cpu/copy.hpp"
#include "kernels/cpu/table_families.hpp"
#include "ops/declarations.hpp"

namespace chainrule {
namespace {

using kernels::Array;

// The body's plan with its memory, and a second set of carries: a step reads one and writes the other.
struct PreparedScan {
  std::unique_ptr<Execution> body;
  std::vector<Buffer> escaping;
  std::vector<Buffer> carries[2];
};

std::shared_ptr<void> prepare_scan(const Node& node, std::span<const Array>, std::span<const Array>) {
  const SubGraph& graph = *node.get<std::shared_ptr<const SubGraph>>(0);
  LoweredGraph lowered;
  lowered.inputs = graph.inputs;
  lowered.outputs = graph.outputs;
  auto prepared = std::make_shared<PreparedScan>();
  prepared->body =
      std::make_unique<Execution>(build_plan(run_passes(lowered, cpu_device()), cpu_device(), {}));
  const Plan& plan = prepared->body->plan();
  for (std::size_t i = 0; i < plan.escaping_bytes.size(); ++i) {
    prepared->escaping.push_back(Buffer::allocate(plan.escaping_bytes[i]));
    prepared->body->bind(plan.first_escaping_slot() + static_cast<int>(i), prepared->escaping.back().data());
  }
  const auto carries = static_cast<std::size_t>(node.get<std::int64_t>(2));
  for (auto& set : prepared->carries) {
    for (std::size_t i = 0; i < carries; ++i) {
      const TensorSpec& spec = spec_of(graph.outputs[i]);
      set.push_back(
          Buffer::allocate(static_cast<std::size_t>(element_count(spec.shape)) * dtype_size(spec.dtype)));
    }
  }
  return prepared;
}

Array dense(void* data, const TensorSpec& spec) {
  return {data, spec.dtype, spec.shape, contiguous_strides(spec.shape)};
}

void* step_of(const Array& array, std::int64_t t) {
  const std::int64_t per_step = array.shape[0] == 0 ? 0 : array.size() / array.shape[0];
  return array.as<std::byte>() + t * per_step * static_cast<std::int64_t>(dtype_size(array.dtype));
}

void run_scan(const KernelCall& call) {
  auto& prepared = *static_cast<PreparedScan*>(const_cast<void*>(call.prepared));
  Execution& body = *prepared.body;
  const Plan& plan = body.plan();
  const auto captured = static_cast<std::size_t>(call.node->get<std::int64_t>(1));
  const auto carries = static_cast<std::size_t>(call.node->get<std::int64_t>(2));
  const std::int64_t length = call.node->get<std::int64_t>(3);
  const bool reverse = call.node->get<bool>(4);
  const auto slot = [&](std::size_t i) { return plan.first_input_slot() + static_cast<int>(i); };
  for (std::size_t i = 0; i < captured; ++i) body.bind(slot(i), call.inputs[i].data);
  for (std::size_t i = 0; i < carries; ++i) {
    const Array& first = call.inputs[captured + i];
    if (first.size() > 0)
      kernels::strided_copy(first, dense(prepared.carries[0][i].data(), {first.shape, first.dtype}));
  }
  for (std::int64_t step = 0; step < length; ++step) {
    const std::int64_t t = reverse ? length - 1 - step : step;
    auto& from = prepared.carries[step % 2];
    auto& to = prepared.carries[(step + 1) % 2];
    for (std::size_t i = 0; i < carries; ++i) body.bind(slot(captured + i), from[i].data());
    for (std::size_t i = captured + carries; i < call.inputs.size(); ++i)
      body.bind(slot(i), step_of(call.inputs[i], t));
    body.run();
    for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
      const Plan::ArraySpec& output = plan.outputs[i];
      void* source = static_cast<std::byte*>(body.base(output.location.slot)) + output.location.offset;
      void* target = i < carries ? to[i].data() : step_of(call.outputs[i], t);
      const Array result{source, output.spec.dtype, output.spec.shape, output.location.strides};
      if (result.size() > 0) kernels::strided_copy(result, dense(target, output.spec));
    }
  }
  for (std::size_t i = 0; i < carries; ++i) {
    const Array& last = call.outputs[i];
    if (last.size() > 0)
      kernels::strided_copy(dense(prepared.carries[length % 2][i].data(), {last.shape, last.dtype}), last);
  }
}

}  // namespace

void add_control_kernels(KernelTable& table) {
  table[&ops::scan] = {{.name = "loop", .prepare = prepare_scan, .run = run_scan}};
}

}  // namespace chainrule
