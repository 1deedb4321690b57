#include <chainrule/compile.hpp>

#include <algorithm>
#include <bit>
#include <deque>
#include <mutex>

#include <chainrule/error.hpp>

#include "graph/checked_run.hpp"
#include "graph/compile_checks.hpp"
#include "graph/context_state.hpp"
#include "graph/log.hpp"
#include "graph/plan.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::detail {
namespace {

constexpr std::size_t most_plans = 32;
constexpr int retraces_before_warning = 8;

using Key = std::vector<std::uint64_t>;

void append_key(Key& key, const StateVisitor& visitor) {
  key.push_back(visitor.tensors.size());
  for (const Tensor* tensor : visitor.tensors) {
    if (!tensor->defined()) {
      key.push_back(~std::uint64_t{0});
      continue;
    }
    const TensorSpec& spec = spec_of(*tensor);
    const Strides& strides = storage_of(*tensor).strides;
    const bool dense = is_dense(spec.shape, strides);
    key.push_back(static_cast<std::uint64_t>(spec.dtype) * 256 +
                  static_cast<std::uint64_t>(spec.shape.size()) * 2 + (dense ? 1 : 0));
    for (const std::int64_t length : spec.shape) key.push_back(static_cast<std::uint64_t>(length));
    for (int i = 0; !dense && i < strides.size(); ++i) key.push_back(static_cast<std::uint64_t>(strides[i]));
  }
  key.insert(key.end(), visitor.options.begin(), visitor.options.end());
}

// While a step is traced its state and arguments are placeholders; whatever happens, they come back.
class Tracing {
 public:
  Tracing(StateVisitor& state, StateVisitor& arguments) : saved_context_(context_state()) {
    for (StateVisitor* visitor : {&state, &arguments}) {
      for (Tensor* tensor : visitor->tensors) {
        saved_.emplace_back(tensor, *tensor);
        if (!tensor->defined()) continue;
        const bool is_parameter = tensor->node()->is_parameter.load();
        *tensor = make_placeholder(spec_of(*tensor));
        tensor->node()->is_parameter.store(is_parameter);
        placeholders_.push_back(*tensor);
      }
    }
    ContextState& context = context_state();
    context.base_key = make_placeholder({{}, DType::int64});
    context.base_drawn = make_placeholder({{}, DType::int64});
    placeholders_.push_back(context.base_key);
    placeholders_.push_back(context.base_drawn);
    context.drawn = 0;
    context.tracing = true;
    context.updates.clear();
    context.guards.clear();
  }
  ~Tracing() {
    for (auto saved = saved_.rbegin(); saved != saved_.rend(); ++saved) *saved->first = saved->second;
    context_state() = std::move(saved_context_);
  }
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;
  const std::vector<Tensor>& placeholders() const { return placeholders_; }

 private:
  std::vector<std::pair<Tensor*, Tensor>> saved_;
  std::vector<Tensor> placeholders_;
  ContextState saved_context_;
};

}  // namespace

// Results that lie in one block of memory, most often one. A block is handed out again when the caller has
// let go of all its results; there are two, so that a caller may hold the last run's.
struct ResultBlock {
  int slot = 0;
  std::size_t bytes = 0;
  std::vector<std::size_t> results;
  std::array<std::vector<Tensor>, 2> handles;  // per result
};

// One plan with what it takes to run it again without allocating.
struct Entry {
  Key key;
  CallSpecs specs;  // for the log
  std::shared_ptr<const Plan> plan;
  LoweredGraph graph;                   // kept for checked runs
  std::vector<Tensor> captured;         // constants that the step reached
  std::shared_ptr<const void> pattern;  // what the results' leaves are put into
  std::unique_ptr<Execution> execution;
  std::vector<ResultBlock> blocks;
  std::size_t state_leaves = 0;  // defined ones
  std::uint64_t draws = 0;       // random keys that one run takes
  bool grows_state = false;
};

struct CompiledCore::Impl {
  std::mutex mutex;
  std::deque<Entry> entries;  // most recently used first
  Key key;
  std::shared_ptr<RunMemory> memory = std::make_shared<RunMemory>();  // of all plans: one runs at a time
  int traces = 0;
  std::int64_t runs = 0;

  Entry* find(const CompiledCall& call);
  Entry& trace(const CompiledCall& call);
  std::vector<Tensor> record(Entry& entry, const CompiledCall& call, std::vector<Tensor>& inputs,
                             std::vector<Tensor>& guards);
  void run(Entry& entry, const CompiledCall& call, std::vector<Tensor>& results);
};

CompiledCore::CompiledCore() : impl_(std::make_unique<Impl>()) {}
CompiledCore::~CompiledCore() = default;
int CompiledCore::trace_count() const { return impl_->traces; }

// The plan for a call like this one; null if there is none. Plans are made for dense state alone: one that is
// found says that this state is.
Entry* CompiledCore::Impl::find(const CompiledCall& call) {
  key.clear();
  append_key(key, call.state);
  append_key(key, call.arguments);
  key.push_back(context_state().train ? 1 : 0);
  key.push_back(context_state().flush_subnormals ? 1 : 0);  // constants are folded as they are computed
  key.push_back(context_state().dtypes_key());
  key.push_back(static_cast<std::uint64_t>(thread_count()));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].key != key) continue;
    if (i > 0)
      std::rotate(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(i),
                  entries.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    return &entries.front();
  }
  return nullptr;
}

namespace {

// Everything reached from the outputs that existed before the trace, or was made by it as a value, is a
// constant of the plan.
std::vector<Tensor> capture_constants(std::span<const Tensor> outputs, std::uint64_t start) {
  const auto is_outer = [&](const Node& node) {
    if (node.op == &ops::placeholder || node.op == &ops::constant) return false;
    return node.serial < start || node.op == &ops::value;
  };
  std::vector<Tensor> captured;
  for (Node* node : collect_nodes(outputs, [&](const Node& n) { return !is_outer(n); })) {
    if (!is_outer(*node)) continue;
    if (node->is_parameter.load()) {
      throw StateError({.function = "compile",
                        .argument = "state",
                        .problem = "the step reads a parameter that is not part of its state: later changes "
                                   "of it would be missed",
                        .got = "a parameter " + to_string(node->outputs[0].shape),
                        .wanted = "every model and optimizer that the step uses",
                        .hint = "compile(step, model, optimizer)"});
    }
    for (std::size_t i = 0; i < node->outputs.size(); ++i) captured.emplace_back(node, static_cast<int>(i));
  }
  return captured;
}

LoweredGraph replace_captured(std::vector<Tensor> outputs, const std::vector<Tensor>& captured,
                              std::vector<Tensor> inputs, std::size_t guard_count) {
  std::vector<Tensor> stand_ins;
  NodeSet cut;
  for (const Tensor& constant : captured) {
    stand_ins.push_back(make_placeholder(spec_of(constant)));
    cut.insert(constant.node());
  }
  const ReplaceFn replace = [&](const Node& node, std::span<const Tensor>) {
    std::vector<Tensor> result;
    for (std::size_t i = 0; i < captured.size(); ++i) {
      if (captured[i].node() == &node) result.push_back(stand_ins[i]);
    }
    return result;
  };
  const std::vector<Tensor> rewritten = rewrite_until(
      outputs, [&](const Node& node) { return !cut.contains(&node); }, replace);
  LoweredGraph graph;
  graph.inputs = std::move(inputs);
  graph.inputs.insert(graph.inputs.end(), stand_ins.begin(), stand_ins.end());
  const auto middle = rewritten.end() - static_cast<std::ptrdiff_t>(guard_count);
  graph.outputs.assign(rewritten.begin(), middle);
  graph.guards.assign(middle, rewritten.end());
  return graph;
}

}  // namespace

// Calls the user's function on placeholders. Returns the new state and the results.
std::vector<Tensor> CompiledCore::Impl::record(Entry& entry, const CompiledCall& call,
                                               std::vector<Tensor>& inputs, std::vector<Tensor>& guards) {
  const Tracing tracing(call.state, call.arguments);
  inputs = tracing.placeholders();
  std::vector<Tensor> results;
  entry.pattern = call.trace(results);
  StateVisitor after;
  after.with_paths = true;
  call.visit_state(after);
  std::vector<Tensor> outputs;
  for (Tensor* leaf : after.tensors) {
    const RecordedUpdate* update = context_state().update_of(*leaf);
    outputs.push_back(update != nullptr ? update->value : *leaf);
  }
  const std::vector<Tensor*>& before = call.state.tensors;
  entry.grows_state = after.tensors != before || std::any_of(before.begin(), before.end(),
                                                             [](const Tensor* t) { return !t->defined(); });
  entry.state_leaves = outputs.size();
  check_new_state(entry.grows_state ? std::span<const Tensor>() : inputs, outputs, after.paths);
  check_results(results);
  outputs.insert(outputs.end(), results.begin(), results.end());
  guards = context_state().guards;
  entry.draws = context_state().drawn;
  return outputs;
}

namespace {

std::vector<ResultBlock> blocks_of_results(const Plan& plan) {
  std::vector<ResultBlock> blocks(plan.escaping_bytes.size());
  for (std::size_t i = 0; i < blocks.size(); ++i)
    blocks[i] = {plan.first_escaping_slot() + static_cast<int>(i), plan.escaping_bytes[i], {}, {}};
  const auto first = static_cast<std::size_t>(plan.state_count);
  for (std::size_t i = first; i < plan.outputs.size(); ++i) {
    const int block = plan.outputs[i].location.slot - plan.first_escaping_slot();
    blocks[static_cast<std::size_t>(block)].results.push_back(i - first);
  }
  return blocks;
}

}  // namespace

Entry& CompiledCore::Impl::trace(const CompiledCall& call) {
  Entry entry;
  entry.key = key;
  entry.specs = specs_of(call);
  check_leaves_once(entry.specs);
  ++traces;
  if (traces >= retraces_before_warning && !entries.empty())
    log(LogTopic::plan, [&] { return retrace_text(traces, entries.front().specs, entry.specs); });
  const std::uint64_t start = next_serial();
  std::vector<Tensor> inputs;
  std::vector<Tensor> guards;
  std::vector<Tensor> all = record(entry, call, inputs, guards);
  all.insert(all.end(), guards.begin(), guards.end());
  entry.captured = capture_constants(all, start);
  for (const Tensor& constant : entry.captured) {
    constant.eval();
    log(LogTopic::plan, [&] { return captured_text(constant, all); });
  }
  entry.graph = replace_captured(std::move(all), entry.captured, std::move(inputs), guards.size());
  const Device& device = cpu_device();
  entry.graph = run_passes(entry.graph, device);

  PlanOptions options;
  options.own_outputs = true;
  options.state_count = entry.grows_state ? 0 : static_cast<int>(entry.state_leaves);
  for (StateVisitor* visitor : {&call.state, &call.arguments}) {
    for (const Tensor* tensor : visitor->tensors) {
      if (tensor->defined()) options.input_strides.push_back(storage_of(*tensor).strides);
    }
  }
  options.input_strides.resize(options.input_strides.size() + 2);  // seed and number of keys drawn
  for (const Tensor& constant : entry.captured) options.input_strides.push_back(storage_of(constant).strides);
  entry.plan = build_plan(entry.graph, device, options);
  entry.execution = std::make_unique<Execution>(entry.plan, memory);
  entry.blocks = blocks_of_results(*entry.plan);
  entries.push_front(std::move(entry));
  if (entries.size() > most_plans) entries.pop_back();
  return entries.front();
}

namespace {

// Dense memory that nobody else looks at.
void copy_to_own_memory(Tensor& tensor) {
  const TensorSpec spec = spec_of(tensor);
  HostArray copy = HostArray::uninitialized(spec.dtype, spec.shape);
  const kernels::Array from{data_of(tensor), spec.dtype, spec.shape, storage_of(tensor).strides};
  const kernels::Array to{copy.buffer.data(), spec.dtype, spec.shape, contiguous_strides(spec.shape)};
  cpu_device().copy({{&from, 1}, {&to, 1}, nullptr, nullptr, nullptr});
  const bool is_parameter = tensor.node()->is_parameter.load();
  tensor = Tensor(std::move(copy));
  tensor.node()->is_parameter.store(is_parameter);
}

// The state is about to be written: a leaf that somebody else holds too is copied first, and so is a scalar
// that is a constant to every expression with it.
void make_writable(Tensor& tensor) {
  const Node& node = *tensor.node();
  const Storage& storage = storage_of(tensor);
  const bool shared = node.references.load(std::memory_order_acquire) != 1 || node.outputs.size() != 1;
  const bool own = !shared && node.op != &ops::constant;
  if (!own || !storage.buffer.writable_in_place() || storage.offset != 0) copy_to_own_memory(tensor);
}

// State is dense, so that its first value (zeros, say, which are one number seen many times) does not ask for
// a plan of its own. True when it was not.
bool make_dense(StateVisitor& state) {
  bool is_changed = false;
  for (Tensor* tensor : state.tensors) {
    if (!tensor->defined() || is_dense(tensor->shape(), storage_of(*tensor).strides)) continue;
    copy_to_own_memory(*tensor);
    is_changed = true;
  }
  return is_changed;
}

// True when nobody but `handles` holds their memory.
bool is_free(std::vector<Tensor>& handles) {
  for (const Tensor& handle : handles) {
    if (handle.node()->references.load(std::memory_order_acquire) != 1) return false;
  }
  // Nobody looks at the handles, so all but the first may let go of the buffer: is it then held once?
  Buffer& first = handles[0].node()->storage[0].buffer;
  for (std::size_t i = 1; i < handles.size(); ++i) handles[i].node()->storage[0].buffer = Buffer();
  const bool is_free = first.writable_in_place();
  for (std::size_t i = 1; i < handles.size(); ++i) handles[i].node()->storage[0].buffer = first;
  return is_free;
}

void make_handles(std::vector<Tensor>& handles, const ResultBlock& block, const Plan& plan) {
  const Buffer buffer = Buffer::allocate(block.bytes);
  handles.clear();
  for (const std::size_t i : block.results) {
    const Plan::ArraySpec& output = plan.outputs[static_cast<std::size_t>(plan.state_count) + i];
    const auto size = static_cast<std::int64_t>(dtype_size(output.spec.dtype));
    handles.push_back(
        make_leaf(output.spec, {buffer, output.location.offset / size, output.location.strides}));
  }
}

// Handles for a block's results, with memory that may be written.
const std::vector<Tensor>& result_handles(ResultBlock& block, const Plan& plan) {
  if (block.handles[0].empty()) {
    for (std::vector<Tensor>& handles : block.handles) make_handles(handles, block, plan);
  }
  for (std::vector<Tensor>& handles : block.handles) {
    if (is_free(handles)) return handles;
  }
  std::swap(block.handles[0], block.handles[1]);  // the older ones go
  make_handles(block.handles[1], block, plan);
  return block.handles[1];
}

}  // namespace

void CompiledCore::Impl::run(Entry& entry, const CompiledCall& call, std::vector<Tensor>& results) {
  Execution& execution = *entry.execution;
  const Plan& plan = *entry.plan;
  int slot = plan.first_input_slot();
  std::size_t leaf = 0;
  for (Tensor* tensor : call.state.tensors) {
    if (!tensor->defined()) continue;
    const bool written = plan.state_count > 0 && plan.state_writes[leaf] != StateWrite::unchanged;
    if (written) make_writable(*tensor);
    execution.bind(slot++, data_of(*tensor));
    ++leaf;
  }
  for (const Tensor* tensor : call.arguments.tensors) {
    if (tensor->defined()) execution.bind(slot++, data_of(*tensor));
  }
  ContextState& context = context_state();
  auto seed = static_cast<std::int64_t>(context.seed);
  auto drawn = static_cast<std::int64_t>(context.drawn);
  context.drawn += entry.draws;
  execution.bind(slot++, &seed);
  execution.bind(slot++, &drawn);
  for (const Tensor& constant : entry.captured) execution.bind(slot++, data_of(constant));

  results.resize(plan.outputs.size() - static_cast<std::size_t>(plan.state_count));
  for (ResultBlock& block : entry.blocks) {
    const std::vector<Tensor>& handles = result_handles(block, plan);
    execution.bind(block.slot, storage_of(handles[0]).buffer.data());
    for (std::size_t i = 0; i < handles.size(); ++i) results[block.results[i]] = handles[i];
  }
  ++runs;
  if (execution.run()) return;
  results.clear();
  throw_first_non_finite(entry.graph, execution, runs);
}

std::shared_ptr<const void> CompiledCore::run(const CompiledCall& call, std::vector<Tensor>& results) {
  Impl& impl = *impl_;
  const std::lock_guard lock(impl.mutex);
  for (StateVisitor* visitor : {&call.state, &call.arguments}) {
    for (const Tensor* tensor : visitor->tensors) tensor->eval();
  }
  Entry* entry = impl.find(call);
  if (entry == nullptr && make_dense(call.state)) entry = impl.find(call);
  if (entry == nullptr) entry = &impl.trace(call);
  impl.run(*entry, call, results);
  std::shared_ptr<const void> pattern = entry->pattern;
  if (entry->grows_state) {
    // This call created state (an optimizer's moments): its leaves are the first results. The plan is of no
    // further use, since the next call starts from more state.
    StateVisitor grown;
    impl.entries.pop_front();
    call.visit_state(grown);
    for (std::size_t i = 0; i < grown.tensors.size(); ++i) *grown.tensors[i] = results[i];
    results.erase(results.begin(), results.begin() + static_cast<std::ptrdiff_t>(grown.tensors.size()));
  }
  return pattern;
}

bool depends_on_transform(const std::vector<Tensor*>& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const Tensor* tensor) {
    if (!tensor->defined()) return false;
    return tensor->node()->op == &ops::placeholder || needed_by_transform(*tensor->node()) ||
           (context_state().tracing && !tensor->node()->evaluated.load());
  });
}

// ---- StateVisitor ----

void StateVisitor::leaf(Tensor& tensor, LeafKind kind, bool*) {
  tensors.push_back(&tensor);
  if (with_paths) paths.push_back(path());
  options.push_back(static_cast<std::uint64_t>(kind));
}
void StateVisitor::option(bool& value) { options.push_back(value ? 1 : 0); }
void StateVisitor::option(std::int64_t& value) { options.push_back(static_cast<std::uint64_t>(value)); }
void StateVisitor::option(double& value) { options.push_back(std::bit_cast<std::uint64_t>(value)); }
void StateVisitor::option(std::string& value) { options.push_back(std::hash<std::string>()(value)); }
void StateVisitor::option(Dims& value) {
  for (const std::int64_t x : value) options.push_back(static_cast<std::uint64_t>(x));
}

}  // namespace chainrule::detail
