#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "graph/lower.hpp"

namespace chainrule {

/// Where a value lies: in which block of memory, how far in, with which strides.
struct Location {
  int slot = -1;  ///< 0 the arena, 1 the constants, then the inputs, then the escaping outputs; −1 none
  std::int64_t offset = 0;  ///< bytes
  Strides strides;
};

/// One kernel call. Inputs and outputs are positions in the plan's list of arrays.
struct Instruction {
  void (*run)(const KernelCall& call) = nullptr;
  const char* kernel = "";
  Tensor node;  ///< keeps the node alive; for a fused group, its last one
  int first_array = 0;
  int input_count = 0;
  int output_count = 0;
  /// Makes the kernel's state; one per execution, since it may hold scratch memory.
  std::function<std::shared_ptr<void>()> prepare;
  std::size_t workspace = 0;
  std::vector<ElementStep> steps;  ///< of a fused pass; `node` keeps their nodes alive
  std::vector<int> stored;         ///< the registers that its outputs come from
  /// Asked after the kernel has run, while its inputs are still there: whether they show that its outputs are
  /// finite. Null where nobody asks or reading the outputs is cheaper.
  bool (*finite_by_inputs)(const KernelCall& call) = nullptr;
  bool is_commit = false;    ///< checks that its inputs are finite; the run ends here when they are not
  std::vector<int> writers;  ///< of a commit: per input, the instruction with `finite_by_inputs`; −1: none
};

/// What a state leaf of a compiled step becomes.
enum class StateWrite : std::uint8_t { unchanged, in_place, copied };

struct PlanOptions {
  bool fuse = true;
  /// The first `state_count` inputs are state, and the first `state_count` outputs their new values.
  int state_count = 0;
  /// No output looks at an input's memory. (With state that is so in any case: its memory may be written.)
  bool own_outputs = false;
  /// Layouts of the inputs; dense where empty.
  std::vector<Strides> input_strides;
  /// Every output gets memory of its own and every op an instruction: for checked runs.
  bool keep_all = false;
};

/// A graph turned into a list of kernel calls over planned memory. Immutable, shared by all runs.
struct Plan {
  struct ArraySpec {
    Location location;
    TensorSpec spec;
  };
  std::vector<Instruction> instructions;
  std::vector<ArraySpec> arrays;
  std::vector<std::vector<int>> arrays_of_slot;
  std::vector<std::byte> constants;
  std::vector<std::size_t> escaping_bytes;  ///< sizes of the escaping slots
  int input_count = 0;
  int state_count = 0;
  std::vector<Strides> input_strides;    ///< as in the options
  std::vector<Plan::ArraySpec> outputs;  ///< where each output is found after a run
  std::vector<StateWrite> state_writes;
  std::size_t arena_bytes = 0;
  std::size_t live_bytes = 0;  ///< the most bytes alive at one time: what no planner can go below
  std::size_t workspace_bytes = 0;

  int first_input_slot() const { return 2; }
  int first_escaping_slot() const { return 2 + input_count; }
};

std::shared_ptr<const Plan> build_plan(const LoweredGraph& graph, const Device& device,
                                       const PlanOptions& options);

/// The plan as text, the same on every machine: kernels, places in memory, steps of fused passes.
std::string to_text(const Plan& plan);

/// The memory that a run needs for its intermediate values and for scratch. Plans that never run at the same
/// time share one, as large as the largest of them needs.
class RunMemory {
 public:
  /// At least so many bytes; what was there before is lost when it has to grow.
  void* arena(std::size_t bytes) { return grown(arena_, bytes); }
  void* workspace(std::size_t bytes) { return grown(workspace_, bytes); }
  std::size_t bytes() const { return arena_.bytes() + workspace_.bytes(); }

 private:
  static void* grown(Buffer& buffer, std::size_t bytes) {
    if (bytes > buffer.bytes()) {
      buffer = Buffer();  // the old one goes first
      buffer = Buffer::allocate(bytes);
    }
    return buffer.data();
  }
  Buffer arena_;
  Buffer workspace_;
};

/// The resolved pointers of one run at a time. Reused from run to run; after the first run with the same
/// shapes nothing is allocated.
class Execution {
 public:
  explicit Execution(std::shared_ptr<const Plan> plan,
                     std::shared_ptr<RunMemory> memory = std::make_shared<RunMemory>());
  /// Other memory for the runs to come; null to let go of it in between.
  void use(std::shared_ptr<RunMemory> memory) { memory_ = std::move(memory); }
  /// Points a slot at memory. Cheap when it already points there.
  void bind(int slot, void* data);
  /// Runs all instructions. False when the values to commit were not finite; then no state was written.
  bool run();
  const Plan& plan() const { return *plan_; }
  void* base(int slot) const { return bases_[static_cast<std::size_t>(slot)]; }
  /// Runs instruction i alone, for checked and profiled runs.
  void run_instruction(std::size_t i);
  std::span<const kernels::Array> inputs_of(const Instruction& instruction) const;
  std::span<const kernels::Array> outputs_of(const Instruction& instruction) const;

 private:
  template <typename Before>
  bool run_all(const Before& before);
  bool may_commit(const Instruction& commit) const;
  void attach();

  std::shared_ptr<const Plan> plan_;
  std::vector<kernels::Array> arrays_;
  std::vector<void*> bases_;
  std::vector<std::shared_ptr<void>> prepared_;  // per instruction
  std::vector<bool> known_finite_;               // per instruction: its inputs show that its outputs are
  std::vector<std::byte> constants_;
  std::shared_ptr<RunMemory> memory_;
  void* workspace_ = nullptr;
};

/// What fusion may do with a node's value.
enum class Keep : std::uint8_t {
  inside,  ///< nobody outside the group needs it: it need not be stored
  stored,  ///< it leaves the plan: a group that computes it stores it
  first    ///< it is needed before the step commits, so it can't wait for a later group
};

/// Fusion: `group[i]` is the index of the last node of the group that node i is computed in (its own index
/// for a node that stands alone). `nodes` are in topological order.
std::vector<int> fuse_elementwise(std::span<Node* const> nodes, const std::vector<Keep>& keep,
                                  const Device& device);

/// One line per pair of neighbours in different groups, one of them elementwise: why they are not fused.
std::string fusion_text(std::span<Node* const> nodes, std::span<const int> group, std::span<const Keep> keep,
                        const Device& device);

/// Places blocks with lifetimes [first, last] (instruction numbers) into one arena; returns its size.
struct ArenaBlock {
  std::size_t bytes = 0;
  int first = 0;
  int last = 0;
  std::size_t offset = 0;
};
std::size_t place_in_arena(std::vector<ArenaBlock>& blocks);
std::size_t most_live_bytes(std::span<const ArenaBlock> blocks);

}  // namespace chainrule
