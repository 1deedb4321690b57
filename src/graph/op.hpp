#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/node.hpp"

namespace chainrule {

/// How the evaluator treats an op.
enum class OpKind : std::uint8_t {
  general,      ///< has kernels of its own in a device's table
  elementwise,  ///< one formula per element, over broadcast inputs; fused with its neighbours
  view,         ///< the same memory seen through another shape and strides
  leaf,         ///< has no inputs to compute from: values, constants, placeholders
};

/// Which dtype an elementwise op computes in and returns.
enum class ElementRule : std::uint8_t {
  same,        ///< the promoted dtype of the inputs
  floating,    ///< the same, but integers and bools are computed in float32
  predicate,   ///< promoted inputs, bool result
  logical,     ///< inputs converted to bool, bool result
  select,      ///< where(bool, a, b): promoted over a and b
  signed_same  ///< as `same`, but bool is refused: there is no negative bool
};

/// In which inputs an op is linear. A linear op is its own jvp and has a transpose.
enum class Linearity : std::uint8_t { none, first, all };

/// How far a result may be from the exact one.
enum class BoundKind : std::uint8_t {
  exact,  ///< moves, comparisons, integers
  ulp,    ///< elementwise: units in the last place
  sum     ///< sums and products: a multiple of n·ε·Σ|terms|
};
struct ErrorBound {
  BoundKind kind = BoundKind::ulp;
  double value = 4;
};

/// What people read about an op. Patterns name the arguments in braces.
struct OpText {
  const char* formula = "";      ///< plain text that the expression parser reads back: "{x} + {y}"
  const char* latex = "";        ///< "{x} + {y}" in LaTeX
  int precedence = 100;          ///< 10 comparison, 20 sum, 30 product, 40 unary minus, 50 power, 100 call
  const char* summary = "";      ///< one sentence
  const char* domain = "";       ///< "ℝ → (0, 1), smooth"
  const char* source = "";       ///< paper or book, where the method has one
  const char* sketch = nullptr;  ///< why no test evaluates the formula; null: one does
};

/// An interval to draw test inputs from.
struct Range {
  double low = -2;
  double high = 2;
};

/// Inputs and attributes to try an op with. All floating inputs are float64.
struct Sample {
  std::vector<Tensor> inputs;
  Attributes attributes;
  std::string what;
};

using InferFn = void (*)(const Node& node, SmallVector<TensorSpec, 1>& outputs);
/// ∂output/∂input[i], elementwise, in public ops, given the node's inputs and its output. An undefined
/// tensor means zero.
using PartialFn = Tensor (*)(const Node& node, const Tensor& output, int i);
/// Fills `inputs_bar[i]` for every i with `needed[i]`, from the outputs' cotangents, of which some may be
/// undefined (zero).
using VjpFn = void (*)(const Node& node, std::span<const Tensor> outputs, std::span<const Tensor> outputs_bar,
                       const std::vector<bool>& needed, std::span<Tensor> inputs_bar);
/// The outputs' tangents from the inputs' tangents, of which some may be undefined (zero).
using JvpFn = std::vector<Tensor> (*)(const Node& node, std::span<const Tensor> outputs,
                                      std::span<const Tensor> tangents);
/// The outputs for a whole batch. Inputs with `batched[i]` carry the batch as their first axis; so do all
/// outputs.
using BatchFn = std::vector<Tensor> (*)(const Node& node, std::span<const Tensor> inputs,
                                        const std::vector<bool>& batched, std::int64_t batch_size);
/// The op written in other ops.
using DefinitionFn = std::vector<Tensor> (*)(const Node& node);
/// A view: the storage of the output, seen in the storage of the input. False where a copy is needed.
using ViewFn = bool (*)(const Node& node, const TensorSpec& input, const Storage& from, Storage& to);
/// The elementwise formula in double, from the inputs' values.
using ReferenceFn = double (*)(const double* inputs);
using SamplerFn = std::vector<Sample> (*)();
/// Inputs in float32 and attributes of a typical call on about this many elements, to be timed.
using WorkloadFn = Sample (*)(std::int64_t elements);
/// Floating-point operations of one call; bytes follow from the inputs and outputs.
using FlopsFn = double (*)(const Node& node);

/// One op, declared once. From this alone come its evaluation, its derivatives to any order, its
/// batching, its pages in the reference, and its tests.
struct OpDef {
  std::string_view name;
  std::vector<std::string_view> arguments;   ///< names of the inputs; the last may end in "..." (any number)
  std::vector<std::string_view> attributes;  ///< names, in the order in which nodes hold them
  OpText text;
  OpKind kind = OpKind::general;
  ElementRule element_rule = ElementRule::same;
  Linearity linear = Linearity::none;
  const char* not_differentiable = nullptr;  ///< "…, because …"; null for differentiable ops
  InferFn infer = nullptr;                   ///< null: the elementwise rule

  PartialFn partial = nullptr;
  VjpFn vjp = nullptr;  ///< for linear ops: the transpose
  JvpFn jvp = nullptr;  ///< not needed for elementwise and linear ops
  BatchFn batch = nullptr;
  DefinitionFn definition = nullptr;
  ViewFn view = nullptr;
  ReferenceFn reference = nullptr;

  /// The inputs that outputs 0, 1, … may be written over: kernels read them element by element. Elementwise
  /// ops need not say so.
  std::vector<int> overwrites;

  ErrorBound bound;
  double flops_per_element = 1;
  double divisions_per_element = 0;  ///< among these; a processor divides and takes roots far below its peak
  double roots_per_element = 0;
  FlopsFn flops = nullptr;
  std::vector<Range> ranges;      ///< elementwise: where to draw each argument from
  std::vector<double> kinks;      ///< elementwise: points of the first argument where no derivative exists
  WorkloadFn workload = nullptr;  ///< elementwise ops need none: it follows from their ranges
  SamplerFn samples = nullptr;

  /// The file of the declaration, as the compiler was given its name. Filled in by itself.
  const char* file = __builtin_FILE();
};

/// The shape and dtype rule of every elementwise op without one of its own: the inputs have been converted to
/// the dtype that the op's element rule asks for.
void infer_elementwise(const Node& node, SmallVector<TensorSpec, 1>& outputs);

/// The elements of a node's largest operand or result, which its counts per element are of.
double elements_of(const Node& node);
/// Floating-point operations of a node: the op's own count, or its count per element.
double flops_of(const Node& node);

/// Every declared op (src/ops/table.cpp), sorted by name.
std::span<const OpDef* const> op_table();
/// Null for an unknown name.
const OpDef* find_op(std::string_view name);

/// The declarations the graph itself needs.
namespace ops {
extern const OpDef value;        ///< a leaf with memory
extern const OpDef constant;     ///< a scalar from C++
extern const OpDef placeholder;  ///< a value given later
extern const OpDef variable;     ///< the input of a running transform
// Declared with their families; the graph builds these by itself.
extern const OpDef random_fold_in, add, astype, broadcast_to, permute, matmul;
}  // namespace ops

}  // namespace chainrule
