// A training step with everything that one is made of calls neither malloc nor mmap from its second run on,
// on any thread.

#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/context.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/random.hpp>
#include <chainrule/threads.hpp>
#include <chainrule/transforms.hpp>

#include "support/count_allocations.hpp"
#include "train/steps.hpp"

namespace cr = chainrule;

namespace {

// Large enough that products, row kernels and updates are shared out among threads.
constexpr std::int64_t batch = 128;
constexpr std::int64_t features = 64;
constexpr std::int64_t hidden = 512;
constexpr std::int64_t classes = 10;

cr::nn::Sequential make_model() {
  return cr::nn::Sequential(cr::nn::Linear(features, hidden), cr::nn::BatchNorm(hidden), cr::nn::ReLU(),
                            cr::nn::Dropout(0.2), cr::nn::Linear(hidden, classes));
}

cr::Tensor examples() { return cr::random::normal(cr::random::key(1), {batch, features}).eval(); }
cr::Tensor labels() {
  std::vector<std::int64_t> classes_of(batch);
  for (std::size_t i = 0; i < classes_of.size(); ++i) classes_of[i] = static_cast<std::int64_t>(i) % classes;
  return cr::Tensor::from(classes_of, {batch});
}

struct Result {
  cr::Tensor loss;
  cr::Tensor prediction;
  cr::Tensor turned;  // a view of the prediction
  void visit(cr::Visitor& v) {
    v("loss", loss);
    v("prediction", prediction);
    v("turned", turned);
  }
};

class Threads : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!cr::testing::counts_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
    before_ = cr::thread_count();
    cr::set_thread_count(GetParam());
  }
  void TearDown() override {
    if (before_ > 0) cr::set_thread_count(before_);
  }

 private:
  int before_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Allocations, Threads, testing::Values(1, 2), [](const auto& parameters) {
  return std::to_string(parameters.param) + "_threads";
});

// Calls of malloc and mmap in 20 runs after the first. The last result is held, as a loop that prints it
// does.
template <typename Step>
long allocations_of(Step& step, const cr::Tensor& x, const cr::Tensor& y) {
  auto result = step(x, y);
  const float first = result.loss.template item<float>();
  const long before = cr::testing::allocation_count();
  float last = first;
  for (int i = 0; i < 20; ++i) {
    result = step(x, y);
    last = result.loss.template item<float>();
  }
  const long count = cr::testing::allocation_count() - before;
  EXPECT_TRUE(std::isfinite(last));
  EXPECT_LT(last, first);
  return count;
}

TEST_P(Threads, AStepWithAnOptimizerAndAStructOfResultsAllocatesNothing) {
  const cr::Context context({.train = true, .seed = 3});
  cr::nn::Sequential model = make_model();
  cr::optim::Adam optimizer({.lr = 1e-3, .groups = {{.pattern = "4.*", .lr_multiplier = 0.5}}});
  optimizer.init(model);
  auto step = cr::compile(
      [&](const cr::Tensor& x, const cr::Tensor& y) {
        Result result;
        const auto objective = [&](const cr::nn::Sequential& m) {
          result.prediction = m(x);
          return cr::nn::cross_entropy(result.prediction, y);
        };
        auto [loss, gradient] = cr::value_and_grad(objective)(model);
        optimizer.update(model, gradient);
        result.loss = loss;
        result.turned = cr::transpose(result.prediction);
        return result;
      },
      model, optimizer);
  EXPECT_EQ(allocations_of(step, examples(), labels()), 0);
  EXPECT_EQ(step.trace_count(), 1);
  const Result kept = step(examples(), labels());
  const std::vector<float> turned = cr::transpose(kept.prediction).to_vector<float>();
  for (int i = 0; i < 3; ++i) step(examples(), labels());
  EXPECT_EQ(kept.turned.to_vector<float>(), turned);
}

TEST_P(Threads, TheTrainersStepAllocatesNothing) {
  const cr::Context context({.train = true, .seed = 3});
  const std::vector<cr::optim::Optimizer> optimizers = {
      cr::optim::SGD({.lr = 0.01, .momentum = 0.9}), cr::optim::RMSProp({.lr = 1e-4, .centered = true}),
      cr::optim::Adam({.lr = 1e-3, .amsgrad = true}), cr::optim::AdamW({.lr = 1e-3})};
  for (cr::optim::Optimizer optimizer : optimizers) {
    for (const bool probing : {false, true}) {
      cr::nn::Module model = make_model();
      optimizer.init(model);
      cr::train::CompiledTrainStep step(cr::train::TrainStep(model, optimizer, cr::nn::cross_entropy,
                                                             {.l2 = 1e-4, .clip_norm = 1}, probing),
                                        model, optimizer);
      EXPECT_EQ(allocations_of(step, examples(), labels()), 0)
          << optimizer.name() << (probing ? ", with probes" : "");
    }
  }
}

}  // namespace
