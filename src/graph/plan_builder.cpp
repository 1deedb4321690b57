#include "graph/plan_builder.hpp"

#include <algorithm>
#include <cstring>
#include <map>

#include <chainrule/error.hpp>

#include "graph/log.hpp"
#include "graph/origin.hpp"
#include "graph/scalar.hpp"

namespace chainrule {
namespace {

std::size_t bytes_of(const TensorSpec& spec) {
  return static_cast<std::size_t>(element_count(spec.shape)) * dtype_size(spec.dtype);
}

// The last step in which each input of a group is read. A cast to the dtype that a value has makes no step:
// the value is stored when all is done.
std::vector<std::size_t> last_reads(const ElementGroup& group) {
  std::vector<std::size_t> last(group.inputs.size(), 0);
  for (std::size_t s = 0; s < group.steps.size(); ++s) {
    const Node& node = *group.steps[s].node;
    const bool is_idle = node.op == &ops::astype && node.inputs[0].dtype() == node.outputs[0].dtype;
    for (const int input : group.steps[s].inputs) {
      if (static_cast<std::size_t>(input) >= last.size()) continue;
      std::size_t& read = last[static_cast<std::size_t>(input)];
      read = std::max(read, is_idle ? group.steps.size() : s);
    }
  }
  return last;
}

// Whether there is less to read than was written.
bool grows(const Node& node) {
  std::size_t read = 0;
  std::size_t written = 0;
  for (const Tensor& input : node.inputs) read += bytes_of(spec_of(input));
  for (const TensorSpec& output : node.outputs) written += bytes_of(output);
  return read < written;
}

}  // namespace

std::shared_ptr<const Plan> build_plan(const LoweredGraph& graph, const Device& device,
                                       const PlanOptions& options) {
  std::shared_ptr<const Plan> plan = PlanBuilder(graph, device, options).build();
  log(LogTopic::plan, [&] { return "plan\n" + to_text(*plan); });
  return plan;
}

std::shared_ptr<const Plan> PlanBuilder::build() {
  order_nodes();
  emit_inputs();
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (i == guard_nodes_) emit_commit();
    if (group_[i] == static_cast<int>(i)) emit_node(i);
  }
  if (guard_nodes_ == nodes_.size()) emit_commit();
  finish_outputs();
  share_blocks();
  place();
  resolve();
  return plan_;
}

// Everything the guards depend on comes first, so that the decision to commit falls before any state is
// written; within both parts creation order, which is topological.
void PlanBuilder::order_nodes() {
  const auto everything = [](const Node&) { return true; };
  std::vector<Tensor> all = graph_.outputs;
  all.insert(all.end(), graph_.guards.begin(), graph_.guards.end());
  nodes_ = collect_nodes(all, everything);
  const std::vector<Node*> guarded = collect_nodes(graph_.guards, everything);
  NodeSet first;
  for (Node* node : guarded) first.insert(node);
  std::stable_partition(nodes_.begin(), nodes_.end(), [&](Node* node) { return first.contains(node); });
  guard_nodes_ = guarded.size();

  // Asked of nodes with several results alone.
  const auto note = [&](const Tensor& x) {
    if (x.node()->outputs.size() > 1) read_.emplace(x.node(), x.output_index());
  };
  for (const Node* node : nodes_) std::for_each(node->inputs.begin(), node->inputs.end(), note);
  std::for_each(all.begin(), all.end(), note);

  keep_.assign(nodes_.size(), Keep::inside);
  NodeSet leaving;
  for (const Tensor& output : graph_.outputs) leaving.insert(output.node());
  for (const Tensor& guard : graph_.guards) writer_of_guard_.emplace(guard.node(), -1);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (leaving.contains(nodes_[i])) keep_[i] = Keep::stored;
    if (writer_of_guard_.contains(nodes_[i])) keep_[i] = Keep::first;
  }
  if (options_.fuse && !options_.keep_all) {
    group_ = fuse_elementwise(nodes_, keep_, device_);
    log(LogTopic::plan, [&] { return "fusion\n" + fusion_text(nodes_, group_, keep_, device_); });
  } else {
    for (std::size_t i = 0; i < nodes_.size(); ++i) group_.push_back(static_cast<int>(i));
  }
  members_.resize(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) members_[static_cast<std::size_t>(group_[i])].push_back(i);
}

int PlanBuilder::new_block(Block block) {
  blocks_.push_back(block);
  return static_cast<int>(blocks_.size()) - 1;
}

PlanBuilder::Value PlanBuilder::new_value(const TensorSpec& spec, int writer) {
  const int block = new_block({.bytes = bytes_of(spec), .first = writer, .last = writer});
  return {block, 0, contiguous_strides(spec.shape), spec};
}

void PlanBuilder::emit_inputs() {
  plan_->input_count = static_cast<int>(graph_.inputs.size());
  plan_->state_count = options_.state_count;
  plan_->input_strides = options_.input_strides;
  last_read_.assign(graph_.inputs.size(), -1);
  for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
    const TensorSpec& spec = spec_of(graph_.inputs[i]);
    const int block = new_block({.kind = Block::Kind::input,
                                 .slot = plan_->first_input_slot() + static_cast<int>(i),
                                 .bytes = bytes_of(spec)});
    const bool given =
        i < options_.input_strides.size() && options_.input_strides[i].size() == spec.shape.size();
    values_[graph_.inputs[i].node()] = {
        {block, 0, given ? options_.input_strides[i] : contiguous_strides(spec.shape), spec}};
  }
}

void PlanBuilder::emit_node(std::size_t i) {
  const Node& node = *nodes_[i];
  if (node.op == &ops::constant) return emit_constant(node);
  if (node.op == &ops::variable) {
    values_[&node] = {value_of(node.inputs[0])};
    return;
  }
  if (node.op->kind == OpKind::leaf) return;  // an input, already there
  if (node.op->kind == OpKind::view) return emit_view(node);
  if (node.op->kind == OpKind::elementwise && device_.refuse_element(node) == nullptr)
    return emit_elementwise(members_[i]);
  if (node.op->kind == OpKind::elementwise) {
    log(LogTopic::dispatch,
        [&] { return text_of_call(node) + ": not fused: " + device_.refuse_element(node); });
  }
  emit_general(node);
}

void PlanBuilder::emit_constant(const Node& node) {
  const TensorSpec& spec = node.outputs[0];
  const std::size_t offset = plan_->constants.size();
  plan_->constants.resize(offset + 8);
  write_constant(plan_->constants.data() + offset, Tensor(const_cast<Node*>(&node), 0));
  const int block =
      new_block({.kind = Block::Kind::constant, .offset = static_cast<std::int64_t>(offset), .bytes = 8});
  values_[&node] = {{block, 0, {}, spec}};
}

void PlanBuilder::emit_view(const Node& node) {
  Value input = value_of(node.inputs[0]);
  Storage to;
  if (!node.op->view(node, input.spec, {Buffer(), input.offset, input.strides}, to)) {
    input = dense_copy(input);
    node.op->view(node, input.spec, {Buffer(), input.offset, input.strides}, to);
  }
  values_[&node] = {{input.block, to.offset, to.strides, node.outputs[0]}};
}

Instruction& PlanBuilder::emit(const Tensor& node, std::vector<Value> inputs, std::vector<Value> outputs) {
  const int index = instruction_count();
  Instruction instruction;
  instruction.node = node;
  instruction.first_array = static_cast<int>(uses_.size());
  instruction.input_count = static_cast<int>(inputs.size());
  instruction.output_count = static_cast<int>(outputs.size());
  for (Value& value : inputs) {
    Block& block = blocks_[static_cast<std::size_t>(value.block)];
    block.last = index;
    if (block.kind == Block::Kind::input)
      last_read_[static_cast<std::size_t>(block.slot - plan_->first_input_slot())] = index;
    uses_.push_back({value.block, std::move(value)});
  }
  for (Value& value : outputs) {
    if (value.block >= 0) {
      Block& block = blocks_[static_cast<std::size_t>(value.block)];
      block.last = std::max(block.last, index);
    }
    uses_.push_back({value.block, std::move(value)});
  }
  plan_->instructions.push_back(std::move(instruction));
  return plan_->instructions.back();
}

PlanBuilder::Value PlanBuilder::dense_copy(const Value& value) {
  Value copy = new_value(value.spec, instruction_count());
  Instruction& instruction = emit(Tensor(), {value}, {copy});
  instruction.run = device_.copy;
  instruction.kernel = "copy";
  return copy;
}

kernels::Array PlanBuilder::array_of(const Value& value) const {
  return {nullptr, value.spec.dtype, value.spec.shape, value.strides};
}

bool PlanBuilder::is_dense_value(const Value& value) const {
  return is_dense(value.spec.shape, value.strides);
}

// One pass for all members, where it fits the device's scratch memory; otherwise one for each half. The first
// half then stores what the second reads.
void PlanBuilder::emit_elementwise(std::span<const std::size_t> members) {
  ElementGroup group;
  group.shape = nodes_[members.back()]->outputs[0].shape;
  std::vector<Value> inputs;
  std::map<std::pair<const Node*, int>, int> registers;
  NodeSet inside;
  for (const std::size_t member : members) inside.insert(nodes_[member]);
  // Inputs take the first registers, so they are numbered before any step.
  for (const std::size_t member : members) {
    for (const Tensor& input : nodes_[member]->inputs) {
      if (inside.contains(input.node())) continue;
      const auto [entry, is_new] =
          registers.try_emplace({input.node(), input.output_index()}, static_cast<int>(inputs.size()));
      if (!is_new) continue;
      inputs.push_back(value_of(input));
      group.inputs.push_back(array_of(inputs.back()));
    }
  }
  for (const std::size_t member : members) {
    const Node* node = nodes_[member];
    ElementStep step{node, {}, static_cast<int>(inputs.size() + group.steps.size())};
    for (const Tensor& input : node->inputs)
      step.inputs.push_back(registers.at({input.node(), input.output_index()}));
    registers[{node, 0}] = step.output;
    if (member == members.back() || keep_[member] != Keep::inside) group.outputs.push_back(step.output);
    group.steps.push_back(std::move(step));
  }
  std::shared_ptr<void> program = device_.prepare_elements(group);
  if (program != nullptr) return emit_group(members, group, std::move(inputs), std::move(program));
  const std::size_t half = members.size() / 2;
  for (const std::size_t member : members.subspan(half)) {
    for (const std::size_t producer : members.first(half)) {
      for (const Tensor& input : nodes_[member]->inputs) {
        if (input.node() == nodes_[producer]) keep_[producer] = std::max(keep_[producer], Keep::stored);
      }
    }
  }
  emit_elementwise(members.first(half));
  emit_elementwise(members.subspan(half));
}

void PlanBuilder::emit_group(std::span<const std::size_t> members, const ElementGroup& group,
                             std::vector<Value> inputs, std::shared_ptr<void> program) {
  const std::vector<std::size_t> last = last_reads(group);
  std::vector<Value> outputs;
  for (const int stored : group.outputs) {
    const std::size_t s = static_cast<std::size_t>(stored) - inputs.size();
    Value output = new_value(nodes_[members[s]]->outputs[0], instruction_count());
    Block& block = blocks_[static_cast<std::size_t>(output.block)];
    for (std::size_t k = 0; k < last.size(); ++k) {
      if (last[k] <= s) block.overwritable |= std::uint64_t{1} << k;
    }
    values_[nodes_[members[s]]] = {output};
    outputs.push_back(std::move(output));
  }
  Instruction& instruction = emit(Tensor(nodes_[members.back()], 0), std::move(inputs), std::move(outputs));
  instruction.run = device_.run_elements;
  instruction.kernel = "elementwise";
  instruction.steps = group.steps;
  instruction.stored = group.outputs;
  // An element program is only read: all executions share it.
  instruction.prepare = [program = std::move(program)] { return program; };
}

void PlanBuilder::emit_general(const Node& node) {
  const Kernel* chosen = nullptr;
  std::string refusals;
  for (const Kernel& kernel : device_.kernels(*node.op)) {
    const char* reason = kernel.refuse == nullptr ? nullptr : kernel.refuse(node);
    if (reason == nullptr) {
      chosen = &kernel;
      break;
    }
    refusals += std::string(refusals.empty() ? "" : "; ") + kernel.name + ": " + reason;
    log(LogTopic::dispatch, [&] { return text_of_call(node) + ": " + kernel.name + " refused: " + reason; });
  }
  if (chosen == nullptr) {
    throw ArgumentError({.function = std::string(node.op->name),
                         .argument = "x",
                         .problem = "no kernel runs this on " + std::string(device_.name),
                         .got = node.inputs.empty() ? ""
                                                    : std::string(dtype_name(node.inputs[0].dtype())) +
                                                          (refusals.empty() ? "" : " (" + refusals + ")"),
                         .region = node.region == nullptr ? "" : *node.region});
  }
  log(LogTopic::dispatch, [&] { return text_of_call(node) + ": " + chosen->name + " taken"; });
  std::vector<Value> inputs;
  std::vector<kernels::Array> input_arrays;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    Value value = value_of(node.inputs[i]);
    const bool accepted =
        chosen->accepts == nullptr ? is_dense_value(value) : chosen->accepts(array_of(value), i);
    if (!accepted) {
      log(LogTopic::dispatch, [&] {
        return text_of_call(node) + ": input " + std::to_string(i) + " has strides " +
               to_string(value.strides) + ", which " + chosen->name + " does not take: it is copied first";
      });
      value = dense_copy(value);
    }
    input_arrays.push_back(array_of(value));
    inputs.push_back(std::move(value));
  }
  std::vector<Value> outputs;
  std::vector<kernels::Array> output_arrays;
  for (const TensorSpec& spec : node.outputs) {
    const bool left_out = chosen->leaves_out && !is_read(node, outputs.size());
    outputs.push_back(left_out ? Value{-1, 0, contiguous_strides(spec.shape), spec}
                               : new_value(spec, instruction_count()));
    output_arrays.push_back(array_of(outputs.back()));
  }
  for (std::size_t k = 0; k < node.op->overwrites.size(); ++k) {
    if (outputs[k].block < 0) continue;
    blocks_[static_cast<std::size_t>(outputs[k].block)].overwritable = std::uint64_t{1}
                                                                       << node.op->overwrites[k];
  }
  values_[&node] = outputs;
  Instruction& instruction = emit(Tensor(const_cast<Node*>(&node), 0), std::move(inputs), std::move(outputs));
  instruction.run = chosen->run;
  instruction.kernel = chosen->name;
  if (chosen->prepare != nullptr) {
    instruction.prepare = [prepare = chosen->prepare, node = instruction.node, input_arrays, output_arrays] {
      return prepare(*node.node(), input_arrays, output_arrays);
    };
  }
  const auto guard = writer_of_guard_.find(&node);
  if (guard != writer_of_guard_.end() && chosen->finite_by_inputs != nullptr && grows(node)) {
    instruction.finite_by_inputs = chosen->finite_by_inputs;
    guard->second = instruction_count() - 1;
  }
  if (chosen->workspace_bytes != nullptr) instruction.workspace = chosen->workspace_bytes(node, input_arrays);
  plan_->workspace_bytes = std::max(plan_->workspace_bytes, instruction.workspace);
}

void PlanBuilder::emit_commit() {
  if (graph_.guards.empty() || commit_ >= 0) return;
  std::vector<Value> inputs;
  for (const Tensor& guard : graph_.guards) {
    const Value value = value_of(guard);
    inputs.push_back(is_dense_value(value) ? value : dense_copy(value));
  }
  commit_ = instruction_count();
  Instruction& instruction = emit(Tensor(), std::move(inputs), {});
  instruction.kernel = "commit";
  instruction.is_commit = true;
  for (const Tensor& guard : graph_.guards) instruction.writers.push_back(writer_of_guard_.at(guard.node()));
}

}  // namespace chainrule
