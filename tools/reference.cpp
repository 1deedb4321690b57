// Prints docs/reference.md from the declarations: `make reference` writes it, a test compares it.

#include <iostream>
#include <string>

#include <chainrule/error.hpp>
#include <chainrule/expression.hpp>

#include "graph/op.hpp"

namespace cr = chainrule;

namespace {

// Text in a table's cell: a bar would end it.
std::string cell(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '|' ? std::string("\\|") : std::string(1, c);
  return result;
}

std::string code(const std::string& text) { return text.empty() ? "" : "`" + cell(text) + "`"; }

bool is_public(const cr::OpDef& op) { return op.kind != cr::OpKind::leaf; }

std::string signature(const cr::OpDef& op) {
  std::string result(op.name);
  result += "(";
  const char* separator = "";
  for (const auto* names : {&op.arguments, &op.attributes}) {
    for (const std::string_view name : *names) {
      result += separator;
      result += name;
      separator = ", ";
    }
  }
  return result + ")";
}

std::string properties(const cr::OpDef& op) {
  std::string result;
  const auto add = [&](const std::string& word) { result += (result.empty() ? "" : " · ") + word; };
  if (op.kind == cr::OpKind::elementwise) add("elementwise");
  if (op.kind == cr::OpKind::view) add("view");
  if (op.linear != cr::Linearity::none) add("linear");
  if (*op.text.domain != 0) add(op.text.domain);
  if (op.not_differentiable != nullptr) add(std::string("not differentiable: ") + op.not_differentiable);
  return result;
}

// How far the result may be from the exact one, as the tests hold it.
std::string bound(const cr::ErrorBound& bound) {
  std::string number = std::to_string(bound.value);
  number.erase(number.find_last_not_of('0') + 1);
  if (number.back() == '.') number.pop_back();
  switch (bound.kind) {
    case cr::BoundKind::exact:
      return "exact";
    case cr::BoundKind::ulp:
      return number + " ULP";
    case cr::BoundKind::sum:
      return number + " n ε Σ|terms|";
  }
  return "";
}

void print_derivatives(const cr::OpDef& op) {
  if (op.not_differentiable != nullptr) return;
  const cr::DerivativeTexts texts = cr::derivative_text(op.name);
  if (!texts.shapes.empty()) std::cout << "- shapes of the example: " << texts.shapes << "\n";
  for (const cr::DerivativeText& text : texts.inputs) {
    if (!text.partial.empty()) {
      std::cout << "- ∂" << texts.output << "/∂" << text.input << " = " << code(text.partial) << "\n";
    } else if (!text.backward.empty()) {
      std::cout << "- gradient of " << text.input << ": " << code(text.backward) << "\n";
    }
    if (!text.second.empty()) std::cout << "- second derivative: " << code(text.second) << "\n";
  }
}

void print_op(const cr::OpDef& op) {
  std::cout << "## " << op.name << "\n\n" << code(signature(op)) << "\n\n" << op.text.summary << "\n\n";
  const std::string formula = cr::formula_text(op.name);
  if (!formula.empty()) std::cout << "- value: " << code(formula) << "\n";
  print_derivatives(op);
  const std::string words = properties(op);
  if (!words.empty()) std::cout << "- " << words << "\n";
  std::cout << "- error bound: " << bound(op.bound) << "\n";
  if (*op.text.source != 0) std::cout << "- source: " << op.text.source << "\n";
  std::cout << "\n";
}

}  // namespace

int main() {
  int count = 0;
  int differentiable = 0;
  for (const cr::OpDef* op : cr::op_table()) {
    if (!is_public(*op)) continue;
    ++count;
    differentiable += op->not_differentiable == nullptr ? 1 : 0;
  }
  std::cout
      << "# The mathematics\n\n"
      << "Written by `make reference` from the declarations: " << count << " ops, " << differentiable
      << " of them differentiable, to any order. A derivative is not typed anywhere: it is printed from the "
         "rule that runs.\n\nIn a gradient, ȳ is the gradient that arrives from the loss, for the output "
         "y.\n\n";
  for (const cr::OpDef* op : cr::op_table()) {
    if (is_public(*op)) print_op(*op);
  }
  return 0;
}
