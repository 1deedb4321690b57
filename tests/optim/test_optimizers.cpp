#include <map>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/error.hpp>
#include <chainrule/expression.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/transforms.hpp>

#include "reference.hpp"

namespace chainrule::optim {
namespace {

using test::expect_close;
using test::read_reference;
using test::tensor_of;

using Parameters = std::map<std::string, Parameter>;

struct Problem {
  Tensor x, y;
  double sign;
  Tensor operator()(const Parameters& p) const {
    const Tensor h = chainrule::tanh(matmul(x, p.at("w")) + p.at("b"));
    return mean(square(matmul(h, p.at("v")) - y)) * sign;
  }
};

template <typename Options>
Options common(const nlohmann::json& o, bool grouped) {
  Options options;
  options.lr = o.at("lr");
  if (o.contains("weight_decay")) options.weight_decay = o["weight_decay"];
  if (o.contains("maximize")) options.maximize = o["maximize"];
  if (grouped) options.groups = {{.pattern = "b", .lr_multiplier = 10, .weight_decay = 0}};
  return options;
}

template <typename Options>
Options adam_options(const nlohmann::json& o, bool grouped) {
  auto options = common<Options>(o, grouped);
  if (o.contains("betas")) {
    options.beta1 = o["betas"][0];
    options.beta2 = o["betas"][1];
  }
  if (o.contains("eps")) options.eps = o["eps"];
  if (o.contains("amsgrad")) options.amsgrad = o["amsgrad"];
  return options;
}

Optimizer optimizer_of(const nlohmann::json& c) {
  const nlohmann::json& o = c["options"];
  const bool grouped = c.contains("grouped");
  if (c["optimizer"] == "Adam") return Adam(adam_options<AdamOptions>(o, grouped));
  if (c["optimizer"] == "AdamW") return AdamW(adam_options<AdamWOptions>(o, grouped));
  if (c["optimizer"] == "SGD") {
    auto options = common<SGDOptions>(o, grouped);
    options.momentum = o.value("momentum", 0.0);
    options.dampening = o.value("dampening", 0.0);
    options.nesterov = o.value("nesterov", false);
    return SGD(options);
  }
  EXPECT_EQ(c["optimizer"], "RMSprop");
  auto options = common<RMSPropOptions>(o, grouped);
  options.alpha = o.value("alpha", 0.99);
  options.eps = o.value("eps", 1e-8);
  options.momentum = o.value("momentum", 0.0);
  options.centered = o.value("centered", false);
  return RMSProp(options);
}

// What the generator's schedules are called here; nothing where the rate stays.
Schedule schedule_of(const nlohmann::json& c) {
  const std::string name = c.value("schedule", "");
  const std::map<std::string, Schedule> schedules = {
      {"step", StepDecay({.size = 30, .gamma = 0.3})},
      {"exponential", Exponential({.gamma = 0.97})},
      {"cosine", Cosine({.steps = 100, .end = 0.05})},
      {"linear", LinearRamp({.steps = 60, .start = 0.25, .end = 0.75})},
      {"one_cycle", OneCycle({.steps = 101})},
      {"warmup", Warmup({.steps = 10, .start = 0.1, .then = Cosine({.steps = 90})})},
  };
  return name.empty() || name == "plateau" ? Constant() : schedules.at(name);
}

// Takes 100 steps as `take` makes them, with the learning rate that the case's schedule gives to each.
template <typename Take>
void run_scheduled(const nlohmann::json& c, Optimizer& optimizer, int steps, const Take& take) {
  const Schedule schedule = schedule_of(c);
  const bool by_loss = c.value("schedule", "") == "plateau";
  ReduceOnPlateau plateau({.factor = 0.5, .patience = 1, .threshold = 1e-2, .cooldown = 1});
  const double rate = c["options"]["lr"];
  for (int i = 1; i <= steps; ++i) {
    optimizer.set_learning_rate(rate * (by_loss ? plateau.multiplier() : schedule(i - 1)));
    const double loss = take(i);
    if (by_loss) plateau.observe(loss);
  }
  EXPECT_TRUE(!by_loss || steps < 100 || plateau.multiplier() < 1) << "the plateau was never met";
}

Parameters start_of(const nlohmann::json& reference) {
  Parameters parameters;
  for (const auto& [name, value] : reference["start"].items()) parameters[name] = tensor_of(value);
  return parameters;
}

void compare(const Parameters& p, const nlohmann::json& c, int step) {
  const std::string key = std::to_string(step);
  if (!c["states"].contains(key)) return;
  for (const auto& [name, value] : p) {
    expect_close(value, c["states"][key][name], 1e-10,
                 c["optimizer"].get<std::string>() + c["options"].dump() + " step " + key + " " + name);
  }
}

TEST(Optimizers, TrajectoriesAreThoseOfPyTorch) {
  const nlohmann::json reference = read_reference("optim/trajectories.json");
  for (const auto& c : reference["cases"]) {
    const Problem loss{tensor_of(reference["x"]), tensor_of(reference["y"]), c["sign"]};
    Parameters parameters = start_of(reference);
    Optimizer optimizer = optimizer_of(c);
    optimizer.init(parameters);
    auto step = compile(
        [&](const Tensor& scale) {
          auto [value, gradient] =
              value_and_grad([&](const Parameters& p) { return loss(p) * scale; })(parameters);
          optimizer.update(parameters, gradient);
          return value;
        },
        parameters, optimizer);
    run_scheduled(c, optimizer, 100, [&](int i) {
      const double value = step(tensor({1}, DType::float64)[0]).item<double>();
      compare(parameters, c, i);
      return value;
    });
    EXPECT_EQ(step.trace_count(), 1);
    EXPECT_EQ(optimizer.step_count(), 100);
  }
}

TEST(Optimizers, EagerStepsAreTheSame) {
  const nlohmann::json reference = read_reference("optim/trajectories.json");
  for (const auto& c : reference["cases"]) {
    const Problem loss{tensor_of(reference["x"]), tensor_of(reference["y"]), c["sign"]};
    Parameters parameters = start_of(reference);
    Optimizer optimizer = optimizer_of(c);
    run_scheduled(c, optimizer, 10, [&](int i) {
      const auto [value, gradient] = value_and_grad(loss)(parameters);
      optimizer.update(parameters, gradient);
      compare(parameters, c, i);
      return value.item<double>();
    });
  }
}

TEST(Optimizers, GradientDescentConvergesAsTheorySays) {
  // On f = λ/2 x² each step multiplies x by 1 − lr λ.
  Parameter x = tensor({1, 1}, DType::float64);
  const Tensor curvature = tensor({1, 10}, DType::float64);
  GradientDescent descent({.lr = 0.15});
  for (int i = 0; i < 20; ++i) {
    descent.update(x, grad([&](const Parameter& p) { return sum(curvature * square(p)) * 0.5; })(x));
  }
  const std::vector<double> values = x.to_vector<double>();
  EXPECT_NEAR(values[0], std::pow(0.85, 20), 1e-12);
  EXPECT_NEAR(values[1], std::pow(-0.5, 20), 1e-12);
}

TEST(Optimizers, TheLearningRateChangesWithoutANewTrace) {
  Parameters parameters{{"w", Parameter(zeros({3}))}};
  SGD sgd({.lr = 1});
  auto step = compile(
      [&](const Tensor& x) {
        auto [value, gradient] =
            value_and_grad([&](const Parameters& p) { return sum(p.at("w") * x); })(parameters);
        sgd.update(parameters, gradient);
        return value;
      },
      parameters, sgd);
  const Tensor x = ones({3}).eval();
  for (const double rate : {1.0, 0.5, 0.25}) {
    sgd.set_learning_rate(rate);
    step(x);
  }
  EXPECT_EQ(parameters.at("w").to_vector<float>(), (std::vector<float>{-1.75, -1.75, -1.75}));
  EXPECT_EQ(step.trace_count(), 1);
  EXPECT_EQ(sgd.learning_rate(), 0.25);
}

TEST(Optimizers, CopiesAndStateTrees) {
  Parameters parameters{{"w", Parameter(ones({2}))}};
  Optimizer adam = Adam({.lr = 0.1});
  adam.init(parameters);
  std::vector<std::string> paths;
  for (const Leaf& leaf : leaves(adam)) {
    EXPECT_EQ(leaf.kind, LeafKind::buffer);
    paths.push_back(leaf.path);
  }
  EXPECT_EQ(paths, (std::vector<std::string>{"learning_rate", "step_count", "state.w.exp_avg",
                                             "state.w.exp_avg_sq"}));
  Optimizer copy = adam;
  copy.update(parameters, Parameters{{"w", Parameter(ones({2}))}});
  EXPECT_EQ(copy.step_count(), 1);
  EXPECT_EQ(adam.step_count(), 0);
  EXPECT_EQ(adam.name(), "Adam");
}

TEST(Optimizers, FloatParametersStayFloat) {
  Parameters parameters{{"w", Parameter(ones({2}))}};
  for (Optimizer optimizer : {Optimizer(SGD({.lr = 0.1, .momentum = 0.9})), Optimizer(RMSProp()),
                              Optimizer(Adam()), Optimizer(AdamW())}) {
    optimizer.update(parameters, Parameters{{"w", Parameter(ones({2}))}});
    EXPECT_EQ(parameters.at("w").dtype(), DType::float32);
  }
}

TEST(Optimizers, TheirFormulasAreTheFirstStep) {
  const double decay = 0.3;
  const std::map<std::string_view, Optimizer> optimizers = {
      {"Adam", Adam({.lr = 0.1})},
      {"AdamW", AdamW({.lr = 0.1, .weight_decay = decay})},
      {"GradientDescent", GradientDescent({.lr = 0.1})},
      {"RMSProp", RMSProp({.lr = 0.1, .alpha = 0.9})},
      {"SGD", SGD({.lr = 0.1, .weight_decay = decay})},
  };
  ASSERT_EQ(optimizers.size(), table().size());
  for (const Description& row : table()) {
    const Tensor p = tensor({1.5, -2, 0.5}, DType::float64);
    const Tensor g = tensor({0.3, 4, -1e-3}, DType::float64);
    const auto number = [](double x) { return full({}, x, DType::float64); };
    const Expression formula =
        parse_expression(row.formula, {"p", "g", "lr", "eps", "alpha", "weight_decay"});
    const Tensor expected = formula({p, g, number(0.1), number(1e-8), number(0.9), number(decay)});
    Optimizer optimizer = optimizers.at(row.name);
    Parameters parameters{{"p", Parameter(p)}};
    optimizer.update(parameters, Parameters{{"p", Parameter(g)}});
    EXPECT_LT(test::relative_error(parameters.at("p"), expected), 1e-12) << row.name;
    EXPECT_EQ(optimizer.name(), row.name);
  }
}

TEST(Optimizers, GroupsAreChecked) {
  EXPECT_THROW(SGD({.lr = 1, .groups = {{.pattern = "w", .lr_multiplier = -1}}}), ArgumentError);
  EXPECT_THROW(Adam({.groups = {{.pattern = "w", .lr_multiplier = NAN}}}), ArgumentError);
  EXPECT_THROW(AdamW({.groups = {{.pattern = "w", .weight_decay = -0.1}}}), ArgumentError);
  Parameters parameters{{"layer.weight", Parameter(ones({2}))}, {"layer.bias", Parameter(ones({2}))}};
  Adam adam({.groups = {{.pattern = "*.bias"}, {.pattern = "layer.wieght"}}});
  try {
    adam.init(parameters);
    FAIL() << "a pattern that matches nothing was taken";
  } catch (const ArgumentError& error) {
    EXPECT_EQ(error.parts().argument, "groups");
    EXPECT_NE(error.parts().got.find("layer.wieght"), std::string::npos);
    EXPECT_NE(error.parts().hint.find("layer.weight"), std::string::npos) << error.parts().hint;
  }
  EXPECT_THROW(adam.update(parameters, parameters), ArgumentError);
  // A frozen parameter is one of the model's all the same.
  parameters.at("layer.weight").trainable = false;
  Adam frozen({.groups = {{.pattern = "*.weight"}}});
  EXPECT_NO_THROW(frozen.init(parameters));
}

// The function that the error of a constructor, or of what it is used for first, names.
template <typename Make>
std::string named_in_error(const Make& make) {
  try {
    make();
  } catch (const ArgumentError& error) {
    return error.parts().function;
  }
  return "no error";
}

TEST(Optimizers, ErrorsNameTheOptimizer) {
  EXPECT_EQ(named_in_error([] { SGD({.lr = -1}); }), "SGD");
  EXPECT_EQ(named_in_error([] { GradientDescent({.lr = NAN}); }), "GradientDescent");
  EXPECT_EQ(named_in_error([] { AdamW({.groups = {{.pattern = "*", .lr_multiplier = -2}}}); }), "AdamW");
  EXPECT_EQ(named_in_error([] {
              Parameters parameters{{"w", Parameter(ones({2}))}};
              RMSProp({.groups = {{.pattern = "v"}}}).init(parameters);
            }),
            "RMSProp");
}

TEST(Optimizers, Errors) {
  EXPECT_THROW(SGD({.lr = -1}), ArgumentError);
  EXPECT_THROW(SGD({.nesterov = true}), ArgumentError);
  EXPECT_THROW(Adam({.beta1 = 1}), ArgumentError);
  EXPECT_THROW(RMSProp({.alpha = 1}), ArgumentError);
  EXPECT_THROW(AdamW({.weight_decay = -1}), ArgumentError);
  Adam adam;
  EXPECT_THROW(adam.set_learning_rate(NAN), ArgumentError);
  Parameters parameters{{"w", Parameter(ones({2}))}};
  EXPECT_THROW(adam.update(parameters, Parameters{}), ArgumentError);
  EXPECT_THROW(adam.update(parameters, Parameters{{"v", Parameter(ones({2}))}}), ArgumentError);
  EXPECT_THROW(adam.update(parameters, Parameters{{"w", Parameter(ones({3}))}}), ArgumentError);
}

}  // namespace
}  // namespace chainrule::optim
