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
  double bytes = 0;  ///< what is read from outside and what leaves, each once
};

/// The cost of computing `outputs` from what has a value already.
Cost cost_of(std::span<const Tensor> outputs);

struct Floor {
  double seconds = 0;
  std::string bound;  ///< "multiply-adds" or the level of memory
};
Floor floor_of(const Cost& cost, const MachineLimits& limits);

/// The median time of a call in seconds: after a warm-up, at least 20 times and for about `seconds`. Short
/// calls are timed several at a time.
double median_seconds(const std::function<void()>& call, double seconds);

}  // namespace chainrule::insight
