// Chains of lane kernels (see LaneChain), written once for all formulas. See math_base-inl.h for how to
// include it.

#if defined(CHAINRULE_LANE_CHAIN_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_LANE_CHAIN_INL
#undef CHAINRULE_LANE_CHAIN_INL
#else
#define CHAINRULE_LANE_CHAIN_INL
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include <hwy/highway.h>

#include "kernels/cpu/lane_loops-inl.h"
#include "kernels/cpu/lanes.hpp"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class T>
using ChainVector = hn::Vec<hn::ScalableTag<T>>;

// Eight vectors: as many as a calling convention passes in registers, and enough that no step waits for the
// one before. Each step calls the next one as its last act, which compilers make a jump.
constexpr std::size_t chain_vectors = 8;

/// `at`: the block's first element, in operands as in the output.
template <class T, class V = ChainVector<T>>
using ChainFunction = void (*)(const ChainStep* step, std::int64_t at, T* output, V, V, V, V, V, V, V, V);

template <class T>
ChainFunction<T> function_of(const ChainStep& step) {
  return reinterpret_cast<ChainFunction<T>>(step.code);
}

template <class T, class V = ChainVector<T>>
void chain_store(const ChainStep*, std::int64_t at, T* output, V v0, V v1, V v2, V v3, V v4, V v5, V v6,
                 V v7) {
  const hn::ScalableTag<T> d;
  const std::size_t width = hn::Lanes(d);
  T* const out = output + at;
  hn::StoreU(v0, d, out);
  hn::StoreU(v1, d, out + width);
  hn::StoreU(v2, d, out + 2 * width);
  hn::StoreU(v3, d, out + 3 * width);
  hn::StoreU(v4, d, out + 4 * width);
  hn::StoreU(v5, d, out + 5 * width);
  hn::StoreU(v6, d, out + 6 * width);
  hn::StoreU(v7, d, out + 7 * width);
}

template <class T, auto f, ChainValue value, ChainOperand kind, class V = ChainVector<T>>
void chain_step(const ChainStep* step, std::int64_t at, T* output, V v0, V v1, V v2, V v3, V v4, V v5, V v6,
                V v7) {
  const hn::ScalableTag<T> d;
  const std::size_t width = hn::Lanes(d);
  const T* const operand = static_cast<const T*>(step->operand);
  const auto result = [&](V v, std::size_t i) HWY_ATTR {
    if constexpr (kind == ChainOperand::none) {
      if constexpr (std::is_invocable_v<decltype(f), decltype(d), V>) {
        return f(d, v);
      } else {
        return f(d, v, v);
      }
    } else {
      const V other =
          kind == ChainOperand::number ? hn::Set(d, *operand) : hn::LoadU(d, operand + at + i * width);
      return value == ChainValue::first ? f(d, v, other) : f(d, other, v);
    }
  };
  function_of<T>(step[1])(step + 1, at, output, result(v0, 0), result(v1, 1), result(v2, 2), result(v3, 3),
                          result(v4, 4), result(v5, 5), result(v6, 6), result(v7, 7));
}

template <class T>
HWY_INLINE void run_block(const T* first, const ChainStep* steps, T* output, std::int64_t at) {
  const hn::ScalableTag<T> d;
  const std::size_t width = hn::Lanes(d);
  const T* const in = first + at;
  function_of<T>(steps[0])(steps, at, output, hn::LoadU(d, in), hn::LoadU(d, in + width),
                           hn::LoadU(d, in + 2 * width), hn::LoadU(d, in + 3 * width),
                           hn::LoadU(d, in + 4 * width), hn::LoadU(d, in + 5 * width),
                           hn::LoadU(d, in + 6 * width), hn::LoadU(d, in + 7 * width));
}

/// The elements from `begin` on, fewer than a block, on copies padded with zeros: nothing beyond the arrays
/// is touched.
template <class T>
HWY_NOINLINE void run_rest(const T* first, std::span<const ChainStep> steps, T* output, std::int64_t begin,
                           std::size_t count) {
  constexpr std::size_t block = chain_vectors * hn::MaxLanes(hn::ScalableTag<T>());
  HWY_ALIGN T padded[most_chain_steps][block];
  ChainStep copies[most_chain_steps];
  const auto copy = [&](const void* from, T* to) {
    std::memcpy(to, static_cast<const T*>(from) + begin, count * sizeof(T));
    std::fill(to + count, to + block, T{0});
    return to;
  };
  for (std::size_t s = 0; s < steps.size(); ++s) {
    copies[s] = steps[s];
    if (steps[s].kind == ChainOperand::array) copies[s].operand = copy(steps[s].operand, padded[s]);
  }
  T* const last = padded[steps.size() - 1];  // that of `store`, which has no operand
  run_block<T>(copy(first, last), copies, last, 0);
  std::memcpy(output + begin, last, count * sizeof(T));
}

/// Compilers do this after vectors of their own, but not after those that they pass to functions. The code of
/// other instruction sets would wait for the upper halves at each of its instructions.
HWY_INLINE void forget_upper_halves() {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  _mm256_zeroupper();
#endif
}

template <class T>
void run_chain(const void* first, std::span<const ChainStep> steps, void* output, std::int64_t n) {
  const auto block = static_cast<std::int64_t>(chain_vectors * hn::Lanes(hn::ScalableTag<T>()));
  const auto* const in = static_cast<const T*>(first);
  auto* const out = static_cast<T*>(output);
  std::int64_t at = 0;
  for (; at + block <= n; at += block) run_block<T>(in, steps.data(), out, at);
  if (at < n) run_rest<T>(in, steps, out, at, static_cast<std::size_t>(n - at));
  forget_upper_halves();
}

template <class T>
LaneChain chain_of() {
  return {&run_chain<T>, reinterpret_cast<ChainCode>(&chain_store<T>)};
}

/// The links of f: one where it takes one operand, five where it takes two.
template <class T, auto f>
void append_links(std::vector<ChainLink>& links) {
  const auto append = [&]<ChainValue value, ChainOperand kind>(LaneKernel kernel) {
    const ChainFunction<T> code = &chain_step<T, f, value, kind>;
    links.push_back({kernel, value, kind, reinterpret_cast<ChainCode>(code)});
  };
  if constexpr (std::is_invocable_v<decltype(f), hn::ScalableTag<T>, ChainVector<T>>) {
    append.template operator()<ChainValue::all, ChainOperand::none>(&unary<T, f>);
  } else {
    const LaneKernel kernel = &binary<T, f>;
    append.template operator()<ChainValue::first, ChainOperand::array>(kernel);
    append.template operator()<ChainValue::first, ChainOperand::number>(kernel);
    append.template operator()<ChainValue::second, ChainOperand::array>(kernel);
    append.template operator()<ChainValue::second, ChainOperand::number>(kernel);
    append.template operator()<ChainValue::all, ChainOperand::none>(kernel);
  }
}

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
