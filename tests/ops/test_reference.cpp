// Values and gradients against PyTorch and SciPy (tests/reference/ops/generate.py).

#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "graph/op.hpp"
#include "ops/reference_functions.hpp"

namespace cr = chainrule;

namespace {

using cr::test::Function;
using cr::test::Tensors;

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
  const Function f = cr::test::reference_function(name);
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

const nlohmann::json& reference_cases() {
  static const nlohmann::json cases = [] {
    std::ifstream file(std::string(CHAINRULE_SOURCE_DIR) + "/tests/reference/ops/values.json");
    return nlohmann::json::parse(file)["cases"];
  }();
  return cases;
}

TEST(Reference, ValuesAndGradients) {
  EXPECT_GT(reference_cases().size(), 200U);
  for (const auto& entry : reference_cases()) check(entry);
}

// Ops that no other library can be asked about here, and what holds them instead.
const std::map<std::string, std::string>& held_elsewhere() {
  static const std::map<std::string, std::string> reasons = {
      {"adam_update", "PyTorch's trajectories in tests/reference/optim"},
      {"bernoulli", "random: its frequencies in test_random.cpp"},
      {"categorical", "random: its frequencies in test_random.cpp"},
      {"permutation", "random: test_random.cpp"},
      {"truncated_normal", "random: its moments in test_random.cpp"},
      {"random_uniform", "random: Philox's published vectors in tests/kernels"},
      {"random_normal", "random: its moments in tests/kernels"},
      {"random_fold_in", "random: a key is no number"},
      {"random_split", "random: a key is no number"},
      {"custom", "the user's own function: tests/autodiff/test_control.cpp"},
      {"stop_gradient", "the identity without a derivative: tests/autodiff/test_transforms.cpp"},
      {"slice_transpose", "the gradient of slice"},
      {"take_transpose", "the gradient of take"},
      {"softmax_backward", "the gradient of softmax"},
      {"log_softmax_backward", "the gradient of log_softmax"},
      {"softmax_cross_entropy_backward", "the gradient of softmax_cross_entropy"},
      {"layer_norm_backward", "the gradient of layer_norm"},
      {"rms_norm_backward", "the gradient of rms_norm"}};
  return reasons;
}

// A case is named after its op, with a word on what is special about it.
std::string op_of_case(std::string name) {
  while (!name.empty() && cr::find_op(name) == nullptr) {
    const std::size_t cut = name.find_last_of("_ ");
    name.erase(cut == std::string::npos ? 0 : cut);
  }
  return name;
}

TEST(Reference, EveryOpHasAValueAndAGradientFromOutside) {
  std::set<std::string> valued;
  std::set<std::string> differentiated;
  for (const auto& entry : reference_cases()) {
    const std::string op = op_of_case(entry["name"].get<std::string>());
    EXPECT_FALSE(op.empty()) << entry["name"];
    valued.insert(op);
    if (entry.contains("cotangent")) differentiated.insert(op);
  }
  for (const cr::OpDef* op : cr::op_table()) {
    const std::string name(op->name);
    if (held_elsewhere().contains(name)) {
      EXPECT_FALSE(valued.contains(name)) << name << " is no exception: it has a case";
      continue;
    }
    EXPECT_TRUE(valued.contains(name)) << name << " has no value from outside";
    EXPECT_TRUE(differentiated.contains(name) || op->not_differentiable != nullptr)
        << name << " has no gradient from outside";
  }
}

}  // namespace
