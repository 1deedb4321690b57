// Which functions look at the same memory, and parts of tensors written by x.at(...).

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "graph/node.hpp"
#include "graph/op.hpp"

namespace cr = chainrule;

namespace {

const void* memory_of(const cr::Tensor& x) {
  x.eval();
  return cr::storage_of(x).buffer.data();
}

TEST(Views, ShareTheirMemory) {
  const cr::Tensor x = cr::arange(0, 24).reshape({2, 3, 4}).eval();
  const void* memory = memory_of(x);
  EXPECT_EQ(memory_of(cr::slice(x, 1, 0, 3, 2)), memory);
  EXPECT_EQ(memory_of(cr::slice(x, 2, -1, -5, -2)), memory);
  EXPECT_EQ(memory_of(cr::permute(x, {2, 0, 1})), memory);
  EXPECT_EQ(memory_of(cr::flip(x, {0, 2})), memory);
  EXPECT_EQ(memory_of(cr::broadcast_to(x, {5, 2, 3, 4})), memory);
  EXPECT_EQ(memory_of(cr::reshape(x, {6, 4})), memory);
  EXPECT_EQ(memory_of(cr::stop_gradient(x)), memory);
  // Names of these.
  EXPECT_EQ(memory_of(cr::transpose(x)), memory);
  EXPECT_EQ(memory_of(cr::moveaxis(x, 0, 2)), memory);
  EXPECT_EQ(memory_of(cr::flatten(x, 1)), memory);
  EXPECT_EQ(memory_of(cr::unsqueeze(x, 1)), memory);
  EXPECT_EQ(memory_of(cr::squeeze(x[0].reshape({3, 1, 4}))), memory);
  EXPECT_EQ(memory_of(cr::split(x, {1, 2}, 1)[1]), memory);
  EXPECT_EQ(memory_of(cr::chunk(x, 2, 2)[1]), memory);
  EXPECT_EQ(memory_of(x.at(1, cr::Slice{.step = 2}).get()), memory);
  EXPECT_EQ(memory_of(cr::reshape(cr::slice(x, 2, 0, 2), {6, 1, 2})), memory);
  // Views of views, and what they hold.
  const cr::Tensor deep = cr::slice(cr::flip(cr::transpose(x, 0, 2), {0}), 0, 1, 3);
  EXPECT_EQ(memory_of(deep), memory);
  EXPECT_EQ(deep.to_vector<float>(), (std::vector<float>{2, 14, 6, 18, 10, 22, 1, 13, 5, 17, 9, 21}));
}

TEST(Views, CopyWhereTheMemoryDoesNotAllowThem) {
  const cr::Tensor x = cr::arange(0, 6).reshape({2, 3}).eval();
  const cr::Tensor y = cr::reshape(cr::transpose(x), {6});
  EXPECT_NE(memory_of(y), memory_of(x));
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{0, 3, 1, 4, 2, 5}));
}

// Lengths whose product is `count`, some of them 1.
cr::Shape random_factors(std::mt19937& random, std::int64_t count) {
  cr::Shape shape;
  while (count > 1 || shape.empty()) {
    std::int64_t factor = 1;
    for (const std::int64_t prime : {2, 3, 5}) {
      while (count % prime == 0 && random() % 2 == 0) factor *= prime, count /= prime;
    }
    shape.push_back(shape.size() == 7 ? factor * std::exchange(count, 1) : factor);
  }
  return shape;
}

// Whether it copies or not, a reshaped view has the elements of the view in their order.
TEST(Views, ReshapedHaveTheirElementsInOrder) {
  std::mt19937 random(3);
  for (int round = 0; round < 400; ++round) {
    const std::int64_t lengths[] = {5, 6, 8, 9};
    cr::Tensor view = cr::arange(0, 5 * 6 * 8 * 9).reshape({5, 6, 8, 9}).eval();
    for (int axis = 0; axis < 4; ++axis) {
      const auto taken = 1 + static_cast<std::int64_t>(random() % 4);
      const auto step = 1 + static_cast<std::int64_t>(random() % 2);
      if (random() % 2 == 0) view = cr::slice(view, axis, 0, std::min(taken * step, lengths[axis]), step);
      if (random() % 4 == 0) view = cr::flip(view, {axis});
    }
    if (random() % 2 == 0) view = cr::permute(view, {0, 2, 1, 3});
    if (random() % 4 == 0)
      view = cr::broadcast_to(cr::slice(view, 1, 0, 1), {4, view.size(0), 6, view.size(2), view.size(3)});
    const std::vector<float> elements = view.to_vector<float>();
    const cr::Shape shape = random_factors(random, view.size());
    const cr::Tensor reshaped = cr::reshape(view, shape);
    ASSERT_EQ(reshaped.to_vector<float>(), elements) << cr::to_string(view.shape()) << cr::to_string(shape);
    const std::vector<float> negated = cr::neg(cr::reshape(view, shape)).to_vector<float>();
    for (std::size_t i = 0; i < elements.size(); ++i) ASSERT_EQ(negated[i], -elements[i]);
  }
}

// A declared op whose definition is a view is one as well.
TEST(Views, DefinitionsOfViewsCopyNothing) {
  const cr::Tensor x = cr::arange(0, 6).reshape({2, 3}).eval();
  for (const char* name : {"transpose", "moveaxis"}) {
    const cr::Tensor y = cr::make_node(*cr::find_op(name), {x}, {std::int64_t{0}, std::int64_t{1}});
    EXPECT_EQ(memory_of(y), memory_of(x)) << name;
  }
}

TEST(Views, BorrowedMemoryIsNeverWrittenAsState) {
  const std::vector<float> data = {1, 2, 3, 4};
  cr::Tensor state = cr::Tensor::borrow(data.data(), {4});
  cr::Tensor seen = cr::slice(state, 0, 1, 3);
  auto step = cr::compile(
      [&](const cr::Tensor& x) {
        state = state * 2.0 + x;
        return cr::sum(state);
      },
      state);
  const cr::Tensor x = cr::ones({4}).eval();
  EXPECT_EQ(step(x).item<float>(), 24);
  EXPECT_EQ(step(x).item<float>(), 52);
  EXPECT_EQ(data, (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(seen.to_vector<float>(), (std::vector<float>{2, 3}));
  EXPECT_EQ(state.to_vector<float>(), (std::vector<float>{7, 11, 15, 19}));
}

TEST(Parts, SetAndAddReturnNewTensors) {
  const cr::Tensor x = cr::arange(0, 6).reshape({2, 3}).eval();
  EXPECT_EQ(x.at(1).set(9).to_vector<float>(), (std::vector<float>{0, 1, 2, 9, 9, 9}));
  EXPECT_EQ(x.at(1, cr::Slice{.step = 2}).set(0).to_vector<float>(), (std::vector<float>{0, 1, 2, 0, 4, 0}));
  EXPECT_EQ(x.at(cr::Slice{}, -1).add(cr::tensor({10, 20})).to_vector<float>(),
            (std::vector<float>{0, 1, 12, 3, 4, 25}));
  EXPECT_EQ(x.at().set(1).to_vector<float>(), std::vector<float>(6, 1));
  EXPECT_EQ(x.at(0, 1).get().item<float>(), 1);
  EXPECT_EQ(x.at(cr::Slice{.step = -1}).get().to_vector<float>(), (std::vector<float>{3, 4, 5, 0, 1, 2}));
  EXPECT_EQ(x.at(cr::Slice{.start = 2}).set(7).to_vector<float>(), x.to_vector<float>());  // an empty part
  EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  const cr::Tensor whole = cr::arange(0, 3, 1, cr::DType::int64).at(1).set(7);
  EXPECT_EQ(whole.dtype(), cr::DType::int64);
  EXPECT_EQ(whole.to_vector<std::int64_t>(), (std::vector<std::int64_t>{0, 7, 2}));
}

TEST(Parts, MistakesAreNamed) {
  const cr::Tensor x = cr::zeros({2, 3});
  EXPECT_THROW(x.at(2), cr::ArgumentError);
  EXPECT_THROW(x.at(0, -4), cr::ArgumentError);
  EXPECT_THROW(x.at(0, 0, 0), cr::ArgumentError);
  EXPECT_THROW(x.at(cr::Slice{.step = 0}), cr::ArgumentError);
  EXPECT_THROW(x.at(0).set(cr::zeros({2})), cr::ShapeError);
  EXPECT_THROW(x.astype(cr::DType::int32).at(0).set(0.5), cr::DTypeError);
}

}  // namespace
