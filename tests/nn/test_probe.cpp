// Probes of a model's regions, against the same quantities computed by hand.

#include <chainrule/probe.hpp>

#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/error.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

namespace cr = chainrule;
namespace nn = cr::nn;
using cr::ProbeOf;
using cr::Statistic;

namespace {

struct Network {
  nn::Sequential model;
  cr::Tensor x, target;
  Network() {
    const cr::Context scope({.seed = 3});
    model = nn::Sequential(nn::Linear(5, 7), nn::ReLU(), nn::Linear(7, 2));
    x = cr::random::normal({4, 5});
    target = cr::random::normal({4, 2});
    x.eval();
    target.eval();
  }
  const nn::Linear& layer(int i) { return *model[i].get_if<nn::Linear>(); }
};

cr::Tensor linear(const nn::Linear& layer, const cr::Tensor& x) {
  return cr::matmul(x, cr::transpose(layer.weight)) + layer.bias;
}

double difference(const cr::Tensor& a, const cr::Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  return cr::max(cr::abs(a - b)).item<double>();
}

// What every quantity is for Linear → ReLU → Linear with mean squared error, written out.
TEST(Probe, QuantitiesAreThoseOfTheChainRule) {
  Network n;
  const cr::Tensor a = linear(n.layer(0), n.x);
  const cr::Tensor h = cr::maximum(a, 0.0);
  const cr::Tensor y = linear(n.layer(2), h);
  const cr::Tensor y_bar = (y - n.target) * (2.0 / 8);
  const cr::Tensor h_bar = cr::matmul(y_bar, n.layer(2).weight);
  const cr::Tensor a_bar = h_bar * cr::greater(a, 0.0).astype(cr::DType::float32);

  const auto step = [&](const nn::Sequential& model) {
    return cr::grad([&](const nn::Sequential& m) { return nn::mse_loss(m(n.x), n.target); })(model);
  };
  const auto [gradient, readings] = cr::probe(step,
                                              {{"Sequential[1].ReLU", ProbeOf::input},
                                               {"Sequential[1].ReLU", ProbeOf::output},
                                               {"Sequential[1].ReLU", ProbeOf::output_cotangent},
                                               {"Sequential[1].ReLU", ProbeOf::input_cotangent},
                                               {"*.ReLU", ProbeOf::transmission},
                                               {"Sequential[2].Linear", ProbeOf::input_cotangent},
                                               {"Sequential[0]", ProbeOf::output, Statistic::norm}},
                                              n.model);
  ASSERT_EQ(readings.size(), 7U);
  const cr::Tensor passed = cr::sum(cr::abs(a_bar), {0}) / cr::sum(cr::abs(h_bar), {0});
  const cr::Tensor expected[] = {a, h, h_bar, a_bar, passed, h_bar, cr::norm(a)};
  for (std::size_t i = 0; i < readings.size(); ++i)
    EXPECT_LE(difference(readings[i].value, expected[i]), 1e-5) << i;
  EXPECT_EQ(readings[4].region, "Sequential[1].ReLU");
  EXPECT_EQ(readings[6].region, "Sequential[0]");
}

TEST(Probe, StatisticsOfKnownNumbers) {
  const cr::Tensor x = cr::Tensor::from(std::vector<float>{-1, 0, 0, 7, 4, 2}, {2, 3});
  const auto f = [](const cr::Tensor& t) {
    const cr::Region region("layer");
    return t * 1.0;
  };
  const auto of = [&](Statistic statistic) {
    return cr::probe(f, {{"layer", ProbeOf::output, statistic}}, x).readings.at(0).value;
  };
  EXPECT_NEAR(of(Statistic::norm).item<double>(), std::sqrt(70.0), 1e-6);
  EXPECT_NEAR(of(Statistic::mean).item<double>(), 2, 1e-6);
  EXPECT_NEAR(of(Statistic::std).item<double>(), std::sqrt(46.0 / 5), 1e-6);
  EXPECT_EQ(of(Statistic::minimum).item<double>(), -1);
  EXPECT_EQ(of(Statistic::maximum).item<double>(), 7);
  EXPECT_NEAR(of(Statistic::zero_share).item<double>(), 2.0 / 6, 1e-6);
  const std::vector<std::int64_t> counts = of(Statistic::histogram).to_vector<std::int64_t>();
  ASSERT_EQ(counts.size(), 64U);
  // Bins of 1/8 from −1: 0 falls into bin 8, 2 into 24, 4 into 40; the maximum belongs to the last.
  std::vector<std::int64_t> expected(64, 0);
  expected[0] = expected[24] = expected[40] = expected[63] = 1;
  expected[8] = 2;
  EXPECT_EQ(counts, expected);
}

TEST(Probe, ACompiledStepHasAPlanForItAndChangesNothingElse) {
  Network plain;
  Network probed;
  const auto make_step = [](Network& n, cr::optim::Optimizer& optimizer) {
    return cr::compile(
        [&](const cr::Tensor& x, const cr::Tensor& target) {
          auto [loss, gradient] = cr::value_and_grad(
              [&](const nn::Sequential& m) { return nn::mse_loss(m(x), target); })(n.model);
          optimizer.update(n.model, gradient);
          return loss;
        },
        n.model, optimizer);
  };
  cr::optim::Optimizer plain_optimizer = cr::optim::Adam();
  cr::optim::Optimizer probed_optimizer = cr::optim::Adam();
  plain_optimizer.init(plain.model);
  probed_optimizer.init(probed.model);
  auto plain_step = make_step(plain, plain_optimizer);
  auto probed_step = make_step(probed, probed_optimizer);
  const std::vector<cr::Probe> probes = {{"*.ReLU", ProbeOf::output, Statistic::zero_share},
                                         {"*.Linear", ProbeOf::output_cotangent, Statistic::norm}};
  for (int i = 0; i < 6; ++i) {
    const double expected = plain_step(plain.x, plain.target).item<double>();
    double loss = 0;
    if (i % 2 == 0) {
      const cr::Tensor zeros = linear(probed.layer(0), probed.x);
      const double dead = cr::mean(cr::less_equal(zeros, 0.0).astype(cr::DType::float32)).item<double>();
      const auto [result, readings] = probed_step.probe(probes, probed.x, probed.target);
      loss = result.item<double>();
      ASSERT_EQ(readings.size(), 3U);
      EXPECT_NEAR(readings[0].value.item<double>(), dead, 1e-6);
      EXPECT_EQ(readings[1].region, "Sequential[0].Linear");
      EXPECT_EQ(readings[2].region, "Sequential[2].Linear");
      EXPECT_GT(readings[2].value.item<double>(), 0);
    } else {
      loss = probed_step(probed.x, probed.target).item<double>();
    }
    EXPECT_NEAR(loss, expected, 1e-6 * std::abs(expected)) << "step " << i;
  }
  EXPECT_EQ(probed_step.trace_count(), 2);
  EXPECT_EQ(plain_step.trace_count(), 1);
}

TEST(Probe, DefinitionsStayInTheirLayer) {
  // gelu has no rule of its own: the gradient runs through its definition, which is the layer's too.
  // d/dx x Φ(x) = Φ(x) + x φ(x), and a loss of Σ gelu(x) lets 1 arrive.
  const cr::Tensor x = cr::tensor({{-1.0, 0.5}, {-6.0, 2.0}});
  const nn::Sequential model{nn::GELU()};
  const auto step = [&](const cr::Tensor& at) {
    return cr::grad([&](const cr::Tensor& v) { return cr::sum(model(v * 1.0)); })(at);
  };
  const auto found = cr::probe(step, {{"Sequential[0].GELU", ProbeOf::transmission}}, x);
  ASSERT_EQ(found.readings.size(), 1U);
  const cr::Tensor phi = cr::exp(x * x * -0.5) / std::sqrt(2 * 3.14159265358979323846);
  const cr::Tensor slope = (cr::erf(x / std::sqrt(2.0)) + 1.0) * 0.5 + x * phi;
  EXPECT_LE(difference(found.readings[0].value, cr::mean(cr::abs(slope), {0})), 1e-6);
}

TEST(Probe, AnInnerGradientIsNotTheModel) {
  // A gradient penalty: the outer gradient runs over the inner one's nodes, which bear the layers' names too.
  Network n;
  const auto penalty = [&](const nn::Sequential& model) {
    const cr::Tensor slope =
        cr::grad([&](const cr::Tensor& x) { return cr::sum(cr::square(model(x))); })(n.x);
    return cr::sum(cr::square(slope));
  };
  const auto found = cr::probe([&](const nn::Sequential& m) { return cr::grad(penalty)(m); },
                               {{"*.Linear", ProbeOf::output}}, n.model);
  ASSERT_EQ(found.readings.size(), 2U);
  EXPECT_LE(difference(found.readings[0].value, linear(n.layer(0), n.x)), 1e-6);
}

TEST(Probe, InnerDerivativesThatAreRewrittenAreNotTheModelEither) {
  // gelu has a definition and no rule: the outer transform rewrites what the inner one built.
  const cr::Context scope({.seed = 7});
  const nn::Sequential model(nn::Linear(3, 4), nn::GELU(), nn::Linear(4, 1));
  const cr::Tensor x = cr::random::normal({5, 3}).eval();
  const auto loss = [&](const nn::Sequential& m) {
    const cr::Tensor slope = cr::grad([&](const cr::Tensor& at) { return cr::sum(m(at)); })(x);
    return cr::sum(cr::square(slope)) + cr::sum(cr::square(m(x)));
  };
  const auto penalty = [&](const nn::Sequential& m) { return cr::grad(loss)(m); };
  const auto curvature = [&](const nn::Sequential& m) {
    return cr::hvp([&](const nn::Sequential& at) { return cr::sum(cr::square(at(x))); }, m, m);
  };
  const auto outputs_of = [&](const auto& f) {
    return cr::probe(f, {{"Sequential[2].Linear", ProbeOf::output}}, model).readings;
  };
  const cr::Tensor y = model(x);
  // The penalty runs the model twice, on the same numbers.
  for (const auto& reading : outputs_of(penalty)) EXPECT_LE(difference(reading.value, y), 1e-6);
  const auto readings = outputs_of(curvature);
  ASSERT_EQ(readings.size(), 1U);
  EXPECT_LE(difference(readings[0].value, y), 1e-6);
}

TEST(Probe, ABranchThatIsAddedIsNoGradientOfTheLayer) {
  // x enters the residual block's layer and is added again: only what the layer passes back counts.
  const cr::Context scope({.seed = 5});
  nn::Residual block(nn::Linear(3, 3));
  const cr::Tensor x = cr::random::normal({2, 3}).eval();
  const auto step = [&](const cr::Tensor& at) {
    return cr::grad([&](const cr::Tensor& v) { return cr::sum(block(v * 1.0)); })(at);
  };
  const auto found = cr::probe(step, {{"Residual.Linear", ProbeOf::input_cotangent}}, x);
  ASSERT_EQ(found.readings.size(), 1U);
  const cr::Tensor weight = block.module.get_if<nn::Linear>()->weight;
  EXPECT_LE(difference(found.readings[0].value, cr::matmul(cr::ones({2, 3}), weight)), 1e-6);
}

TEST(Probe, MistakesNameWhatThereIs) {
  Network n;
  const auto forward = [&](const cr::Tensor& x) { return n.model(x); };
  try {
    cr::probe(forward, {{"Sequential[1].Relu"}}, n.x);
    FAIL();
  } catch (const cr::ArgumentError& error) {
    EXPECT_EQ(error.parts().function, "probe");
    EXPECT_EQ(error.parts().argument, "region");
    EXPECT_NE(error.parts().wanted.find("Sequential[1].ReLU"), std::string::npos);
    EXPECT_NE(error.parts().hint.find("Sequential[1].ReLU"), std::string::npos);
  }
  EXPECT_THROW(cr::probe(forward, {{"*.ReLU", ProbeOf::output_cotangent}}, n.x), cr::StateError);
  const auto step = [&](const nn::Sequential& model) {
    return cr::grad([&](const nn::Sequential& m) { return cr::sum(m(n.x)); })(model);
  };
  // A product is no elementwise function: a unit of its output has no input of its own.
  EXPECT_THROW(cr::probe(step, {{"Sequential[0].Linear", ProbeOf::transmission}}, n.model), cr::StateError);
  EXPECT_EQ(cr::probe(step, {{"*", ProbeOf::transmission}}, n.model).readings.size(),
            2U);  // with Sequential[1]
}

}  // namespace
