// A network learns a circle: two inputs, sixteen hidden units, one logit, written out with plain tensors and
// one compiled step.
#include <chainrule/chainrule.hpp>

#include <cstdio>

namespace cr = chainrule;

// A model is a plain struct; visit names its parts.
struct Network {
  cr::Parameter hidden, hidden_bias, output, output_bias;
  cr::Tensor operator()(const cr::Tensor& x) const {
    return cr::matmul(cr::tanh(cr::matmul(x, hidden) + hidden_bias), output) + output_bias;
  }
  void visit(cr::Visitor& v) {
    v("hidden", hidden);
    v("hidden_bias", hidden_bias);
    v("output", output);
    v("output_bias", output_bias);
  }
};

// -log σ(z) for inside, -log(1 - σ(z)) for outside, in the form that never overflows.
cr::Tensor loss_of(const Network& network, const cr::Tensor& x, const cr::Tensor& inside) {
  const cr::Tensor z = network(x);
  return cr::mean(cr::relu(z) - z * inside + cr::log1p(cr::exp(-cr::abs(z))));
}

int main() {
  const cr::Tensor x = cr::random::uniform(cr::random::key(1), {512, 2}, -1, 1).eval();
  const cr::Tensor inside = (cr::sum(x * x, {1}, true) < 0.5).astype(cr::DType::float32).eval();

  Network network{cr::random::normal(cr::random::key(2), {2, 16}), cr::zeros({16}),
                  cr::random::normal(cr::random::key(3), {16, 1}, 0, 0.25), cr::zeros({1})};
  auto step = cr::compile(
      [&](const cr::Tensor& batch, const cr::Tensor& target) {
        auto [loss, gradient] = cr::value_and_grad(loss_of)(network, batch, target);
        const auto slopes = cr::leaves(gradient);
        const auto parameters = cr::leaves(network);
        for (std::size_t i = 0; i < parameters.size(); ++i) {
          *parameters[i].tensor = *parameters[i].tensor - 1.0 * *slopes[i].tensor;
        }
        return loss;
      },
      network);

  double loss = 0;
  for (int i = 1; i <= 1000; ++i) {
    loss = step(x, inside).item<double>();
    if (i == 1 || i % 250 == 0) std::printf("step %4d  loss %.4f\n", i, loss);
  }
  const cr::Tensor right = cr::equal((network(x) > 0).astype(cr::DType::float32), inside);
  const double accuracy = cr::mean(right.astype(cr::DType::float32)).item<double>();
  std::printf("accuracy %.3f\n", accuracy);
  return accuracy > 0.95 ? 0 : 1;
}
