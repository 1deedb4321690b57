#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <chainrule/dtype.hpp>

/// Elementwise kernels over dense arrays: the CPU's innermost loops, one per (op, dtype).
namespace chainrule::kernels {

/// output[i] = f(inputs[0][i], inputs[1][i], ...) for 0 <= i < n. Arrays are dense and aligned to their
/// elements; the output may be one of the inputs exactly, if their elements have the same size, but not
/// overlap one otherwise. n <= 0 does nothing.
using LaneKernel = void (*)(const void* const* inputs, void* output, std::int64_t n);

/// The type rule: all inputs have `dtype` and so has the output, except that
/// - comparisons, isnan, isinf, isfinite and the logical ops give bool;
/// - `where` takes (bool, dtype, dtype).
/// Bools are bytes: any nonzero byte counts as true, and 0 or 1 is written.
struct LaneEntry {
  std::string_view op;
  DType dtype;
  LaneKernel kernel;
  /// The largest distance, in units in the last place of the result, from the exact value: 0 where the
  /// kernel is exact, 0.5 where it rounds once. Tests hold the kernels to it.
  double max_ulp;
};

/// Every kernel of the instruction set in use.
std::span<const LaneEntry> lane_kernels();
/// The kernel of `op` for operands of `dtype`; null where there is none.
LaneKernel find_lane_kernel(std::string_view op, DType dtype);
/// The conversion between two dtypes: float to integer truncates, stops at the integer's ends and makes
/// 0 of NaN; integer to narrower integer keeps the low bits; anything to bool is `!= 0`; to bfloat16
/// rounds a float to nearest even.
LaneKernel find_cast_kernel(DType from, DType to);

/// A chain: one kernel after the other over the same elements in one pass, each rounding as it does alone.
/// The value between them stays in vector registers, so that a step costs what it computes and no more.

/// Which operands of a kernel the value so far is.
enum class ChainValue : std::uint8_t { first, second, all };
/// What the other operand is: an array, or the address of one number for all elements. None where the value
/// is all operands.
enum class ChainOperand : std::uint8_t { none, array, number };
/// What computes one step: a function whose arguments depend on the instruction set.
using ChainCode = void (*)();
struct ChainLink {
  LaneKernel kernel;
  ChainValue value;
  ChainOperand operand;
  ChainCode code;
};
struct ChainStep {
  ChainCode code;
  ChainOperand kind;
  const void* operand;
};
constexpr int most_chain_steps = 32;  ///< with `store`
struct LaneChain {
  /// output[i] = what the steps, of which the last one is `store`, make of first[i]. Arrays are as lane
  /// kernels take them.
  void (*run)(const void* first, std::span<const ChainStep> steps, void* output, std::int64_t n);
  ChainCode store;
};
/// Kernels that compute so little that reading and writing the values between them takes most of their time.
std::span<const ChainLink> chain_links();
/// Null where the kernel is no link.
ChainCode find_chain_code(LaneKernel kernel, ChainValue value, ChainOperand operand);
/// For float32 and float64.
LaneChain find_chain(DType dtype);

/// Highway's name of the instruction set in use: "AVX3", "AVX2", "EMU128", ...
std::string_view active_target();
/// For tests: uses the instruction set called `name`, or the best one again where it is empty. Kernels
/// found before stay those of the former set. Not to be called while another thread looks kernels up.
/// Throws ArgumentError where this build or this machine does not have it.
void force_target(std::string_view name);

}  // namespace chainrule::kernels
