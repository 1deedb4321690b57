#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <chainrule/chainrule.hpp>

#include "io/json.hpp"

/// Our side of the comparison with other libraries. bench/workloads.json describes each workload once; this
/// program writes the weights and data that all sides read, and runs the workloads with Chainrule.
namespace bench {

using chainrule::io::Json;

/// The workloads of a file, with `each` lists written out, and its seed. `tiny` cuts every length to at most
/// 8: enough to see that a workload runs.
struct Workloads {
  std::uint64_t seed = 0;
  std::vector<Json> list;
};
Workloads load_workloads(const std::string& path, bool tiny);
/// Whether a workload is asked for: one of the patterns, with ; in between, is part of its name, or with = in
/// front the whole of it. * stands for any characters; no pattern asks for all.
bool is_asked_for(const Json& workload, const std::string& patterns);
/// A workload's name as a file's name.
std::string file_name(const Json& workload);

/// Numbers that all sides share, in `pool.npz`. An input of any shape is the pool from some place on,
/// repeated.
struct Pool {
  std::vector<float> normal;          ///< standard normal
  std::vector<std::int64_t> integer;  ///< uniform on [0, 2³¹)
};
Pool make_pool(std::uint64_t seed);
void save_pool(const Pool& pool, const std::string& path);
Pool load_pool(const std::string& path);
/// Input number `index` of a workload: {"shape": [...], "from": "normal" | "positive" | "index", "below": n}.
chainrule::Tensor input_from(const Pool& pool, const Json& input, int index, chainrule::DType dtype);
/// The place in the pool where input `index` begins; the same formula stands in peers/protocol.py.
std::size_t pool_offset(int index, std::size_t pool_size);

/// What a workload asks of the machine at least, from the declarations of the ops that it is made of.
struct Work {
  double product_flops = 0;  ///< of matrix products
  double other_flops = 0;
  double divisions = 0;  ///< of an optimizer's update
  double roots = 0;
  double bytes = 0;  ///< of inputs read once and results written once
  std::string dtype = "float32";
};
/// The work of computing these tensors, which must not have been evaluated.
Work work_of(std::span<const chainrule::Tensor> outputs);

/// A workload on our side.
struct Program {
  /// What must agree with the other sides: ten losses, or numbers made of the output.
  std::function<std::vector<double>()> check;
  std::function<void()> call;  ///< what is timed
  std::function<Work()> work;
  bool check_after = false;  ///< the check's own memory must not count: it comes after the timing
  /// In place of `call`: times one repetition by itself.
  std::function<double()> timed = {};
  /// More numbers for the report, after the timing.
  std::function<Json()> extras = {};
};

/// Where a workload's own weights and data are.
struct State {
  std::string folder;
  Pool pool;
  std::string path(const Json& workload) const { return folder + '/' + file_name(workload) + ".npz"; }
};

/// Writes what a workload needs besides the pool.
void describe_workload(const Json& workload, std::uint64_t seed, const State& state);
Program make_program(const Json& workload, const State& state);

// By kind.
Program train_step(const Json& workload, const State& state);
Program compile_time(const Json& workload, const State& state);
Program epoch(const Json& workload, const State& state);
Program inference(const Json& workload, const State& state);
Program derivative(const Json& workload, const State& state);
Program op(const Json& workload, const State& state);
Program update(const Json& workload, const State& state);
Program process_start(const Json& workload, const State& state);

/// The network of a workload: linear layers of the given widths with activations and dropout in between.
chainrule::nn::Sequential network(const Json& workload, bool with_dropout);
chainrule::nn::Sequential network_with_weights(const Json& workload, const chainrule::NamedArrays& arrays,
                                               bool with_dropout);
chainrule::train::Loss loss_named(const std::string& name);
chainrule::optim::Optimizer optimizer_of(const Json& workload);

/// Numbers that two sides agree on when their outputs do: of each output the mean, the mean magnitude, and
/// seven elements evenly spaced.
std::vector<double> summary_of(std::span<const chainrule::Tensor> outputs);

/// One workload in one process. Results are parts of one JSON object; peers/protocol.py does the same for the
/// other sides.
class Measurement {
 public:
  Measurement(const Json& workload, const State& state, int threads);
  /// The check and a warm-up: {workload, side, threads, check, one}, the last the seconds of the fastest
  /// call.
  Json start();
  /// Times repetitions of a millisecond at least for so many seconds, and `least` of them: seconds for each
  /// call. With 0 seconds a single call.
  std::vector<double> burst(double seconds, std::size_t least);
  /// {memory, work, extras}: the most memory that was held above the start's.
  Json finish();

 private:
  Json workload_;
  int threads_;
  double memory_before_ = 0;
  double one_ = std::numeric_limits<double>::infinity();
  Program program_;
};
/// Start, one burst of at least 20 repetitions, and finish in one.
Json run_program(const Json& workload, const State& state, double seconds, int threads);
/// Prints what start() says, then answers each "time SECONDS" from the input with a line {seconds, peak} of
/// one burst and of what multiply-adds reach right after it; at any other word, what finish() says is
/// returned.
Json take_turns(const Json& workload, const State& state, int threads);
/// Prints a line from a child process, so that memory is counted from a start at which nothing was computed
/// yet; or how the child failed.
void in_child(const Json& workload, const std::function<Json()>& last_line);

/// Computes a first gradient and prints one line: what `process_start` starts.
void print_first_gradient();

}  // namespace bench
