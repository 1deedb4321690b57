#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/control.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

namespace cr = chainrule;

namespace {

const cr::Tensor& weights() {
  static const cr::Tensor w = cr::tensor({{0.5, -0.3}, {0.2, 0.4}}, cr::DType::float64);
  return w;
}
const cr::Tensor& steps() {
  static const cr::Tensor x = cr::tensor({{0.1, 0.2}, {-0.3, 0.4}, {0.5, -0.6}}, cr::DType::float64);
  return x;
}
const cr::Tensor& start() {
  static const cr::Tensor h = cr::tensor({0.3, -0.7}, cr::DType::float64);
  return h;
}

// A recurrent network, as a scan and written out: sum of squares of all hidden states plus the last.
cr::Tensor by_scan(const std::vector<cr::Tensor>& in) {
  const auto [last, all] = cr::scan(
      [&](const cr::Tensor& h, const cr::Tensor& x) {
        const cr::Tensor next = cr::tanh(cr::matmul(in[0], h) + x);
        return std::pair(next, cr::square(next));
      },
      in[1], in[2]);
  return cr::sum(all) + cr::sum(last);
}
cr::Tensor written_out(const std::vector<cr::Tensor>& in) {
  cr::Tensor h = in[1];
  cr::Tensor total = cr::zeros({}, cr::DType::float64);
  for (int t = 0; t < 3; ++t) {
    h = cr::tanh(cr::matmul(in[0], h) + in[2][t]);
    total = total + cr::sum(cr::square(h));
  }
  return total + cr::sum(h);
}

void expect_near(const cr::Tensor& a, const cr::Tensor& b, double tolerance = 1e-13) {
  ASSERT_EQ(a.shape(), b.shape());
  const auto x = a.to_vector<double>();
  const auto y = b.to_vector<double>();
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], tolerance) << i;
}

TEST(Scan, ValueAndGradientsAreThoseOfTheLoop) {
  const std::vector<cr::Tensor> in = {weights(), start(), steps()};
  expect_near(by_scan(in), written_out(in));
  const auto scanned = cr::grad(by_scan)(in);
  const auto looped = cr::grad(written_out)(in);
  for (std::size_t i = 0; i < in.size(); ++i) expect_near(scanned[i], looped[i]);
  const std::vector<cr::Tensor> direction = {weights() * 0.5, start() + 1.0, steps() * -1.0};
  expect_near(cr::jvp(by_scan, in, direction).second, cr::jvp(written_out, in, direction).second);
}

TEST(Scan, SecondDerivatives) {
  const auto scanned = [](const cr::Tensor& h) { return by_scan({weights(), h, steps()}); };
  const auto looped = [](const cr::Tensor& h) { return written_out({weights(), h, steps()}); };
  expect_near(cr::hessian(scanned, start()), cr::hessian(looped, start()), 1e-12);
}

TEST(Scan, BatchesAndRunsFromTheEnd) {
  const cr::Tensor batch = cr::tensor({{0.3, -0.7}, {1, 2}, {0, 0.5}}, cr::DType::float64);
  const cr::Tensor together = cr::vmap([](const cr::Tensor& h) {
    return by_scan({weights(), h, steps()});
  })(batch);
  for (int i = 0; i < 3; ++i) expect_near(together[i], written_out({weights(), batch[i], steps()}));
  const auto [last, sums] =
      cr::scan([](const cr::Tensor& c, const cr::Tensor& x) { return std::pair(c + x, c + x); },
               cr::zeros({}, cr::DType::float64), cr::arange(1, 5, 1, cr::DType::float64), true);
  EXPECT_EQ(last.item<double>(), 10);
  EXPECT_EQ(sums.to_vector<double>(), (std::vector<double>{10, 9, 7, 4}));
}

TEST(Scan, MistakesAreNamed) {
  const auto grows = [](const cr::Tensor& c, const cr::Tensor& x) { return std::pair(cr::stack({c, x}), x); };
  EXPECT_THROW(cr::scan(grows, cr::Tensor(0.0), cr::ones({3})), cr::ShapeError);
  const auto body = [](const std::vector<cr::Tensor>& c, const std::vector<cr::Tensor>&) {
    return cr::ScanResult{c, {}};
  };
  EXPECT_THROW(cr::scan(body, {cr::ones({1})}, {cr::ones({3}), cr::ones({4})}), cr::ShapeError);
  EXPECT_THROW(cr::scan(body, {cr::ones({1})}, {}), cr::ArgumentError);
}

TEST(CustomVjp, TheGivenRuleIsUsed) {
  // x², with a rule that is wrong on purpose: 10 instead of 2x.
  const auto f =
      cr::custom_vjp([](const std::vector<cr::Tensor>& x) { return cr::square(x[0]); },
                     [](const std::vector<cr::Tensor>&, const cr::Tensor&, const cr::Tensor& y_bar) {
                       return std::vector<cr::Tensor>{y_bar * 10.0};
                     });
  const cr::Tensor x = cr::tensor({1, 2, 3});
  EXPECT_EQ(f({x}).to_vector<float>(), (std::vector<float>{1, 4, 9}));
  const auto total = [&](const cr::Tensor& t) { return cr::sum(f({t})); };
  EXPECT_EQ(cr::grad(total)(x).to_vector<float>(), (std::vector<float>{10, 10, 10}));
  // A batch keeps the rule.
  const auto batched = [&](const cr::Tensor& t) {
    return cr::sum(cr::vmap([&](const cr::Tensor& one) { return f({one}); })(t));
  };
  EXPECT_EQ(cr::grad(batched)(x).to_vector<float>(), (std::vector<float>{10, 10, 10}));
  // So does forward mode, by transposing it.
  EXPECT_EQ(cr::jvp(total, x, x).second.item<float>(), 60);
}

TEST(CustomVjp, ANewFunctionNeverRunsAnOldPlan) {
  const cr::Tensor x = cr::tensor({1, 2});
  for (int k = 1; k < 20; ++k) {
    const auto f =
        cr::custom_vjp([k](const std::vector<cr::Tensor>& v) { return v[0] * double(k); },
                       [k](const std::vector<cr::Tensor>&, const cr::Tensor&, const cr::Tensor& y_bar) {
                         return std::vector<cr::Tensor>{y_bar * double(k)};
                       });
    EXPECT_EQ(f({x}).to_vector<float>(), (std::vector<float>{float(k), float(2 * k)}));
  }
}

TEST(CustomVjp, AWrongShapeIsAnError) {
  const auto f = cr::custom_vjp([](const std::vector<cr::Tensor>& x) { return cr::square(x[0]); },
                                [](const std::vector<cr::Tensor>&, const cr::Tensor& y, const cr::Tensor&) {
                                  return std::vector<cr::Tensor>{cr::sum(y)};
                                });
  EXPECT_THROW(cr::grad([&](const cr::Tensor& t) { return cr::sum(f({t})); })(cr::ones({3})), cr::ShapeError);
}

// Compiled, each example's gradient is checked for NaN before the step commits: the checks are batched as
// well.
TEST(Vmap, OfAGradientCompiles) {
  const cr::Tensor w = weights();
  const auto gradients = [](const cr::Tensor& weight, const cr::Tensor& batch) {
    const auto of_one = [&](const cr::Tensor& x) {
      return cr::grad([&](const cr::Tensor& v) { return cr::sum(cr::tanh(cr::matmul(v, x))); })(weight);
    };
    return cr::vmap(of_one)(batch);
  };
  auto step = cr::compile(gradients);
  EXPECT_EQ(step(w, steps()).to_vector<double>(), gradients(w, steps()).to_vector<double>());
  EXPECT_THROW(step(w, steps() / cr::zeros({}, cr::DType::float64)), cr::NumericError);
}

}  // namespace
