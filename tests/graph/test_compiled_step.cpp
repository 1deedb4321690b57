// The stateful compiled step on its smallest real case: Linear → BatchNorm → ReLU → Dropout → Linear with
// Adam and a learning rate that changes every step, written out with plain tensors.

#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

#include "support/count_allocations.hpp"

namespace cr = chainrule;

namespace {

struct Linear {
  cr::Parameter weight, bias;
  cr::Tensor operator()(const cr::Tensor& x) const {
    const cr::Region region("Linear");
    return cr::matmul(x, cr::transpose(weight)) + bias;
  }
  void visit(cr::Visitor& v) {
    v("weight", weight);
    v("bias", bias);
  }
};

struct BatchNorm {
  cr::Parameter scale, shift;
  cr::Tensor running_mean, running_var;
  cr::Tensor operator()(const cr::Tensor& x) const {
    const cr::Region region("BatchNorm");
    if (!cr::Context::training()) return (x - running_mean) * cr::rsqrt(running_var + 1e-5) * scale + shift;
    const cr::Tensor mean = cr::sum(x, {0}) / static_cast<double>(x.size(0));
    const cr::Tensor centered = x - mean;
    const cr::Tensor var = cr::sum(centered * centered, {0}) / static_cast<double>(x.size(0));
    cr::Context::record_update(running_mean, running_mean * 0.9 + mean * 0.1);
    cr::Context::record_update(running_var, running_var * 0.9 + var * 0.1);
    return centered * cr::rsqrt(var + 1e-5) * scale + shift;
  }
  void visit(cr::Visitor& v) {
    v("scale", scale);
    v("shift", shift);
    v.buffer("running_mean", running_mean);
    v.buffer("running_var", running_var);
  }
};

struct Model {
  Linear first, second;
  BatchNorm norm;
  double drop = 0.25;
  cr::Tensor operator()(const cr::Tensor& x) const {
    cr::Tensor h = cr::relu(norm(first(x)));
    if (cr::Context::training()) {
      const cr::Region region("Dropout");
      h = cr::where(cr::random::uniform(h.shape(), 0, 1, h.dtype()) < 1 - drop, h / (1 - drop), 0.0);
    }
    return second(h);
  }
  void visit(cr::Visitor& v) {
    v("first", first);
    v("norm", norm);
    v("drop", drop);
    v("second", second);
  }
};

struct Adam {
  cr::Tensor rate, steps;
  std::vector<cr::Tensor> m, v;
  explicit Adam(Model& model) : rate(cr::tensor({0.01}).reshape({}).eval()), steps(cr::zeros({}).eval()) {
    for (const cr::Leaf& leaf : cr::leaves(model)) {
      m.push_back(cr::zeros(leaf.tensor->shape()).eval());
      v.push_back(cr::zeros(leaf.tensor->shape()).eval());
    }
  }
  void update(Model& model, Model& gradient) {
    steps = steps + 1;
    const cr::Tensor c1 = 1 - cr::pow(cr::Tensor(0.9), steps);
    const cr::Tensor c2 = 1 - cr::pow(cr::Tensor(0.999), steps);
    const auto parameters = cr::leaves(model);
    const auto gradients = cr::leaves(gradient);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const cr::Tensor& g = *gradients[i].tensor;
      if (parameters[i].kind != cr::LeafKind::parameter || !g.defined()) continue;
      m[i] = m[i] * 0.9 + g * 0.1;
      v[i] = v[i] * 0.999 + g * g * 0.001;
      *parameters[i].tensor = *parameters[i].tensor - rate * (m[i] / c1) / (cr::sqrt(v[i] / c2) + 1e-8);
    }
    rate = rate * 0.99;
  }
  void visit(cr::Visitor& visitor) {
    visitor.buffer("rate", rate);
    visitor.buffer("steps", steps);
    visitor("m", m);
    visitor("v", v);
  }
};

cr::Tensor drawn(std::uint64_t key, const cr::Shape& shape, double scale) {
  return (cr::random::normal(cr::random::key(key), shape) * scale).eval();
}

Model make_model() {
  Model model;
  model.first = {drawn(1, {16, 4}, 0.5), drawn(2, {16}, 0.1)};
  model.second = {drawn(3, {3, 16}, 0.3), drawn(4, {3}, 0.1)};
  model.norm = {cr::ones({16}).eval(), cr::zeros({16}).eval(), cr::zeros({16}).eval(), cr::ones({16}).eval()};
  return model;
}

cr::Tensor loss_of(const Model& model, const cr::Tensor& x, const cr::Tensor& y) {
  const cr::Tensor error = model(x) - y;
  return cr::sum(error * error) / static_cast<double>(error.size());
}

// One training step, run eagerly or compiled.
struct Trainer {
  Model model = make_model();
  Adam adam{model};
  cr::Tensor step(const cr::Tensor& x, const cr::Tensor& y) {
    auto [loss, gradient] = cr::value_and_grad(loss_of)(model, x, y);
    adam.update(model, gradient);
    cr::apply_updates(model);
    return loss;
  }
};

const cr::Tensor& inputs() {
  static const cr::Tensor x = drawn(11, {32, 4}, 1);
  return x;
}
const cr::Tensor& targets() {
  static const cr::Tensor y = drawn(12, {32, 3}, 1);
  return y;
}

// A fused chain runs the same kernels in the same order, and both draw the same dropout masks, so the two
// agree to the last bit.
TEST(CompiledStep, EagerAndCompiledGiveTheSameLosses) {
  std::vector<float> expected;
  {
    const cr::Context context({.train = true, .seed = 5});
    Trainer eager;
    for (int i = 0; i < 100; ++i) expected.push_back(eager.step(inputs(), targets()).item<float>());
  }
  const cr::Context context({.train = true, .seed = 5});
  Trainer trainer;
  auto step = cr::compile([&](const cr::Tensor& x, const cr::Tensor& y) { return trainer.step(x, y); },
                          trainer.model, trainer.adam);
  const float first = expected.front();
  float last = 0;
  for (int i = 0; i < 100; ++i) {
    last = step(inputs(), targets()).item<float>();
    EXPECT_EQ(last, expected[static_cast<std::size_t>(i)]) << "step " << i;
  }
  EXPECT_LT(last, 0.8F * first);
  EXPECT_EQ(step.trace_count(), 1);
}

TEST(CompiledStep, ASeedGivesTheSameRunAgain) {
  std::vector<std::vector<float>> losses;
  for (int run = 0; run < 2; ++run) {
    const cr::Context context({.train = true, .seed = 5});
    Trainer trainer;
    auto step = cr::compile([&](const cr::Tensor& x, const cr::Tensor& y) { return trainer.step(x, y); },
                            trainer.model, trainer.adam);
    losses.emplace_back();
    for (int i = 0; i < 20; ++i) losses.back().push_back(step(inputs(), targets()).item<float>());
  }
  EXPECT_EQ(losses[0], losses[1]);
  EXPECT_NE(losses[0][0], losses[0][1]);
}

TEST(CompiledStep, AHandleTakenBeforeAStepKeepsItsValue) {
  const cr::Context context({.train = true, .seed = 5});
  Trainer trainer;
  auto step = cr::compile([&](const cr::Tensor& x, const cr::Tensor& y) { return trainer.step(x, y); },
                          trainer.model, trainer.adam);
  step(inputs(), targets());
  const cr::Tensor old = trainer.model.first.weight;
  const std::vector<float> before = old.to_vector<float>();
  for (int i = 0; i < 3; ++i) step(inputs(), targets());
  EXPECT_EQ(old.to_vector<float>(), before);
  EXPECT_NE(trainer.model.first.weight.to_vector<float>(), before);
}

TEST(CompiledStep, RateModeFreezingAndBatchSizeAreHonoured) {
  const cr::Context context({.train = true, .seed = 5});
  Trainer trainer;
  auto step = cr::compile([&](const cr::Tensor& x, const cr::Tensor& y) { return trainer.step(x, y); },
                          trainer.model, trainer.adam);
  step(inputs(), targets());
  const std::vector<float> mean = trainer.model.norm.running_mean.to_vector<float>();
  // A rate of zero changes no parameter, without a new trace.
  trainer.adam.rate = cr::zeros({}).eval();
  const std::vector<float> weight = trainer.model.first.weight.to_vector<float>();
  step(inputs(), targets());
  EXPECT_EQ(trainer.model.first.weight.to_vector<float>(), weight);
  EXPECT_NE(trainer.model.norm.running_mean.to_vector<float>(), mean);
  EXPECT_EQ(step.trace_count(), 1);
  // Evaluation mode: other trace, running averages stay.
  trainer.adam.rate = cr::full({}, 0.01).eval();
  {
    const cr::Context evaluation({.train = false});
    const std::vector<float> kept = trainer.model.norm.running_mean.to_vector<float>();
    step(inputs(), targets());
    EXPECT_EQ(trainer.model.norm.running_mean.to_vector<float>(), kept);
    EXPECT_EQ(step.trace_count(), 2);
  }
  // A frozen layer stays as it is, the others move.
  EXPECT_EQ(cr::freeze(trainer.model, "first.*"), 2);
  const std::vector<float> frozen = trainer.model.first.weight.to_vector<float>();
  const std::vector<float> moving = trainer.model.second.weight.to_vector<float>();
  step(inputs(), targets());
  EXPECT_EQ(trainer.model.first.weight.to_vector<float>(), frozen);
  EXPECT_NE(trainer.model.second.weight.to_vector<float>(), moving);
  // A partial batch.
  EXPECT_TRUE(std::isfinite(step(cr::slice(inputs(), 0, 0, 7), cr::slice(targets(), 0, 0, 7)).item<float>()));
  EXPECT_EQ(step.trace_count(), 4);
  // Loading other weights between steps.
  trainer.model = make_model();
  EXPECT_TRUE(std::isfinite(step(inputs(), targets()).item<float>()));
  EXPECT_EQ(step.trace_count(), 4);
}

TEST(CompiledStep, ANaNIsNamedAndNothingIsCommitted) {
  const cr::Context context({.train = true, .seed = 5});
  Trainer trainer;
  auto step = cr::compile([&](const cr::Tensor& x, const cr::Tensor& y) { return trainer.step(x, y); },
                          trainer.model, trainer.adam);
  for (int i = 1; i < 37; ++i) step(inputs(), targets());
  std::vector<cr::Leaf> state = cr::leaves(trainer.model);
  for (const cr::Leaf& leaf : cr::leaves(trainer.adam)) state.push_back(leaf);
  std::vector<std::vector<float>> before;
  for (const cr::Leaf& leaf : state) before.push_back(leaf.tensor->to_vector<float>());
  const cr::Tensor huge = (inputs() * 1e38).eval();
  try {
    step(huge, targets());
    FAIL() << "the step did not notice";
  } catch (const cr::NumericError& error) {
    EXPECT_EQ(error.parts().region, "BatchNorm");
    EXPECT_NE(error.parts().problem.find("step 37"), std::string::npos) << error.what();
    EXPECT_NE(error.parts().got.find("sum("), std::string::npos) << error.what();
  }
  std::size_t i = 0;
  for (const cr::Leaf& leaf : state) EXPECT_EQ(leaf.tensor->to_vector<float>(), before[i++]) << leaf.path;
  EXPECT_TRUE(std::isfinite(step(inputs(), targets()).item<float>()));
}

TEST(CompiledStep, AnUndeclaredParameterIsAnError) {
  Trainer trainer;
  auto step = cr::compile([&](const cr::Tensor& x) { return cr::sum(trainer.model.first(x)); });
  EXPECT_THROW(step(inputs()), cr::StateError);
}

TEST(CompiledStep, ReadingWhileTracingIsAnError) {
  auto step =
      cr::compile([](const cr::Tensor& x) { return x * (cr::sum(x).item<double>() > 0 ? 1.0 : 2.0); });
  EXPECT_THROW(step(inputs()), cr::StateError);
}

}  // namespace
