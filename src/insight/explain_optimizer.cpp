#include <array>
#include <cstdlib>

#include <fmt/format.h>

#include <chainrule/optim.hpp>
#include <chainrule/transforms.hpp>

#include "autodiff/driver.hpp"
#include "graph/context_state.hpp"
#include "insight/explain_text.hpp"
#include "insight/named.hpp"

namespace chainrule::insight {
namespace {

// One parameter, on which an optimizer makes a step.
struct One {
  Parameter p;
  void visit(Visitor& v) { v("p", p); }
};

// What an update reads is a symbol, and nothing is computed.
class SymbolScope {
 public:
  SymbolScope() { context_state().tracing = true; }
  ~SymbolScope() { context_state().tracing = before_; }
  SymbolScope(const SymbolScope&) = delete;
  SymbolScope& operator=(const SymbolScope&) = delete;

 private:
  bool before_ = context_state().tracing;
};

// As papers call them.
std::string letter_of(const std::string& state) {
  struct Letter {
    std::string_view name, letter;
  };
  static constexpr std::array letters = {Letter{"exp_avg", "m"},        Letter{"exp_avg_sq", "v"},
                                         Letter{"max_exp_avg_sq", "u"}, Letter{"momentum_buffer", "b"},
                                         Letter{"square_avg", "v"},     Letter{"grad_avg", "a"}};
  for (const Letter& l : letters) {
    if (l.name == state) return std::string(l.letter);
  }
  return state;
}

std::string last_name(const std::string& path) { return path.substr(path.rfind('.') + 1); }

// 1 − 0.9 is 0.09999999999999998 to a computer; nobody wrote that.
std::string with_short_numbers(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const bool begins = text[i] >= '0' && text[i] <= '9' &&
                        (i == 0 || std::isalpha(static_cast<unsigned char>(text[i - 1])) == 0);
    if (!begins) {
      result += text[i++];
      continue;
    }
    char* end = nullptr;
    const double value = std::strtod(text.c_str() + i, &end);
    const auto length = static_cast<std::size_t>(end - text.c_str()) - i;
    result += length > 12 ? fmt::format("{:.10g}", value) : text.substr(i, length);
    i += length;
  }
  return result;
}

bool has_text_of_its_own(const OpDef& op) {
  return op.partial != nullptr || op.vjp != nullptr || op.not_differentiable != nullptr ||
         op.kind == OpKind::leaf;
}

std::vector<std::string> update_lines(optim::Optimizer optimizer, TextStyle style) {
  One model{Parameter(zeros({}, DType::float64))};
  optimizer.init(model);
  const SymbolScope scope;
  std::vector<NamedTensor> names;
  const auto symbol = [&](const std::string& name, DType dtype) {
    names.push_back({make_placeholder({{}, dtype}), name});
    return names.back().tensor;
  };
  model.p = symbol("p", DType::float64);
  const One gradient{Parameter(symbol("g", DType::float64))};
  std::vector<std::string> states;
  for (const Leaf& leaf : leaves(optimizer)) {
    const std::string name = last_name(leaf.path);
    if (name == "learning_rate") *leaf.tensor = symbol("lr", DType::float64);
    if (name == "step_count") *leaf.tensor = make_placeholder({{}, DType::float64});
    if (!leaf.path.starts_with("state.")) continue;
    states.push_back(letter_of(name));
    *leaf.tensor = symbol(states.back(), DType::float64);
  }
  optimizer.update(model, gradient);
  std::vector<Tensor> results;
  for (const Leaf& leaf : leaves(optimizer)) {
    if (leaf.path.starts_with("state.")) results.push_back(*leaf.tensor);
    if (last_name(leaf.path) == "step_count") names.push_back({*leaf.tensor, "t"});
  }
  results.push_back(model.p);
  states.emplace_back("p");
  results = expand_undifferentiable(
      results, [](const Node&) { return true; }, has_text_of_its_own);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < results.size(); ++i) {
    lines.push_back(padded(states[i] + "'", 3) + "= " +
                    with_short_numbers(format_expression(results[i], names, {.style = style})));
    // What has been printed is called by its name from here on.
    names.push_back({results[i], states[i] + "'"});
  }
  return lines;
}

struct Variant {
  std::string_view name;
  const char* options;
  optim::Optimizer optimizer;
};
std::vector<Variant> variants() {
  return {{"Adam", "beta1 = 0.9, beta2 = 0.999", optim::Adam()},
          {"AdamW", "beta1 = 0.9, beta2 = 0.999, weight_decay = 0.01", optim::AdamW({.weight_decay = 0.01})},
          {"GradientDescent", "", optim::GradientDescent({.lr = 0.1})},
          {"RMSProp", "alpha = 0.99", optim::RMSProp()},
          {"SGD", "momentum = 0.9", optim::SGD({.momentum = 0.9})},
          {"SGD", "momentum = 0.9, nesterov", optim::SGD({.momentum = 0.9, .nesterov = true})}};
}

}  // namespace

void explain_optimizer(NamedExplanation& e, TextStyle style) {
  e.formula += e.formula.empty() ? "" : ", in the first step, from state 0";
  for (const Variant& variant : variants()) {
    if (variant.name != e.name) continue;
    ExplainedPart part{"update", update_lines(variant.optimizer, style)};
    if (*variant.options != '\0') part.lines.push_back(std::string("  with ") + variant.options);
    e.parts.push_back(std::move(part));
  }
  e.parts.push_back({"where",
                     {"g is the gradient, t counts the steps from 1, ' marks what a step makes; traced from "
                      "the step that runs"}});
}

}  // namespace chainrule::insight
