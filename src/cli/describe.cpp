#include "cli/describe.hpp"

#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chainrule/check.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/transforms.hpp>

namespace chainrule::cli {
namespace {

std::vector<std::span<const Description>> tables() {
  return {nn::loss_table(), optim::table(), optim::schedule_table(), nn::init::table()};
}

std::string row(const char* label, const Tensor& values) {
  std::string text = fmt::format("             {:<8}=", label);
  for (const double value : values.to_vector<double>()) text += fmt::format(" {:>9.6f}", value);
  return text + "\n";
}

// Everything is computed: by the ops that the loss is made of, and by its traced gradient.
std::string cross_entropy_example(std::vector<double> at) {
  if (at.size() < 2) at = {2, 1, 0.1};
  const auto classes = static_cast<std::int64_t>(at.size());
  const Tensor z = Tensor::from(at, {classes});
  const Tensor target(0);
  const auto loss = [&](const Tensor& logits) { return nn::cross_entropy(logits, target); };
  const auto list = [&](const std::vector<Tensor>& inputs) { return std::vector<Tensor>{loss(inputs[0])}; };
  const GradientCheck check = check_gradients(list, {z});
  std::string text = fmt::format("at z = ({}), t = 0\n", fmt::join(at, ", "));
  text += row("exp(z)", exp(z)) + row("p", softmax(z)) + row("L", reshape(loss(z), {1})) +
          row("∂L/∂z", grad(loss)(z));
  text += fmt::format("check        float64, central differences, to second order: worst error {:.1e}   {}\n",
                      check.worst_error, check.ok() ? "ok" : "FAILED");
  text += fmt::format(
      "expect       an untrained model of K classes starts near ln K: ln {} = {:.4f}, ln 10 = {:.4f}\n",
      classes, std::log(static_cast<double>(classes)), std::log(10.0));
  return text + "use          pass logits, not probabilities; a batch of N divides the gradient by N\n";
}

}  // namespace

std::optional<Description> find_description(const std::string& name) {
  for (const auto& table : tables()) {
    for (const Description& description : table) {
      if (description.name == name) return description;
    }
  }
  return std::nullopt;
}

std::vector<std::string> described_names() {
  std::vector<std::string> names;
  for (const auto& table : tables()) {
    for (const Description& description : table) names.emplace_back(description.name);
  }
  return names;
}

std::string description_text(const Description& description, std::vector<double> at) {
  std::string text =
      fmt::format("{}\nformula      {}\n{}\n", description.name, description.formula, description.summary);
  if (description.name == "cross_entropy") text += "\n" + cross_entropy_example(std::move(at));
  if (!description.source.empty()) text += fmt::format("source       {}\n", description.source);
  return text;
}

}  // namespace chainrule::cli
