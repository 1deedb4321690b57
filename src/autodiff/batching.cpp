// vmap: the expression for one example, rewritten for all of them. Every value that depends on the example
// gains the batch as its first axis; what does not is computed once.

#include <chainrule/error.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

#include "autodiff/driver.hpp"
#include "graph/context_state.hpp"
#include "graph/log.hpp"
#include "graph/lower.hpp"
#include "graph/origin.hpp"
#include "ops/rules.hpp"
#include "tensor/region.hpp"

namespace chainrule {
namespace {

class Batching {
 public:
  Batching(std::int64_t size, std::uint64_t start) : size_(size), start_(start) {}

  void set(const Tensor& placeholder, Tensor batch) {
    values_[placeholder.node()] = {std::move(batch)};
    placeholders_.push_back(placeholder);
  }

  // Built since the transform began and without a value: only those can depend on an example.
  bool may_depend(const Node& node) const { return node.serial >= start_ && !node.evaluated.load(); }

  bool is_batched(const Tensor& x) const { return values_.contains(x.node()); }

  TensorList run(const TensorList& outputs) {
    for (Node* node : collect_nodes(defined_only(outputs), [&](const Node& n) { return may_depend(n); })) {
      if (!may_depend(*node) || values_.contains(node)) continue;
      if (any_batched(*node)) values_[node] = apply(*node);
    }
    TensorList result;
    for (const Tensor& output : outputs) {
      if (!output.defined()) {
        result.emplace_back();
        continue;
      }
      result.push_back(is_batched(output) ? value(output) : batched_input(output, false, size_));
    }
    return result;
  }

 private:
  bool any_batched(const Node& node) const {
    for (const Tensor& input : node.inputs) {
      if (is_batched(input)) return true;
    }
    return false;
  }
  Tensor value(const Tensor& x) const {
    const auto found = values_.find(x.node());
    return found == values_.end() ? x : found->second[static_cast<std::size_t>(x.output_index())];
  }

  TensorList apply(const Node& node) {
    TensorList inputs;
    std::vector<bool> batched;
    for (const Tensor& input : node.inputs) {
      inputs.push_back(value(input));
      batched.push_back(is_batched(input));
    }
    const RegionOverride region(node.region, is_derivative(node));
    if (node.op == &ops::variable) return {inputs[0]};
    if (node.op->batch != nullptr) return node.op->batch(node, inputs, batched, size_);
    if (node.op->kind == OpKind::elementwise) return {elementwise_batch(node, inputs, batched)};
    return loop(node, inputs, batched);
  }

  // Broadcasting aligns shapes at their ends, so the batch axis is moved in front of the widest operand.
  Tensor elementwise_batch(const Node& node, TensorList inputs, const std::vector<bool>& batched) {
    const int rank = node.outputs[0].shape.size() + 1;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      Shape shape = inputs[i].shape();
      while (batched[i] && shape.size() < rank) shape.insert(1, 1);
      inputs[i] = reshape(inputs[i], shape);
    }
    return make_node(*node.op, inputs, node.attributes ? *node.attributes : Attributes{});
  }

  TensorList loop(const Node& node, const TensorList& inputs, const std::vector<bool>& batched) {
    if (size_ == 0) return empty_batch(node);
    log(LogTopic::batch, [&] {
      return std::string(node.op->name) + ": no batching rule, loops over " + std::to_string(size_) +
             " examples";
    });
    std::vector<TensorList> examples(node.outputs.size());
    for (std::int64_t b = 0; b < size_; ++b) {
      TensorList one;
      for (std::size_t i = 0; i < inputs.size(); ++i) one.push_back(batched[i] ? inputs[i][b] : inputs[i]);
      const TensorList outputs =
          make_outputs(*node.op, one, node.attributes ? *node.attributes : Attributes{});
      for (std::size_t k = 0; k < outputs.size(); ++k) examples[k].push_back(outputs[k]);
    }
    TensorList result;
    for (const TensorList& outputs : examples) result.push_back(stack(outputs));
    return result;
  }

  static TensorList empty_batch(const Node& node) {
    TensorList result;
    for (const TensorSpec& spec : node.outputs) {
      Shape shape = spec.shape;
      shape.insert(0, 0);
      result.push_back(zeros(shape, spec.dtype));
    }
    return result;
  }

  std::int64_t size_;
  std::uint64_t start_;
  std::unordered_map<const Node*, TensorList> values_;
  TensorList placeholders_;  // kept alive, so that no later node can have the address of one
};

std::int64_t batch_size(const std::vector<Tensor*>& places, const std::vector<int>& axes) {
  std::int64_t size = -1;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (axes[i] < 0) continue;
    const std::int64_t length = places[i]->size(axes[i]);
    if (size >= 0 && length != size) {
      throw ShapeError({.function = "vmap",
                        .argument = "in_axes",
                        .problem = "the batches differ in length",
                        .got = std::to_string(size) + " and " + std::to_string(length),
                        .wanted = "one batch size"});
    }
    size = length;
  }
  if (size < 0)
    throw ArgumentError({.function = "vmap",
                         .argument = "in_axes",
                         .problem = "no argument is batched",
                         .wanted = "at least one axis of 0 or more"});
  return size;
}

// The context inside a batch: no values to read, and a key per example.
class BatchContext {
 public:
  BatchContext() : saved_(context_state()), key_(make_placeholder({{}, DType::int64})) {
    ContextState& context = context_state();
    context.base_key = key_;
    context.base_drawn = Tensor();
    context.drawn = 0;
    context.tracing = true;
    context.probes = nullptr;  // an example's values are not the caller's
    context.guards.clear();
    context.first_update = context.next_update;
  }
  ~BatchContext() {
    ContextState& context = context_state();
    saved_.updates = context.updates;
    saved_.next_update = context.next_update;
    context = saved_;
  }
  static TensorList take_guards() { return std::exchange(context_state().guards, {}); }
  const Tensor& key() const { return key_; }

 private:
  ContextState saved_;
  Tensor key_;
};

// Where an update of a tensor that carries the batch belongs: its original's place, with the batch back on
// its axis. Any other tensor has one value for all examples.
void place_update(RecordedUpdate& update, const Tensor& example_value, const Tensor& batch_value,
                  bool is_batched, const std::vector<Tensor*>& places, const std::vector<Tensor*>& originals,
                  const std::vector<int>& in_axes) {
  for (std::size_t i = 0; i < originals.size(); ++i) {
    if (update.member != places[i] || in_axes[i] < 0) continue;
    update.member = originals[i];
    update.before = *originals[i];
    update.value = moveaxis(batch_value, 0, in_axes[i]);
    return;
  }
  if (is_batched) {
    throw StateError({.function = "vmap",
                      .argument = "f",
                      .problem = "f records an update for each example of a tensor that all of them share",
                      .got = "a new value " + to_string(example_value.shape()) + " per example",
                      .wanted = "an update that does not depend on the example",
                      .hint = "use evaluation mode, or give vmap the model with a batch axis"});
  }
}

}  // namespace

namespace detail {

TensorList batched(const std::vector<Tensor*>& places, const std::vector<Tensor*>& originals,
                   const std::vector<int>& in_axes, FunctionRef<TensorList()> body) {
  const std::int64_t size = batch_size(places, in_axes);
  const std::uint64_t start = next_serial();
  Batching batching(size, start);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (in_axes[i] < 0) continue;
    const Tensor batch = moveaxis(*places[i], in_axes[i], 0);
    Shape example = batch.shape();
    example.erase(0);
    *places[i] = make_placeholder({example, batch.dtype()});
    batching.set(*places[i], batch);
  }
  std::vector<Tensor*> shared_places;
  std::vector<Tensor*> shared_originals;
  for (std::size_t i = 0; i < originals.size(); ++i) {
    if (in_axes[i] >= 0) continue;
    shared_places.push_back(places[i]);
    shared_originals.push_back(originals[i]);
  }
  ContextState& state = context_state();
  const std::uint64_t first_update = state.next_update;
  TensorList outputs;
  TensorList guards;
  {
    const Tensor keys_source = random::next_key();
    const StandIns scope(shared_places, shared_originals);
    const BatchContext context;
    batching.set(context.key(), random::split(keys_source, size));
    outputs = body();
    guards = context.take_guards();
  }
  // What the body recorded is batched like its outputs, and set aside until that has worked.
  const std::size_t output_count = outputs.size();
  std::vector<RecordedUpdate> updates;
  for (const RecordedUpdate& update : state.updates) {
    if (update.serial >= first_update) updates.push_back(update);
  }
  state.drop_updates(first_update);
  for (const RecordedUpdate& update : updates) outputs.push_back(update.value);
  // What a gradient inside wants to be finite depends on the example, too. Only a compiled step asks for it.
  const std::size_t first_guard = outputs.size();
  if (context_state().tracing) outputs.insert(outputs.end(), guards.begin(), guards.end());
  const auto depends = [&](const Node& node) { return batching.may_depend(node); };
  outputs = expand_undifferentiable(outputs, depends, [](const OpDef& op) {
    return op.batch != nullptr || op.kind == OpKind::elementwise || op.kind == OpKind::leaf;
  });
  TensorList batches = batching.run(outputs);
  for (std::size_t i = 0; i < updates.size(); ++i) {
    const std::size_t at = output_count + i;
    place_update(updates[i], outputs[at], batches[at], batching.is_batched(outputs[at]), places, originals,
                 in_axes);
    state.updates.push_back(std::move(updates[i]));
  }
  state.guards.insert(state.guards.end(), batches.begin() + static_cast<std::ptrdiff_t>(first_guard),
                      batches.end());
  batches.resize(output_count);
  return batches;
}

}  // namespace detail

}  // namespace chainrule
