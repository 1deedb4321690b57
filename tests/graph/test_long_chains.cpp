// Graphs of up to a million nodes, one behind the other: whatever walks over them must not recurse. (With a
// quarter of a million, 32 bytes per call would fill the stack.)

#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "tensor/sanitized.hpp"

namespace cr = chainrule;

namespace {

// x + 0 again and again: zeros_like(x) is no constant, so nothing of it is simplified away.
template <int length>
cr::Tensor chain(const cr::Tensor& x) {
  const cr::Tensor zero = cr::zeros_like(x);
  cr::Tensor h = x;
  for (int i = 0; i < length; ++i) h = h + zero;
  return h;
}

// A sanitizer makes each node several times as slow, and each stack frame several times as large.
constexpr int million = cr::is_sanitized ? 400'000 : 1'000'000;

TEST(LongChains, AreDestroyedWithoutBeingEvaluated) {
  cr::Tensor h = chain<million>(cr::ones({2}));
  EXPECT_EQ(h.shape(), cr::Shape{2});
  h = cr::Tensor();
}

// Forward and backward expression, a million nodes together.
TEST(LongChains, Grad) {
  const auto f = [](const cr::Tensor& x) {
    cr::Tensor h = x;
    for (int i = 0; i < million / 4; ++i) h = cr::sin(h);
    return h;
  };
  const cr::Tensor gradient = cr::grad(f)(cr::zeros({}));
  EXPECT_EQ(gradient.shape(), cr::Shape{});
}

TEST(LongChains, Jvp) {
  const auto f = [](const cr::Tensor& x) {
    cr::Tensor h = x;
    for (int i = 0; i < million / 4; ++i) h = cr::sin(h);
    return h;
  };
  const auto [value, tangent] = cr::jvp(f, cr::zeros({}), cr::ones({}));
  EXPECT_EQ(value.shape(), cr::Shape{});
  EXPECT_EQ(tangent.shape(), cr::Shape{});
}

TEST(LongChains, Vmap) {
  const cr::Tensor result = cr::vmap(chain<million / 4>)(cr::ones({2, 3}));
  EXPECT_EQ(result.shape(), (cr::Shape{2, 3}));
}

TEST(LongChains, Compile) {
  auto step = cr::compile(chain<million / 4>);
  EXPECT_EQ(step(cr::ones({2}).eval()).to_vector<float>(), (std::vector<float>{1, 1}));
}

}  // namespace
