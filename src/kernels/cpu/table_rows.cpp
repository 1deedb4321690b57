// The CPU's kernels on rows, and those that go element by element without being fused.

#include <chainrule/error.hpp>

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

// The same memory seen as rows: the last axis of x, all others together.
struct Rows {
  std::int64_t count;
  std::int64_t length;
};
Rows rows_of(const Array& x) { return {row_count(x), row_length(x)}; }

[[noreturn]] void throw_bad_class(const KernelCall& call, std::int64_t row) {
  const Array& classes = call.inputs[1];
  const std::int64_t label =
      classes.dtype == DType::int32 ? classes.as<std::int32_t>()[row] : classes.as<std::int64_t>()[row];
  const std::string* region = call.node->region;
  throw ArgumentError({.function = std::string(call.node->op->name),
                       .argument = "classes",
                       .problem = "there is no such class",
                       .got = std::to_string(label) + " in row " + std::to_string(row),
                       .wanted = "0 to " + std::to_string(row_length(call.inputs[0]) - 1) +
                                 ", or ignore_index " + std::to_string(call.node->get<std::int64_t>(0)),
                       .hint = "the logits' last axis has one score for each class",
                       .region = region == nullptr ? "" : *region});
}

template <typename T>
void run_cross_entropy(const KernelCall& call) {
  const auto [rows, n] = rows_of(call.inputs[0]);
  const std::int64_t bad =
      kernels::cross_entropy(call.inputs[0].as<T>(), call.inputs[1], call.node->get<std::int64_t>(0), rows, n,
                             call.outputs[0].as<T>(), call.outputs[1].as<T>());
  if (bad >= 0) throw_bad_class(call, bad);
}

template <typename T>
void run_cross_entropy_backward(const KernelCall& call) {
  const auto [rows, n] = rows_of(call.inputs[0]);
  kernels::cross_entropy_backward(call.inputs[0].as<T>(), call.inputs[1], call.node->get<std::int64_t>(0),
                                  call.inputs[2].as<T>(), call.inputs[3].as<T>(), rows, n,
                                  call.outputs[0].as<T>());
}

double epsilon_of(const KernelCall& call) { return call.node->get<double>(0); }

template <typename T>
void run_layer_norm(const KernelCall& call) {
  const auto [rows, n] = rows_of(call.inputs[0]);
  kernels::layer_norm(call.inputs[0].as<T>(), call.inputs[1].as<T>(), call.inputs[2].as<T>(),
                      epsilon_of(call), rows, n, call.outputs[0].as<T>(), call.outputs[1].as<T>(),
                      call.outputs[2].as<T>());
}

template <typename T>
void run_layer_norm_backward(const KernelCall& call) {
  const auto [rows, n] = rows_of(call.inputs[1]);
  kernels::layer_norm_backward(call.inputs[0].as<T>(), call.inputs[1].as<T>(), call.inputs[2].as<T>(),
                               call.inputs[3].as<T>(), call.inputs[4].as<T>(), rows, n,
                               call.outputs[0].as<T>(), call.outputs[1].as<T>(), call.outputs[2].as<T>(),
                               call.workspace);
}

template <typename T>
void run_rms_norm(const KernelCall& call) {
  const auto [rows, n] = rows_of(call.inputs[0]);
  kernels::rms_norm(call.inputs[0].as<T>(), call.inputs[1].as<T>(), epsilon_of(call), rows, n,
                    call.outputs[0].as<T>(), call.outputs[1].as<T>());
}

template <typename T>
void run_rms_norm_backward(const KernelCall& call) {
  const auto [rows, n] = rows_of(call.inputs[1]);
  kernels::rms_norm_backward(call.inputs[0].as<T>(), call.inputs[1].as<T>(), call.inputs[2].as<T>(),
                             call.inputs[3].as<T>(), rows, n, call.outputs[0].as<T>(),
                             call.outputs[1].as<T>(), call.workspace);
}

std::size_t norm_backward_bytes(const Node&, std::span<const Array> inputs) {
  const auto [rows, n] = rows_of(inputs[1]);
  return kernels::layer_norm_backward_workspace_bytes(rows, n);
}

template <void (*f32)(const KernelCall&), void (*f64)(const KernelCall&)>
void run_either(const KernelCall& call) {
  call.inputs[0].dtype == DType::float32 ? f32(call) : f64(call);
}

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
  table[&ops::softmax_cross_entropy] = {
      {.name = "rows",
       .refuse = refuse_dtype,
       .run = run_either<run_cross_entropy<float>, run_cross_entropy<double>>}};
  table[&ops::softmax_cross_entropy_backward] = {
      {.name = "rows",
       .refuse = refuse_dtype,
       .run = run_either<run_cross_entropy_backward<float>, run_cross_entropy_backward<double>>}};
  table[&ops::layer_norm] = {{.name = "rows",
                              .refuse = refuse_dtype,
                              .run = run_either<run_layer_norm<float>, run_layer_norm<double>>}};
  table[&ops::layer_norm_backward] = {
      {.name = "rows",
       .refuse = refuse_dtype,
       .workspace_bytes = norm_backward_bytes,
       .run = run_either<run_layer_norm_backward<float>, run_layer_norm_backward<double>>}};
  table[&ops::rms_norm] = {
      {.name = "rows", .refuse = refuse_dtype, .run = run_either<run_rms_norm<float>, run_rms_norm<double>>}};
  table[&ops::rms_norm_backward] = {
      {.name = "rows",
       .refuse = refuse_dtype,
       .workspace_bytes = norm_backward_bytes,
       .run = run_either<run_rms_norm_backward<float>, run_rms_norm_backward<double>>}};
  table[&ops::polygamma] = {{.name = "zeta", .refuse = refuse_dtype, .run = run_polygamma}};
}

}  // namespace chainrule
