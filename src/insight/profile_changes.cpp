// What would make a step faster, and by how much: each estimate is put together from measured times and
// limits.

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include <chainrule/threads.hpp>

#include "graph/fusion_text.hpp"
#include "graph/op.hpp"
#include "insight/profile_parts.hpp"
#include "insight/units.hpp"
#include "kernels/cpu/gemm.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::insight {
namespace {

constexpr double least_gain = 0.005;  // of the step
constexpr std::size_t most_changes = 3;

std::string percent(double share) {
  return share < 0.0995 ? fmt::format("{:.1f} %", 100 * share) : fmt::format("{:.0f} %", 100 * share);
}

bool is_product(const TimedInstruction& work) {
  return work.instruction->steps.empty() && work.instruction->node.defined() &&
         work.instruction->node.node()->op == &ops::matmul;
}

class Changes {
 public:
  Changes(const Measurement& m, const MachineLimits& limits, const Overheads& overheads,
          std::int64_t batch_size)
      : m_(m), limits_(limits), overheads_(overheads), batch_size_(batch_size) {}

  std::vector<ProfileChange> find() {
    outside();
    batch();
    double_precision();
    bfloat16();
    threads();
    widths();
    fusions();
    keep_best();
    if (changes_.size() < most_changes) narrower();
    keep_best();
    return std::move(changes_);
  }

 private:
  void suggest(double seconds, std::string change, std::string why) {
    const double gain = seconds / m_.profiled_seconds;
    if (gain >= least_gain) changes_.push_back({std::move(change), std::move(why), std::min(gain, 1.0)});
  }
  void keep_best() {
    std::stable_sort(changes_.begin(), changes_.end(),
                     [](const ProfileChange& a, const ProfileChange& b) { return a.gain > b.gain; });
    if (changes_.size() > most_changes) changes_.resize(most_changes);
  }
  double share(double seconds) const { return seconds / m_.profiled_seconds; }

  // What passes outside of plans, where it is more than calls of compiled functions take.
  void outside() {
    if (m_.new_plans > 0.05) {
      return suggest(m_.outside, "Keep shapes, dtypes and options the same from step to step",
                     fmt::format("{:.1f} new plans are made in each step; making them and whatever else lies "
                                 "outside of plans takes {}, {} of the step",
                                 m_.new_plans, short_duration(m_.outside), percent(share(m_.outside))));
    }
    const double excess = m_.outside - overheads_.of_calls(m_.plan_runs, m_.inputs);
    if (m_.plan_runs > 1.5) {
      return suggest(
          m_.outside - overheads_.call, "Compile the whole step: compile(step, model, optimizer)",
          fmt::format("{:.3g} plans run in a step; between them {} pass, {} of it, and a call of a "
                      "compiled function takes {}",
                      m_.plan_runs, short_duration(m_.outside), percent(share(m_.outside)),
                      short_duration(overheads_.call)));
    }
    if (share(excess) < 0.05) return;
    suggest(excess, "Do less between the steps: read the loss less often, prepare batches beforehand",
            fmt::format("{} of {} outside of plans are more than a call of a compiled function takes",
                        short_duration(excess), short_duration(m_.outside)));
  }

  // Dispatch, update and what lies outside cost the same for any batch.
  void batch() {
    double dispatch = m_.outside;
    double update = 0;
    bool learns = false;
    for (const TimedInstruction& work : m_.instructions) {
      learns = learns || work.pass() == ProfilePass::backward;
      if (work.pass() == ProfilePass::update) {
        update += work.seconds;
      } else {
        dispatch += std::min(work.seconds, work.calls * overheads_.kernel);
      }
    }
    if (!learns) return;
    const double fixed = dispatch + update;
    const int factor = share(fixed) > 0.5 ? 4 : 2;
    const std::string change = batch_size_ > 0
                                   ? fmt::format("A batch of {} in place of {}, counted per example",
                                                 factor * batch_size_, batch_size_)
                                   : fmt::format("A batch {} times as large, counted per example", factor);
    suggest(fixed * (1 - 1.0 / factor), change,
            fmt::format("the update ({}) and overheads ({}) take the same time whatever the batch, and "
                        "would be paid for {} times as many examples; the learning rate may have to follow",
                        percent(share(update)), percent(share(dispatch)), factor));
  }

  void double_precision() {
    double seconds = 0;
    double gain = 0;
    for (const TimedInstruction& work : m_.instructions) {
      if (work.dtype != DType::float64) continue;
      TimedInstruction narrow = work;
      narrow.dtype = DType::float32;
      narrow.read /= 2;
      narrow.written /= 2;
      set_floor(narrow, limits_, overheads_);
      seconds += work.seconds;
      gain += work.seconds * (1 - narrow.floor / work.floor);
    }
    suggest(gain,
            "float32 in place of float64: precision = \"float32\" in [training], or astype in a program",
            fmt::format(
                "{} of the step computes in float64, at {} where float32 has {}, and with twice the bytes",
                percent(share(seconds)), scaled(limits_.float64_flops, "FLOP/s"),
                scaled(limits_.float32_flops, "FLOP/s")));
  }

  // Products alone, their operands converted first.
  void bfloat16() {
    if (!(limits_.bfloat16_flops > 1.2 * limits_.float32_flops)) return;
    double seconds = 0;
    double gain = 0;
    for (const TimedInstruction& work : m_.instructions) {
      if (!is_product(work) || work.dtype != DType::float32 || work.bound != "multiply-adds") continue;
      const double converting = 1.5 * work.bytes() / limits_.bandwidth(work.bytes());
      const double saved = work.seconds * (1 - limits_.float32_flops / limits_.bfloat16_flops);
      const double net = saved - work.calls * (converting + overheads_.kernel);
      if (net <= 0) continue;
      seconds += work.seconds;
      gain += net;
    }
    suggest(
        gain, "Products in bfloat16: precision = \"bfloat16\" in [training], or a Context with that policy",
        fmt::format("products bound by multiply-adds take {} of the step; bfloat16 has {} here, float32 {}; "
                    "conversions are taken off. Three digits stay of each operand",
                    percent(share(seconds)), scaled(limits_.bfloat16_flops, "FLOP/s"),
                    scaled(limits_.float32_flops, "FLOP/s")));
  }

  void threads() {
    const int used = thread_count();
    const int cores = usable_cores();
    if (cores <= used) return;
    double gain = 0;
    for (const TimedInstruction& work : m_.instructions) {
      const double parallel = work.seconds - work.calls * overheads_.kernel;
      if (work.bound == "multiply-adds" || work.bound == "divisions and roots")
        gain += std::max(0.0, parallel) * (1 - static_cast<double>(used) / cores);
    }
    suggest(gain, fmt::format("{} threads in place of {}", cores, used),
            "what is bound by computing shares out among the cores; what memory bounds is not counted");
  }

  // A product's columns are computed by whole vectors.
  void widths() {
    const std::int64_t lanes = kernels::gemm_kernels<float>().lanes;
    std::map<std::pair<std::string, std::int64_t>, double> saved;
    for (const TimedInstruction& work : m_.instructions) {
      if (!is_product(work) || work.dtype != DType::float32 || work.region().empty()) continue;
      const Shape& shape = work.instruction->node.node()->outputs[0].shape;
      if (shape.size() == 0) continue;
      const std::int64_t width = shape.back();
      const std::int64_t whole = width / lanes * lanes;
      if (whole == 0 || whole == width || width == batch_size_) continue;
      saved[{work.region(), width}] += (work.seconds - work.calls * overheads_.kernel) *
                                       static_cast<double>(lanes) / static_cast<double>(whole + lanes);
    }
    for (const auto& [place, seconds] : saved) {
      const auto& [region, width] = place;
      const std::int64_t whole = width / lanes * lanes;
      suggest(seconds,
              fmt::format("A width of {} or {} in place of {} at {}", whole, whole + lanes, width, region),
              fmt::format("vectors hold {} numbers: {} columns take the time of {}; the gain is that of {}",
                          lanes, width, whole + lanes, whole));
    }
  }

  void fusions();
  void narrower();

  const Measurement& m_;
  const MachineLimits& limits_;
  const Overheads& overheads_;
  std::int64_t batch_size_;
  std::vector<ProfileChange> changes_;
};

/// A plan's nodes again, with what its instructions made of them.
struct PlanNodes {
  std::vector<Node*> nodes;
  std::vector<int> group;
  std::vector<Keep> keep;
  std::vector<const TimedInstruction*> work;  // that computes the node; null for leaves and views
};

PlanNodes nodes_of(const Plan& plan, const std::vector<TimedInstruction>& instructions) {
  PlanNodes result;
  std::vector<Tensor> roots;
  for (const Instruction& instruction : plan.instructions) {
    if (instruction.node.defined()) roots.push_back(instruction.node);
  }
  result.nodes = collect_nodes(roots, [](const Node&) { return true; });
  std::unordered_map<const Node*, std::size_t> index;
  for (std::size_t i = 0; i < result.nodes.size(); ++i) {
    index.emplace(result.nodes[i], i);
    result.group.push_back(static_cast<int>(i));
  }
  result.keep.assign(result.nodes.size(), Keep::inside);
  result.work.assign(result.nodes.size(), nullptr);
  for (const TimedInstruction& work : instructions) {
    if (work.plan != &plan || !work.instruction->node.defined()) continue;
    const std::size_t last = index.at(work.instruction->node.node());
    result.work[last] = &work;
    for (const ElementStep& step : work.instruction->steps) {
      const std::size_t member = index.at(step.node);
      result.group[member] = static_cast<int>(last);
      result.work[member] = &work;
    }
  }
  return result;
}

const char* remedy_of(FusionObstacle obstacle) {
  switch (obstacle) {
    case FusionObstacle::view:
      return "Fuse neighbours: move the view in front of both or behind them";
    case FusionObstacle::limit:
      return "Cut the expression where its values are small";
    case FusionObstacle::kernel:
      return "Fuse neighbours: compute in float32 or float64";
    case FusionObstacle::shapes:
      return "Fuse neighbours: give both the same shape";
    case FusionObstacle::other_reader:
    case FusionObstacle::other_pass:
      return "Fuse neighbours: let one expression read the value";
    default:
      return nullptr;
  }
}

/// Neighbours of one layer that the same obstacle keeps apart.
struct Apart {
  double seconds = 0;  // that one pass would save
  int pairs = 0;
  double largest = -1;
  std::string example;
};

std::string without(std::string text, const std::string& part) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part))
    text.erase(at, part.size());
  return text;
}

// Together they would not write the value and read it again, and be one instruction.
void Changes::fusions() {
  std::map<std::pair<std::string, FusionObstacle>, Apart> found;
  for (const auto& plan : m_.plans) {
    const PlanNodes all = nodes_of(*plan, m_.instructions);
    std::set<std::pair<std::size_t, int>> counted;
    for (const FusionBarrier& b : fusion_barriers(all.nodes, all.group, all.keep, cpu_device())) {
      const TimedInstruction* first = all.work[b.producer];
      const TimedInstruction* second = all.work[b.reader];
      if (remedy_of(b.obstacle) == nullptr || first == nullptr || second == nullptr || first == second)
        continue;
      if (!counted.insert({b.producer, all.group[b.reader]}).second) continue;
      const TensorSpec& value = all.nodes[b.producer]->outputs[0];
      const double bytes =
          static_cast<double>(element_count(value.shape)) * static_cast<double>(dtype_size(value.dtype));
      const double each = 2 * bytes / limits_.bandwidth(2 * bytes) + overheads_.kernel;
      // No more than what the faster of both takes.
      const double saved = std::min({each * second->calls, first->seconds, second->seconds});
      Apart& apart = found[{second->region(), b.obstacle}];
      apart.seconds += saved;
      ++apart.pairs;
      if (saved <= apart.largest) continue;
      apart.largest = saved;
      apart.example = fmt::format("{} is not fused into {}: {}", fusion_name(*all.nodes[b.producer]),
                                  fusion_name(*all.nodes[b.reader]), b.reason);
    }
  }
  for (const auto& [place, apart] : found) {
    const std::string where = place.first.empty() ? no_region : place.first;
    // The layer is named once.
    const std::string example =
        place.first.empty() ? apart.example : without(apart.example, " of " + place.first);
    suggest(apart.seconds, fmt::format("{} in {}", remedy_of(place.second), where),
            example + (apart.pairs > 1
                           ? fmt::format("; {} such neighbours write values and read them again", apart.pairs)
                           : std::string("; its value is written and read again")));
  }
}

// The layer that takes most, with half its width. A last resort: it changes the model.
void Changes::narrower() {
  std::map<std::string, double> seconds;
  for (const TimedInstruction& work : m_.instructions) {
    if (is_product(work) && !work.region().empty()) seconds[work.region()] += work.seconds;
  }
  const auto most = std::max_element(seconds.begin(), seconds.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == seconds.end()) return;
  suggest(most->second / 2,
          fmt::format("Half as many units at {}, if the model can do with them", most->first),
          fmt::format("its products take {} of the step, more than any other layer's",
                      percent(share(most->second))));
}

}  // namespace

std::vector<ProfileChange> changes_of(const Measurement& measurement, const MachineLimits& limits,
                                      const Overheads& overheads, std::int64_t batch_size) {
  return Changes(measurement, limits, overheads, batch_size).find();
}

}  // namespace chainrule::insight
