// What a compiled step costs: no allocation, little memory, few microseconds; and what its plan looks like.

#include <chrono>
#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/context.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

#include "graph/plan.hpp"
#include "support/count_allocations.hpp"

namespace cr = chainrule;

namespace {

struct Mlp {
  std::vector<cr::Parameter> weights, biases;
  explicit Mlp(const std::vector<std::int64_t>& sizes) {
    for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
      const cr::Tensor w = cr::random::normal(cr::random::key(i), {sizes[i + 1], sizes[i]}) *
                           (1 / std::sqrt(double(sizes[i])));
      weights.emplace_back(w.eval());
      biases.emplace_back(cr::zeros({sizes[i + 1]}).eval());
    }
  }
  cr::Tensor operator()(const cr::Tensor& x) const {
    cr::Tensor h = x;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      h = cr::matmul(h, cr::transpose(weights[i])) + biases[i];
      if (i + 1 < weights.size()) h = cr::relu(h);
    }
    return h;
  }
  void visit(cr::Visitor& v) {
    v("weights", weights);
    v("biases", biases);
  }
};

cr::Tensor squared_error(const Mlp& model, const cr::Tensor& x, const cr::Tensor& y) {
  return cr::sum(cr::square(model(x) - y)) / static_cast<double>(y.size());
}

cr::Tensor sgd_step(Mlp& model, const cr::Tensor& x, const cr::Tensor& y) {
  auto [loss, gradient] = cr::value_and_grad(squared_error)(model, x, y);
  for (auto* list : {&model.weights, &model.biases}) {
    auto& gradients = list == &model.weights ? gradient.weights : gradient.biases;
    for (std::size_t i = 0; i < list->size(); ++i) (*list)[i] = (*list)[i] - gradients[i] * 0.01;
  }
  return loss;
}

TEST(Execution, ACompiledStepAllocatesNothingFromItsSecondRunOn) {
  if (!cr::testing::counts_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
  for (const bool wide : {false, true}) {
    Mlp model(wide ? std::vector<std::int64_t>{256, 300, 10} : std::vector<std::int64_t>{2, 16, 16, 1});
    const cr::Tensor x = cr::random::normal(cr::random::key(9), {wide ? 128 : 32, wide ? 256 : 2}).eval();
    const cr::Tensor y = cr::random::normal(cr::random::key(10), {wide ? 128 : 32, wide ? 10 : 1}).eval();
    auto step =
        cr::compile([&](const cr::Tensor& a, const cr::Tensor& b) { return sgd_step(model, a, b); }, model);
    float last = step(x, y).item<float>();
    const long before = cr::testing::allocation_count();
    for (int i = 0; i < 20; ++i) last = step(x, y).item<float>();
    EXPECT_EQ(cr::testing::allocation_count() - before, 0) << (wide ? "wide" : "tiny");
    cr::Tensor held = step(x, y);
    held = step(x, y);
    const long held_before = cr::testing::allocation_count();
    for (int i = 0; i < 20; ++i) held = step(x, y);
    EXPECT_EQ(cr::testing::allocation_count() - held_before, 0) << "with the loss of the last step held";
    EXPECT_TRUE(std::isfinite(last));
  }
}

TEST(Execution, StateIsUpdatedInPlace) {
  Mlp model({4, 8, 1});
  const cr::Tensor x = cr::random::normal(cr::random::key(9), {16, 4}).eval();
  const cr::Tensor y = cr::random::normal(cr::random::key(10), {16, 1}).eval();
  auto step =
      cr::compile([&](const cr::Tensor& a, const cr::Tensor& b) { return sgd_step(model, a, b); }, model);
  step(x, y);
  const void* address = model.weights[0].to_host().buffer.data();
  step(x, y);
  EXPECT_EQ(model.weights[0].to_host().buffer.data(), address);
}

TEST(Execution, AScalarThatBeganAsAConstantShowsItsNewValueEverywhere) {
  cr::Parameter p = cr::full({}, 1.0);
  auto step = cr::compile(
      [&](const cr::Tensor& x) {
        p = p - x;
        return p * 1;
      },
      p);
  const cr::Tensor x = cr::random::uniform(cr::random::key(1), {}, 0.25, 0.25).eval();
  step(x);
  step(x);
  EXPECT_EQ(p.item<float>(), 0.5F);
  EXPECT_EQ((p * 2).item<float>(), 1.0F);
}

// The arena holds little more than what is alive at the same time, and never overlaps what is.
TEST(Execution, PlansThatRunInTurnShareOneArena) {
  // Two products need a place for the first one's result; the larger plan's serves both.
  const auto plan_for = [](std::int64_t n) {
    const cr::Tensor x = cr::make_placeholder({{n, n}, cr::DType::float32});
    cr::LoweredGraph graph;
    graph.inputs = {x};
    graph.outputs = {cr::matmul(cr::matmul(x, x), x)};
    return cr::build_plan(graph, cr::cpu_device(), {});
  };
  const auto memory = std::make_shared<cr::RunMemory>();
  const std::int64_t sizes[] = {2, 40};
  std::vector<cr::Execution> runs;
  for (const std::int64_t n : sizes) runs.emplace_back(plan_for(n), memory);
  ASSERT_GT(runs[1].plan().arena_bytes, runs[0].plan().arena_bytes);
  EXPECT_LE(memory->bytes(), runs[1].plan().arena_bytes + runs[1].plan().workspace_bytes);
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < 2; ++i) {
      // (2 I)³ = 8 I, whoever ran before.
      const auto n = static_cast<std::size_t>(sizes[i]);
      std::vector<float> x(n * n, 0);
      std::vector<float> y(n * n, -1);
      for (std::size_t k = 0; k < n; ++k) x[k * n + k] = 2;
      runs[i].bind(runs[i].plan().first_input_slot(), x.data());
      runs[i].bind(runs[i].plan().first_escaping_slot(), y.data());
      ASSERT_TRUE(runs[i].run());
      for (std::size_t k = 0; k < y.size(); ++k) ASSERT_EQ(y[k], k % (n + 1) == 0 ? 8.0F : 0.0F);
    }
  }
}

TEST(Execution, BlocksAreCloselyPlaced) {
  std::vector<cr::ArenaBlock> blocks;
  std::uint64_t seed = 1;
  for (int i = 0; i < 400; ++i) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    const int first = static_cast<int>((seed >> 33) % 300);
    blocks.push_back({64 * (1 + (seed >> 40) % 500), first, first + static_cast<int>((seed >> 50) % 12), 0});
  }
  const std::size_t total = cr::place_in_arena(blocks);
  EXPECT_LE(static_cast<double>(total), 1.1 * static_cast<double>(cr::most_live_bytes(blocks)));
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const bool together = blocks[i].first <= blocks[j].last && blocks[j].first <= blocks[i].last;
      const bool overlap = blocks[i].offset < blocks[j].offset + blocks[j].bytes &&
                           blocks[j].offset < blocks[i].offset + blocks[i].bytes;
      EXPECT_FALSE(together && overlap) << i << " and " << j;
    }
  }
}

}  // namespace
