#include <functional>
#include <map>

#include <gtest/gtest.h>

#include <chainrule/expression.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "reference.hpp"

namespace chainrule::nn {
namespace {

using test::expect_close;
using test::read_reference;
using test::tensor_of;

using Loss = std::function<Tensor(const Tensor&, const Tensor&)>;

std::map<std::string, Loss> losses_with(Reduction r, const Tensor& w) {
  using T = const Tensor&;
  return {
      {"cross_entropy", [=](T p, T t) { return cross_entropy(p, t, {.reduction = r}); }},
      {"cross_entropy_smoothed",
       [=](T p, T t) { return cross_entropy(p, t, {.reduction = r, .label_smoothing = 0.1}); }},
      {"cross_entropy_weighted",
       [=](T p, T t) { return cross_entropy(p, t, {.reduction = r, .weight = w}); }},
      {"cross_entropy_all",
       [=](T p, T t) { return cross_entropy(p, t, {.reduction = r, .label_smoothing = 0.2, .weight = w}); }},
      {"cross_entropy_ignored", [=](T p, T t) { return cross_entropy(p, t, {.reduction = r}); }},
      {"cross_entropy_probabilities",
       [=](T p, T t) { return cross_entropy(p, t, {.reduction = r, .label_smoothing = 0.1, .weight = w}); }},
      {"cross_entropy_images", [=](T p, T t) { return cross_entropy(p, t, {.reduction = r}); }},
      {"nll_loss", [=](T p, T t) { return nll_loss(p, t, {.reduction = r}); }},
      {"nll_loss_all", [=](T p, T t) { return nll_loss(p, t, {.reduction = r, .weight = w}); }},
      {"mse_loss", [=](T p, T t) { return mse_loss(p, t, {.reduction = r}); }},
      {"l1_loss", [=](T p, T t) { return l1_loss(p, t, {.reduction = r}); }},
      {"huber_loss", [=](T p, T t) { return huber_loss(p, t, {.reduction = r, .delta = 0.7}); }},
      {"smooth_l1_loss", [=](T p, T t) { return smooth_l1_loss(p, t, {.reduction = r, .beta = 0.7}); }},
      {"binary_cross_entropy_with_logits",
       [=](T p, T t) { return binary_cross_entropy_with_logits(p, t, {.reduction = r}); }},
      {"binary_cross_entropy_with_logits_weighted",
       [=](T p, T t) {
         return binary_cross_entropy_with_logits(
             p, t, {.reduction = r, .weight = slice(w, 0, 0, 3), .pos_weight = slice(w, 0, 1, 4)});
       }},
      {"binary_cross_entropy", [=](T p, T t) { return binary_cross_entropy(p, t, {.reduction = r}); }},
      {"binary_cross_entropy_edges", [=](T p, T t) { return binary_cross_entropy(p, t, {.reduction = r}); }},
      {"kl_div", [=](T p, T t) { return kl_div(p, t, {.reduction = r}); }},
      {"kl_div_log", [=](T p, T t) { return kl_div(p, t, {.reduction = r, .log_target = true}); }},
      {"hinge_loss", [=](T p, T t) { return hinge_loss(p, t, {.reduction = r}); }},
      {"soft_margin_loss", [=](T p, T t) { return soft_margin_loss(p, t, {.reduction = r}); }},
  };
}

TEST(Losses, AgreeWithPyTorch) {
  const nlohmann::json reference = read_reference("nn/losses.json");
  const Tensor weight = tensor_of(reference["weight"]);
  for (const auto& [reduction, name] :
       {std::pair(Reduction::mean, "mean"), {Reduction::sum, "sum"}, {Reduction::none, "none"}}) {
    const auto losses = losses_with(reduction, weight);
    EXPECT_EQ(losses.size(), reference[name].size());
    for (const auto& [loss_name, loss] : losses) {
      const nlohmann::json& expected = reference[name][loss_name];
      const std::string what = loss_name + " " + name;
      const Tensor prediction = tensor_of(expected["prediction"]);
      const Tensor target = tensor_of(expected["target"]);
      expect_close(loss(prediction, target), expected["loss"], 1e-12, what);
      const Loss& f = loss;
      const Tensor gradient = grad([&](const Tensor& p) { return sum(f(p, target)); })(prediction);
      expect_close(gradient, expected["gradient"], 1e-12, what + " gradient");
    }
  }
}

TEST(Losses, TheirFormulasAreWhatRuns) {
  const nlohmann::json reference = read_reference("nn/losses.json")["none"];
  std::size_t read = 0;
  for (const Description& loss : loss_table()) {
    if (loss.formula.find('[') != std::string_view::npos) continue;  // of a row and a class
    const nlohmann::json& expected = reference[std::string(loss.name)];
    const Expression formula = parse_expression(loss.formula, {"y", "t", "delta", "beta"});
    const Tensor width = full({}, 0.7, DType::float64);
    const Tensor value =
        formula({tensor_of(expected["prediction"]), tensor_of(expected["target"]), width, width});
    expect_close(value, expected["loss"], 1e-12, std::string(loss.name));
    ++read;
  }
  EXPECT_EQ(read + 2, loss_table().size());
  for (std::size_t i = 1; i < loss_table().size(); ++i)
    EXPECT_LT(loss_table()[i - 1].name, loss_table()[i].name);
}

TEST(Losses, FitStdFunction) {
  const std::vector<Loss> losses = {
      cross_entropy, mse_loss, l1_loss, huber_loss, binary_cross_entropy_with_logits, kl_div, hinge_loss};
  EXPECT_EQ(losses[1](tensor({1, 2}), tensor({1, 4})).item<float>(), 2);
}

TEST(Losses, CrossEntropyIsStableAndKnowsItsClasses) {
  // −log softmax of logits 400 apart, where the probability itself is 0 in float32.
  EXPECT_EQ(
      cross_entropy(tensor({{200, 0, -200}}), Tensor::from<std::int64_t>(std::vector<std::int64_t>{2}, {1}))
          .item<float>(),
      400);
  for (const DType dtype : {DType::uint8, DType::int32, DType::int64}) {
    const Tensor target = astype(tensor({1, 0}), dtype);
    EXPECT_NEAR(cross_entropy(zeros({2, 4}), target).item<double>(), std::log(4.0), 1e-6);
  }
  const Tensor outside = Tensor::from<std::int64_t>(std::vector<std::int64_t>{4, 0}, {2});
  try {
    cross_entropy(zeros({2, 4}), outside).eval();
    FAIL() << "class 4 of 4 was taken";
  } catch (const ArgumentError& error) {
    EXPECT_EQ(error.parts().argument, "classes");
    EXPECT_EQ(error.parts().region, "cross_entropy");
    EXPECT_NE(error.parts().got.find("4 in row 0"), std::string::npos) << error.parts().got;
  }
  const Tensor negative = Tensor::from<std::int64_t>(std::vector<std::int64_t>{-1, 0}, {2});
  EXPECT_THROW(cross_entropy(zeros({2, 4}), negative).eval(), ArgumentError);
  EXPECT_EQ(cross_entropy(zeros({2, 4}), outside, {.ignore_index = 4}).item<float>(), std::log(4.0F));
}

TEST(Losses, BinaryCrossEntropyIsStableWithExactSecondDerivativeAtZero) {
  const auto loss = [](const Tensor& z) {
    return binary_cross_entropy_with_logits(z, tensor({1}, DType::float64));
  };
  EXPECT_DOUBLE_EQ(loss(tensor({-1000}, DType::float64)).item<double>(), 1000);
  EXPECT_EQ(loss(tensor({1000}, DType::float64)).item<double>(), 0);
  EXPECT_DOUBLE_EQ(hessian(loss, zeros({1}, DType::float64)).item<double>(), 0.25);
}

TEST(Losses, BinaryCrossEntropyIsFiniteAtProbabilitiesOfZeroAndOne) {
  // Element by element: the largest derivatives, of 1e12, say nothing about the others.
  const nlohmann::json expected = read_reference("nn/losses.json")["none"]["binary_cross_entropy_edges"];
  const Tensor target = tensor_of(expected["target"]);
  const auto loss = [&](const Tensor& p) {
    return binary_cross_entropy(p, target, {.reduction = Reduction::sum});
  };
  const std::vector<double> got = grad(loss)(tensor_of(expected["prediction"])).to_vector<double>();
  const auto wanted = expected["gradient"]["values"].get<std::vector<double>>();
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], wanted[i], 1e-12 * std::fabs(wanted[i])) << "element " << i;
  // d²/dp² = t / p² + (1 − t) / (1 − p)², and ∂/∂t = log(1 − p) − log p.
  const auto of_p = [](const Tensor& p) { return binary_cross_entropy(p, tensor({0.625}, DType::float64)); };
  EXPECT_NEAR(hessian(of_p, tensor({0.25}, DType::float64)).item<double>(), 0.625 / 0.0625 + 0.375 / 0.5625,
              1e-12);
  const auto of_t = [](const Tensor& t) { return binary_cross_entropy(tensor({0.25}, DType::float64), t); };
  EXPECT_NEAR(grad(of_t)(tensor({0.625}, DType::float64)).item<double>(), std::log(3), 1e-14);
}

TEST(Losses, Errors) {
  const Tensor classes = Tensor::from(std::vector<std::int64_t>{0, 1}, {2});
  EXPECT_THROW(mse_loss(zeros({3, 1}), zeros({3})), ShapeError);
  EXPECT_THROW(cross_entropy(zeros({3, 4}), classes), ShapeError);
  EXPECT_THROW(cross_entropy(zeros({2, 4}), zeros({2})), ShapeError);
  EXPECT_THROW(cross_entropy(zeros({2, 4}), classes, {.weight = ones({3})}), ShapeError);
  EXPECT_THROW(cross_entropy(zeros({2, 4}), classes, {.label_smoothing = 1.5}), ArgumentError);
  EXPECT_THROW(cross_entropy(zeros({2, 4}, DType::int32), classes), DTypeError);
  EXPECT_THROW(cross_entropy(zeros({}), zeros({})), ShapeError);
  EXPECT_THROW(nll_loss(zeros({2, 4}), zeros({2, 4})), DTypeError);
  EXPECT_THROW(huber_loss(zeros({2}), zeros({2}), {.delta = 0}), ArgumentError);
}

}  // namespace
}  // namespace chainrule::nn
