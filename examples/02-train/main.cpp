// A network learns which points lie inside a circle: a model, an optimizer, and one compiled step.
#include <chainrule/chainrule.hpp>

#include <cstdio>

namespace cr = chainrule;

int main() {
  // 512 points of the square [-1, 1]², class 1 inside the circle of radius √½.
  const cr::Tensor x = cr::random::uniform(cr::random::key(1), {512, 2}, -1, 1).eval();
  const cr::Tensor inside = (cr::sum(cr::square(x), {1}) < 0.5).astype(cr::DType::int64).eval();

  cr::seed(0);
  cr::nn::Sequential model(cr::nn::Linear(2, 16), cr::nn::Tanh(), cr::nn::Linear(16, 2));
  cr::optim::Adam optimizer({.lr = 0.02});

  const auto loss_of = [](const cr::nn::Sequential& m, const cr::Tensor& in, const cr::Tensor& target) {
    return cr::nn::cross_entropy(m(in), target);
  };
  // Everything that the step reads and changes is named behind it.
  auto step = cr::compile(
      [&](const cr::Tensor& in, const cr::Tensor& target) {
        auto [loss, gradient] = cr::value_and_grad(loss_of)(model, in, target);
        optimizer.update(model, gradient);
        return loss;
      },
      model, optimizer);

  for (int i = 1; i <= 400; ++i) {
    const double loss = step(x, inside).item<double>();
    if (i == 1 || i % 100 == 0) std::printf("step %3d  loss %.4f\n", i, loss);
  }
  const cr::Tensor right = cr::equal(cr::argmax(model.predict(x)), inside);
  const double accuracy = cr::mean(right.astype(cr::DType::float32)).item<double>();
  std::printf("accuracy %.3f\n", accuracy);
  return accuracy > 0.95 ? 0 : 1;
}
