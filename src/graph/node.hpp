#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <chainrule/tensor.hpp>

#include "graph/attributes.hpp"
#include "tensor/small_vector.hpp"

namespace chainrule {

struct OpDef;

/// Where a computed value lies: a buffer, the first element's position in it, and strides.
struct Storage {
  Buffer buffer;
  std::int64_t offset = 0;  // elements
  Strides strides;
};

/// The shape and dtype of one output.
struct TensorSpec {
  Shape shape;
  DType dtype = DType::float32;
  bool operator==(const TensorSpec&) const = default;
};

/// The transforms whose inputs a node depends on, as far as they were running when it was built.
/// Nodes with the same dependencies share one set.
struct TraceSet {
  std::vector<std::uint64_t> transforms;  // serial numbers, ascending
};

/// One step of an expression: an op, its attributes, its inputs, and per output a spec and, once
/// computed, a value. Immutable but for two things: the value appears, and with it the inputs go.
struct Node {
  std::atomic<int> references{0};
  std::atomic<bool> evaluated{false};
  std::atomic<bool> is_parameter{false};  ///< held by a Parameter: `compile` must not take it for a constant
  std::uint32_t mark = 0;                 ///< scratch of the evaluator, under its lock
  const OpDef* op = nullptr;
  std::uint64_t serial = 0;  // creation order, which is also a topological order
  std::shared_ptr<const Attributes> attributes;
  SmallVector<Tensor, 3> inputs;
  SmallVector<TensorSpec, 1> outputs;
  SmallVector<Storage, 1> storage;  // filled when evaluated
  std::shared_ptr<const TraceSet> trace;
  const std::string* region = nullptr;  // interned; null outside of any region

  /// A thread keeps the memory of some nodes that died, for its next ones: an eager loop makes and drops as
  /// many in every round.
  static void* operator new(std::size_t bytes);
  static void operator delete(void* memory) noexcept;

  const Attribute& attribute(std::size_t i) const { return (*attributes)[i]; }
  template <typename T>
  const T& get(std::size_t i) const {
    return std::get<T>((*attributes)[i]);
  }
};

/// Drops one reference; destroys the node, and iteratively what only it kept alive.
void release_node(Node* node) noexcept;

/// An input of a node to be made: a list of these copies no handles, while a list of tensors would. For
/// arguments alone, since it may look at a temporary.
struct InputOf {
  InputOf(const Tensor& x) : tensor(x) {}
  const Tensor& tensor;
};

/// A new node: runs the op's shape and dtype rule, which raises errors here, at the user's call.
Tensor make_node(const OpDef& op, std::span<const Tensor> inputs, Attributes attributes = {});
Tensor make_node(const OpDef& op, std::initializer_list<InputOf> inputs, Attributes attributes = {});
/// All outputs of a new node.
std::vector<Tensor> make_outputs(const OpDef& op, std::span<const Tensor> inputs, Attributes attributes = {});
std::vector<Tensor> make_outputs(const OpDef& op, std::initializer_list<InputOf> inputs,
                                 Attributes attributes = {});
std::vector<Tensor> outputs_of(const Node& node);
/// A leaf with a value.
Tensor make_leaf(const TensorSpec& spec, Storage storage);
Tensor make_leaf(HostArray array);
/// A leaf whose value is given later, when a compiled step or a batch runs; reading it is an error.
Tensor make_placeholder(const TensorSpec& spec);
/// `x` under a new identity, as the input of a transform.
Tensor make_variable(const Tensor& x, std::uint64_t transform);

const TensorSpec& spec_of(const Tensor& x);
/// The value of an evaluated tensor.
const Storage& storage_of(const Tensor& x);
void* data_of(const Tensor& x);
bool is_dense(const Shape& shape, const Strides& strides);
/// True for scalars written in C++, which adopt the dtype of what they meet.
bool is_constant(const Tensor& x);
bool is_constant(const Tensor& x, double value);
double constant_value(const Tensor& x);
/// The next serial number: nodes built from now on have this one or a later one.
std::uint64_t next_serial();
/// Takes the next serial number.
std::uint64_t next_serial_number();

/// Every node that `outputs` depend on, inputs first. `enter(node)` false stops at a node (it is listed,
/// its inputs are not followed). Iterative: a million nodes deep is fine.
template <typename Enter>
std::vector<Node*> collect_nodes(std::span<const Tensor> outputs, Enter&& enter);

// ---- running transforms -----------------------------------------------------------------------

/// A transform that is running: its variables keep the history of what depends on them, even when the
/// value is read meanwhile.
class TransformScope {
 public:
  TransformScope();
  ~TransformScope();
  TransformScope(const TransformScope&) = delete;
  TransformScope& operator=(const TransformScope&) = delete;
  std::uint64_t serial() const { return serial_; }

 private:
  std::uint64_t serial_;
};

/// Gives a node the transforms that its inputs depend on.
void inherit_trace(Node& node);
/// True when a running transform still needs to walk through this node.
bool needed_by_transform(const Node& node);
/// Called by the evaluator: drops the inputs of an evaluated node, or puts that off until the running
/// transforms that need them have ended.
void settle_history(Node& node);

// ---------------------------------------------------------------------------------------------

/// Marks visited nodes without writing to them: an open-addressing set of pointers.
class NodeSet {
 public:
  NodeSet() : slots_(64, nullptr) {}
  bool insert(const Node* node) {
    if ((count_ + 1) * 2 > slots_.size()) grow();
    return place(slots_, node) && ++count_ > 0;
  }
  bool contains(const Node* node) const {
    for (std::size_t i = start(node, slots_.size());; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i] == node) return true;
      if (slots_[i] == nullptr) return false;
    }
  }

 private:
  static std::size_t start(const Node* node, std::size_t size) {
    return static_cast<std::size_t>(hash_combine(0, reinterpret_cast<std::uintptr_t>(node))) & (size - 1);
  }
  static bool place(std::vector<const Node*>& slots, const Node* node) {
    for (std::size_t i = start(node, slots.size());; i = (i + 1) & (slots.size() - 1)) {
      if (slots[i] == node) return false;
      if (slots[i] == nullptr) {
        slots[i] = node;
        return true;
      }
    }
  }
  void grow() {
    std::vector<const Node*> wider(slots_.size() * 4, nullptr);
    for (const Node* node : slots_) {
      if (node != nullptr) place(wider, node);
    }
    slots_.swap(wider);
  }
  std::vector<const Node*> slots_;
  std::size_t count_ = 0;
};

void sort_by_serial(std::vector<Node*>& nodes);

template <typename Enter>
std::vector<Node*> collect_nodes(std::span<const Tensor> outputs, Enter&& enter) {
  NodeSet seen;
  std::vector<Node*> nodes;
  std::vector<Node*> pending;
  const auto push = [&](Node* node) {
    if (node != nullptr && seen.insert(node)) pending.push_back(node);
  };
  for (const Tensor& output : outputs) push(output.node());
  while (!pending.empty()) {
    Node* node = pending.back();
    pending.pop_back();
    nodes.push_back(node);
    if (!enter(*node)) continue;
    for (const Tensor& input : node->inputs) push(input.node());
  }
  sort_by_serial(nodes);
  return nodes;
}

}  // namespace chainrule
