#include <vector>

#include "kernels/cpu/lane_families.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lanes_arithmetic.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

#include "kernels/cpu/lane_chain-inl.h"
#include "kernels/cpu/lane_loops-inl.h"
#include "kernels/cpu/math_base-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

template <class D, class V = Vector<D>>
HWY_INLINE V add(D, V a, V b) {
  return hn::Add(a, b);
}

template <class D, class V = Vector<D>>
HWY_INLINE V sub(D, V a, V b) {
  return hn::Sub(a, b);
}

template <class D, class V = Vector<D>>
HWY_INLINE V mul(D, V a, V b) {
  return hn::Mul(a, b);
}

template <class D, class V = Vector<D>>
HWY_INLINE V div(D, V a, V b) {
  return hn::Div(a, b);
}

/// The larger; NaN where either is.
template <class D, class V = Vector<D>>
HWY_INLINE V maximum(D, V a, V b) {
  return hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, b);
}

template <class D, class V = Vector<D>>
HWY_INLINE V minimum(D, V a, V b) {
  return hn::IfThenElse(hn::Or(hn::Lt(a, b), hn::IsNaN(a)), a, b);
}

template <class D, class V = Vector<D>>
HWY_INLINE V neg(D d, V x) {
  return hn::Xor(x, hn::SignBit(d));
}

template <class D, class V = Vector<D>>
HWY_INLINE V abs(D, V x) {
  return hn::Abs(x);
}

/// -1, 0 or 1; 0 for either zero and, as in NumPy, NaN for NaN.
template <class D, class V = Vector<D>>
HWY_INLINE V sign(D d, V x) {
  const V zero = hn::Zero(d);
  const V one_signed = hn::CopySign(hn::Set(d, 1), x);
  return hn::IfThenElse(hn::Eq(x, zero), zero, hn::IfThenElse(hn::IsNaN(x), x, one_signed));
}

template <class D, class V = Vector<D>>
HWY_INLINE V square(D, V x) {
  return hn::Mul(x, x);
}

/// max(x, 0); NaN stays NaN.
template <class D, class V = Vector<D>>
HWY_INLINE V relu(D d, V x) {
  return maximum(d, x, hn::Zero(d));
}

template <class D, class V = Vector<D>>
HWY_INLINE V reciprocal(D d, V x) {
  return hn::Div(hn::Set(d, 1), x);
}

template <class D, class V = Vector<D>>
HWY_INLINE V sqrt(D, V x) {
  return hn::Sqrt(x);
}

/// 1 / sqrt(x): two roundings.
template <class D, class V = Vector<D>>
HWY_INLINE V rsqrt(D d, V x) {
  return hn::Div(hn::Set(d, 1), hn::Sqrt(x));
}

constexpr LaneEntry arithmetic_entries[] = {
    {"add", DType::float32, &binary<float, add<F32>>, 0.5},
    {"add", DType::float64, &binary<double, add<F64>>, 0.5},
    {"sub", DType::float32, &binary<float, sub<F32>>, 0.5},
    {"sub", DType::float64, &binary<double, sub<F64>>, 0.5},
    {"mul", DType::float32, &binary<float, mul<F32>>, 0.5},
    {"mul", DType::float64, &binary<double, mul<F64>>, 0.5},
    {"div", DType::float32, &binary<float, div<F32>>, 0.5},
    {"div", DType::float64, &binary<double, div<F64>>, 0.5},
    {"maximum", DType::float32, &binary<float, maximum<F32>>, 0},
    {"maximum", DType::float64, &binary<double, maximum<F64>>, 0},
    {"minimum", DType::float32, &binary<float, minimum<F32>>, 0},
    {"minimum", DType::float64, &binary<double, minimum<F64>>, 0},
    {"neg", DType::float32, &unary<float, neg<F32>>, 0},
    {"neg", DType::float64, &unary<double, neg<F64>>, 0},
    {"abs", DType::float32, &unary<float, abs<F32>>, 0},
    {"abs", DType::float64, &unary<double, abs<F64>>, 0},
    {"sign", DType::float32, &unary<float, sign<F32>>, 0},
    {"sign", DType::float64, &unary<double, sign<F64>>, 0},
    {"floor", DType::float32, &unary<float, floor<F32>>, 0},
    {"floor", DType::float64, &unary<double, floor<F64>>, 0},
    {"ceil", DType::float32, &unary<float, ceil<F32>>, 0},
    {"ceil", DType::float64, &unary<double, ceil<F64>>, 0},
    {"round", DType::float32, &unary<float, round<F32>>, 0},
    {"round", DType::float64, &unary<double, round<F64>>, 0},
    {"trunc", DType::float32, &unary<float, trunc<F32>>, 0},
    {"trunc", DType::float64, &unary<double, trunc<F64>>, 0},
    {"square", DType::float32, &unary<float, square<F32>>, 0.5},
    {"square", DType::float64, &unary<double, square<F64>>, 0.5},
    {"relu", DType::float32, &unary<float, relu<F32>>, 0},
    {"relu", DType::float64, &unary<double, relu<F64>>, 0},
    {"reciprocal", DType::float32, &unary<float, reciprocal<F32>>, 0.5},
    {"reciprocal", DType::float64, &unary<double, reciprocal<F64>>, 0.5},
    {"sqrt", DType::float32, &unary<float, sqrt<F32>>, 0.5},
    {"sqrt", DType::float64, &unary<double, sqrt<F64>>, 0.5},
    {"rsqrt", DType::float32, &unary<float, rsqrt<F32>>, 1.5},
    {"rsqrt", DType::float64, &unary<double, rsqrt<F64>>, 1.75},
};

LaneTable arithmetic_table() { return arithmetic_entries; }

template <class T, class D = hn::ScalableTag<T>>
void append_all_links(std::vector<ChainLink>& links) {
  append_links<T, add<D>>(links);
  append_links<T, sub<D>>(links);
  append_links<T, mul<D>>(links);
  append_links<T, maximum<D>>(links);
  append_links<T, minimum<D>>(links);
  append_links<T, neg<D>>(links);
  append_links<T, abs<D>>(links);
  append_links<T, square<D>>(links);
  append_links<T, relu<D>>(links);
}

std::span<const ChainLink> link_table() {
  static const std::vector<ChainLink> links = [] {
    std::vector<ChainLink> made;
    append_all_links<float>(made);
    append_all_links<double>(made);
    return made;
  }();
  return links;
}

LaneChain chain_for(DType dtype) { return dtype == DType::float64 ? chain_of<double>() : chain_of<float>(); }

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(arithmetic_table);
HWY_EXPORT(link_table);
HWY_EXPORT(chain_for);

LaneTable arithmetic_lanes() { return HWY_DYNAMIC_DISPATCH(arithmetic_table)(); }
std::span<const ChainLink> arithmetic_links() { return HWY_DYNAMIC_DISPATCH(link_table)(); }
LaneChain arithmetic_chain(DType dtype) { return HWY_DYNAMIC_DISPATCH(chain_for)(dtype); }

}  // namespace chainrule::kernels
#endif
