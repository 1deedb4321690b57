#pragma once

#include <memory>
#include <span>

#include "graph/op.hpp"
#include "kernels/array.hpp"

namespace chainrule {

/// What a kernel gets: the memory of its inputs and outputs, and the node it runs for.
struct KernelCall {
  std::span<const kernels::Array> inputs;
  std::span<const kernels::Array> outputs;
  const Node* node = nullptr;
  const void* prepared = nullptr;
  void* workspace = nullptr;
};

/// One way to run an op on a device. A device lists several in order of preference; each answers null or
/// a sentence that says why it does not apply.
struct Kernel {
  const char* name = "";
  const char* (*refuse)(const Node& node) = nullptr;  ///< null: applies always
  /// Whether input i may have this layout; where it may not, the plan makes a dense copy first. Null:
  /// every input must be dense.
  bool (*accepts)(const kernels::Array& input, std::size_t i) = nullptr;
  /// An output that nobody reads comes without memory (data == nullptr), and the kernel leaves it out.
  bool leaves_out = false;
  /// Work done once per plan, such as creating a library's primitives. Null: none.
  std::shared_ptr<void> (*prepare)(const Node& node, std::span<const kernels::Array> inputs,
                                   std::span<const kernels::Array> outputs) = nullptr;
  std::size_t (*workspace_bytes)(const Node& node, std::span<const kernels::Array> inputs) = nullptr;
  void (*run)(const KernelCall& call) = nullptr;
  /// True when the inputs alone show that all outputs are finite; false says nothing. For outputs that are
  /// larger than what they were made from. Null: the inputs don't show it.
  bool (*finite_by_inputs)(const KernelCall& call) = nullptr;
};

/// One elementwise op inside a fused group: which op, on which registers, in which dtypes. Registers
/// 0 … inputs−1 are the group's inputs.
struct ElementStep {
  const Node* node = nullptr;
  SmallVector<int, 3> inputs;
  int output = 0;
};

/// A group of elementwise ops that runs as one pass over memory.
struct ElementGroup {
  std::vector<kernels::Array> inputs;  ///< dtypes and layouts; the memory comes with each run
  Shape shape;                         ///< of all results
  std::vector<ElementStep> steps;
  std::vector<int> outputs;  ///< the registers that are stored
};

/// A device: where each op's kernels are found. Defined in the device's own folder.
struct Device {
  const char* name;
  /// Candidates in order of preference; empty where the op has to be expanded into its definition.
  std::span<const Kernel> (*kernels)(const OpDef& op);
  /// Null when the elementwise op runs on this input dtype, otherwise why not.
  const char* (*refuse_element)(const Node& node);
  /// The most inputs and ops that one group of elementwise ops may have.
  int most_element_inputs;
  int most_element_steps;
  /// The group as a callable kernel state for `run_elements`. Null when it needs more scratch memory than
  /// there is; a single op never does.
  std::shared_ptr<void> (*prepare_elements)(const ElementGroup& group);
  void (*run_elements)(const KernelCall& call);
  /// Dense or strided copy of inputs[0] into outputs[0].
  void (*copy)(const KernelCall& call);
  /// True when every element of a dense floating array is finite.
  bool (*all_finite)(const kernels::Array& array);
};

/// The CPU (src/kernels/cpu/device.cpp).
const Device& cpu_device();

}  // namespace chainrule
