#pragma once

#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "graph/plan.hpp"

namespace chainrule {

/// Turns a lowered graph into a plan, in steps: order the nodes, fuse, emit instructions over abstract
/// blocks of memory, decide which blocks are shared or written in place, then place them.
class PlanBuilder {
 public:
  PlanBuilder(const LoweredGraph& graph, const Device& device, const PlanOptions& options)
      : graph_(graph), device_(device), options_(options) {}
  std::shared_ptr<const Plan> build();

 private:
  // A block of memory that values lie in.
  struct Block {
    enum class Kind : std::uint8_t { arena, constant, input, escaping };
    Kind kind = Kind::arena;
    int slot = 0;             // for inputs and escaping blocks
    std::int64_t offset = 0;  // for constants: bytes
    std::size_t bytes = 0;
    int first = 0;    // the instruction that writes it
    int last = -1;    // the last one that touches it
    int shares = -1;  // the block whose memory it takes over
    // Which of its writer's inputs it may be written over, as bits: those that are read element by element,
    // and not after it is written.
    std::uint64_t overwritable = 0;
  };
  struct Value {
    int block = -1;           // none: nobody reads it
    std::int64_t offset = 0;  // elements
    Strides strides;
    TensorSpec spec;
  };
  struct Use {
    int block;
    Value view;
  };

  void order_nodes();
  void emit_inputs();
  void emit_node(std::size_t i);
  void emit_constant(const Node& node);
  void emit_view(const Node& node);
  void emit_elementwise(std::span<const std::size_t> members);
  void emit_group(std::span<const std::size_t> members, const ElementGroup& group, std::vector<Value> inputs,
                  std::shared_ptr<void> program);
  void emit_general(const Node& node);
  void emit_commit();
  void finish_outputs();
  void finish_state(int i);
  bool can_write_in_place(int state, const Value& value) const;
  void share_blocks();
  bool overwritable_as(const Block& block, int input, const Value& view, const TensorSpec& spec) const;
  bool shareable_input(const Instruction& instruction, int input, int output) const;
  void share_output(const Instruction& instruction, int output);
  void place();
  void resolve();

  Value value_of(const Tensor& x) const {
    return values_.at(x.node())[static_cast<std::size_t>(x.output_index())];
  }
  bool is_read(const Node& node, std::size_t output) const {
    return options_.keep_all || read_.contains({&node, static_cast<int>(output)});
  }
  Value dense_copy(const Value& value);
  Value new_value(const TensorSpec& spec, int writer);
  int new_block(Block block);
  int find(int block) const;
  bool is_dense_value(const Value& value) const;
  kernels::Array array_of(const Value& value) const;
  Instruction& emit(const Tensor& node, std::vector<Value> inputs, std::vector<Value> outputs);
  int instruction_count() const { return static_cast<int>(plan_->instructions.size()); }

  const LoweredGraph& graph_;
  const Device& device_;
  const PlanOptions& options_;
  std::shared_ptr<Plan> plan_ = std::make_shared<Plan>();
  std::vector<Node*> nodes_;
  std::size_t guard_nodes_ = 0;  // the first nodes, which the guards depend on
  std::vector<int> group_;
  std::vector<std::vector<std::size_t>> members_;
  std::vector<Keep> keep_;                      // per node
  std::set<std::pair<const Node*, int>> read_;  // values that a node or the plan's caller reads
  std::unordered_map<const Node*, std::vector<Value>> values_;
  // Per guard's node: the instruction whose operands may show that it is finite; -1 for none.
  std::unordered_map<const Node*, int> writer_of_guard_;
  std::vector<Block> blocks_;
  std::vector<Use> uses_;       // one per array of the plan
  std::vector<Value> outputs_;  // one per output of the graph
  int commit_ = -1;
  std::vector<int> last_read_;  // per input: the last instruction that reads it
};

}  // namespace chainrule
