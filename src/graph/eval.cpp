// Eager evaluation: the part of the graph that has no value yet is looked up by its structure in a cache
// of plans, so that a loop which builds the same expression again only binds memory and runs.

#include <algorithm>
#include <cstring>
#include <list>
#include <mutex>
#include <unordered_map>

#include <chainrule/error.hpp>

#include "graph/context_state.hpp"
#include "graph/plan.hpp"
#include "graph/scalar.hpp"
#include "kernels/parallel.hpp"

namespace chainrule {
namespace {

// Guards the gathering of a graph and the publishing of its values, both short. Kernels run outside of it.
std::mutex graph_mutex;

constexpr std::size_t most_cached_plans = 512;

struct CachedPlan {
  std::shared_ptr<const Plan> plan;
  /// Sub-graphs and rules are looked up by address: no other may get it as long as the plan is found.
  std::vector<std::shared_ptr<const Attributes>> attributes;
  std::mutex mutex;
  std::vector<std::unique_ptr<Execution>> idle;

  std::unique_ptr<Execution> take() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        std::unique_ptr<Execution> execution = std::move(idle.back());
        idle.pop_back();
        return execution;
      }
    }
    return std::make_unique<Execution>(plan, nullptr);
  }
  void give(std::unique_ptr<Execution> execution) {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(execution));
  }
};

using Key = std::vector<std::uint64_t>;
struct KeyHash {
  std::size_t operator()(const Key& key) const {
    std::uint64_t hash = key.size();
    for (const std::uint64_t word : key) hash = hash_combine(hash, word);
    return hash;
  }
};

// Least recently used plans are dropped first.
class PlanCache {
 public:
  static PlanCache& instance() {
    static auto* cache = new PlanCache;
    return *cache;
  }
  std::shared_ptr<CachedPlan> find(const Key& key) {
    const std::lock_guard lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->second;
  }
  void insert(Key key, std::shared_ptr<CachedPlan> plan) {
    const std::lock_guard lock(mutex_);
    if (index_.contains(key)) return;
    order_.emplace_front(key, std::move(plan));
    index_.emplace(std::move(key), order_.begin());
    if (order_.size() > most_cached_plans) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
  }

 private:
  std::mutex mutex_;
  std::list<std::pair<Key, std::shared_ptr<CachedPlan>>> order_;
  std::unordered_map<Key, std::list<std::pair<Key, std::shared_ptr<CachedPlan>>>::iterator, KeyHash> index_;
};

// What one evaluation computes, and from what.
struct Work {
  std::vector<Node*> nodes;    // in topological order, leaves included
  std::vector<Tensor> leaves;  // evaluated tensors and constants: the plan's inputs
  std::vector<Tensor> roots;   // all outputs of the nodes that receive values
  Key key;
};

bool is_leaf(const Node& node) {
  return node.evaluated.load(std::memory_order_acquire) || node.op == &ops::constant;
}

[[noreturn]] void throw_unreadable() {
  throw StateError(
      {.function = "eval",
       .problem = "this tensor has no value while compile or vmap builds an expression with it",
       .wanted = "an expression that does not read values",
       .hint =
           "use where() instead of an if on a value; return what you want to look at, or ask for it with a "
           "probe"});
}

void append_spec(Key& key, const TensorSpec& spec) {
  key.push_back(static_cast<std::uint64_t>(spec.dtype) * 16 + static_cast<std::uint64_t>(spec.shape.size()));
  for (const std::int64_t length : spec.shape) key.push_back(static_cast<std::uint64_t>(length));
}

void append_node(Work& work, Node& node) {
  Key& key = work.key;
  if (is_leaf(node)) {
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      append_spec(key, node.outputs[i]);
      work.leaves.emplace_back(&node, static_cast<int>(i));
      const bool dense =
          node.op == &ops::constant || is_dense(node.outputs[i].shape, node.storage[i].strides);
      key.push_back(dense ? 0 : 1);
      for (int k = 0; !dense && k < node.storage[i].strides.size(); ++k)
        key.push_back(static_cast<std::uint64_t>(node.storage[i].strides[k]));
    }
    return;
  }
  key.push_back(reinterpret_cast<std::uintptr_t>(node.op));
  key.push_back(
      node.inputs.size());  // where an op takes any number of inputs, the next entry must not pass for one
  if (node.attributes) key.push_back(hash_attributes(*node.attributes));
  if (node.op->element_rule == ElementRule::same)
    key.push_back(static_cast<std::uint64_t>(node.outputs[0].dtype));
  for (const Tensor& input : node.inputs)
    key.push_back((std::uint64_t{input.node()->mark} << 8) +
                  static_cast<std::uint64_t>(input.output_index()));
}

// Nodes that somebody besides this graph holds get their value too: they would be computed again, and a loop
// that reads something else in each round would grow its graph.
Work gather(std::span<const Tensor> outputs) {
  Work work;
  work.nodes = collect_nodes(
      outputs, [](const Node& node) { return !node.evaluated.load(std::memory_order_acquire); });
  std::vector<std::int32_t> uses(work.nodes.size(), 0);
  for (std::size_t i = 0; i < work.nodes.size(); ++i) {
    Node& node = *work.nodes[i];
    node.mark = static_cast<std::uint32_t>(i);
    if (node.op == &ops::placeholder) throw_unreadable();
    if (is_leaf(node)) continue;
    for (const Tensor& input : node.inputs) ++uses[input.node()->mark];
  }
  work.key.push_back(
      static_cast<std::uint64_t>(thread_count()));  // plans prepare products for a number of threads
  work.key.push_back(context_state().flush_subnormals ? 1 : 0);  // constants are folded as they are computed
  for (Node* node : work.nodes) append_node(work, *node);
  for (std::size_t i = 0; i < work.nodes.size(); ++i) {
    Node& node = *work.nodes[i];
    if (node.evaluated.load(std::memory_order_relaxed) ||
        (node.op == &ops::constant && node.references.load() > 0 && uses[i] > 0))
      continue;
    if (node.references.load(std::memory_order_relaxed) <= uses[i]) continue;
    for (std::size_t k = 0; k < node.outputs.size(); ++k) work.roots.emplace_back(&node, static_cast<int>(k));
    work.key.push_back(~static_cast<std::uint64_t>(i));
  }
  return work;
}

bool holds_pointer(const Attributes& attributes) {
  return std::any_of(attributes.begin(), attributes.end(), [](const Attribute& attribute) {
    return std::holds_alternative<std::shared_ptr<const SubGraph>>(attribute) ||
           std::holds_alternative<std::shared_ptr<const CustomRule>>(attribute);
  });
}

std::shared_ptr<CachedPlan> make_plan(const Work& work) {
  LoweredGraph graph;
  PlanOptions options;
  std::unordered_map<const Node*, std::vector<Tensor>> placeholders;
  for (const Tensor& leaf : work.leaves) {
    graph.inputs.push_back(make_placeholder(spec_of(leaf)));
    placeholders[leaf.node()].push_back(graph.inputs.back());
    options.input_strides.push_back(leaf.node()->op == &ops::constant ? Strides() : storage_of(leaf).strides);
  }
  // Evaluated nodes may still have a history; the walk must not go there. Their copies stand for them.
  std::unordered_map<const Node*, std::vector<Tensor>> copies = std::move(placeholders);
  for (Node* node : work.nodes) {
    if (copies.contains(node)) continue;
    SmallVector<Tensor, 3> inputs;
    for (const Tensor& input : node->inputs)
      inputs.push_back(copies.at(input.node())[static_cast<std::size_t>(input.output_index())]);
    copies.emplace(node, clone_node(*node, inputs));
  }
  for (const Tensor& root : work.roots) {
    const Tensor& copy = copies.at(root.node())[static_cast<std::size_t>(root.output_index())];
    graph.outputs.push_back(copy);
  }
  copies.clear();
  const Device& device = cpu_device();
  graph = run_passes(graph, device);
  auto cached = std::make_shared<CachedPlan>();
  cached->plan = build_plan(graph, device, options);
  for (const Node* node : work.nodes) {
    if (node->attributes != nullptr && holds_pointer(*node->attributes))
      cached->attributes.push_back(node->attributes);
  }
  return cached;
}

// The memory of a thread's eager runs: one for all plans, taken out while a run has it.
thread_local std::shared_ptr<RunMemory> thread_memory;

void run_in_thread_memory(Execution& execution) {
  std::shared_ptr<RunMemory> memory = std::exchange(thread_memory, nullptr);
  if (memory == nullptr) memory = std::make_shared<RunMemory>();
  execution.use(memory);
  execution.run();
  execution.use(nullptr);
  thread_memory = std::move(memory);
}

void run_plan(CachedPlan& cached, const Work& work, std::vector<Storage>& results) {
  const Plan& plan = *cached.plan;
  std::unique_ptr<Execution> execution = cached.take();
  struct ScalarMemory {
    alignas(8) std::byte bytes[8];
  };
  std::vector<ScalarMemory> scalars(work.leaves.size());
  std::vector<Buffer> slots(plan.arrays_of_slot.size());  // memory made for results
  std::vector<void*> bases(slots.size(), nullptr);
  for (std::size_t i = 0; i < work.leaves.size(); ++i) {
    const Tensor& leaf = work.leaves[i];
    const std::size_t slot = static_cast<std::size_t>(plan.first_input_slot()) + i;
    if (leaf.node()->op == &ops::constant) {
      write_constant(scalars[i].bytes, leaf);
      bases[slot] = scalars[i].bytes;
    } else {
      bases[slot] = data_of(leaf);
    }
    execution->bind(static_cast<int>(slot), bases[slot]);
  }
  for (std::size_t i = 0; i < plan.escaping_bytes.size(); ++i) {
    const std::size_t slot = static_cast<std::size_t>(plan.first_escaping_slot()) + i;
    slots[slot] = Buffer::allocate(plan.escaping_bytes[i]);
    bases[slot] = slots[slot].data();
    execution->bind(static_cast<int>(slot), bases[slot]);
  }
  run_in_thread_memory(*execution);
  // A result that looks at a leaf holds the leaf's memory.
  const auto buffer_of = [&](std::size_t slot) {
    const auto first_leaf = static_cast<std::size_t>(plan.first_input_slot());
    if (slot < first_leaf || slot >= first_leaf + work.leaves.size()) return slots[slot];
    const Tensor& leaf = work.leaves[slot - first_leaf];
    return is_constant(leaf) ? Buffer() : storage_of(leaf).buffer;
  };
  for (const Plan::ArraySpec& output : plan.outputs) {
    const auto slot = static_cast<std::size_t>(output.location.slot);
    const auto size = static_cast<std::int64_t>(dtype_size(output.spec.dtype));
    Buffer buffer = buffer_of(slot);
    std::int64_t offset = output.location.offset;
    if (buffer) {
      offset += static_cast<std::byte*>(bases[slot]) - static_cast<std::byte*>(buffer.data());
    } else {  // a constant scalar that is itself a result
      buffer = Buffer::allocate(8);
      std::memcpy(buffer.data(), bases[slot], 8);
    }
    results.push_back({std::move(buffer), offset / size, output.location.strides});
  }
  cached.give(std::move(execution));
}

void publish(const Work& work, std::vector<Storage>& results) {
  std::vector<Node*> settled;
  {
    const std::lock_guard lock(graph_mutex);
    for (std::size_t i = 0; i < work.roots.size();) {
      Node* node = work.roots[i].node();
      const std::size_t count = node->outputs.size();
      if (!node->evaluated.load(std::memory_order_relaxed)) {
        for (std::size_t k = 0; k < count; ++k) node->storage.push_back(std::move(results[i + k]));
        node->evaluated.store(true, std::memory_order_release);
        settled.push_back(node);
      }
      i += count;
    }
    for (Node* node : settled) settle_history(*node);
  }
}

}  // namespace

void eval(std::span<const Tensor> tensors) {
  const bool done = std::all_of(tensors.begin(), tensors.end(), [](const Tensor& x) {
    return !x.defined() || x.node()->evaluated.load(std::memory_order_acquire);
  });
  if (done) return;
  Work work;
  {
    const std::lock_guard lock(graph_mutex);
    work = gather(tensors);
  }
  if (work.roots.empty()) return;
  PlanCache& cache = PlanCache::instance();
  std::shared_ptr<CachedPlan> cached = cache.find(work.key);
  if (cached == nullptr) {
    {
      const std::lock_guard lock(graph_mutex);
      cached = make_plan(work);
    }
    cache.insert(work.key, cached);
  }
  std::vector<Storage> results;
  run_plan(*cached, work, results);
  publish(work, results);
}

void eval(std::initializer_list<Tensor> tensors) {
  eval(std::span<const Tensor>(tensors.begin(), tensors.size()));
}

const Tensor& Tensor::eval() const {
  chainrule::eval(std::span<const Tensor>(this, 1));
  return *this;
}

}  // namespace chainrule
