// The derivative of every output by every input: rows of cotangents or columns of tangents, all of them at
// once.

#include <algorithm>
#include <cstdint>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "autodiff/driver.hpp"

namespace chainrule {
namespace {

bool has_derivative(const Tensor& output) { return output.defined() && is_floating(output.dtype()); }

std::int64_t size_of(const TensorList& tensors) {
  std::int64_t size = 0;
  for (const Tensor& tensor : tensors) size += has_derivative(tensor) ? tensor.size() : 0;
  return size;
}

Shape joined(const Shape& front, const Shape& back) {
  Shape shape = front;
  for (const std::int64_t length : back) shape.push_back(length);
  return shape;
}

// What `direct` makes of every unit vector in the place of `like`, stacked along a first axis. The function
// itself has been traced before: its random draws and updates are those of one call.
TensorList for_unit_vectors(const Tensor& like, FunctionRef<TensorList(const Tensor&)> direct) {
  Tensor unit = reshape(eye(like.size(), like.dtype()), joined({like.size()}, like.shape()));
  return detail::batched({&unit}, {}, {0}, [&] { return direct(unit); });
}

using Blocks = std::vector<TensorList>;

void fill_by_rows(const VariableScope& scope, const TensorList& outputs, Blocks& blocks) {
  const TensorList prepared = prepared_for_pullback(scope, outputs);
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    if (!has_derivative(outputs[k])) continue;
    const auto pull = [&](const Tensor& y_bar) { return pull_back(scope, {prepared[k]}, {y_bar}); };
    for (const Tensor& rows : for_unit_vectors(outputs[k], pull)) {
      Shape place = rows.shape();
      place.erase(0);
      blocks[k].push_back(reshape(rows, joined(outputs[k].shape(), place)));
    }
  }
}

void fill_by_columns(const VariableScope& scope, const TensorList& outputs, Blocks& blocks) {
  const TensorList prepared = prepared_for_pushforward(scope, outputs);
  const TensorList& variables = scope.variables();
  for (std::size_t j = 0; j < variables.size(); ++j) {
    const auto push = [&](const Tensor& x_dot) {
      TensorList tangents(variables.size());
      tangents[j] = x_dot;
      return push_forward(scope, prepared, tangents);
    };
    const TensorList columns = for_unit_vectors(variables[j], push);
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      if (!has_derivative(outputs[k])) continue;
      blocks[k].push_back(
          reshape(moveaxis(columns[k], 0, -1), joined(outputs[k].shape(), variables[j].shape())));
    }
  }
}

}  // namespace

namespace detail {

std::vector<TensorList> jacobian_blocks(const std::vector<Tensor*>& places, FunctionRef<TensorList()> body) {
  const VariableScope scope(places);
  const TensorList outputs = body();
  if (std::none_of(outputs.begin(), outputs.end(), has_derivative)) {
    const bool any = !outputs.empty() && outputs[0].defined();
    throw DTypeError({.function = "jacobian",
                      .argument = "f",
                      .problem = "f returns nothing that has a derivative",
                      .got = any ? std::string(dtype_name(outputs[0].dtype())) : "no tensor",
                      .wanted = "a floating tensor, or a tree of them"});
  }
  Blocks blocks(outputs.size());
  if (size_of(scope.variables()) <= size_of(outputs)) {
    fill_by_columns(scope, outputs, blocks);
  } else {
    fill_by_rows(scope, outputs, blocks);
  }
  return blocks;
}

}  // namespace detail
}  // namespace chainrule
