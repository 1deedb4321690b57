// The memory of a real step's plan: the MLP 784-256-128-10 with Adam.

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/context.hpp>
#include <chainrule/control.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/random.hpp>
#include <chainrule/threads.hpp>
#include <chainrule/transforms.hpp>

#include "graph/profiler.hpp"
#include "graph/subgraph.hpp"
#include "kernels/pool.hpp"

namespace cr = chainrule;

namespace {

// An MLP with Adam, compiled. Sizes are those of its layers.
struct Training {
  cr::nn::Sequential model;
  cr::optim::Adam optimizer{{.lr = 1e-3}};
  cr::Tensor x, y;

  Training(const std::vector<std::int64_t>& sizes, std::int64_t batch) {
    const cr::Context context({.seed = 7});
    for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
      if (i > 0) model.add(cr::nn::ReLU());
      model.add(cr::nn::Linear(sizes[i], sizes[i + 1]));
    }
    optimizer.init(model);
    x = cr::random::normal(cr::random::key(1), {batch, sizes.front()}).eval();
    std::vector<std::int64_t> labels(static_cast<std::size_t>(batch));
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int64_t>(i) % sizes.back();
    y = cr::Tensor::from(labels, {batch});
  }
  cr::Tensor step(const cr::Tensor& input, const cr::Tensor& target) {
    const auto loss_of = [&](const cr::nn::Sequential& m) { return cr::nn::cross_entropy(m(input), target); };
    auto [loss, gradient] = cr::value_and_grad(loss_of)(model);
    optimizer.update(model, gradient);
    return loss;
  }
  auto compiled() {
    return cr::compile([this](const cr::Tensor& a, const cr::Tensor& b) { return step(a, b); }, model,
                       optimizer);
  }
};

// The most bytes of the arena that are needed at one time, from the plan's instructions alone: a byte is
// needed from the instruction that writes it to the last that reads it before it is written again. Results
// that are computed over an operand count once; that they could lie elsewhere is not held against the plan,
// nor is what other orders or fusions would need.
std::size_t needed_bytes(const cr::Plan& plan) {
  struct Span {
    std::int64_t begin, end;
    int first, last;
  };
  std::vector<Span> spans;
  for (std::size_t i = 0; i < plan.instructions.size(); ++i) {
    const cr::Instruction& instruction = plan.instructions[i];
    const int at = static_cast<int>(i);
    for (int k = 0; k < instruction.input_count + instruction.output_count; ++k) {
      const cr::Plan::ArraySpec& array = plan.arrays[static_cast<std::size_t>(instruction.first_array + k)];
      if (array.location.slot != 0) continue;
      const std::int64_t begin = array.location.offset;
      if (k >= instruction.input_count) {
        spans.push_back({begin,
                         begin + cr::element_count(array.spec.shape) *
                                     static_cast<std::int64_t>(cr::dtype_size(array.spec.dtype)),
                         at, at});
        continue;
      }
      for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
        if (span->begin > begin || begin >= span->end || span->first == at) continue;
        span->last = at;
        break;
      }
    }
  }
  std::size_t most = 0;
  for (int at = 0; at < static_cast<int>(plan.instructions.size()); ++at) {
    std::vector<std::pair<std::int64_t, std::int64_t>> live;
    for (const Span& span : spans) {
      if (span.first <= at && at <= span.last) live.emplace_back(span.begin, span.end);
    }
    std::sort(live.begin(), live.end());
    std::int64_t total = 0;
    std::int64_t end = 0;
    for (const auto& [from, to] : live) {
      total += std::max<std::int64_t>(0, to - std::max(from, end));
      end = std::max(end, to);
    }
    most = std::max(most, static_cast<std::size_t>(total));
  }
  return most;
}

TEST(PlanMemory, TheArenaOfAnMlpStepIsHardlyLargerThanWhatIsAlive) {
  for (const std::int64_t batch : {64, 128}) {
    Training training({784, 256, 128, 10}, batch);
    auto step = training.compiled();
    step(training.x, training.y);
    cr::InstructionProfiler profiler;
    step(training.x, training.y);
    ASSERT_EQ(profiler.records().size(), 1U);
    const cr::Plan& plan = *profiler.records()[0].plan;
    const auto needed = static_cast<double>(needed_bytes(plan));
    ASSERT_GT(needed, 0);
    RecordProperty("arena_over_needed", std::to_string(static_cast<double>(plan.arena_bytes) / needed));
    EXPECT_LE(static_cast<double>(plan.arena_bytes), 1.1 * needed) << "batch " << batch;
    EXPECT_LE(plan.arena_bytes, plan.live_bytes + plan.live_bytes / 10) << "batch " << batch;
    // No state is copied: parameters and moments are written where they are.
    for (const cr::StateWrite write : plan.state_writes) EXPECT_NE(write, cr::StateWrite::copied);
  }
}

// ---- threads ----

class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(cr::thread_count()) { cr::set_thread_count(threads); }
  ~ThreadCount() { cr::set_thread_count(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

TEST(PlanThreads, ATinyStepWakesNoThread) {
  const ThreadCount threads(2);
  Training tiny({2, 16, 16, 2}, 32);
  auto step = tiny.compiled();
  step(tiny.x, tiny.y);
  const std::uint64_t before = cr::pool_region_count();
  for (int i = 0; i < 10; ++i) step(tiny.x, tiny.y);
  EXPECT_EQ(cr::pool_region_count(), before);

  Training wide({784, 256, 128, 10}, 128);
  auto wide_step = wide.compiled();
  wide_step(wide.x, wide.y);
  EXPECT_GT(cr::pool_region_count(), before);
}

TEST(PlanThreads, AStepGivesTheSameBitsOnAnyNumberOfThreads) {
  std::vector<std::vector<float>> expected;
  for (const int count : {1, 2, 3}) {
    const ThreadCount threads(count);
    Training training({784, 256, 128, 10}, 96);
    auto step = training.compiled();
    std::vector<std::vector<float>> got(1);
    for (int i = 0; i < 5; ++i) got[0].push_back(step(training.x, training.y).item<float>());
    for (const cr::Leaf& leaf : cr::leaves(training.model)) got.push_back(leaf.tensor->to_vector<float>());
    if (count == 1) expected = got;
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i)
      EXPECT_TRUE(got[i] == expected[i]) << count << " threads, " << i;
  }
}

// ---- sub-graphs ----

TEST(SubGraphs, AreForgottenWithTheirLastHolder) {
  const std::size_t before = cr::known_subgraph_count();
  const auto trace = [](double factor) {
    std::vector<cr::Tensor> captured;
    return cr::trace_subgraph(
        {{{3}, cr::DType::float32}},
        [&](const std::vector<cr::Tensor>& x) { return std::vector<cr::Tensor>{x[0] * factor}; }, captured);
  };
  {
    const auto first = trace(2);
    const auto second = trace(2);
    const auto other = trace(3);
    EXPECT_EQ(first, second);
    EXPECT_NE(first, other);
    EXPECT_EQ(cr::known_subgraph_count(), before + 2);
  }
  for (int i = 0; i < 100; ++i) trace(i);
  EXPECT_EQ(cr::known_subgraph_count(), before);
}

}  // namespace
