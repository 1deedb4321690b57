// One graph, three plans: fused, one op at a time, and one op at a time with memory of its own for every
// value. They do the same operations in the same order, so their results agree to the last bit.

#include <cstring>
#include <initializer_list>
#include <random>

#include <gtest/gtest.h>

#include <chainrule/ops.hpp>

#include "graph/plan.hpp"

namespace cr = chainrule;

namespace {

using Tensors = std::vector<cr::Tensor>;

std::vector<double> numbers_in(const cr::Range& range, std::size_t count) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] =
        range.low + (range.high - range.low) * (0.37 + static_cast<double>(i)) / static_cast<double>(count);
  return values;
}

std::vector<cr::Sample> samples_of(const cr::OpDef& op) {
  if (op.samples != nullptr) return op.samples();
  cr::Sample sample;
  for (const cr::Range& range : op.ranges)
    sample.inputs.push_back(cr::Tensor::from(numbers_in(range, 111), {3, 37}));
  return {sample};
}

bool owns_a_graph(const cr::Sample& sample) {
  for (const cr::Attribute& attribute : sample.attributes) {
    if (std::holds_alternative<std::shared_ptr<const cr::SubGraph>>(attribute) ||
        std::holds_alternative<std::shared_ptr<const cr::CustomRule>>(attribute))
      return true;
  }
  return false;
}

bool takes_truth(const cr::OpDef& op, std::size_t i) {
  return op.kind == cr::OpKind::elementwise && (op.element_rule == cr::ElementRule::logical ||
                                                (op.element_rule == cr::ElementRule::select && i == 0));
}

// The op between elementwise neighbours, which fusion joins with it and whose memory it may take over.
cr::LoweredGraph graph_around(const cr::OpDef& op, const Tensors& values, const cr::Attributes& attributes) {
  cr::LoweredGraph graph;
  Tensors inputs;
  for (std::size_t i = 0; i < values.size(); ++i) {
    graph.inputs.push_back(cr::make_placeholder(cr::spec_of(values[i])));
    cr::Tensor x = graph.inputs.back();
    if (cr::is_floating(x.dtype())) x = (x + x) * 0.5;
    if (takes_truth(op, i)) x = x > 0.0;
    inputs.push_back(x);
  }
  for (const cr::Tensor& y : cr::make_outputs(op, inputs, attributes))
    graph.outputs.push_back(cr::is_floating(y.dtype()) ? cr::square(y) - y : y);
  return cr::run_passes(graph, cr::cpu_device());
}

// The bytes of every output.
std::vector<std::vector<std::byte>> run(const cr::LoweredGraph& graph, const Tensors& values,
                                        const cr::PlanOptions& options) {
  cr::Execution execution(cr::build_plan(graph, cr::cpu_device(), options));
  const cr::Plan& plan = execution.plan();
  for (std::size_t i = 0; i < values.size(); ++i)
    execution.bind(plan.first_input_slot() + static_cast<int>(i), cr::data_of(values[i]));
  std::vector<cr::Buffer> results;
  for (std::size_t i = 0; i < plan.escaping_bytes.size(); ++i) {
    results.push_back(cr::Buffer::allocate(plan.escaping_bytes[i]));
    execution.bind(plan.first_escaping_slot() + static_cast<int>(i), results.back().data());
  }
  execution.run();
  std::vector<std::vector<std::byte>> bytes;
  for (const cr::Plan::ArraySpec& output : plan.outputs) {
    const auto* base = static_cast<const std::byte*>(execution.base(output.location.slot));
    const cr::kernels::Array from{const_cast<std::byte*>(base) + output.location.offset, output.spec.dtype,
                                  output.spec.shape, output.location.strides};
    std::vector<std::byte> dense(static_cast<std::size_t>(from.size()) * cr::dtype_size(output.spec.dtype));
    const cr::kernels::Array to{dense.data(), output.spec.dtype, output.spec.shape,
                                cr::contiguous_strides(output.spec.shape)};
    if (!dense.empty()) cr::cpu_device().copy({{&from, 1}, {&to, 1}, nullptr, nullptr, nullptr});
    bytes.push_back(std::move(dense));
  }
  return bytes;
}

class EveryOpsPlans : public testing::TestWithParam<const cr::OpDef*> {};

TEST_P(EveryOpsPlans, AgreeToTheLastBit) {
  const cr::OpDef& op = *GetParam();
  for (const cr::Sample& sample : samples_of(op)) {
    SCOPED_TRACE(sample.what);
    if (owns_a_graph(sample)) continue;
    for (const cr::DType dtype : {cr::DType::float32, cr::DType::float64}) {
      Tensors values;
      for (const cr::Tensor& x : sample.inputs) {
        const cr::Tensor converted = cr::is_floating(x.dtype()) ? x.astype(dtype) : x;
        values.push_back(
            (cr::is_floating(x.dtype()) ? converted * 1.0 : cr::reshape(converted, x.shape())).eval());
        if (!cr::is_dense(values.back().shape(), cr::storage_of(values.back()).strides)) return;
      }
      const cr::LoweredGraph graph = graph_around(op, values, sample.attributes);
      const auto apart = run(graph, values, {.fuse = false, .keep_all = true});
      EXPECT_EQ(run(graph, values, {.fuse = false}), apart) << "in place, " << cr::dtype_name(dtype);
      EXPECT_EQ(run(graph, values, {.fuse = true}), apart) << "fused, " << cr::dtype_name(dtype);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryOpsPlans,
                         testing::ValuesIn(cr::op_table().begin(), cr::op_table().end()),
                         [](const auto& param) { return std::string(param.param->name); });

// Cheap ops after one another, which run as chains where each is the only reader of the one before; some
// values are read twice, some operands are numbers, rows or columns, and now and then another op stands
// between.
cr::LoweredGraph random_chain(std::mt19937& random, const Tensors& values) {
  cr::LoweredGraph graph;
  Tensors known;
  for (const cr::Tensor& value : values) {
    graph.inputs.push_back(cr::make_placeholder(cr::spec_of(value)));
    known.push_back(graph.inputs.back());
  }
  const auto any_of = [&](std::initializer_list<const char*> names) {
    return cr::find_op(names.begin()[random() % names.size()]);
  };
  cr::Tensor last = known[0];
  for (int i = 0; i < 16; ++i) {
    const cr::OpDef* op = any_of({"add", "sub", "mul", "maximum", "minimum"});
    const cr::Tensor other = random() % 4 == 0 ? last : known[random() % known.size()];
    Tensors operands = random() % 2 == 0 ? Tensors{last, other} : Tensors{other, last};
    if (random() % 4 == 0) {
      op = any_of({"neg", "abs", "square", "relu", "tanh"});
      operands = {last};
    }
    last = cr::make_outputs(*op, operands, {})[0];
    if (random() % 8 == 0) known.push_back(last);
    if (random() % 8 == 0) graph.outputs.push_back(last);
  }
  graph.outputs.push_back(last);
  return cr::run_passes(graph, cr::cpu_device());
}

TEST(PlansAgree, OnChainsOfCheapOps) {
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    const std::int64_t columns = 1 + static_cast<std::int64_t>(random() % 300);
    const auto dtype = i % 4 == 0 ? cr::DType::float64 : cr::DType::float32;
    Tensors values;
    for (const cr::Shape& shape : {cr::Shape{5, columns}, cr::Shape{}, cr::Shape{5, columns},
                                   cr::Shape{1, columns}, cr::Shape{5, 1}, cr::Shape{1}}) {
      const auto count = static_cast<std::size_t>(cr::element_count(shape));
      values.push_back(cr::Tensor::from(numbers_in({-1.5, 1.25}, count), shape).astype(dtype).eval());
    }
    const cr::LoweredGraph graph = random_chain(random, values);
    const auto apart = run(graph, values, {.fuse = false, .keep_all = true});
    ASSERT_EQ(run(graph, values, {.fuse = true}), apart) << i;
  }
}

// The comparison is one: the three plans differ.
TEST(PlansAgree, TheyAreThreePlans) {
  const Tensors values{cr::Tensor::from(numbers_in({0, 1}, 12), {3, 4}).eval()};
  const cr::LoweredGraph graph = graph_around(*cr::find_op("exp"), values, {});
  const auto plan = [&](const cr::PlanOptions& options) {
    return cr::build_plan(graph, cr::cpu_device(), options);
  };
  const auto fused = plan({.fuse = true});
  const auto unfused = plan({.fuse = false});
  const auto apart = plan({.fuse = false, .keep_all = true});
  EXPECT_LT(fused->instructions.size(), unfused->instructions.size());
  EXPECT_EQ(apart->instructions.size(), unfused->instructions.size());
  EXPECT_LT(unfused->arena_bytes, apart->arena_bytes);
}

}  // namespace
