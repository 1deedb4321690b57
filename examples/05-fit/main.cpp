// From data to a saved model and back in a few calls: train::fit, save, nn::load, predict.
#include <chainrule/chainrule.hpp>

#include <cstdio>

namespace cr = chainrule;

int main() {
  // fit keeps the epoch that is best on the validation set, so the test set has no say in it.
  const auto [learnable, test] =
      cr::data::stratified_split(cr::data::moons({.examples = 1000, .noise = 0.1}), 0.2, 1);
  const auto [training, validation] = cr::data::stratified_split(learnable, 0.1, 2);

  cr::seed(0);
  auto model = cr::nn::Sequential(cr::nn::Linear(2, 32), cr::nn::ReLU(), cr::nn::Linear(32, 2));
  const auto run = cr::train::fit(model, training,
                                  {.loss = cr::nn::cross_entropy,
                                   .optimizer = cr::optim::Adam({.lr = 1e-2}),
                                   .epochs = 20,
                                   .batch_size = 32,
                                   .validation = validation});
  std::printf("%zu epochs, last loss %.2f\n", run.epochs.size(), run.epochs.back().loss);

  model.save("moons.safetensors");
  const auto again = cr::nn::load("moons.safetensors");  // architecture and weights
  const auto classes = cr::argmax(again.predict(cr::tensor({{0, 1}, {1, -0.5}})), {1});
  const auto found = classes.to_vector<std::int64_t>();
  std::printf("the top of the upper moon is class %d, the bottom of the lower one class %d\n",
              static_cast<int>(found[0]), static_cast<int>(found[1]));

  const double accuracy = cr::train::evaluate(model, test).metrics.at("accuracy");
  std::printf("test accuracy %.1f\n", accuracy);
  return accuracy > 0.95 && found[0] == 0 && found[1] == 1 ? 0 : 1;
}
