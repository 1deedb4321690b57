// A compiled step whose model and optimizer change between its calls: from a file, and by assignment.

#include <unistd.h>

#include <filesystem>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/context.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

namespace chainrule {
namespace {

// Weights that a file brings back between two steps are the weights that the next step starts from.
TEST(CompiledState, LoadingFromAFileBetweenStepsIsHonoured) {
  const Context context({.train = true, .seed = 5});
  nn::Sequential model(nn::Linear(4, 16), nn::BatchNorm(16), nn::ReLU(), nn::Linear(16, 1));
  optim::Adam optimizer({.lr = 0.01});
  optimizer.init(model);
  const Tensor x = random::normal(random::key(1), {32, 4}).eval();
  const Tensor y = random::normal(random::key(2), {32, 1}).eval();
  auto step = compile(
      [&](const Tensor& input, const Tensor& target) {
        const auto loss_of = [&](const nn::Sequential& m) { return nn::mse_loss(m(input), target); };
        auto [loss, gradient] = value_and_grad(loss_of)(model);
        optimizer.update(model, gradient);
        return loss;
      },
      model, optimizer);
  for (int i = 0; i < 5; ++i) step(x, y);
  const auto folder =
      std::filesystem::temp_directory_path() / ("chainrule_load_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "model.safetensors").string();
  nn::save(model, path);
  const optim::Adam saved = optimizer;

  const auto five_losses = [&] {
    std::vector<float> losses;
    for (int i = 0; i < 5; ++i) losses.push_back(step(x, y).item<float>());
    return losses;
  };
  const std::vector<float> expected = five_losses();
  EXPECT_NE(five_losses(), expected);
  nn::load_weights(model, path);
  optimizer = saved;
  EXPECT_EQ(five_losses(), expected);
  // The same weights behind a fresh model.
  nn::Module loaded = nn::load(path);
  std::filesystem::remove_all(folder);
  model = *loaded.get_if<nn::Sequential>();
  optimizer = saved;
  EXPECT_EQ(five_losses(), expected);
  EXPECT_EQ(step.trace_count(), 1);
}

}  // namespace
}  // namespace chainrule
