#include <chainrule/compile.hpp>

#include <algorithm>
#include <bit>
#include <deque>
#include <mutex>

#include <chainrule/error.hpp>

#include "graph/checked_run.hpp"
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
        *tensor = make_placeholder(spec_of(*tensor));
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
    for (auto& [tensor, value] : saved_) *tensor = value;
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

// One plan with what it takes to run it again without allocating.
struct Entry {
  Key key;
  std::shared_ptr<const Plan> plan;
  LoweredGraph graph;            // kept for checked runs
  std::vector<Tensor> captured;  // constants that the step reached
  std::unique_ptr<Execution> execution;
  std::vector<std::array<Tensor, 2>> results;  // handles to hand out, reused when the caller let go of them
  std::vector<Tensor> new_state_leaves;        // not empty for a run that created state
  std::size_t state_leaves = 0;                // defined ones
  std::uint64_t draws = 0;                     // random keys that one run takes
  bool grows_state = false;
};

struct CompiledCore::Impl {
  std::mutex mutex;
  std::deque<Entry> entries;  // most recently used first
  Key key;
  int traces = 0;
  std::int64_t runs = 0;

  Entry* find();
  Entry& trace(StateVisitor& state, StateVisitor& arguments, FunctionRef<void(std::vector<Tensor>&)> call,
               FunctionRef<void(StateVisitor&)> collect);
  void run(Entry& entry, StateVisitor& state, StateVisitor& arguments, std::vector<Tensor>& results);
};

CompiledCore::CompiledCore() : impl_(std::make_unique<Impl>()) {}
CompiledCore::~CompiledCore() = default;
int CompiledCore::trace_count() const { return impl_->traces; }

Entry* CompiledCore::Impl::find() {
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

Entry& CompiledCore::Impl::trace(StateVisitor& state, StateVisitor& arguments,
                                 FunctionRef<void(std::vector<Tensor>&)> call,
                                 FunctionRef<void(StateVisitor&)> collect) {
  ++traces;
  if (traces == retraces_before_warning) {
    log(LogTopic::plan, [&] {
      return "a compiled step was traced " + std::to_string(traces) +
             " times; shapes or options that change from call to call cost a new plan each";
    });
  }
  Entry entry;
  entry.key = key;
  std::vector<Tensor> outputs;
  std::vector<Tensor> inputs;
  std::vector<Tensor> guards;
  const std::uint64_t start = next_serial();
  {
    const Tracing tracing(state, arguments);
    inputs = tracing.placeholders();
    std::vector<Tensor> results;
    call(results);
    StateVisitor after;
    collect(after);
    for (Tensor* leaf : after.tensors) {
      const RecordedUpdate* update = context_state().update_of(*leaf);
      outputs.push_back(update != nullptr ? update->value : *leaf);
    }
    entry.grows_state =
        after.tensors != state.tensors || std::any_of(state.tensors.begin(), state.tensors.end(),
                                                      [](const Tensor* t) { return !t->defined(); });
    entry.state_leaves = outputs.size();
    outputs.insert(outputs.end(), results.begin(), results.end());
    guards = context_state().guards;
    entry.draws = context_state().drawn;
    check_results(outputs, entry.state_leaves);
  }
  std::vector<Tensor> all = outputs;
  all.insert(all.end(), guards.begin(), guards.end());
  entry.captured = capture_constants(all, start);
  for (const Tensor& constant : entry.captured) {
    constant.eval();
    log(LogTopic::plan, [&] {
      return "compile: captured constant " + to_string(constant.shape()) + " " +
             std::string(dtype_name(constant.dtype()));
    });
  }
  entry.graph = replace_captured(std::move(all), entry.captured, std::move(inputs), guards.size());
  const Device& device = cpu_device();
  entry.graph = run_passes(entry.graph, device);

  PlanOptions options;
  options.own_outputs = true;
  options.state_count = entry.grows_state ? 0 : static_cast<int>(entry.state_leaves);
  for (StateVisitor* visitor : {&state, &arguments}) {
    for (const Tensor* tensor : visitor->tensors) {
      if (tensor->defined()) options.input_strides.push_back(storage_of(*tensor).strides);
    }
  }
  options.input_strides.resize(options.input_strides.size() + 2);  // seed and number of keys drawn
  for (const Tensor& constant : entry.captured) options.input_strides.push_back(storage_of(constant).strides);
  entry.plan = build_plan(entry.graph, device, options);
  entry.execution = std::make_unique<Execution>(entry.plan);
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
// a plan of its own.
void make_dense(StateVisitor& state) {
  for (Tensor* tensor : state.tensors) {
    if (tensor->defined() && !is_dense(tensor->shape(), storage_of(*tensor).strides))
      copy_to_own_memory(*tensor);
  }
}

// Memory for a result: that of an earlier run when the caller let go of it.
Tensor& result_handle(std::array<Tensor, 2>& handles, const TensorSpec& spec) {
  for (Tensor& handle : handles) {
    const bool is_free = handle.defined() && handle.node()->references.load(std::memory_order_acquire) == 1;
    if (is_free && storage_of(handle).buffer.writable_in_place()) return handle;
  }
  for (Tensor& handle : handles) handle = Tensor(HostArray::uninitialized(spec.dtype, spec.shape));
  return handles[0];
}

}  // namespace

void CompiledCore::Impl::run(Entry& entry, StateVisitor& state, StateVisitor& arguments,
                             std::vector<Tensor>& results) {
  Execution& execution = *entry.execution;
  const Plan& plan = *entry.plan;
  int slot = plan.first_input_slot();
  std::size_t leaf = 0;
  for (Tensor* tensor : state.tensors) {
    if (!tensor->defined()) continue;
    const bool written = plan.state_count > 0 && plan.state_writes[leaf] != StateWrite::unchanged;
    if (written) make_writable(*tensor);
    execution.bind(slot++, data_of(*tensor));
    ++leaf;
  }
  for (const Tensor* tensor : arguments.tensors) {
    if (tensor->defined()) execution.bind(slot++, data_of(*tensor));
  }
  ContextState& context = context_state();
  auto seed = static_cast<std::int64_t>(context.seed);
  auto drawn = static_cast<std::int64_t>(context.drawn);
  context.drawn += entry.draws;
  execution.bind(slot++, &seed);
  execution.bind(slot++, &drawn);
  for (const Tensor& constant : entry.captured) execution.bind(slot++, data_of(constant));

  const std::size_t first_result = static_cast<std::size_t>(plan.state_count);
  entry.results.resize(plan.outputs.size() - first_result);
  // Results that are views of one block share it: each block belongs to the first result that uses it.
  for (std::size_t i = 0; i < entry.results.size(); ++i) {
    const Plan::ArraySpec& output = plan.outputs[first_result + i];
    const std::size_t block = static_cast<std::size_t>(output.location.slot - plan.first_escaping_slot());
    const std::int64_t elements =
        static_cast<std::int64_t>(plan.escaping_bytes[block] / dtype_size(output.spec.dtype));
    std::size_t owner = 0;
    while (plan.outputs[first_result + owner].location.slot != output.location.slot) ++owner;
    const bool whole = owner == i && output.location.offset == 0 &&
                       is_dense(output.spec.shape, output.location.strides) &&
                       element_count(output.spec.shape) == elements;
    if (whole) {
      Tensor& handle = result_handle(entry.results[i], output.spec);
      execution.bind(output.location.slot, data_of(handle));
      results.push_back(handle);
      continue;
    }
    Storage storage;
    if (owner < i) {
      storage.buffer = storage_of(results[owner]).buffer;
    } else {
      storage.buffer = Buffer::allocate(plan.escaping_bytes[block]);
      execution.bind(output.location.slot, storage.buffer.data());
    }
    storage.offset = output.location.offset / static_cast<std::int64_t>(dtype_size(output.spec.dtype));
    storage.strides = output.location.strides;
    results.push_back(make_leaf(output.spec, std::move(storage)));
  }
  ++runs;
  if (execution.run()) return;
  results.clear();
  throw_first_non_finite(entry.graph, execution, runs);
}

void CompiledCore::run(StateVisitor& state, StateVisitor& arguments,
                       FunctionRef<void(std::vector<Tensor>&)> trace,
                       FunctionRef<void(StateVisitor&)> collect, std::vector<Tensor>& results) {
  Impl& impl = *impl_;
  const std::lock_guard lock(impl.mutex);
  for (StateVisitor* visitor : {&state, &arguments}) {
    for (const Tensor* tensor : visitor->tensors) tensor->eval();
  }
  make_dense(state);
  impl.key.clear();
  append_key(impl.key, state);
  append_key(impl.key, arguments);
  impl.key.push_back(context_state().train ? 1 : 0);
  impl.key.push_back(static_cast<std::uint64_t>(thread_count()));
  Entry* entry = impl.find();
  const bool first = entry == nullptr;
  if (first) entry = &impl.trace(state, arguments, trace, collect);
  impl.run(*entry, state, arguments, results);
  if (entry->grows_state) {
    // This call created state (an optimizer's moments): its leaves are the first results. The plan is of no
    // further use, since the next call starts from more state.
    StateVisitor grown;
    impl.entries.pop_front();
    collect(grown);
    for (std::size_t i = 0; i < grown.tensors.size(); ++i) *grown.tensors[i] = results[i];
    results.erase(results.begin(), results.begin() + static_cast<std::ptrdiff_t>(grown.tensors.size()));
  }
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
