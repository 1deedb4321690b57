#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include <chainrule/machine.hpp>
#include <chainrule/tensor.hpp>

/// What a computation costs at least, from the declarations of its ops.
namespace chainrule::insight {

struct Cost {
  double flops = 0;
  double divisions = 0;  ///< among these
  double roots = 0;
  double read = 0;               ///< bytes that come from outside, each once
  double written = 0;            ///< bytes that leave
  DType dtype = DType::float32;  ///< that it is computed in; where there are products, theirs
  double bytes() const { return read + written; }
};

/// Adds the operations of a node, which computes what the cost is of.
void add_operations(Cost& cost, const Node& node);
/// The cost of computing `outputs` from what has a value already.
Cost cost_of(std::span<const Tensor> outputs);

/// The seconds that reading and writing these bytes takes at a level of memory.
double moving_seconds(const Cost& cost, const MachineLimits::Level& level);

struct Floor {
  double seconds = 0;
  std::string bound;  ///< "multiply-adds", "divisions and roots" or the level of memory
};
Floor floor_of(const Cost& cost, const MachineLimits& limits);

/// The median time of a call in seconds: after a warm-up, at least 20 times and for about `seconds`. Short
/// calls are timed several at a time.
double median_seconds(const std::function<void()>& call, double seconds);

}  // namespace chainrule::insight
