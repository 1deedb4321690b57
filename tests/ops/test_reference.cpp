// Values and gradients against PyTorch and SciPy (tests/reference/ops/generate.py).

#include <cmath>
#include <fstream>
#include <functional>
#include <map>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

namespace cr = chainrule;

namespace {

using Tensors = std::vector<cr::Tensor>;
using Function = std::function<cr::Tensor(const Tensors&)>;
using Unary = cr::Tensor (*)(const cr::Tensor&);

const std::map<std::string, Unary>& unary_functions() {
  static const std::map<std::string, Unary> functions = {{"relu", cr::relu},
                                                         {"relu6", cr::relu6},
                                                         {"selu", cr::selu},
                                                         {"silu", cr::silu},
                                                         {"mish", cr::mish},
                                                         {"sigmoid", cr::sigmoid},
                                                         {"log_sigmoid", cr::log_sigmoid},
                                                         {"hardsigmoid", cr::hardsigmoid},
                                                         {"hardswish", cr::hardswish},
                                                         {"softsign", cr::softsign},
                                                         {"tanhshrink", cr::tanhshrink},
                                                         {"sin", cr::sin},
                                                         {"cos", cr::cos},
                                                         {"tan", cr::tan},
                                                         {"asin", cr::asin},
                                                         {"acos", cr::acos},
                                                         {"atan", cr::atan},
                                                         {"sinh", cr::sinh},
                                                         {"cosh", cr::cosh},
                                                         {"tanh", cr::tanh},
                                                         {"asinh", cr::asinh},
                                                         {"acosh", cr::acosh},
                                                         {"atanh", cr::atanh},
                                                         {"erf", cr::erf},
                                                         {"erfc", cr::erfc},
                                                         {"erfinv", cr::erfinv},
                                                         {"exp", cr::exp},
                                                         {"exp2", cr::exp2},
                                                         {"expm1", cr::expm1},
                                                         {"log", cr::log},
                                                         {"log2", cr::log2},
                                                         {"log10", cr::log10},
                                                         {"log1p", cr::log1p},
                                                         {"sqrt", cr::sqrt},
                                                         {"rsqrt", cr::rsqrt},
                                                         {"reciprocal", cr::reciprocal},
                                                         {"lgamma", cr::lgamma},
                                                         {"digamma", cr::digamma},
                                                         {"floor", cr::floor},
                                                         {"ceil", cr::ceil},
                                                         {"round", cr::round},
                                                         {"trunc", cr::trunc}};
  return functions;
}

const std::map<std::string, Function>& other_functions() {
  static const std::map<std::string, Function> functions = {
      {"hardtanh", [](const Tensors& x) { return cr::hardtanh(x[0]); }},
      {"leaky_relu", [](const Tensors& x) { return cr::leaky_relu(x[0]); }},
      {"leaky_relu_02", [](const Tensors& x) { return cr::leaky_relu(x[0], 0.2); }},
      {"elu", [](const Tensors& x) { return cr::elu(x[0]); }},
      {"elu_07", [](const Tensors& x) { return cr::elu(x[0], 0.7); }},
      {"celu", [](const Tensors& x) { return cr::celu(x[0]); }},
      {"celu_07", [](const Tensors& x) { return cr::celu(x[0], 0.7); }},
      {"gelu", [](const Tensors& x) { return cr::gelu(x[0]); }},
      {"gelu_tanh", [](const Tensors& x) { return cr::gelu(x[0], "tanh"); }},
      {"softplus", [](const Tensors& x) { return cr::softplus(x[0]); }},
      {"softplus_2", [](const Tensors& x) { return cr::softplus(x[0], 2); }},
      {"hardshrink", [](const Tensors& x) { return cr::hardshrink(x[0]); }},
      {"softshrink", [](const Tensors& x) { return cr::softshrink(x[0]); }},
      {"threshold", [](const Tensors& x) { return cr::threshold(x[0], 0.2, -3); }},
      {"prelu", [](const Tensors& x) { return cr::prelu(x[0], x[1]); }},
      {"glu", [](const Tensors& x) { return cr::glu(x[0], 0); }},
      {"atan2", [](const Tensors& x) { return cr::atan2(x[0], x[1]); }},
      {"hypot", [](const Tensors& x) { return cr::hypot(x[0], x[1]); }},
      {"logaddexp", [](const Tensors& x) { return cr::logaddexp(x[0], x[1]); }},
      {"clamp", [](const Tensors& x) { return cr::clamp(x[0], -0.5, 0.5); }},
      {"pow", [](const Tensors& x) { return cr::pow(x[0], x[1]); }},
      {"remainder", [](const Tensors& x) { return cr::remainder(x[0], x[1]); }},
      {"floor_divide", [](const Tensors& x) { return cr::floor_divide(x[0], x[1]); }},
      {"var", [](const Tensors& x) { return cr::var(x[0], {1}); }},
      {"var_0", [](const Tensors& x) { return cr::var(x[0], {}, 0); }},
      {"std", [](const Tensors& x) { return cr::std(x[0], {0}); }},
      {"norm", [](const Tensors& x) { return cr::norm(x[0]); }},
      {"norm_1", [](const Tensors& x) { return cr::norm(x[0], 1, {1}); }},
      {"norm_3", [](const Tensors& x) { return cr::norm(x[0], 3, {0}); }},
      {"norm_inf", [](const Tensors& x) { return cr::norm(x[0], INFINITY, {1}); }},
      {"norm_of_zeros", [](const Tensors& x) { return cr::norm(x[0]); }},
      {"mean", [](const Tensors& x) { return cr::mean(x[0], {1}); }},
      {"prod", [](const Tensors& x) { return cr::prod(x[0], {1}); }},
      {"prod_with_zero", [](const Tensors& x) { return cr::prod(x[0], {1}); }},
      {"logsumexp", [](const Tensors& x) { return cr::logsumexp(x[0], {1}); }},
      {"logsumexp_all", [](const Tensors& x) { return cr::logsumexp(x[0]); }},
      {"softmax", [](const Tensors& x) { return cr::softmax(x[0], 1); }},
      {"softmax_0", [](const Tensors& x) { return cr::softmax(x[0], 0); }},
      {"log_softmax", [](const Tensors& x) { return cr::log_softmax(x[0], 1); }},
      {"log_softmax_0", [](const Tensors& x) { return cr::log_softmax(x[0], 0); }},
      {"cumsum", [](const Tensors& x) { return cr::cumsum(x[0], 1); }},
      {"cumprod", [](const Tensors& x) { return cr::cumprod(x[0], 1); }},
      {"cumprod_with_zero", [](const Tensors& x) { return cr::cumprod(x[0], 1); }},
      {"gather", [](const Tensors& x) { return cr::gather(x[0], x[1], 0); }},
      {"take", [](const Tensors& x) { return cr::take(x[0], x[1], 0); }},
      {"scatter_add", [](const Tensors& x) { return cr::scatter_add(x[0], x[1], x[2], 0); }},
      {"one_hot", [](const Tensors& x) { return cr::one_hot(x[0], 4); }},
      {"sort", [](const Tensors& x) { return cr::sort(x[0], 1); }},
      {"sort_descending", [](const Tensors& x) { return cr::sort(x[0], 0, true); }},
      {"argsort", [](const Tensors& x) { return cr::argsort(x[0], 1); }},
      {"topk", [](const Tensors& x) { return cr::topk(x[0], 2, 1).values; }},
      {"topk_smallest", [](const Tensors& x) { return cr::topk(x[0], 2, 0, false).values; }},
      {"pad", [](const Tensors& x) { return cr::pad(x[0], {0, 1}, {1, 2}, 1.5); }},
      {"roll", [](const Tensors& x) { return cr::roll(x[0], 1, 1); }},
      {"roll_back", [](const Tensors& x) { return cr::roll(x[0], -2, 0); }},
      {"repeat", [](const Tensors& x) { return cr::repeat(x[0], 2, 1); }},
      {"tile", [](const Tensors& x) { return cr::tile(x[0], {2, 3}); }},
      {"split", [](const Tensors& x) { return cr::split(x[0], {1, 3}, 1)[1]; }},
      {"flip", [](const Tensors& x) { return cr::flip(x[0], {0}); }},
      {"polygamma_1", [](const Tensors& x) { return cr::polygamma(1, x[0]); }},
      {"polygamma_2", [](const Tensors& x) { return cr::polygamma(2, x[0]); }},
      {"polygamma_3", [](const Tensors& x) { return cr::polygamma(3, x[0]); }}};
  return functions;
}

Function find_function(const std::string& name) {
  if (name.rfind("einsum ", 0) == 0)
    return [equation = name.substr(7)](const Tensors& x) { return cr::einsum(equation, x); };
  const auto unary = unary_functions().find(name);
  if (unary != unary_functions().end()) return [f = unary->second](const Tensors& x) { return f(x[0]); };
  const auto other = other_functions().find(name);
  return other == other_functions().end() ? Function() : other->second;
}

void expect_close(const std::vector<double>& got, const std::vector<double>& expected, double tolerance,
                  const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  double largest = 0;
  for (const double x : expected) largest = std::fmax(largest, std::fabs(x));
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], expected[i], tolerance * std::fmax(largest, 1e-3)) << what << " at " << i;
}

cr::Tensor input_of(const nlohmann::json& input) {
  cr::Shape shape;
  for (const std::int64_t length : input["shape"]) shape.push_back(length);
  const cr::Tensor x = cr::Tensor::from(input["values"].get<std::vector<double>>(), shape);
  return input["integer"].get<bool>() ? x.astype(cr::DType::int64) : x;
}

void check(const nlohmann::json& entry) {
  const auto name = entry["name"].get<std::string>();
  const auto tolerance = entry["tolerance"].get<double>();
  const Function f = find_function(name);
  ASSERT_TRUE(f) << name << " is not in the test's table";
  Tensors inputs;
  for (const auto& input : entry["inputs"]) inputs.push_back(input_of(input));
  const cr::Tensor y = f(inputs);
  cr::Shape shape;
  for (const std::int64_t length : entry["shape"]) shape.push_back(length);
  ASSERT_EQ(y.shape(), shape) << name;
  expect_close(y.astype(cr::DType::float64).to_vector<double>(), entry["value"].get<std::vector<double>>(),
               tolerance, name);
  if (!entry.contains("cotangent")) return;
  const cr::Tensor w = cr::Tensor::from(entry["cotangent"].get<std::vector<double>>(), shape);
  const Tensors gradients = cr::vjp(f, inputs, w).second;
  std::size_t next = 0;
  for (const cr::Tensor& gradient : gradients) {
    if (!gradient.defined()) continue;
    expect_close(gradient.to_vector<double>(), entry["gradients"][next].get<std::vector<double>>(), tolerance,
                 name + ", gradient " + std::to_string(next));
    ++next;
  }
  EXPECT_EQ(next, entry["gradients"].size()) << name;
}

TEST(Reference, ValuesAndGradients) {
  std::ifstream file(std::string(CHAINRULE_SOURCE_DIR) + "/tests/reference/ops/values.json");
  const nlohmann::json content = nlohmann::json::parse(file);
  EXPECT_GT(content["cases"].size(), 100U);
  for (const auto& entry : content["cases"]) check(entry);
}

}  // namespace
