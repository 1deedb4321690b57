// Beyond the elementwise ops: the printed gradient of every op of the table is read back and evaluated on the
// declaration's first sample, and every formula that says more than the op's name is compared with the op.

#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/expression.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "expression/program.hpp"
#include "graph/op.hpp"

namespace cr = chainrule;

namespace {

using Tensors = std::vector<cr::Tensor>;

// Gradients that no formula can hold, by name: the list does not grow silently.
const std::set<std::string> unread_gradients = {
    "custom",                          // a user's closure
    "max_with_indices",                // looks up positions in a table of the strides, which has no name
    "min_with_indices",                // the same
    "scan",                            // a loop over the derivative of its body
    "softmax_cross_entropy_backward",  // compares with the numbers 0 … C - 1, which have no name
};

// An op with its first sample: what its text was printed for.
struct Case {
  const cr::OpDef* op;
  cr::Sample sample;
  std::vector<std::string> names;  // of the inputs

  explicit Case(const cr::OpDef& declared) : op(&declared), sample(declared.samples().front()) {
    for (std::size_t i = 0; i < sample.inputs.size(); ++i) {
      const std::string name(op->arguments[std::min(i, op->arguments.size() - 1)]);
      const auto dots = name.find("...");
      names.push_back(dots == std::string::npos
                          ? name
                          : name.substr(0, dots) + std::to_string(i + 2 - op->arguments.size()));
    }
  }
  Tensors outputs(const Tensors& inputs) const { return cr::make_outputs(*op, inputs, sample.attributes); }
};

std::vector<const cr::OpDef*> larger_ops() {
  std::vector<const cr::OpDef*> ops;
  for (const cr::OpDef* op : cr::op_table()) {
    if (op->kind != cr::OpKind::elementwise) ops.push_back(op);
  }
  return ops;
}

std::string bar_name(const std::string& name) { return name.size() == 1 ? name + "\u0304" : name + "_bar"; }

void expect_close(const cr::Tensor& shown, const cr::Tensor& expected, const std::string& what) {
  const auto wide = [&](const cr::Tensor& x) {
    return cr::broadcast_to(x.astype(cr::DType::float64), expected.shape()).to_vector<double>();
  };
  const std::vector<double> a = wide(shown);
  const std::vector<double> b = wide(expected);
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], 1e-11 * std::max(1.0, std::abs(b[i]))) << what << " at " << i;
}

// Cotangents that are not all alike.
cr::Tensor some_numbers(const cr::Tensor& like) {
  std::vector<double> values(static_cast<std::size_t>(like.size()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::cos(1.7 * static_cast<double>(i)) + 0.3;
  return cr::Tensor::from(values, like.shape());
}

void check_gradient_texts(const Case& c) {
  const cr::DerivativeTexts texts = cr::derivative_text(c.op->name);
  const Tensors outputs = c.outputs(c.sample.inputs);
  std::vector<std::string> names = c.names;
  Tensors values = c.sample.inputs;
  Tensors bars;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string name = outputs.size() == 1 ? texts.output : texts.output + std::to_string(i);
    const bool smooth = cr::is_floating(outputs[i].dtype());
    bars.push_back(smooth ? some_numbers(outputs[i]) : cr::Tensor());
    names.push_back(name);
    values.push_back(outputs[i]);
    if (!smooth) continue;
    names.push_back(bar_name(name));
    values.push_back(bars.back());
  }
  Tensors inputs = c.sample.inputs;
  std::vector<cr::Tensor*> places;
  for (cr::Tensor& input : inputs) {
    if (cr::is_floating(input.dtype())) places.push_back(&input);
  }
  Tensors traced;
  const Tensors rule = cr::detail::pullback(
      places, [&] { return c.outputs(inputs); }, [&](const Tensors&) { return bars; }, &traced);
  ASSERT_EQ(rule.size(), texts.inputs.size());
  for (std::size_t i = 0; i < rule.size(); ++i) {
    const std::string& text = texts.inputs[i].backward;
    SCOPED_TRACE(texts.inputs[i].input + ": " + text);
    expect_close(cr::parse_expression(text, names)(values), rule[i], "gradient");
  }
}

TEST(EveryText, AGradientIsItsRule) {
  int compared = 0;
  for (const cr::OpDef* op : larger_ops()) {
    SCOPED_TRACE(op->name);
    if (op->not_differentiable != nullptr || unread_gradients.contains(std::string(op->name))) continue;
    try {
      check_gradient_texts(Case(*op));
    } catch (const cr::Error& error) {
      ADD_FAILURE() << error.what();
    }
    ++compared;
  }
  EXPECT_GE(compared, 30);
}

// An exception that no longer is one leaves the list.
TEST(EveryText, TheExceptionsAreExceptions) {
  for (const std::string& name : unread_gradients) {
    SCOPED_TRACE(name);
    const cr::OpDef* op = cr::find_op(name);
    ASSERT_NE(op, nullptr);
    bool unread = false;
    for (const cr::DerivativeText& text : cr::derivative_text(name).inputs) {
      try {
        std::vector<std::string> names = Case(*op).names;
        for (const char* extra : {"y", "z", "y\u0304", "z\u0304"}) names.emplace_back(extra);
        cr::parse_expression(text.backward, names);
      } catch (const cr::ArgumentError&) {
        unread = true;
      }
    }
    EXPECT_TRUE(unread);
  }
}

// "sort(x)" says no more than the name.
bool is_a_name(const cr::OpDef& op, const std::string& formula) {
  return formula.starts_with(std::string(op.name) + "(");
}

// The sample, with attributes that are numbers as further variables: beta1, eps. A formula speaks of one row.
void check_formula(const cr::OpDef& op, const std::string& text) {
  cr::Sample sample = op.samples().front();
  std::vector<std::string> names(op.arguments.begin(), op.arguments.end());
  bool rows = false;
  for (const std::string_view name : op.attributes) rows = rows || name == "axis" || name == "axes";
  if (rows) {
    for (cr::Tensor& x : sample.inputs) x = cr::reshape(x, {x.size()});
    sample.attributes = cr::expression::complete_attributes(op, sample.inputs, {});
  }
  Tensors values = sample.inputs;
  for (std::size_t i = 0; i < op.attributes.size(); ++i) {
    const auto* number = std::get_if<double>(&sample.attributes[i]);
    if (number == nullptr) continue;
    names.emplace_back(op.attributes[i]);
    values.push_back(cr::full({}, *number, cr::DType::float64));
  }
  expect_close(cr::parse_expression(text, names)(values),
               cr::make_outputs(op, sample.inputs, sample.attributes)[0], text);
}

TEST(EveryText, AFormulaIsItsOp) {
  int compared = 0;
  std::set<std::string> sketches;
  for (const cr::OpDef* op : larger_ops()) {
    SCOPED_TRACE(op->name);
    const std::string text = cr::formula_text(op->name);
    if (op->text.sketch != nullptr) sketches.insert(std::string(op->name));
    if (op->text.sketch != nullptr || is_a_name(*op, text)) continue;
    try {
      check_formula(*op, text);
    } catch (const cr::Error& error) {
      ADD_FAILURE() << error.what();
    }
    ++compared;
  }
  EXPECT_GE(compared, 5);
  EXPECT_EQ(sketches,
            (std::set<std::string>{"layer_norm", "layer_norm_backward", "rms_norm", "rms_norm_backward",
                                   "softmax_cross_entropy", "softmax_cross_entropy_backward"}));
}

TEST(EveryText, CallsWithAttributesAreRead) {
  const cr::Tensor x = cr::Tensor::from(std::vector<double>{3, 1, 2, 6, 5, 4}, {2, 3});
  const auto value = [&](const char* text) {
    return cr::parse_expression(text, {"x"})({x}).to_vector<double>();
  };
  using Numbers = std::vector<double>;
  EXPECT_EQ(value("sum(x, axes=[1])"), (Numbers{6, 15}));
  EXPECT_EQ(value("sum(x, axes=[-2], keepdims=true)"), (Numbers{9, 6, 6}));
  EXPECT_EQ(value("reshape(x, shape=[6])"), (Numbers{3, 1, 2, 6, 5, 4}));
  EXPECT_EQ(value("permute(x)"), (Numbers{3, 6, 1, 5, 2, 4}));
  EXPECT_EQ(value("sort(x)"), (Numbers{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(value("sort(x, descending=true)[0]"), (Numbers{3, 2, 1, 6, 5, 4}));
  EXPECT_EQ(value("concatenate(x, x, axis=0)").size(), 12U);
  EXPECT_EQ(value("einsum(x, equation=\"ij->j\")"), (Numbers{9, 6, 6}));
  for (const char* wrong :
       {"reshape(x)", "sum(x, axes=[1)", "sum(x, axes=[0.5])", "sum(x, rows=1)", "sort(x)[2]",
        "sum(x, axes=[1,1,1,1,1,1,1,1,1])", "einsum(x, equation=\"ij)", "topk(x, k=1e99)"})
    EXPECT_THROW(value(wrong), cr::Error) << wrong;
}

}  // namespace
