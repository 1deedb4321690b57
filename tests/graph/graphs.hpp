#pragma once

#include <utility>
#include <vector>

#include "graph/lower.hpp"

/// Small graphs for the tests of passes.
namespace chainrule::testing {

inline LoweredGraph graph_of(std::vector<Tensor> inputs, std::vector<Tensor> outputs) {
  LoweredGraph graph;
  graph.inputs = std::move(inputs);
  graph.outputs = std::move(outputs);
  return graph;
}

inline Tensor input(const Shape& shape) { return make_placeholder({shape, DType::float32}); }

}  // namespace chainrule::testing
