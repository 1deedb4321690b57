// The CPU's kernels on rows, and those that go element by element without being fused.

#include "kernels/cpu/rows.hpp"
#include "kernels/cpu/special.hpp"
#include "kernels/cpu/table_families.hpp"
#include "ops/declarations.hpp"

namespace chainrule {
namespace {

using kernels::Array;

const char* refuse_dtype(const Node& node) {
  const DType dtype = node.inputs[0].dtype();
  return dtype == DType::float32 || dtype == DType::float64 ? nullptr : "computes float32 and float64 only";
}

// The last axis alone: as attribute 0, a number or a list.
const char* refuse_axis(const Node& node) {
  const int last = node.inputs[0].rank() - 1;
  const Attribute& axes = node.attribute(0);
  const bool is_last = std::holds_alternative<Dims>(axes) ? std::get<Dims>(axes) == Dims{last}
                                                          : std::get<std::int64_t>(axes) == last;
  return is_last ? refuse_dtype(node) : "works along the last axis only";
}

std::int64_t row_length(const Array& x) { return x.shape.back(); }
std::int64_t row_count(const Array& x) { return row_length(x) == 0 ? 0 : x.size() / row_length(x); }

template <typename T>
using Unary = void (*)(const T*, std::int64_t, std::int64_t, T*);
template <typename T>
using Binary = void (*)(const T*, const T*, std::int64_t, std::int64_t, T*);

template <Unary<float> f32, Unary<double> f64>
void run_rows(const KernelCall& call) {
  const Array& x = call.inputs[0];
  const Array& y = call.outputs[0];
  if (x.dtype == DType::float32) return f32(x.as<float>(), row_count(x), row_length(x), y.as<float>());
  f64(x.as<double>(), row_count(x), row_length(x), y.as<double>());
}

template <Binary<float> f32, Binary<double> f64>
void run_row_pairs(const KernelCall& call) {
  const Array& y = call.inputs[0];
  const Array& y_bar = call.inputs[1];
  const Array& out = call.outputs[0];
  if (y.dtype == DType::float32)
    return f32(y.as<float>(), y_bar.as<float>(), row_count(y), row_length(y), out.as<float>());
  f64(y.as<double>(), y_bar.as<double>(), row_count(y), row_length(y), out.as<double>());
}

template <Unary<float> f32, Unary<double> f64>
constexpr Kernel row_kernel = {.name = "rows", .refuse = refuse_axis, .run = run_rows<f32, f64>};
template <Binary<float> f32, Binary<double> f64>
constexpr Kernel row_pair_kernel = {.name = "rows", .refuse = refuse_axis, .run = run_row_pairs<f32, f64>};

void run_polygamma(const KernelCall& call) {
  const Array& x = call.inputs[0];
  const Array& y = call.outputs[0];
  const auto order = call.node->get<std::int64_t>(0);
  if (x.dtype == DType::float32) return kernels::polygamma(order, x.as<float>(), x.size(), y.as<float>());
  kernels::polygamma(order, x.as<double>(), x.size(), y.as<double>());
}

}  // namespace

void add_row_kernels(KernelTable& table) {
  table[&ops::softmax] = {row_kernel<kernels::softmax, kernels::softmax>};
  table[&ops::softmax_backward] = {row_pair_kernel<kernels::softmax_backward, kernels::softmax_backward>};
  table[&ops::log_softmax] = {row_kernel<kernels::log_softmax, kernels::log_softmax>};
  table[&ops::log_softmax_backward] = {
      row_pair_kernel<kernels::log_softmax_backward, kernels::log_softmax_backward>};
  table[&ops::logsumexp] = {row_kernel<kernels::logsumexp, kernels::logsumexp>};
  table[&ops::polygamma] = {{.name = "zeta", .refuse = refuse_dtype, .run = run_polygamma}};
}

}  // namespace chainrule
