// The chain rule on random compositions of elementwise ops: the value and the derivative of the whole against
// the product of the parts' own, each in double from its declaration's formula.

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "graph/op.hpp"

namespace cr = chainrule;

namespace {

// One argument, a formula in double and a derivative everywhere inside its range.
std::vector<const cr::OpDef*> smooth_unary_ops() {
  std::vector<const cr::OpDef*> ops;
  for (const cr::OpDef* op : cr::op_table()) {
    if (op->kind == cr::OpKind::elementwise && op->arguments.size() == 1 && op->attributes.empty() &&
        op->reference != nullptr && op->ranges.size() == 1 && op->not_differentiable == nullptr &&
        op->kinks.empty() && op->element_rule == cr::ElementRule::floating) {
      ops.push_back(op);
    }
  }
  return ops;
}

// By Richardson's extrapolation of central differences of the formula: six digits for these ops.
double slope_of(const cr::OpDef& op, double x) {
  const auto f = [&](double at) { return op.reference(&at); };
  const double h = 1e-3 * std::fmax(1, std::fabs(x));
  const double wide = (f(x + h) - f(x - h)) / (2 * h);
  const double narrow = (f(x + h / 2) - f(x - h / 2)) / h;
  return (4 * narrow - wide) / 3;
}

struct Link {
  const cr::OpDef* op;
  double scale, shift;  // the op is applied to scale · x + shift, which lies inside its range
};
struct Chain {
  std::vector<Link> links;
  double value = 0;
  double slope = 1;
};

Chain random_chain(const std::vector<const cr::OpDef*>& ops, double x, int length, std::mt19937& bits) {
  const auto uniform = [&](double low, double high) {
    return low + (high - low) * static_cast<double>(bits()) / 4294967296.0;
  };
  Chain chain;
  chain.value = x;
  for (int k = 0; k < length; ++k) {
    const cr::OpDef* op = ops[bits() % ops.size()];
    const cr::Range& range = op->ranges[0];
    const double middle =
        uniform(range.low + 0.2 * (range.high - range.low), range.high - 0.2 * (range.high - range.low));
    const double scale = uniform(0.5, 1.5);
    chain.links.push_back({op, scale, middle - scale * chain.value});
    chain.slope *= scale * slope_of(*op, middle);
    chain.value = op->reference(&middle);
  }
  return chain;
}

cr::Tensor apply(const Chain& chain, cr::Tensor x) {
  for (const Link& link : chain.links) {
    const cr::Tensor moved =
        x * cr::full({}, link.scale, cr::DType::float64) + cr::full({}, link.shift, cr::DType::float64);
    x = cr::make_outputs(*link.op, std::vector<cr::Tensor>{moved})[0];
  }
  return x;
}

TEST(ChainRule, HoldsForRandomCompositions) {
  const std::vector<const cr::OpDef*> ops = smooth_unary_ops();
  EXPECT_GT(ops.size(), 20U);
  std::mt19937 bits(20);
  for (int trial = 0; trial < 200; ++trial) {
    const double x = -1 + trial * 0.01;
    const Chain chain = random_chain(ops, x, 2 + trial % 4, bits);
    std::string names;
    for (const Link& link : chain.links) names += std::string(link.op->name) + " ";
    SCOPED_TRACE(names);
    const auto f = [&](const cr::Tensor& t) { return apply(chain, t); };
    const cr::Tensor at = cr::full({}, x, cr::DType::float64);
    const auto [value, slope] = cr::value_and_grad(f)(at);
    // Each link may lose a few units in the last place, which steep links behind it make larger.
    EXPECT_NEAR(value.item<double>(), chain.value,
                1e-10 * (1 + std::fabs(chain.value) + std::fabs(chain.slope)));
    EXPECT_NEAR(slope.item<double>(), chain.slope, 1e-6 * (1 + std::fabs(chain.slope)));
    EXPECT_NEAR(cr::jvp(f, at, cr::ones_like(at)).second.item<double>(), slope.item<double>(),
                1e-12 * (1 + std::fabs(chain.slope)));
  }
}

}  // namespace
