// A plan as text: kernels in their order, where their operands lie, and the steps of each fused pass. It
// holds nothing that depends on the machine: no addresses, no scratch sizes, no instruction set.

#include <algorithm>
#include <charconv>

#include "graph/plan.hpp"
#include "graph/scalar.hpp"

namespace chainrule {
namespace {

std::string text_of(double value) {
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string text_of(const TensorSpec& spec) {
  return std::string(dtype_name(spec.dtype)) + to_string(spec.shape);
}

class PlanWriter {
 public:
  explicit PlanWriter(const Plan& plan) : plan_(plan) {}

  std::string write() {
    for (std::size_t i = 0; i < plan_.instructions.size(); ++i) {
      text_ += std::to_string(i) + ": ";
      write_instruction(plan_.instructions[i]);
    }
    for (std::size_t i = 0; i < plan_.outputs.size(); ++i) write_output(i);
    return text_ + "arena: " + std::to_string(plan_.arena_bytes) + " bytes, " +
           std::to_string(plan_.live_bytes) + " alive at most\n";
  }

 private:
  using ArraySpec = Plan::ArraySpec;

  // Constants by their value, inputs and results by their number, the rest by its place in the arena.
  std::string place(const ArraySpec& array) const {
    const Location& at = array.location;
    if (at.slot < 0) return "unread";
    if (at.slot == 1) {
      const std::byte* memory = plan_.constants.data() + at.offset;
      return text_of(read_scalar(memory, array.spec.dtype));
    }
    std::string text = "arena";
    if (at.slot >= plan_.first_escaping_slot()) {
      text = "result" + std::to_string(at.slot - plan_.first_escaping_slot());
    } else if (at.slot >= plan_.first_input_slot()) {
      text = "input" + std::to_string(at.slot - plan_.first_input_slot());
    }
    return at.slot == 0 || at.offset != 0 ? text + "+" + std::to_string(at.offset) : text;
  }

  std::string operand(const ArraySpec& array) const {
    std::string text = place(array) + " " + text_of(array.spec);
    if (!is_dense(array.spec.shape, array.location.strides))
      text += " strides " + to_string(array.location.strides);
    return text;
  }

  const ArraySpec& array(const Instruction& instruction, int i) const {
    return plan_.arrays[static_cast<std::size_t>(instruction.first_array + i)];
  }

  // The input whose memory a result takes over; -1 for none.
  int overwritten(const Instruction& instruction, const ArraySpec& result) const {
    for (int i = 0; i < instruction.input_count; ++i) {
      const Location& input = array(instruction, i).location;
      if (input.slot == result.location.slot && input.offset == result.location.offset) return i;
    }
    return -1;
  }

  void write_instruction(const Instruction& instruction) {
    text_ += instruction.kernel;
    const Node* node = instruction.node.node();
    if (node != nullptr && instruction.steps.empty()) {
      if (node->op->name != instruction.kernel) text_ += " for " + std::string(node->op->name);
      text_ += attributes_in_braces(*node);
    }
    for (int i = 0; i < instruction.input_count; ++i) {
      text_ += (i == 0 ? " (" : ", ") + operand(array(instruction, i));
      const int writer = instruction.is_commit ? instruction.writers[static_cast<std::size_t>(i)] : -1;
      if (writer >= 0) text_ += " unless shown finite by " + std::to_string(writer);
    }
    text_ += instruction.input_count > 0 ? ")" : " ()";
    for (int i = 0; i < instruction.output_count; ++i) {
      const ArraySpec& result = array(instruction, instruction.input_count + i);
      text_ += (i == 0 ? " -> " : ", ") + operand(result);
      const int over = overwritten(instruction, result);
      if (over >= 0) text_ += " over operand " + std::to_string(over);
    }
    text_ += "\n";
    for (const ElementStep& step : instruction.steps) write_step(instruction, step);
    if (node != nullptr && node->attributes != nullptr && instruction.steps.empty()) write_bodies(*node);
  }

  void write_bodies(const Node& node) {
    for (const Attribute& attribute : *node.attributes) {
      const auto* body = std::get_if<std::shared_ptr<const SubGraph>>(&attribute);
      if (body == nullptr) continue;
      const std::string lines = to_text(**body);
      for (std::size_t at = 0, end = 0; at < lines.size(); at = end + 1) {
        end = lines.find('\n', at);
        text_ += "     " + lines.substr(at, end + 1 - at);
      }
    }
  }

  // Registers below the number of operands hold these.
  void write_step(const Instruction& instruction, const ElementStep& step) {
    text_ += "     r" + std::to_string(step.output) + " = " + std::string(step.node->op->name) + "(";
    for (std::size_t i = 0; i < step.inputs.size(); ++i)
      text_ += (i > 0 ? ", r" : "r") + std::to_string(step.inputs[i]);
    text_ += ")" + attributes_in_braces(*step.node);
    const auto stored = std::find(instruction.stored.begin(), instruction.stored.end(), step.output);
    if (stored != instruction.stored.end() && instruction.stored.size() > 1)
      text_ += " stored as " + std::to_string(stored - instruction.stored.begin());
    text_ += "\n";
  }

  void write_output(std::size_t i) {
    static constexpr const char* kinds[] = {"unchanged", "written in place", "copied back"};
    const bool is_state = i < plan_.state_writes.size();
    text_ += (is_state ? "state " : "output ") + std::to_string(i) + ": " + operand(plan_.outputs[i]);
    if (is_state) text_ += ", " + std::string(kinds[static_cast<std::size_t>(plan_.state_writes[i])]);
    text_ += "\n";
  }

  const Plan& plan_;
  std::string text_;
};

}  // namespace

std::string to_text(const Plan& plan) { return PlanWriter(plan).write(); }

}  // namespace chainrule
