#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <chainrule/machine.hpp>

/// How fast this library is on this machine, held against what the machine can do.
namespace chainrule {

/// One timed piece of work. Its floor is the time that the machine needs at least: the floating-point
/// operations at the multiply-add peak, or the bytes that have to be read and written at the bandwidth of the
/// level of memory that they fit in, whichever takes longer.
struct BenchmarkRow {
  std::string name;    ///< "softmax"; "MLP 784-256-128-10, Adam"
  std::string what;    ///< the shapes: "float32[4096, 256]"; "batch 128"
  double seconds = 0;  ///< the median time of one call
  double flops = 0;    ///< from the declarations
  double bytes = 0;    ///< inputs and outputs, each once
  double floor = 0;    ///< seconds
  std::string bound;   ///< what the floor is made of: "multiply-adds", "L2", "memory"
};

struct BenchmarkOptions {
  std::vector<std::string> names;  ///< ops to time; all that can be where empty
  std::vector<std::int64_t> sizes = {std::int64_t{1} << 14, std::int64_t{1} << 22};  ///< elements
  double seconds = 0.1;                                                              ///< for each row
};

/// Times ops of the registry, float32, through compiled functions, on the calling thread's number of threads:
/// the elementwise ones and those whose declaration has a workload. Throws ArgumentError for an unknown name,
/// or for an op that has nothing to time (a view, say), and for sizes below 256.
CHAINRULE_API std::vector<BenchmarkRow> benchmark_ops(const MachineLimits& limits,
                                                      const BenchmarkOptions& options = {});

/// Times compiled training steps of multilayer perceptrons in float32: forward pass, gradients and update,
/// with SGD and Adam, at the sizes that docs and tables speak of.
CHAINRULE_API std::vector<BenchmarkRow> benchmark_steps(const MachineLimits& limits, double seconds = 1.0);

/// As the terminal shows them: time, FLOP/s, bytes/s, the floor, and the time over the floor.
CHAINRULE_API std::string to_text(const std::vector<BenchmarkRow>& rows);
CHAINRULE_API std::string to_text(const MachineLimits& limits);

}  // namespace chainrule
