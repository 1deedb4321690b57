#include <algorithm>
#include <cmath>

#include <chainrule/error.hpp>

#include "ops/declarations.hpp"
#include "ops/rules.hpp"

namespace chainrule {
namespace {

std::string describe(const Tensor& a, const Tensor& b) {
  return to_string(a.shape()) + " " + std::string(dtype_name(a.dtype())) + " and " + to_string(b.shape()) +
         " " + std::string(dtype_name(b.dtype()));
}

Shape leading(const Shape& shape) {
  Shape result = shape;
  result.resize(shape.size() - 2);
  return result;
}

// [.., M, K] · [.., K, N]; both have at least two axes and one dtype.
void infer_matmul(const Node& node, SmallVector<TensorSpec, 1>& outputs) {
  const Tensor& a = node.inputs[0];
  const Tensor& b = node.inputs[1];
  const Shape& sa = a.shape();
  const Shape& sb = b.shape();
  if (sa.back() != sb[sb.size() - 2]) {
    throw ShapeError({.function = "matmul",
                      .argument = "b",
                      .problem = "the columns of a (" + std::to_string(sa.back()) + ") and the rows of b (" +
                                 std::to_string(sb[sb.size() - 2]) + ") differ",
                      .got = describe(a, b),
                      .wanted = "a [.., M, K] and b [.., K, N]"});
  }
  Shape shape = broadcast_shapes(leading(sa), leading(sb), "matmul");
  shape.push_back(sa[sa.size() - 2]);
  shape.push_back(sb.back());
  outputs.push_back({shape, a.dtype()});
}

void matmul_vjp(const Node& node, std::span<const Tensor>, std::span<const Tensor> outputs_bar,
                const std::vector<bool>& needed, std::span<Tensor> inputs_bar) {
  const Tensor& a = node.inputs[0];
  const Tensor& b = node.inputs[1];
  const Tensor& y_bar = outputs_bar[0];
  if (needed[0]) inputs_bar[0] = unbroadcast(matmul(y_bar, transpose(b)), a.shape());
  if (needed[1]) inputs_bar[1] = unbroadcast(matmul(transpose(a), y_bar), b.shape());
}

std::vector<Tensor> matmul_jvp(const Node& node, std::span<const Tensor>, std::span<const Tensor> tangents) {
  Tensor result;
  if (tangents[0].defined()) result = matmul(tangents[0], node.inputs[1]);
  if (tangents[1].defined()) result = add_cotangents(result, matmul(node.inputs[0], tangents[1]));
  return {result};
}

// The batch becomes the first of the leading axes of both operands.
std::vector<Tensor> batch_matmul(const Node& node, std::span<const Tensor> inputs,
                                 const std::vector<bool>& batched, std::int64_t) {
  const int rank = std::max(node.inputs[0].rank(), node.inputs[1].rank());
  std::vector<Tensor> aligned;
  for (std::size_t i = 0; i < 2; ++i) {
    Shape shape = inputs[i].shape();
    if (batched[i]) {
      while (shape.size() < rank + 1) shape.insert(1, 1);
    }
    aligned.push_back(reshape(inputs[i], shape));
  }
  return make_outputs(ops::matmul, aligned);
}

double matmul_flops(const Node& node) {
  const TensorSpec& y = node.outputs[0];
  return 2.0 * static_cast<double>(element_count(y.shape)) *
         static_cast<double>(node.inputs[0].shape().back());
}

Tensor numbers(const Shape& shape) {
  return (arange(1, static_cast<double>(element_count(shape)) + 1, 1, DType::float64).reshape(shape) - 3.0) *
         0.25;
}

Sample square_workload(std::int64_t elements) {
  const auto side = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(elements))));
  return {{large({side, side}, 1), large({side, side}, 2)}, {}, "square"};
}

}  // namespace

namespace ops {

const OpDef matmul = {
    .name = "matmul",
    .arguments = {"a", "b"},
    .text = {.formula = "matmul({a}, {b})",
             .latex = "{a} {b}",
             .summary = "Matrix product over the last two axes, batched and broadcast over the leading ones.",
             .domain = "linear in a and in b"},
    .infer = infer_matmul,
    .vjp = matmul_vjp,
    .jvp = matmul_jvp,
    .batch = batch_matmul,
    .bound = {BoundKind::sum, 1},
    .flops = matmul_flops,
    .workload = square_workload,
    .samples = []() -> std::vector<Sample> {
      return {
          {{numbers({2, 3}), numbers({3, 4})}, {}, "matrices"},
          {{chainrule::transpose(numbers({3, 2})), chainrule::transpose(numbers({4, 3}))}, {}, "transposed"},
          {{numbers({2, 2, 3}), numbers({3, 2})}, {}, "batched"},
          {{numbers({2, 1, 2, 3}), numbers({3, 3, 1})}, {}, "broadcast batches"},
          {{numbers({1, 1}), numbers({1, 1})}, {}, "one element"}};
    },
};

// The two names of a product of vectors; a call builds the product at once.
const OpDef dot = {
    .name = "dot",
    .arguments = {"a", "b"},
    .text = {.formula = "dot({a}, {b})",
             .latex = "{a}^\\top {b}",
             .summary = "The sum of the products of the elements of two vectors.",
             .domain = "bilinear"},
    .infer = infer_from_definition,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {chainrule::dot(node.inputs[0], node.inputs[1])};
    },
    .bound = {BoundKind::sum, 1},
    .flops_per_element = 2,
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({3}), numbers({3})}, {}, "vectors"},
              {{numbers({1}), numbers({1})}, {}, "one element"}};
    },
};

const OpDef outer = {
    .name = "outer",
    .arguments = {"a", "b"},
    .text = {.formula = "outer({a}, {b})",
             .latex = "{a} {b}^\\top",
             .summary = "The products of every element of one vector with every element of another.",
             .domain = "bilinear"},
    .infer = infer_from_definition,
    .definition = [](const Node& node) -> std::vector<Tensor> {
      return {chainrule::outer(node.inputs[0], node.inputs[1])};
    },
    .bound = {BoundKind::ulp, 0.5},
    .flops = [](const Node& node) { return static_cast<double>(element_count(node.outputs[0].shape)); },
    .samples = []() -> std::vector<Sample> {
      return {{{numbers({2}), numbers({3})}, {}, "vectors"}, {{numbers({1}), numbers({2})}, {}, "one row"}};
    },
};

}  // namespace ops

Tensor matmul(const Tensor& a_in, const Tensor& b_in) {
  const DType dtype = promoted_dtype(std::vector<Tensor>{a_in, b_in});
  const Tensor a = astype(a_in, dtype);
  const Tensor b = astype(b_in, dtype);
  if (a.rank() == 0 || b.rank() == 0) {
    throw ShapeError({.function = "matmul",
                      .argument = a.rank() == 0 ? "a" : "b",
                      .problem = "a scalar has no rows",
                      .got = describe(a, b),
                      .wanted = "vectors or matrices",
                      .hint = "use * to multiply by a scalar"});
  }
  // Vectors gain an axis for the product and lose it afterwards, as NumPy's @.
  if (a.rank() == 1 && b.rank() == 1) return reshape(matmul(unsqueeze(a, 0), unsqueeze(b, 1)), {});
  if (a.rank() == 1) return squeeze(matmul(unsqueeze(a, 0), b), {-2});
  if (b.rank() == 1) return squeeze(matmul(a, unsqueeze(b, 1)), {-1});
  // Many small products with one right-hand side are one large product.
  if (a.rank() > 2 && b.rank() == 2 && a.shape().back() == b.shape()[0]) {
    Shape shape = a.shape();
    shape[shape.size() - 1] = b.shape()[1];
    std::int64_t rows = 1;
    for (int i = 0; i + 1 < a.rank(); ++i) rows *= a.shape()[i];
    return reshape(make_node(ops::matmul, {reshape(a, {rows, a.shape().back()}), b}), shape);
  }
  return make_node(ops::matmul, {a, b});
}

namespace {

void check_vectors(const char* function, const Tensor& a, const Tensor& b, bool same_length) {
  if (a.rank() == 1 && b.rank() == 1 && (!same_length || a.shape() == b.shape())) return;
  throw ShapeError(
      {.function = function,
       .argument = a.rank() == 1 ? "b" : "a",
       .problem = same_length ? "two vectors of one length are needed" : "two vectors are needed",
       .got = describe(a, b),
       .wanted = same_length ? "[n] and [n]" : "[m] and [n]"});
}

}  // namespace

Tensor dot(const Tensor& a, const Tensor& b) {
  check_vectors("dot", a, b, true);
  return matmul(a, b);
}

Tensor outer(const Tensor& a, const Tensor& b) {
  check_vectors("outer", a, b, false);
  return unsqueeze(a, 1) * unsqueeze(b, 0);
}

}  // namespace chainrule
