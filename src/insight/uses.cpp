// What goes with what in practice: a column beside the declarations.

#include <algorithm>
#include <array>

#include "insight/named.hpp"

namespace chainrule::insight {
namespace {

struct Use {
  std::string_view name;
  std::string_view sentence;
};

constexpr std::array uses = {
    Use{"relu", "hidden layers; weights by He's initialization"},
    Use{"leaky_relu", "hidden layers where relu leaves units dead"},
    Use{"gelu", "hidden layers, transformers above all"},
    Use{"silu", "hidden layers of deep networks"},
    Use{"elu", "hidden layers without normalization"},
    Use{"selu", "hidden layers without normalization, with LeCun's initialization"},
    Use{"sigmoid", "hidden layers: relu or gelu · loss: binary_cross_entropy_with_logits on the logits"},
    Use{"tanh", "hidden layers of small networks; weights by Glorot's initialization"},
    Use{"softplus", "outputs that have to be positive, such as a variance"},
    Use{"softmax", "to read probabilities; for training give the logits to cross_entropy"},
    Use{"log_softmax", "with nll_loss; cross_entropy does both in one pass"},
    Use{"logsumexp", "sums of probabilities kept as logarithms"},
    Use{"log", "log1p(x) for log(1 + x) near x = 0"},
    Use{"exp", "expm1(x) for exp(x) - 1 near x = 0"},
    Use{"sqrt", "its derivative is infinite at 0: add a small number under the root"},
    Use{"matmul", "a layer is x @ transpose(W) + b: see nn::Linear"},
    Use{"cross_entropy", "pass logits, not probabilities; a batch of N divides the gradient by N"},
    Use{"binary_cross_entropy_with_logits", "pass logits, not probabilities"},
    Use{"binary_cross_entropy", "where only probabilities are at hand; from logits the other form is exact"},
    Use{"mse_loss", "values with noise of one size; standardize targets that are far from 0"},
    Use{"l1_loss", "values with outliers; its gradient does not shrink near the minimum"},
    Use{"huber_loss", "values with outliers; delta is the error above which one counts as such"},
    Use{"Adam", "a good start for most models: lr = 1e-3"},
    Use{"AdamW", "a good start for most models: lr = 1e-3; weight_decay about 0.01"},
    Use{"SGD", "with momentum = 0.9 and a schedule; lr about 0.1 for normalized networks"},
};

}  // namespace

std::string use_of(std::string_view name) {
  const auto found = std::find_if(uses.begin(), uses.end(), [&](const Use& use) { return use.name == name; });
  return found == uses.end() ? std::string() : std::string(found->sentence);
}

std::vector<std::string> used_names() {
  std::vector<std::string> names;
  for (const Use& use : uses) names.emplace_back(use.name);
  return names;
}

}  // namespace chainrule::insight
