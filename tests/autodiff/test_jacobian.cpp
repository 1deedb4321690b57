// Jacobians and Hessians of trees: quadratic forms, products with vectors, differences.

#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/control.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

namespace cr = chainrule;

namespace {

constexpr cr::DType f64 = cr::DType::float64;
using Tensors = std::vector<cr::Tensor>;

cr::Tensor normal(std::uint64_t seed, const cr::Shape& shape) {
  return cr::random::normal(cr::random::key(seed), shape, 0, 1, f64).eval();
}
void expect_near(const cr::Tensor& got, const cr::Tensor& wanted, double tolerance = 1e-13) {
  ASSERT_EQ(got.shape(), wanted.shape());
  const std::vector<double> a = got.to_vector<double>();
  const std::vector<double> b = wanted.to_vector<double>();
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], tolerance * std::fmax(1, std::fabs(b[i])));
}

struct Pair {
  cr::Parameter u, v;
  void visit(cr::Visitor& visitor) {
    visitor("u", u);
    visitor("v", v);
  }
};

// One hidden layer, something frozen, and state that is not learned.
struct Net {
  cr::Parameter in{normal(11, {4, 3})}, bias{normal(12, {4})}, out{normal(13, {4})};
  cr::Parameter frozen{normal(14, {4})};
  cr::Tensor running{normal(15, {4})}, count{cr::Tensor::from(std::vector<std::int64_t>{2}, {})};
  Net() { frozen.trainable = false; }
  cr::Tensor operator()(const cr::Tensor& x) const {
    const cr::Tensor h = cr::tanh(cr::matmul(x, cr::transpose(in)) + bias);
    return cr::matmul(h * frozen + running, out);
  }
  void visit(cr::Visitor& v) {
    v("in", in);
    v("bias", bias);
    v("out", out);
    v("frozen", frozen);
    v.buffer("running", running);
    v.buffer("count", count);
  }
};

// ½ uᵀAu + uᵀBv + ½ vᵀCv with u as a matrix: the blocks are A, B, Bᵀ and C.
TEST(Jacobian, TheHessianOfAQuadraticFormIsItsMatrix) {
  const auto symmetric = [](const cr::Tensor& m) { return m + cr::transpose(m); };
  const cr::Tensor a = symmetric(normal(1, {4, 4}));
  const cr::Tensor b = normal(2, {4, 3});
  const cr::Tensor c = symmetric(normal(3, {3, 3}));
  const auto form = [&](const Pair& p) {
    const cr::Tensor u = cr::reshape(p.u, {4});
    return 0.5 * cr::dot(u, cr::matmul(a, u)) + cr::dot(u, cr::matmul(b, p.v)) +
           0.5 * cr::dot(p.v, cr::matmul(c, p.v));
  };
  const Pair at{normal(4, {2, 2}), normal(5, {3})};
  const auto h = cr::hessian(form, at);
  ASSERT_EQ(h.size(), 2U);
  expect_near(h.at("u").u, cr::reshape(a, {2, 2, 2, 2}));
  expect_near(h.at("u").v, cr::reshape(b, {2, 2, 3}));
  expect_near(h.at("v").u, cr::reshape(cr::transpose(b), {3, 2, 2}));
  expect_near(h.at("v").v, c);
}

TEST(Jacobian, TheHessianTimesAVectorIsHvp) {
  const cr::Tensor x = normal(6, {7, 3});
  const cr::Tensor t = normal(7, {7});
  const auto loss = [&](const Net& net) { return cr::mean(cr::square(net(x) - t)); };
  const Net net;
  const auto h = cr::hessian(loss, net);
  EXPECT_EQ(h.size(), 3U) << "in, bias and out";
  EXPECT_FALSE(h.at("in").frozen.defined());
  EXPECT_FALSE(h.at("in").count.defined());
  EXPECT_EQ(h.at("in").bias.shape(), (cr::Shape{4, 3, 4}));
  Net direction;
  direction.in = normal(8, {4, 3});
  direction.bias = normal(9, {4});
  direction.out = normal(10, {4});
  const Net product = cr::hvp(loss, net, direction);
  const auto applied = [&](const Net& row, int rows) {
    const auto times = [&](const cr::Tensor& block, const cr::Tensor& v) {
      return cr::matmul(cr::reshape(block, {rows, v.size()}), cr::reshape(v, {v.size()}));
    };
    return times(row.in, direction.in) + times(row.bias, direction.bias) + times(row.out, direction.out);
  };
  expect_near(applied(h.at("in"), 12), cr::reshape(product.in, {12}));
  expect_near(applied(h.at("bias"), 4), product.bias);
  expect_near(applied(h.at("out"), 4), product.out);
  // Symmetric, block against block.
  expect_near(h.at("in").out, cr::moveaxis(h.at("out").in, 0, -1));
}

TEST(Jacobian, OfATreeAgreesWithDifferences) {
  const cr::Tensor x = normal(6, {5, 3});
  const Net net;
  const auto f = [&](const Net& n) { return n(x); };
  const Net slopes = cr::jacobian(f, net);  // 20 parameters, 5 values: by rows
  EXPECT_FALSE(slopes.frozen.defined());
  constexpr double h = 1e-5;
  const auto moved = [&](double step, std::size_t i) {
    Net n;
    std::vector<double> values = n.in.to_vector<double>();
    values[i] += step;
    n.in = cr::Tensor::from(values, {4, 3});
    return f(n);
  };
  ASSERT_EQ(slopes.in.shape(), (cr::Shape{5, 4, 3}));
  const cr::Tensor columns = cr::reshape(slopes.in, {5, 12});
  for (std::size_t i = 0; i < 12; ++i) {
    const cr::Tensor column =
        cr::slice(columns, 1, static_cast<std::int64_t>(i), static_cast<std::int64_t>(i) + 1);
    expect_near(cr::reshape(column, {5}), (moved(h, i) - moved(-h, i)) / (2 * h), 1e-9);
  }
}

// Few inputs go through forward mode, many through reverse mode: inputs that do nothing make the difference.
TEST(Jacobian, ForwardAndReverseAgree) {
  const auto square_of = cr::custom_vjp([](const Tensors& t) { return cr::square(t[0]); },
                                        [](const Tensors& t, const cr::Tensor&, const cr::Tensor& y_bar) {
                                          return Tensors{2.0 * t[0] * y_bar};
                                        });
  const cr::Tensor m = normal(1, {3, 6});
  const auto f = [&](const cr::Tensor& x) {
    const cr::Tensor y = cr::sin(cr::matmul(x, m)) * cr::sum(cr::exp(x));
    return cr::reshape(cr::softmax(y) + square_of({y}), {2, 3});
  };
  const cr::Tensor x = normal(2, {3});
  const cr::Tensor padded = cr::concatenate({x, normal(3, {20})});
  const auto of_part = [&](const cr::Tensor& t) { return f(cr::slice(t, 0, 0, 3)); };
  const cr::Tensor forward = cr::jacobian(f, x);
  const cr::Tensor reverse = cr::jacobian(of_part, padded);
  ASSERT_EQ(forward.shape(), (cr::Shape{2, 3, 3}));
  ASSERT_EQ(reverse.shape(), (cr::Shape{2, 3, 23}));
  expect_near(cr::slice(reverse, -1, 0, 3), forward);
  expect_near(cr::slice(reverse, -1, 3, 23), cr::zeros({2, 3, 20}, f64));
  const cr::Tensor v = normal(4, {3});
  expect_near(cr::matmul(forward, v), cr::jvp(f, x, v).second);
  const cr::Tensor w = normal(5, {2, 3});
  expect_near(cr::einsum("ij,ijk->k", {w, forward}), cr::vjp(f, x, w).second);
}

TEST(Jacobian, ATreeOfResultsHasATreeForEach) {
  const Tensors x{normal(1, {2}), normal(2, {3})};
  const auto f = [](const Tensors& t) {
    return std::tuple(cr::outer(t[0], t[1]), cr::argmax(t[1]), cr::sum(t[0]));
  };
  const auto j = cr::jacobian(f, x);
  ASSERT_EQ(j.size(), 2U) << "an index has no derivative";
  const cr::Tensor eye2 = cr::eye(2, f64), eye3 = cr::eye(3, f64);
  expect_near(j.at("0")[0], cr::einsum("ik,j->ijk", {eye2, x[1]}));
  expect_near(j.at("0")[1], cr::einsum("i,jk->ijk", {x[0], eye3}));
  expect_near(j.at("2")[0], cr::ones({2}, f64));
  expect_near(j.at("2")[1], cr::zeros({3}, f64));
}

// The rows are those of one function, drawn once: J x = f(x) for a random linear map.
TEST(Jacobian, OneCallOneDraw) {
  int calls = 0;
  const auto f = [&](const cr::Tensor& t) {
    ++calls;
    const cr::Tensor y = cr::where(cr::random::bernoulli(cr::Tensor(0.5), {50}), t, 0.0);
    return cr::concatenate({y, cr::reshape(cr::sum(y), {1})});
  };
  const cr::Tensor x = normal(1, {50});
  cr::seed(3);
  const cr::Tensor j = cr::jacobian(f, x);
  EXPECT_EQ(calls, 1);
  cr::seed(3);
  expect_near(cr::matmul(j, x), f(x));
}

TEST(Jacobian, UpdatesAreThoseOfOneCall) {
  const cr::Context scope({.train = true});
  struct Counter {
    cr::Tensor x, count;
    void visit(cr::Visitor& v) {
      v("x", x);
      v.buffer("count", count);
    }
  };
  Counter counter{normal(1, {3}), cr::zeros({}, f64)};
  const auto f = [](const Counter& c) {
    cr::Context::record_update(c.count, cr::Context::pending_value(c.count) + 1);
    return cr::exp(c.x);
  };
  const Counter slopes = cr::jacobian(f, counter);
  expect_near(slopes.x, cr::exp(counter.x) * cr::eye(3, f64));
  cr::apply_updates(counter);
  EXPECT_EQ(counter.count.item<double>(), 1);
}

// Σ x³: the third derivative is 6 on the diagonal of a cube.
TEST(Jacobian, NestsAndCompiles) {
  const auto cubes = [](const cr::Tensor& t) { return cr::sum(t * t * t); };
  const auto second = [&](const cr::Tensor& t) { return cr::hessian(cubes, t); };
  const cr::Tensor x = normal(1, {3});
  const cr::Tensor third = cr::jacobian(second, x);
  const cr::Tensor eye = cr::eye(3, f64);
  expect_near(third, 6.0 * cr::einsum("ij,jk->ijk", {eye, eye}));
  auto compiled = cr::compile(second);
  expect_near(compiled(x), 6.0 * x * eye);
  const auto batch = cr::vmap(second)(cr::stack({x, 2.0 * x}));
  expect_near(batch[1], 12.0 * x * eye);
}

TEST(Jacobian, WithoutElements) {
  const cr::Tensor none = cr::zeros({0}, f64);
  const auto same = [](const cr::Tensor& t) { return cr::exp(t); };
  EXPECT_EQ(cr::jacobian(same, none).shape(), (cr::Shape{0, 0}));
  const auto total = [](const cr::Tensor& t) { return cr::sum(t); };
  EXPECT_EQ(cr::jacobian(total, none).shape(), (cr::Shape{0}));
  EXPECT_EQ(cr::hessian(total, none).shape(), (cr::Shape{0, 0}));
}

TEST(Jacobian, RefusesWhatHasNoDerivative) {
  const auto index = [](const cr::Tensor& t) { return cr::argmax(t); };
  EXPECT_THROW(cr::jacobian(index, normal(1, {3})), cr::DTypeError);
  const auto vector = [](const cr::Tensor& t) { return t * 2.0; };
  EXPECT_THROW(cr::hessian(vector, normal(1, {3})), cr::ShapeError);
}

}  // namespace
