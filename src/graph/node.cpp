#include "graph/node.hpp"

#include <algorithm>
#include <mutex>
#include <unordered_set>

#include <chainrule/error.hpp>

#include "graph/op.hpp"
#include "graph/origin.hpp"
#include "tensor/region.hpp"
#include "tensor/sanitized.hpp"

namespace chainrule {
namespace {

std::atomic<std::uint64_t> serial_counter{1};

// The paths of regions, interned: many nodes, few regions. Derivatives have their own copy of each name, so
// that a node's name tells whether it is one.
struct RegionNames {
  std::mutex mutex;
  std::unordered_set<std::string> forward;
  std::unordered_set<std::string> derivative;
};

RegionNames& region_names() {
  static auto* names = new RegionNames;
  return *names;
}

// The path of the open region. The last one is kept at hand.
const std::string* interned_region() {
  const std::string& current = Region::current();
  if (current.empty()) return nullptr;
  thread_local const std::string* last[2] = {nullptr, nullptr};
  const bool derivative = RegionOverride::in_derivative();
  const std::string*& at_hand = last[derivative ? 1 : 0];
  if (at_hand != nullptr && *at_hand == current) return at_hand;
  RegionNames& names = region_names();
  const std::lock_guard lock(names.mutex);
  at_hand = &*(derivative ? names.derivative : names.forward).insert(current).first;
  return at_hand;
}

// ---- running transforms ----

struct RunningTransforms {
  std::mutex mutex;
  std::vector<std::uint64_t> serials;                               // ascending
  std::vector<std::pair<std::uint64_t, std::vector<Tensor>>> kept;  // evaluated nodes with a history to drop
  std::atomic<int> count{0};
};

RunningTransforms& running() {
  static auto* transforms = new RunningTransforms;
  return *transforms;
}

std::shared_ptr<const TraceSet> merged_trace(const Node& node) {
  std::shared_ptr<const TraceSet> result;
  for (const Tensor& input : node.inputs) {
    const auto& trace = input.node()->trace;
    if (trace == nullptr || trace == result) continue;
    if (result == nullptr) {
      result = trace;
      continue;
    }
    TraceSet merged;
    std::set_union(result->transforms.begin(), result->transforms.end(), trace->transforms.begin(),
                   trace->transforms.end(), std::back_inserter(merged.transforms));
    if (merged.transforms == result->transforms) continue;
    result = merged.transforms == trace->transforms ? trace : std::make_shared<TraceSet>(std::move(merged));
  }
  return result;
}

Node* new_node(const OpDef& op) {
  auto* node = new Node;
  node->op = &op;
  node->serial = next_serial_number();
  return node;
}

}  // namespace

std::string text_of_call(const Node& node) {
  std::string text = std::string(node.op->name) + "(";
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::string(dtype_name(node.inputs[i].dtype())) + to_string(node.inputs[i].shape());
  }
  text += ")";
  return node.region == nullptr ? text : text + " of " + *node.region;
}

bool is_derivative(const Node& node) {
  if (node.region == nullptr) return false;
  thread_local std::pair<const std::string*, bool> last{nullptr,
                                                        false};  // most nodes are their neighbours' like
  if (last.first == node.region) return last.second;
  RegionNames& names = region_names();
  const std::lock_guard lock(names.mutex);
  const auto found = names.derivative.find(*node.region);
  last = {node.region, found != names.derivative.end() && &*found == node.region};
  return last.second;
}

// ---- Tensor handles ----

Tensor::Tensor(Node* node, int output) noexcept : node_(node), output_(output) {
  if (node_ != nullptr) node_->references.fetch_add(1, std::memory_order_relaxed);
}
Tensor::Tensor(const Tensor& other) noexcept : Tensor(other.node_, other.output_) {}
Tensor& Tensor::operator=(const Tensor& other) noexcept {
  Tensor copy(other);
  return *this = std::move(copy);
}
Tensor& Tensor::operator=(Tensor&& other) noexcept {
  if (this == &other) return *this;
  Node* old = node_;
  node_ = std::exchange(other.node_, nullptr);
  output_ = other.output_;
  if (old != nullptr) release_node(old);
  return *this;
}
Tensor::~Tensor() {
  if (node_ != nullptr) release_node(node_);
}

void release_node(Node* node) noexcept {
  if (node->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  // A long expression may end here: destroying its nodes must not recurse. The outermost call on this
  // thread collects what dies and destroys it one by one.
  using Queue = SmallVector<Node*, 16>;  // most often short: without memory of its own
  thread_local Queue* dying = nullptr;
  if (dying != nullptr) {
    dying->push_back(node);
    return;
  }
  Queue queue{node};
  dying = &queue;
  while (!queue.empty()) {
    Node* next = queue.back();
    queue.resize(queue.size() - 1);
    delete next;
  }
  dying = nullptr;
}

// ---- making nodes ----

namespace {

// The memory of nodes that died on this thread, at most so many. Where memory is watched for use after its
// end there are none. Tensors may be destroyed after the list is (static ones, at the end of the program).
constexpr int most_kept_nodes = is_sanitized ? 0 : 256;
thread_local bool keeps_nodes = most_kept_nodes > 0;

struct KeptNodes {
  struct Link {
    Link* next;
  };
  Link* first = nullptr;
  int count = 0;

  ~KeptNodes() {
    keeps_nodes = false;
    while (first != nullptr) ::operator delete(std::exchange(first, first->next));
  }
};
thread_local KeptNodes kept_nodes;

}  // namespace

void* Node::operator new(std::size_t bytes) {
  if (!keeps_nodes || kept_nodes.count == 0) return ::operator new(bytes);
  --kept_nodes.count;
  return std::exchange(kept_nodes.first, kept_nodes.first->next);
}

void Node::operator delete(void* memory) noexcept {
  if (!keeps_nodes || kept_nodes.count == most_kept_nodes) return ::operator delete(memory);
  ++kept_nodes.count;
  kept_nodes.first = new (memory) KeptNodes::Link{kept_nodes.first};
}

namespace {

// The first output keeps the node alive.
Tensor node_with(const OpDef& op, SmallVector<Tensor, 3> inputs, Attributes attributes) {
  Node* node = new_node(op);
  Tensor first(node, 0);
  if (!attributes.empty()) node->attributes = std::make_shared<Attributes>(std::move(attributes));
  node->region = interned_region();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) {
      throw ArgumentError(
          {.function = std::string(op.name),
           .argument = std::string(op.arguments.empty() ? "input"
                                                        : op.arguments[std::min(i, op.arguments.size() - 1)]),
           .problem = "the tensor is undefined",
           .wanted = "a tensor with a value or an expression"});
    }
  }
  node->inputs = std::move(inputs);
  (op.infer != nullptr ? op.infer : infer_elementwise)(*node, node->outputs);
  inherit_trace(*node);
  return first;
}

}  // namespace

Tensor make_node(const OpDef& op, std::span<const Tensor> inputs, Attributes attributes) {
  SmallVector<Tensor, 3> own;
  for (const Tensor& input : inputs) own.push_back(input);
  return node_with(op, std::move(own), std::move(attributes));
}

Tensor make_node(const OpDef& op, std::initializer_list<InputOf> inputs, Attributes attributes) {
  SmallVector<Tensor, 3> own;
  for (const InputOf& input : inputs) own.push_back(input.tensor);
  return node_with(op, std::move(own), std::move(attributes));
}

std::vector<Tensor> make_outputs(const OpDef& op, std::span<const Tensor> inputs, Attributes attributes) {
  return outputs_of(*make_node(op, inputs, std::move(attributes)).node());
}

std::vector<Tensor> make_outputs(const OpDef& op, std::initializer_list<InputOf> inputs,
                                 Attributes attributes) {
  return outputs_of(*make_node(op, inputs, std::move(attributes)).node());
}

std::vector<Tensor> outputs_of(const Node& node) {
  std::vector<Tensor> outputs;
  outputs.reserve(node.outputs.size());
  for (std::size_t i = 0; i < node.outputs.size(); ++i)
    outputs.emplace_back(const_cast<Node*>(&node), static_cast<int>(i));
  return outputs;
}

Tensor make_leaf(const TensorSpec& spec, Storage storage) {
  Node* node = new_node(ops::value);
  Tensor result(node, 0);
  node->outputs.push_back(spec);
  node->storage.push_back(std::move(storage));
  node->evaluated.store(true, std::memory_order_release);
  return result;
}

Tensor make_leaf(HostArray array) {
  const Strides strides = contiguous_strides(array.shape);
  return make_leaf({array.shape, array.dtype}, {std::move(array.buffer), 0, strides});
}

Tensor make_placeholder(const TensorSpec& spec) {
  Node* node = new_node(ops::placeholder);
  Tensor result(node, 0);
  node->outputs.push_back(spec);
  return result;
}

Tensor make_variable(const Tensor& x, std::uint64_t transform) {
  Node* node = new_node(ops::variable);
  Tensor result(node, 0);
  node->inputs.push_back(x);
  node->outputs.push_back(spec_of(x));
  node->is_parameter.store(x.node()->is_parameter.load());
  TraceSet trace;
  if (x.node()->trace != nullptr) trace = *x.node()->trace;
  trace.transforms.push_back(transform);
  node->trace = std::make_shared<TraceSet>(std::move(trace));
  return result;
}

std::uint64_t next_serial() { return serial_counter.load(std::memory_order_relaxed); }
std::uint64_t next_serial_number() { return serial_counter.fetch_add(1, std::memory_order_relaxed); }

void sort_by_serial(std::vector<Node*>& nodes) {
  std::sort(nodes.begin(), nodes.end(), [](const Node* a, const Node* b) { return a->serial < b->serial; });
}

// ---- reading nodes ----

const TensorSpec& spec_of(const Tensor& x) {
  if (!x.defined()) {
    throw ArgumentError(
        {.function = "Tensor", .problem = "the tensor is undefined", .wanted = "a tensor with a shape"});
  }
  return x.node()->outputs[static_cast<std::size_t>(x.output_index())];
}

const Storage& storage_of(const Tensor& x) {
  return x.node()->storage[static_cast<std::size_t>(x.output_index())];
}

void* data_of(const Tensor& x) {
  const Storage& storage = storage_of(x);
  return static_cast<std::byte*>(storage.buffer.data()) +
         storage.offset * static_cast<std::int64_t>(dtype_size(spec_of(x).dtype));
}

bool is_dense(const Shape& shape, const Strides& strides) {
  std::int64_t expected = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

bool is_constant(const Tensor& x) { return x.defined() && x.node()->op == &ops::constant; }
double constant_value(const Tensor& x) {
  const Attribute& value = x.node()->attribute(0);
  return std::holds_alternative<double>(value) ? std::get<double>(value)
                                               : static_cast<double>(std::get<std::int64_t>(value));
}
bool is_constant(const Tensor& x, double value) { return is_constant(x) && constant_value(x) == value; }

// ---- running transforms ----

TransformScope::TransformScope() : serial_(serial_counter.fetch_add(1, std::memory_order_relaxed)) {
  RunningTransforms& all = running();
  const std::lock_guard lock(all.mutex);
  all.serials.push_back(serial_);
  all.kept.emplace_back(serial_, std::vector<Tensor>());
  all.count.fetch_add(1);
}

TransformScope::~TransformScope() {
  RunningTransforms& all = running();
  std::vector<Tensor> released;
  {
    const std::lock_guard lock(all.mutex);
    std::erase(all.serials, serial_);
    const auto entry = std::find_if(all.kept.begin(), all.kept.end(),
                                    [&](const auto& kept) { return kept.first == serial_; });
    released = std::move(entry->second);
    all.kept.erase(entry);
    all.count.fetch_sub(1);
  }
  for (const Tensor& tensor : released) settle_history(*tensor.node());
}

void inherit_trace(Node& node) { node.trace = merged_trace(node); }

bool needed_by_transform(const Node& node) {
  RunningTransforms& all = running();
  if (node.trace == nullptr || all.count.load() == 0) return false;
  const std::lock_guard lock(all.mutex);
  return std::any_of(node.trace->transforms.begin(), node.trace->transforms.end(), [&](std::uint64_t serial) {
    return std::find(all.serials.begin(), all.serials.end(), serial) != all.serials.end();
  });
}

void settle_history(Node& node) {
  RunningTransforms& all = running();
  if (node.trace != nullptr && all.count.load() > 0) {
    const std::lock_guard lock(all.mutex);
    for (auto& [serial, nodes] : all.kept) {
      if (std::find(node.trace->transforms.begin(), node.trace->transforms.end(), serial) !=
          node.trace->transforms.end()) {
        nodes.emplace_back(&node, 0);
        return;
      }
    }
  }
  const SmallVector<Tensor, 3> inputs =
      std::move(node.inputs);  // destroyed here, after the node let go of them
  if (node.trace != nullptr) node.trace = nullptr;
}

}  // namespace chainrule
