// Einstein's notation: each equation becomes permutations, sums and batched matrix products of two operands
// at a time, from left to right.

#include <algorithm>
#include <map>

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

// A tensor whose axes are named by letters.
struct Operand {
  Tensor value;
  std::string letters;
};

struct Equation {
  std::vector<std::string> inputs;
  std::string output;
};

// The names of the axes that an ellipsis stands for, of which the last is '9'.
constexpr std::string_view ellipsis_names = "23456789";

[[noreturn]] void throw_equation(const std::string& equation, const std::string& problem,
                                 const std::string& wanted = "") {
  throw ArgumentError({.function = "einsum",
                       .argument = "equation",
                       .problem = problem,
                       .got = "\"" + equation + "\"",
                       .wanted = wanted});
}

bool contains(const std::string& letters, char letter) { return letters.find(letter) != std::string::npos; }

std::size_t count_letters(const std::string& term) {
  return static_cast<std::size_t>(std::count_if(term.begin(), term.end(), [](char c) { return c != '.'; }));
}

// "...ij" with `extra` axes in place of the dots.
std::string expand_ellipsis(const std::string& equation, std::string term, std::size_t extra) {
  const std::size_t at = term.find("...");
  if (at != std::string::npos) term.replace(at, 3, ellipsis_names.substr(ellipsis_names.size() - extra));
  for (const char c : term) {
    const bool letter =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || contains(std::string(ellipsis_names), c);
    if (!letter)
      throw_equation(equation, std::string("'") + c + "' names no axis", "letters, commas, ... and one ->");
  }
  return term;
}

std::vector<std::string> split_terms(const std::string& text) {
  std::vector<std::string> terms{""};
  for (const char c : text) {
    if (c == ',') {
      terms.emplace_back();
    } else {
      terms.back() += c;
    }
  }
  return terms;
}

// Without an arrow: the ellipsis, then the letters that occur once, sorted.
std::string implicit_output(const std::vector<std::string>& terms) {
  std::map<char, int> counts;
  bool dots = false;
  for (const std::string& term : terms) {
    dots = dots || contains(term, '.');
    for (const char c : term) counts[c] += c == '.' ? 0 : 1;
  }
  std::string output = dots ? "..." : "";
  for (const auto& [letter, count] : counts) {
    if (count == 1) output += letter;
  }
  return output;
}

Equation parse(const std::string& text, const std::vector<Tensor>& operands) {
  std::string equation = text;
  std::erase(equation, ' ');
  const std::size_t arrow = equation.find("->");
  const std::vector<std::string> terms = split_terms(equation.substr(0, arrow));
  if (terms.size() != operands.size()) {
    throw_equation(text, "the equation names " + std::to_string(terms.size()) + " operands, " +
                             std::to_string(operands.size()) + " came");
  }
  Equation result;
  std::size_t most_extra = 0;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const std::size_t letters = count_letters(terms[i]);
    const auto rank = static_cast<std::size_t>(operands[i].rank());
    const bool dots = terms[i].find("...") != std::string::npos;
    if (dots ? rank < letters : rank != letters) {
      throw_equation(text, "operand " + std::to_string(i) + " has rank " + std::to_string(rank) +
                               ", its term is \"" + terms[i] + "\"");
    }
    const std::size_t extra = dots ? rank - letters : 0;
    most_extra = std::max(most_extra, extra);
    result.inputs.push_back(expand_ellipsis(text, terms[i], extra));
  }
  const std::string output = arrow == std::string::npos ? implicit_output(terms) : equation.substr(arrow + 2);
  result.output = expand_ellipsis(text, output, most_extra);
  std::string all;
  for (const std::string& term : result.inputs) all += term;
  for (const char c : result.output) {
    if (!contains(all, c))
      throw_equation(text, std::string("the result's axis '") + c + "' is in no operand");
    if (std::count(result.output.begin(), result.output.end(), c) > 1)
      throw_equation(text, std::string("the result names '") + c + "' twice");
  }
  return result;
}

// The length of every letter. Only axes under an ellipsis may be broadcast.
std::map<char, std::int64_t> lengths_of(const std::string& equation, const std::vector<Operand>& operands) {
  std::map<char, std::int64_t> lengths;
  for (const Operand& operand : operands) {
    for (std::size_t i = 0; i < operand.letters.size(); ++i) {
      const char letter = operand.letters[i];
      const std::int64_t length = operand.value.shape()[static_cast<int>(i)];
      const auto [entry, is_new] = lengths.try_emplace(letter, length);
      const bool stretches =
          contains(std::string(ellipsis_names), letter) && (entry->second == 1 || length == 1);
      if (stretches) entry->second = entry->second == 1 ? length : entry->second;
      if (!stretches && entry->second != length) {
        throw ShapeError({.function = "einsum",
                          .argument = "operands",
                          .problem = std::string("axis '") + letter + "' has two lengths",
                          .got = std::to_string(entry->second) + " and " + std::to_string(length) + " in \"" +
                                 equation + "\""});
      }
    }
  }
  return lengths;
}

// "iij" → "ij": the diagonal is every (n + 1)-th element of the two axes as one.
Operand take_diagonals(Operand operand) {
  for (std::size_t i = 0; i < operand.letters.size(); ++i) {
    const std::size_t again = operand.letters.find(operand.letters[i], i + 1);
    if (again == std::string::npos) continue;
    const char letter = operand.letters[i];
    const std::int64_t n = operand.value.shape()[static_cast<int>(i)];
    Tensor x = moveaxis(moveaxis(operand.value, static_cast<int>(i), -1), static_cast<int>(again) - 1, -1);
    Shape shape = x.shape();
    shape.resize(shape.size() - 1);
    shape[shape.size() - 1] = n * n;
    std::erase(operand.letters, letter);
    operand = {slice(reshape(x, shape), -1, 0, n * n, n + 1), operand.letters + letter};
    return take_diagonals(std::move(operand));
  }
  return operand;
}

Operand sum_out(const Operand& operand, const std::string& kept) {
  Dims axes;
  std::string letters;
  for (std::size_t i = 0; i < operand.letters.size(); ++i) {
    if (contains(kept, operand.letters[i])) {
      letters += operand.letters[i];
    } else {
      axes.push_back(static_cast<std::int64_t>(i));
    }
  }
  return axes.empty() ? operand : Operand{sum(operand.value, axes), letters};
}

Tensor permuted(const Operand& operand, const std::string& order) {
  Dims axes;
  for (const char letter : order) axes.push_back(static_cast<std::int64_t>(operand.letters.find(letter)));
  return permute(operand.value, axes);
}

std::int64_t product_of(const std::string& letters, const std::map<char, std::int64_t>& lengths) {
  std::int64_t product = 1;
  for (const char letter : letters) product *= lengths.at(letter);
  return product;
}

// The product of two operands; letters that are not in `kept` are summed over.
Operand contract(const Operand& left, const Operand& right, const std::string& kept,
                 const std::map<char, std::int64_t>& lengths) {
  const Operand a = sum_out(left, kept + right.letters);
  const Operand b = sum_out(right, kept + left.letters);
  std::string batch, summed, rows, columns;
  for (const char letter : a.letters)
    (!contains(b.letters, letter) ? rows : contains(kept, letter) ? batch : summed) += letter;
  for (const char letter : b.letters) {
    if (!contains(a.letters, letter)) columns += letter;
  }
  const std::int64_t batches = product_of(batch, lengths);
  const std::int64_t inner = product_of(summed, lengths);
  const Tensor x = reshape(permuted(a, batch + rows + summed), {batches, product_of(rows, lengths), inner});
  const Tensor y =
      reshape(permuted(b, batch + summed + columns), {batches, inner, product_of(columns, lengths)});
  Shape shape;
  for (const char letter : batch + rows + columns) shape.push_back(lengths.at(letter));
  return {reshape(matmul(x, y), shape), batch + rows + columns};
}

Tensor evaluate(const std::string& text, const std::vector<Tensor>& tensors) {
  const Equation equation = parse(text, tensors);
  std::vector<Operand> operands;
  for (std::size_t i = 0; i < tensors.size(); ++i) operands.push_back({tensors[i], equation.inputs[i]});
  const std::map<char, std::int64_t> lengths = lengths_of(text, operands);
  for (Operand& operand : operands) {
    Shape full;
    for (const char letter : operand.letters) full.push_back(lengths.at(letter));
    operand = take_diagonals({broadcast_to(operand.value, full), operand.letters});
  }
  Operand result = operands[0];
  for (std::size_t i = 1; i < operands.size(); ++i) {
    std::string kept = equation.output;
    for (std::size_t later = i + 1; later < operands.size(); ++later) kept += operands[later].letters;
    result = contract(result, operands[i], kept, lengths);
  }
  return permuted(sum_out(result, equation.output), equation.output);
}

Tensor numbers(const Shape& shape) {
  return reshape(linspace(-1, 1.5, element_count(shape), DType::float64), shape);
}

}  // namespace

namespace ops {

const OpDef einsum = {
    .name = "einsum",
    .arguments = {"x..."},
    .attributes = {"equation"},
    .text = {.formula = "einsum({x})",
             .latex = "\\operatorname{einsum}({x})",
             .summary = "Sums of products of elements, named by letters: \"ij,jk->ik\".",
             .domain = "linear in each factor",
             .source =
                 "Einstein, Die Grundlage der allgemeinen Relativitätstheorie, Annalen der Physik 49, 1916"},
    .infer = infer_from_definition,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {
          evaluate(node.get<std::string>(0), std::vector<Tensor>(node.inputs.begin(), node.inputs.end()))};
    },
    .bound = {BoundKind::sum, 4},
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2, 3}), numbers({3, 4})}, {std::string("ij,jk->ik")}, "matrix product"},
              {{numbers({2, 3, 4}), numbers({2, 4, 2})}, {std::string("...ij,...jk->...ik")}, "batches"},
              {{numbers({3, 3})}, {std::string("ii->i")}, "diagonal"},
              {{numbers({3}), numbers({3, 2}), numbers({2})}, {std::string("i,ij,j")}, "bilinear form"}};
    },
};

}  // namespace ops

Tensor einsum(const std::string& equation, const std::vector<Tensor>& operands) {
  if (operands.empty())
    throw ArgumentError({.function = "einsum",
                         .argument = "operands",
                         .problem = "nothing to multiply",
                         .wanted = "at least one tensor"});
  std::vector<Tensor> converted;
  const DType dtype = promoted_dtype(operands);
  for (const Tensor& operand : operands) converted.push_back(astype(operand, dtype));
  return make_node(ops::einsum, converted, {equation});
}

}  // namespace chainrule
