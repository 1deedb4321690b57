// The CPU's kernels that read and write at computed positions, sort, and run along an axis.

#include <chainrule/error.hpp>

#include "kernels/cpu/copy.hpp"
#include "kernels/cpu/index.hpp"
#include "kernels/cpu/reduce.hpp"
#include "kernels/cpu/sort.hpp"
#include "kernels/cpu/sum_rows.hpp"
#include "kernels/cpu/table_families.hpp"
#include "ops/declarations.hpp"

namespace chainrule {
namespace {

using kernels::Array;

int axis_of(const KernelCall& call) { return static_cast<int>(call.node->get<std::int64_t>(0)); }

std::int64_t index_at(const Array& index, std::int64_t position) {
  std::int64_t offset = 0;
  for (int axis = index.shape.size() - 1; axis >= 0; --axis) {
    offset += position % index.shape[axis] * index.strides[axis];
    position /= index.shape[axis];
  }
  return index.dtype == DType::int32 ? index.as<std::int32_t>()[offset] : index.as<std::int64_t>()[offset];
}

// `bad` is the row-major number of an index outside of [-length, length), or −1.
void check_index(const KernelCall& call, const Array& index, std::int64_t bad, std::int64_t length) {
  if (bad < 0) return;
  const std::string* region = call.node->region;
  throw ArgumentError({.function = std::string(call.node->op->name),
                       .argument = "index",
                       .problem = "an index is out of range",
                       .got = std::to_string(index_at(index, bad)) + " at position " + std::to_string(bad) +
                              " of " + to_string(index.shape),
                       .wanted = "from " + std::to_string(-length) + " to " + std::to_string(length - 1),
                       .region = region == nullptr ? "" : *region});
}

void run_gather(const KernelCall& call) {
  const Array& x = call.inputs[0];
  const Array& index = call.inputs[1];
  check_index(call, index, kernels::gather(x, index, axis_of(call), call.outputs[0]), x.shape[axis_of(call)]);
}

void run_take(const KernelCall& call) {
  const Array& x = call.inputs[0];
  const Array& index = call.inputs[1];
  check_index(call, index, kernels::take(x, index, axis_of(call), call.outputs[0]), x.shape[axis_of(call)]);
}

void run_scatter_add(const KernelCall& call) {
  const Array& out = call.outputs[0];
  const Array& index = call.inputs[1];
  const int axis = axis_of(call);
  check_index(call, index, kernels::scatter_add(call.inputs[0], index, call.inputs[2], axis, out),
              out.shape[axis]);
}

std::size_t take_transpose_bytes(const Node& node, std::span<const Array> inputs) {
  return kernels::sum_rows_workspace_bytes(inputs[1], inputs[0], static_cast<int>(node.get<std::int64_t>(0)),
                                           node.get<Dims>(1));
}
void run_take_transpose(const KernelCall& call) {
  const Array& out = call.outputs[0];
  const Array& index = call.inputs[1];
  const bool has_workspace = take_transpose_bytes(*call.node, call.inputs) > 0;
  check_index(
      call, index,
      kernels::sum_rows(index, call.inputs[0], axis_of(call), out, has_workspace ? call.workspace : nullptr),
      out.shape[axis_of(call)]);
}

void run_one_hot(const KernelCall& call) {
  check_index(call, call.inputs[0], kernels::one_hot(call.inputs[0], call.outputs[0]),
              call.outputs[0].shape.back());
}

std::size_t sort_bytes(const Node& node, std::span<const Array> inputs) {
  return kernels::sort_workspace_bytes(inputs[0], static_cast<int>(node.get<std::int64_t>(0)));
}
void run_sort(const KernelCall& call) {
  kernels::sort(call.inputs[0], axis_of(call), call.node->get<bool>(1), call.outputs[0], call.outputs[1],
                call.workspace);
}
void run_topk(const KernelCall& call) {
  kernels::topk(call.inputs[0], axis_of(call), call.node->get<std::int64_t>(1), call.node->get<bool>(2),
                call.outputs[0], call.outputs[1], call.workspace);
}

template <kernels::Scan kind>
void run_scan(const KernelCall& call) {
  kernels::scan(kind, call.inputs[0], axis_of(call), call.node->get<bool>(1), call.outputs[0]);
}

}  // namespace

void add_index_kernels(KernelTable& table) {
  table[&ops::gather] = {{.name = "gather", .accepts = any_layout, .run = run_gather}};
  table[&ops::take] = {{.name = "take", .accepts = any_layout, .run = run_take}};
  table[&ops::take_transpose] = {{.name = "put",
                                  .accepts = any_layout,
                                  .workspace_bytes = take_transpose_bytes,
                                  .run = run_take_transpose}};
  table[&ops::scatter_add] = {{.name = "scatter", .accepts = any_layout, .run = run_scatter_add}};
  table[&ops::one_hot] = {{.name = "one_hot", .accepts = any_layout, .run = run_one_hot}};
  table[&ops::sort] = {{.name = "sort",
                        .accepts = any_layout,
                        .leaves_out = true,
                        .workspace_bytes = sort_bytes,
                        .run = run_sort}};
  table[&ops::topk] = {{.name = "topk",
                        .accepts = any_layout,
                        .leaves_out = true,
                        .workspace_bytes = sort_bytes,
                        .run = run_topk}};
  table[&ops::cumsum] = {{.name = "scan", .accepts = any_layout, .run = run_scan<kernels::Scan::sum>}};
  table[&ops::cumprod] = {{.name = "scan", .accepts = any_layout, .run = run_scan<kernels::Scan::prod>}};
}

}  // namespace chainrule
