// The second half of PlanBuilder: which values leave the plan, which blocks share memory, and where
// everything lies.

#include <algorithm>

#include "graph/plan_builder.hpp"

namespace chainrule {

int PlanBuilder::find(int block) const {
  while (blocks_[static_cast<std::size_t>(block)].shares >= 0)
    block = blocks_[static_cast<std::size_t>(block)].shares;
  return block;
}

void PlanBuilder::finish_outputs() {
  plan_->state_writes.assign(static_cast<std::size_t>(options_.state_count), StateWrite::unchanged);
  const auto states = static_cast<std::size_t>(options_.state_count);
  outputs_.resize(graph_.outputs.size());
  // What leaves the plan has memory of its own. A state's old memory may be written, so with state no
  // other output may look at an input; without, sharing an input is free where the caller can do it.
  const bool own_outputs = states > 0 || options_.own_outputs;
  for (std::size_t i = states; i < graph_.outputs.size(); ++i) {
    Value value = value_of(graph_.outputs[i]);
    const Block::Kind kind = blocks_[static_cast<std::size_t>(value.block)].kind;
    if (kind == Block::Kind::constant || (kind == Block::Kind::input && own_outputs))
      value = dense_copy(value);
    Block& block = blocks_[static_cast<std::size_t>(value.block)];
    if (block.kind == Block::Kind::arena) {
      block.kind = Block::Kind::escaping;
      block.slot = plan_->first_escaping_slot() + static_cast<int>(plan_->escaping_bytes.size());
      plan_->escaping_bytes.push_back(block.bytes);
    }
    outputs_[i] = value;
  }
  // A new state that is another state's old value has to be saved before anything is overwritten.
  for (std::size_t i = 0; i < states; ++i) {
    Value value = value_of(graph_.outputs[i]);
    const Block& block = blocks_[static_cast<std::size_t>(value.block)];
    const int own_slot = plan_->first_input_slot() + static_cast<int>(i);
    const bool unchanged = block.kind == Block::Kind::input && block.slot == own_slot && value.offset == 0 &&
                           is_dense_value(value);
    if (!unchanged && (block.kind == Block::Kind::input || !is_dense_value(value))) value = dense_copy(value);
    outputs_[i] = value;
  }
  for (std::size_t i = 0; i < states; ++i) finish_state(static_cast<int>(i));
}

void PlanBuilder::finish_state(int i) {
  const auto at = static_cast<std::size_t>(i);
  Value& value = outputs_[at];
  Block& block = blocks_[static_cast<std::size_t>(value.block)];
  const int slot = plan_->first_input_slot() + i;
  if (block.kind == Block::Kind::input && block.slot == slot) return;  // unchanged
  if (can_write_in_place(i, value)) {
    block.kind = Block::Kind::input;
    block.slot = slot;
    plan_->state_writes[at] = StateWrite::in_place;
    return;
  }
  const TensorSpec spec = value.spec;
  const int input_block = value_of(graph_.inputs[at]).block;
  const Value target{input_block, 0, contiguous_strides(spec.shape), spec};
  Instruction& instruction = emit(Tensor(), {value}, {target});
  instruction.run = device_.copy;
  instruction.kernel = "copy";
  plan_->state_writes[at] = StateWrite::copied;
  value = target;
}

// The instruction that computes the new value may write over the old one when it comes after the decision to
// commit, when nobody reads the old value later, and when it reads the old value element by element.
bool PlanBuilder::can_write_in_place(int state, const Value& value) const {
  const Block& block = blocks_[static_cast<std::size_t>(value.block)];
  const int writer = block.first;
  if (block.kind != Block::Kind::arena || block.overwritable == 0 || writer <= commit_) return false;
  const int input_block = value_of(graph_.inputs[static_cast<std::size_t>(state)]).block;
  if (value.offset != 0 || block.bytes != blocks_[static_cast<std::size_t>(input_block)].bytes) return false;
  const int last = last_read_[static_cast<std::size_t>(state)];
  if (last > writer) return false;
  if (last < writer) return true;
  const Instruction& instruction = plan_->instructions[static_cast<std::size_t>(writer)];
  for (int k = 0; k < instruction.input_count; ++k) {
    const Use& use = uses_[static_cast<std::size_t>(instruction.first_array + k)];
    if (use.block == input_block && !overwritable_as(block, k, use.view, value.spec)) return false;
  }
  return true;
}

bool PlanBuilder::overwritable_as(const Block& block, int input, const Value& view,
                                  const TensorSpec& spec) const {
  return input < 64 && ((block.overwritable >> input) & 1) != 0 && view.offset == 0 && view.spec == spec &&
         is_dense_value(view);
}

// A result may be written over an input that nobody needs afterwards.
bool PlanBuilder::shareable_input(const Instruction& instruction, int input, int output) const {
  const Use& use = uses_[static_cast<std::size_t>(instruction.first_array + input)];
  const int root = find(use.block);
  const Block& block = blocks_[static_cast<std::size_t>(root)];
  const Use& result =
      uses_[static_cast<std::size_t>(instruction.first_array + instruction.input_count + output)];
  const Block& target = blocks_[static_cast<std::size_t>(result.block)];
  if (block.kind != Block::Kind::arena || block.bytes != target.bytes || block.last != target.first)
    return false;
  for (int k = 0; k < instruction.input_count; ++k) {
    const Use& other = uses_[static_cast<std::size_t>(instruction.first_array + k)];
    if (find(other.block) == root && !overwritable_as(target, k, other.view, result.view.spec)) return false;
  }
  // Not over what another result of the same instruction has taken.
  for (int k = 0; k < output; ++k) {
    const Use& other = uses_[static_cast<std::size_t>(instruction.first_array + instruction.input_count + k)];
    if (other.block >= 0 && find(other.block) == root) return false;
  }
  return true;
}

void PlanBuilder::share_output(const Instruction& instruction, int output) {
  const int own =
      uses_[static_cast<std::size_t>(instruction.first_array + instruction.input_count + output)].block;
  if (own < 0) return;
  Block& block = blocks_[static_cast<std::size_t>(own)];
  if (block.kind != Block::Kind::arena || block.shares >= 0 || block.overwritable == 0) return;
  for (int k = 0; k < instruction.input_count; ++k) {
    if (!shareable_input(instruction, k, output)) continue;
    const int root = find(uses_[static_cast<std::size_t>(instruction.first_array + k)].block);
    block.shares = root;
    blocks_[static_cast<std::size_t>(root)].last = block.last;
    return;
  }
}

void PlanBuilder::share_blocks() {
  if (options_.keep_all) return;
  for (const Instruction& instruction : plan_->instructions) {
    for (int output = 0; output < instruction.output_count; ++output) share_output(instruction, output);
  }
}

void PlanBuilder::place() {
  std::vector<ArenaBlock> placed;
  std::vector<int> owners;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    if (block.kind != Block::Kind::arena || block.shares >= 0) continue;
    const int last = options_.keep_all ? instruction_count() : block.last;
    placed.push_back({block.bytes, block.first, last, 0});
    owners.push_back(static_cast<int>(i));
  }
  plan_->arena_bytes = place_in_arena(placed);
  plan_->live_bytes = most_live_bytes(placed);
  for (std::size_t i = 0; i < owners.size(); ++i) {
    Block& block = blocks_[static_cast<std::size_t>(owners[i])];
    block.offset = static_cast<std::int64_t>(placed[i].offset);
  }
}

void PlanBuilder::resolve() {
  const auto location_of = [&](const Value& value) {
    if (value.block < 0) return Location{-1, 0, value.strides};
    const Block& block = blocks_[static_cast<std::size_t>(find(value.block))];
    const int slot = block.kind == Block::Kind::arena      ? 0
                     : block.kind == Block::Kind::constant ? 1
                                                           : block.slot;
    const auto size = static_cast<std::int64_t>(dtype_size(value.spec.dtype));
    return Location{slot, block.offset + value.offset * size, value.strides};
  };
  const int slots = plan_->first_escaping_slot() + static_cast<int>(plan_->escaping_bytes.size());
  plan_->arrays_of_slot.resize(static_cast<std::size_t>(slots));
  plan_->arrays.reserve(uses_.size());
  for (const Use& use : uses_) {
    const Location location = location_of(use.view);
    if (location.slot >= 0) {
      plan_->arrays_of_slot[static_cast<std::size_t>(location.slot)].push_back(
          static_cast<int>(plan_->arrays.size()));
    }
    plan_->arrays.push_back({location, use.view.spec});
  }
  for (const Value& value : outputs_) plan_->outputs.push_back({location_of(value), value.spec});
}

}  // namespace chainrule
