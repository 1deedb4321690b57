// The same values in other memory, other dtypes and at the edges of the floating-point numbers.

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

#include "graph/node.hpp"
#include "ops/rules.hpp"

namespace cr = chainrule;

namespace {

using Tensors = std::vector<cr::Tensor>;

class EveryOpsMemory : public testing::TestWithParam<const cr::OpDef*> {};

bool takes_truth(const cr::OpDef& op, std::size_t i) {
  return op.element_rule == cr::ElementRule::logical ||
         (op.element_rule == cr::ElementRule::select && i == 0);
}

// The op as its public function would call it.
Tensors call(const cr::OpDef& op, Tensors inputs, const cr::Attributes& attributes = {}) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (op.kind == cr::OpKind::elementwise && takes_truth(op, i)) inputs[i] = inputs[i] > 0.0;
  }
  return cr::make_outputs(op, inputs, attributes);
}

// Values of x where every second element along each axis of the memory belongs to somebody else.
cr::Tensor scattered(const cr::Tensor& x) {
  cr::Tensor wide = x;
  for (int axis = 0; axis < x.rank(); ++axis) wide = cr::repeat(wide, 2, axis);
  wide.eval();
  for (int axis = 0; axis < x.rank(); ++axis) wide = cr::slice(wide, axis, 1, wide.shape()[axis] + 1, 2);
  return wide;
}
// The axes in the opposite order in memory.
cr::Tensor reversed_axes(const cr::Tensor& x) {
  cr::Dims order;
  for (int axis = x.rank() - 1; axis >= 0; --axis) order.push_back(axis);
  cr::Tensor memory = cr::permute(x, order) * 1.0;
  memory = memory.astype(x.dtype()).eval();
  return cr::permute(memory, order);
}
// Negative strides.
cr::Tensor backwards(const cr::Tensor& x) {
  if (x.rank() == 0) return x;
  return cr::flip(cr::flip(x).eval());
}

std::vector<double> values_of(const cr::Tensor& x) {
  return x.astype(cr::DType::float64).to_vector<double>();
}

void expect_same(const Tensors& got, const Tensors& expected, const char* what) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(got[i].shape(), expected[i].shape()) << what;
    const std::vector<double> a = values_of(got[i]);
    const std::vector<double> b = values_of(expected[i]);
    for (std::size_t k = 0; k < a.size(); ++k)
      EXPECT_NEAR(a[k], b[k], 1e-14 * std::fmax(1, std::fabs(b[k]))) << what << " at " << k;
  }
}

// The same limit: NaN, an infinity with its sign, or numbers that agree in float32.
void expect_equal_or_nan(const cr::Tensor& got, const cr::Tensor& expected, double at) {
  const std::vector<double> a = values_of(got);
  const std::vector<double> b = values_of(expected);
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (std::isnan(b[k])) {
      EXPECT_TRUE(std::isnan(a[k])) << a[k] << " at " << at;
    } else if (std::isinf(b[k])) {
      EXPECT_EQ(a[k], b[k]) << at;
    } else {
      EXPECT_NEAR(a[k], b[k], 4e-6 * std::fmax(1, std::fabs(b[k]))) << at;
    }
  }
}

std::vector<double> middle_values(const cr::OpDef& op, std::size_t argument, std::size_t count) {
  const cr::Range& range = op.ranges[argument];
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = range.low + (range.high - range.low) * (0.53 + 0.9 * static_cast<double>(i)) /
                                (static_cast<double>(count) + 0.1);
  }
  return values;
}

std::vector<cr::Sample> samples_of(const cr::OpDef& op) {
  if (op.samples != nullptr) return op.samples();
  cr::Sample sample;
  for (std::size_t i = 0; i < op.ranges.size(); ++i)
    sample.inputs.push_back(cr::Tensor::from(middle_values(op, i, 6), {2, 3}));
  return {sample};
}

TEST_P(EveryOpsMemory, DoesNotDependOnTheLayout) {
  const cr::OpDef& op = *GetParam();
  for (const cr::Sample& sample : samples_of(op)) {
    const Tensors expected = call(op, sample.inputs, sample.attributes);
    for (auto* layout : {scattered, reversed_axes, backwards}) {
      Tensors inputs;
      for (const cr::Tensor& x : sample.inputs) inputs.push_back(layout(x));
      expect_same(call(op, inputs, sample.attributes), expected, sample.what.c_str());
    }
  }
}

bool has_formula(const cr::OpDef& op) {
  return op.kind == cr::OpKind::elementwise && op.reference != nullptr && !op.ranges.empty();
}

bool is_floating_elementwise(const cr::OpDef& op) {
  return op.kind == cr::OpKind::elementwise && (op.samples != nullptr || !op.ranges.empty());
}

// One sample of an elementwise op, as vectors of one length.
cr::Sample vectors(const cr::OpDef& op, std::size_t count) {
  cr::Sample sample = op.ranges.empty() || !op.attributes.empty() ? samples_of(op).front() : cr::Sample();
  std::vector<cr::Tensor> inputs;
  for (std::size_t i = 0; i < op.arguments.size(); ++i) {
    std::vector<double> values;
    if (!op.ranges.empty()) {
      values = middle_values(op, i, count);
    } else {
      const std::vector<double> given = values_of(sample.inputs[i]);
      for (std::size_t k = 0; k < count; ++k) values.push_back(given[k % given.size()]);
    }
    inputs.push_back(cr::Tensor::from(values, {static_cast<std::int64_t>(count)}));
  }
  sample.inputs = inputs;
  return sample;
}

TEST_P(EveryOpsMemory, TakesEmptyTensors) {
  const cr::OpDef& op = *GetParam();
  if (!is_floating_elementwise(op)) return;
  const Tensors inputs(op.arguments.size(), cr::zeros({0, 3}, cr::DType::float64));
  const cr::Tensor y = call(op, inputs, vectors(op, 1).attributes)[0];
  EXPECT_EQ(y.shape(), (cr::Shape{0, 3}));
  EXPECT_TRUE(values_of(y).empty());
}

// Each element has its value, whatever stands around it.
TEST_P(EveryOpsMemory, TakesOneElement) {
  const cr::OpDef& op = *GetParam();
  if (!is_floating_elementwise(op)) return;
  for (const cr::DType dtype : {cr::DType::float32, cr::DType::float64}) {
    const cr::Sample sample = vectors(op, 37);
    Tensors all;
    for (const cr::Tensor& x : sample.inputs) all.push_back(x.astype(dtype));
    const std::vector<double> expected = values_of(call(op, all, sample.attributes)[0]);
    for (const std::int64_t k : {0, 17, 36}) {
      for (const cr::Shape& shape : {cr::Shape{}, cr::Shape{1}, cr::Shape{1, 1, 1}}) {
        Tensors one;
        for (const cr::Tensor& x : all) one.push_back(cr::reshape(cr::slice(x, 0, k, k + 1), shape));
        const cr::Tensor y = call(op, one, sample.attributes)[0];
        EXPECT_EQ(y.shape(), shape);
        EXPECT_EQ(values_of(y)[0], expected[static_cast<std::size_t>(k)]) << cr::dtype_name(dtype);
      }
    }
  }
}

// A row, a column and a single number broadcast against each other give what copies of them give.
TEST_P(EveryOpsMemory, BroadcastsWithoutCopies) {
  const cr::OpDef& op = *GetParam();
  if (!is_floating_elementwise(op)) return;
  const cr::Sample sample = vectors(op, 6);
  const cr::Shape shapes[] = {{6}, {6, 1}, {}};
  Tensors narrow;
  Tensors copied;
  for (std::size_t i = 0; i < sample.inputs.size(); ++i) {
    const cr::Tensor& x = sample.inputs[i];
    narrow.push_back(i == 2 ? cr::reshape(cr::slice(x, 0, 0, 1), {}) : cr::reshape(x, shapes[i]));
    const cr::Tensor wide = cr::broadcast_to(narrow.back(), {6, 6});
    copied.push_back((wide * 1.0).eval());
  }
  const cr::Tensor y = cr::broadcast_to(call(op, narrow, sample.attributes)[0], {6, 6});
  expect_same({y}, call(op, copied, sample.attributes), "broadcast");
}

// NaN goes in, NaN comes out, unless the formula says otherwise, or the result is no float.
TEST_P(EveryOpsMemory, PassesNaN) {
  const cr::OpDef& op = *GetParam();
  if (!is_floating_elementwise(op) || op.reference != nullptr) return;
  for (const cr::DType dtype : {cr::DType::float32, cr::DType::float64}) {
    for (std::size_t moved = 0; moved < op.arguments.size(); ++moved) {
      cr::Sample sample = vectors(op, 37);
      sample.inputs[moved] = cr::full({37}, NAN, cr::DType::float64);
      for (cr::Tensor& x : sample.inputs) x = x.astype(dtype);
      const cr::Tensor y = call(op, sample.inputs, sample.attributes)[0];
      if (!cr::is_floating(y.dtype())) continue;
      for (const double value : values_of(y)) EXPECT_TRUE(std::isnan(value)) << value << " for NaN";
    }
  }
}

// Infinities: the limit that float64 and float32 agree on, and the definition where there is one.
TEST_P(EveryOpsMemory, TakesInfinitiesInEveryDType) {
  const cr::OpDef& op = *GetParam();
  if (!is_floating_elementwise(op)) return;
  for (const double infinity : {INFINITY, -INFINITY}) {
    cr::Sample sample = vectors(op, 5);
    sample.inputs[0] = cr::full({5}, infinity, cr::DType::float64);
    const Tensors wide = call(op, sample.inputs, sample.attributes);
    if (op.definition != nullptr) expect_equal_or_nan(op.definition(*wide[0].node())[0], wide[0], infinity);
    for (cr::Tensor& x : sample.inputs) x = x.astype(cr::DType::float32).astype(cr::DType::float64);
    const Tensors rounded = call(op, sample.inputs, sample.attributes);
    for (cr::Tensor& x : sample.inputs) x = x.astype(cr::DType::float32);
    expect_equal_or_nan(call(op, sample.inputs, sample.attributes)[0], rounded[0], infinity);
  }
}

double expected_value(const cr::OpDef& op, const Tensors& inputs, std::size_t at) {
  std::vector<double> arguments;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const double x = values_of(inputs[i])[at];
    arguments.push_back(takes_truth(op, i) ? double(x > 0) : x);
  }
  return op.reference(arguments.data());
}

// bfloat16 is computed in float32 and rounded once: within one unit of its 8 bits.
TEST_P(EveryOpsMemory, RoundsBfloat16Once) {
  const cr::OpDef& op = *GetParam();
  if (!is_floating_elementwise(op)) return;
  cr::Sample sample = vectors(op, 6);
  for (cr::Tensor& x : sample.inputs) x = x.astype(cr::DType::bfloat16);
  const std::vector<double> got = values_of(call(op, sample.inputs, sample.attributes)[0]);
  Tensors wide;
  for (const cr::Tensor& x : sample.inputs) wide.push_back(x.astype(cr::DType::float64));
  const std::vector<double> exact = values_of(call(op, wide, sample.attributes)[0]);
  for (std::size_t k = 0; k < got.size(); ++k) {
    const double expected = op.reference != nullptr ? expected_value(op, sample.inputs, k) : exact[k];
    EXPECT_NEAR(got[k], expected, std::ldexp(1, -8) * std::fmax(std::fabs(expected), 1e-30)) << k;
  }
}

// What the formula sends to NaN, infinity or zero is sent there.
TEST_P(EveryOpsMemory, PassesSpecialValues) {
  const cr::OpDef& op = *GetParam();
  if (!has_formula(op)) return;
  constexpr double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> special = {NAN, inf, -inf, 0.0, -0.0, 1.0, -1.0};
  for (std::size_t moved = 0; moved < op.ranges.size(); ++moved) {
    Tensors inputs;
    for (std::size_t i = 0; i < op.ranges.size(); ++i) {
      const std::vector<double> ordinary(special.size(), middle_values(op, i, 1)[0]);
      inputs.push_back(
          cr::Tensor::from(i == moved ? special : ordinary, {static_cast<std::int64_t>(special.size())}));
    }
    const std::vector<double> got = values_of(call(op, inputs)[0]);
    for (std::size_t k = 0; k < got.size(); ++k) {
      const double expected = expected_value(op, inputs, k);
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(got[k])) << got[k] << " for " << special[k] << " as argument " << moved;
      }
      if (std::isinf(expected)) {
        EXPECT_EQ(got[k], expected) << special[k] << " as argument " << moved;
      }
    }
  }
}

// Integers and bools either give what the formula gives or are refused with an error.
TEST_P(EveryOpsMemory, TakesOrRefusesIntegers) {
  const cr::OpDef& op = *GetParam();
  if (!has_formula(op)) return;
  for (const cr::DType dtype : {cr::DType::boolean, cr::DType::uint8, cr::DType::int32, cr::DType::int64}) {
    Tensors inputs;
    for (std::size_t i = 0; i < op.ranges.size(); ++i) {
      const double largest = dtype == cr::DType::boolean ? 1 : 3;
      inputs.push_back(cr::tensor({1, largest, 1}, cr::DType::float64).astype(dtype));
    }
    try {
      const auto converted = [&](const cr::DType to) {
        for (cr::Tensor& x : inputs) x = x.astype(to);
      };
      if (op.element_rule == cr::ElementRule::floating) converted(cr::DType::float32);
      const std::vector<double> got = values_of(call(op, inputs)[0]);
      for (std::size_t k = 0; k < got.size(); ++k) {
        const double expected = expected_value(op, inputs, k);
        const bool wraps = dtype == cr::DType::uint8 && expected < 0;
        if (std::isfinite(expected) && !wraps) {
          EXPECT_NEAR(got[k], expected, 1e-5 * std::fmax(1, std::fabs(expected))) << cr::dtype_name(dtype);
        }
      }
    } catch (const cr::Error& error) {
      EXPECT_FALSE(error.parts().problem.empty());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, EveryOpsMemory,
                         testing::ValuesIn(cr::op_table().begin(), cr::op_table().end()),
                         [](const auto& param) { return std::string(param.param->name); });

TEST(Indexing, ABadIndexIsNamed) {
  const cr::Tensor x = cr::tensor({{1, 2}, {3, 4}});
  try {
    const cr::Region region("Embedding");
    cr::take(x, cr::arange(1, 4, 1, cr::DType::int64), 0).eval();
    FAIL() << "no error";
  } catch (const cr::ArgumentError& error) {
    EXPECT_EQ(error.parts().function, "take");
    EXPECT_EQ(error.parts().argument, "index");
    EXPECT_EQ(error.parts().region, "Embedding");
    EXPECT_NE(error.parts().got.find("2 at position 1"), std::string::npos) << error.parts().got;
  }
  EXPECT_THROW(cr::gather(x, cr::tensor({1.0}), 0), cr::DTypeError);
  EXPECT_THROW(cr::gather(x, cr::arange(0, 2, 1, cr::DType::int64), 0), cr::ShapeError);
  EXPECT_THROW(cr::topk(x, 3), cr::ArgumentError);
  EXPECT_THROW(cr::einsum("ij,jk", {x}), cr::ArgumentError);
  EXPECT_THROW(cr::einsum("ij->i!", {x}), cr::ArgumentError);
  EXPECT_THROW(cr::gelu(x, "sigmoid"), cr::ArgumentError);
}

TEST(Sorting, NaNIsTheLargestNumber) {
  const cr::Tensor x = cr::tensor({2, NAN, -1, INFINITY});
  EXPECT_EQ(cr::argsort(x).to_vector<std::int64_t>(), (std::vector<std::int64_t>{2, 0, 3, 1}));
  EXPECT_EQ(cr::argsort(x, -1, true).to_vector<std::int64_t>(), (std::vector<std::int64_t>{1, 3, 0, 2}));
}

TEST(Overflow, IsAvoidedWhereTheDefinitionSaysSo) {
  const cr::Tensor big = cr::tensor({1e30, -1e30, 0});
  EXPECT_EQ(cr::hypot(big, big).to_vector<float>()[2], 0);
  EXPECT_NEAR(cr::hypot(big, big).to_vector<float>()[0] / 1.41421356e30F, 1, 1e-6);
  EXPECT_EQ(cr::softmax(cr::tensor({1000, 0})).to_vector<float>(), (std::vector<float>{1, 0}));
  EXPECT_EQ(cr::logsumexp(cr::tensor({-INFINITY, -INFINITY})).item<float>(), -INFINITY);
  EXPECT_EQ(cr::logaddexp(cr::tensor({INFINITY}), cr::tensor({INFINITY})).item<float>(), INFINITY);
}

}  // namespace
