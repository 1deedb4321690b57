// The CPU's kernel table: the one place where ops meet the kernels that run them. Each adapter unpacks a
// node's attributes; the kernels themselves know nothing of nodes.

#include "kernels/cpu/table.hpp"

#include <algorithm>

#include <chainrule/error.hpp>

#include "kernels/cpu/copy.hpp"
#include "kernels/cpu/matmul.hpp"
#include "kernels/cpu/random.hpp"
#include "kernels/cpu/reduce.hpp"
#include "kernels/cpu/table_families.hpp"
#include "ops/declarations.hpp"

namespace chainrule {
namespace {

using kernels::Array;

// ---- reductions ----

std::uint32_t axes_mask(const Node& node) {
  std::uint32_t mask = 0;
  for (const std::int64_t axis : node.get<Dims>(0)) mask |= 1U << axis;
  return mask;
}

template <kernels::Reduction kind>
void run_reduction(const KernelCall& call) {
  kernels::reduce(kind, call.inputs[0], axes_mask(*call.node), call.outputs[0].data);
}

template <kernels::Reduction value, kernels::Reduction index>
void run_reduction_with_indices(const KernelCall& call) {
  kernels::reduce(value, call.inputs[0], axes_mask(*call.node), call.outputs[0].data);
  kernels::reduce(index, call.inputs[0], axes_mask(*call.node), call.outputs[1].data);
}

template <kernels::Reduction kind>
constexpr Kernel reduction = {.name = "reduce", .accepts = any_layout, .run = run_reduction<kind>};

// ---- moves ----

// Zeros, and the input where a slice of the output would be read.
void run_slice_transpose(const KernelCall& call) {
  const Array& out = call.outputs[0];
  const double zero = 0;
  kernels::fill(out, &zero);
  Array part{out.data, out.dtype, call.inputs[0].shape, out.strides};
  const auto& starts = call.node->get<Dims>(1);
  const auto& steps = call.node->get<Dims>(2);
  std::int64_t offset = 0;
  for (int i = 0; i < starts.size(); ++i) {
    offset += starts[i] * out.strides[i];
    part.strides[i] = out.strides[i] * steps[i];
  }
  if (part.size() == 0) return;
  part.data = out.as<std::byte>() + offset * static_cast<std::int64_t>(dtype_size(out.dtype));
  kernels::strided_copy(call.inputs[0], part);
}

void run_concatenate(const KernelCall& call) {
  const Array& out = call.outputs[0];
  const auto axis = static_cast<int>(call.node->get<std::int64_t>(0));
  std::int64_t at = 0;
  for (const Array& in : call.inputs) {
    const std::int64_t offset = at * out.strides[axis] * static_cast<std::int64_t>(dtype_size(out.dtype));
    if (in.size() > 0)
      kernels::strided_copy(in, {out.as<std::byte>() + offset, out.dtype, in.shape, out.strides});
    at += in.shape[axis];
  }
}

// ---- random numbers ----

const char* refuse_draw(const Node& node) {
  const DType dtype = node.outputs[0].dtype;
  return dtype == DType::float32 || dtype == DType::float64 ? nullptr : "draws float32 and float64 only";
}

template <auto draw_float, auto draw_double>
void run_draw(const KernelCall& call) {
  const Array& keys = call.inputs[0];
  const Array& out = call.outputs[0];
  const std::int64_t count = keys.size() == 0 ? 0 : out.size() / keys.size();
  for (std::int64_t i = 0; i < keys.size(); ++i) {
    const std::int64_t key = keys.as<std::int64_t>()[i];
    if (out.dtype == DType::float32) draw_float(key, 0, count, out.as<float>() + i * count);
    if (out.dtype == DType::float64) draw_double(key, 0, count, out.as<double>() + i * count);
  }
}

using DrawFloat = void (*)(std::int64_t, std::int64_t, std::int64_t, float*);
using DrawDouble = void (*)(std::int64_t, std::int64_t, std::int64_t, double*);

void run_fold_in(const KernelCall& call) {
  const Array& out = call.outputs[0];
  const Strides steps = contiguous_strides(out.shape);
  const auto read = [&](const Array& in, std::int64_t index) {
    std::int64_t offset = 0;
    const int extra = out.shape.size() - in.shape.size();
    for (int axis = extra; axis < out.shape.size(); ++axis) {
      if (in.shape[axis - extra] != 1)
        offset += index / steps[axis] % out.shape[axis] * in.strides[axis - extra];
    }
    return in.as<std::int64_t>()[offset];
  };
  for (std::int64_t i = 0; i < out.size(); ++i) {
    out.as<std::int64_t>()[i] = kernels::fold_in(read(call.inputs[0], i), read(call.inputs[1], i));
  }
}

void run_split(const KernelCall& call) {
  const std::int64_t count = call.node->get<std::int64_t>(0);
  for (std::int64_t i = 0; i < call.inputs[0].size(); ++i) {
    kernels::split(call.inputs[0].as<std::int64_t>()[i], count,
                   call.outputs[0].as<std::int64_t>() + i * count);
  }
}

// ---- the table ----

KernelTable make_table() {
  using enum kernels::Reduction;
  KernelTable table;
  table[&ops::matmul] = {matmul_kernel()};
  table[&ops::sum] = {reduction<sum>};
  table[&ops::prod] = {reduction<prod>};
  table[&ops::max] = {reduction<max>};
  table[&ops::min] = {reduction<min>};
  table[&ops::any] = {reduction<any>};
  table[&ops::all] = {reduction<all>};
  table[&ops::argmax] = {reduction<argmax>};
  table[&ops::argmin] = {reduction<argmin>};
  table[&ops::max_with_indices] = {
      {.name = "reduce", .accepts = any_layout, .run = run_reduction_with_indices<max, argmax>}};
  table[&ops::min_with_indices] = {
      {.name = "reduce", .accepts = any_layout, .run = run_reduction_with_indices<min, argmin>}};
  table[&ops::slice_transpose] = {
      {.name = "slice_transpose", .accepts = any_layout, .run = run_slice_transpose}};
  table[&ops::concatenate] = {{.name = "copy", .accepts = any_layout, .run = run_concatenate}};
  table[&ops::random_uniform] = {{.name = "philox",
                                  .refuse = refuse_draw,
                                  .run = run_draw<static_cast<DrawFloat>(kernels::random_uniform),
                                                  static_cast<DrawDouble>(kernels::random_uniform)>}};
  table[&ops::random_normal] = {{.name = "philox",
                                 .refuse = refuse_draw,
                                 .run = run_draw<static_cast<DrawFloat>(kernels::random_normal),
                                                 static_cast<DrawDouble>(kernels::random_normal)>}};
  table[&ops::random_fold_in] = {{.name = "philox", .accepts = any_layout, .run = run_fold_in}};
  table[&ops::random_split] = {{.name = "philox", .run = run_split}};
  add_control_kernels(table);
  add_row_kernels(table);
  add_index_kernels(table);
  add_update_kernels(table);
  return table;
}

}  // namespace

std::span<const Kernel> cpu_kernels(const OpDef& op) {
  static const auto* table = new KernelTable(make_table());
  const auto found = table->find(&op);
  return found == table->end() ? std::span<const Kernel>() : std::span<const Kernel>(found->second);
}

}  // namespace chainrule
