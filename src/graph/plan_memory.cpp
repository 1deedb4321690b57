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

// The pass that computes the new value may write over the old one when it comes after the decision to
// commit, when nobody reads the old value later, and when it reads the old value element by element.
bool PlanBuilder::can_write_in_place(int state, const Value& value) const {
  const Block& block = blocks_[static_cast<std::size_t>(value.block)];
  const int writer = block.elementwise_writer;
  if (block.kind != Block::Kind::arena || writer < 0 || writer <= commit_) return false;
  if (value.offset != 0 ||
      block.bytes !=
          blocks_[static_cast<std::size_t>(value_of(graph_.inputs[static_cast<std::size_t>(state)]).block)]
              .bytes)
    return false;
  const int last = last_read_[static_cast<std::size_t>(state)];
  if (last > writer) return false;
  if (last < writer) return true;
  const Instruction& instruction = plan_->instructions[static_cast<std::size_t>(writer)];
  const int input_block = value_of(graph_.inputs[static_cast<std::size_t>(state)]).block;
  for (int k = 0; k < instruction.input_count; ++k) {
    const Use& use = uses_[static_cast<std::size_t>(instruction.first_array + k)];
    if (use.block == input_block &&
        !(use.view.offset == 0 && use.view.spec == value.spec && is_dense_value(use.view)))
      return false;
  }
  return true;
}

// An elementwise pass may write its result over an input that nobody needs afterwards.
bool PlanBuilder::shareable_input(const Instruction& instruction, int array, int output_block) const {
  const Use& use = uses_[static_cast<std::size_t>(array)];
  const int root = find(use.block);
  const Block& block = blocks_[static_cast<std::size_t>(root)];
  const Block& output = blocks_[static_cast<std::size_t>(output_block)];
  const Use& result = uses_[static_cast<std::size_t>(instruction.first_array + instruction.input_count)];
  if (block.kind != Block::Kind::arena || block.bytes != output.bytes || block.last != output.first)
    return false;
  if (use.view.offset != 0 || !(use.view.spec == result.view.spec) || !is_dense_value(use.view)) return false;
  for (int k = 0; k < instruction.input_count; ++k) {
    const Use& other = uses_[static_cast<std::size_t>(instruction.first_array + k)];
    const bool same_view =
        other.view.offset == 0 && other.view.spec == use.view.spec && is_dense_value(other.view);
    if (find(other.block) == root && !same_view) return false;
  }
  return true;
}

void PlanBuilder::share_blocks() {
  if (options_.keep_all) return;
  for (const Instruction& instruction : plan_->instructions) {
    if (instruction.run != device_.run_elements) continue;
    const int output =
        uses_[static_cast<std::size_t>(instruction.first_array + instruction.input_count)].block;
    Block& block = blocks_[static_cast<std::size_t>(output)];
    if (block.kind != Block::Kind::arena || block.shares >= 0) continue;
    for (int k = 0; k < instruction.input_count; ++k) {
      const int array = instruction.first_array + k;
      if (!shareable_input(instruction, array, output)) continue;
      const int root = find(uses_[static_cast<std::size_t>(array)].block);
      block.shares = root;
      blocks_[static_cast<std::size_t>(root)].last = block.last;
      break;
    }
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
    plan_->arrays_of_slot[static_cast<std::size_t>(location.slot)].push_back(
        static_cast<int>(plan_->arrays.size()));
    plan_->arrays.push_back({location, use.view.spec});
  }
  for (const Value& value : outputs_) plan_->outputs.push_back({location_of(value), value.spec});
}

}  // namespace chainrule
